"""``explore.word``: one word in several sentences, layer by layer, against its static vector.

Shapes: n occurrences, S tokens, N hidden_size, E size of a word embedding, L layers.

Source: Ethayarajh 2019, "How Contextual are Contextualized Word Representations?", sections 3 and 4: vectors of one
word grow apart with the layers, and cosines mean something only beside those of different words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.words import word_spans
from bothways.errors import InputError, nearest
from bothways.explore.pieces import Piece, check_text
from bothways.explore.reading import Reader, TextReading, load_reader, read_text, word_table
from bothways.tasks.similarity import cos_sim

STATIC = -1
"""Number of the "layer" of static word vectors; 0 is the embeddings with positions."""

MOST_OTHER_WORDS = 200
_SHOWN_WORDS = 12
# scripts that set no space between words: there a word may stand inside a run of letters
_SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One place where the word stands.

    Attributes:
        sentence: number of the sentence, from 1.
        start, end: characters of the sentence.
        surface: the word as it is written there.
        context: the words around it, with the word in brackets.
        pieces: the tokens that it has there; its vector is the mean of theirs.
    """

    sentence: int
    start: int
    end: int
    surface: str
    context: str
    pieces: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LayerSimilarity:
    """Cosines of the word's vectors in one layer.

    Attributes:
        layer: ``STATIC``, 0 for the embeddings with positions, then the layers from 1.
        similarity: (n, n), each occurrence with each.
        mean: of the different pairs of occurrences.
        to_static: mean cosine with the word's static vector; None where the sizes of the vectors differ.
        other_words: mean cosine of different words of all sentences, the scale to judge ``mean`` by; None if there are
            no two.
    """

    layer: int
    name: str
    similarity: tuple[tuple[float, ...], ...]
    mean: float
    to_static: float | None
    other_words: float | None


@dataclass(frozen=True, kw_only=True)
class WordReport:
    """The answer of ``word``."""

    word: str
    model: str
    sentences_read: tuple[str, ...]
    occurrences: tuple[Occurrence, ...]
    layers: tuple[LayerSimilarity, ...]
    sentences: tuple[str, ...]


def word(word: str, sentences: Sequence[str], *, model: Any = "minilm-l6", tokenizer: Any = None) -> WordReport:
    """How alike the vectors of one word are in different sentences, in every layer.

    A word that stands in a sentence several times counts each time; one of several tokens has their mean as its vector.
    Case does not matter for finding it.

    Args:
        word: a word, or several with spaces.
        sentences: texts that each contain it; one is enough if it has the word twice.
        model: a name, a directory or a model; its head does not matter.
        tokenizer: of a model that was not loaded by name.

    Raises:
        InputError: a sentence without the word (the message lists the words that are there), fewer than two
            occurrences, a sentence longer than the model reads.
    """
    check_text(word, "word")
    texts = [sentences] if isinstance(sentences, str) else list(sentences)
    found = [_spans(word.strip(), text, number) for number, text in enumerate(texts, 1)]
    n = sum(map(len, found))
    if n < 2:
        raise InputError(
            f"{word!r} occurs {n} time in {len(texts)} sentence; comparing needs 2. Give another sentence with it."
        )
    reader = load_reader(model, tokenizer)
    readings = [read_text(reader, text, what=f"sentence {number}") for number, text in enumerate(texts, 1)]
    occurrences, places = [], []
    for number, (text, spans, reading) in enumerate(zip(texts, found, readings, strict=True), 1):
        for start, end in spans:
            own = _overlapping(reading.pieces, start, end, word, number)
            places.append((number - 1, own))
            occurrences.append(_occurrence(text, number, start, end, [reading.pieces[i].text for i in own]))
    layers = _layers(reader, readings, places, _other_words(texts, readings, found))
    return WordReport(
        word=word.strip(),
        model=reader.name,
        sentences_read=tuple(texts),
        occurrences=tuple(occurrences),
        layers=layers,
        sentences=_sentences(word.strip(), layers),
    )


Place = tuple[int, list[int]]
"""Number of the sentence from 0, and the tokens of a word in it."""


def _spans(word: str, text: str, number: int) -> list[tuple[int, int]]:
    check_text(text, f"sentence {number}")
    pattern = r"\s+".join(map(re.escape, word.split()))
    if not _SPACELESS.search(word):
        # combining marks are no letters for ``\w``: "cafe" must not be found in a decomposed "café"
        pattern = rf"(?<!\w){pattern}(?![\w\u0300-\u036f])"
    spans = [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]
    if not spans:
        there = list(dict.fromkeys(text[a:b] for a, b in word_spans(text) if text[a].isalnum()))
        close = nearest(word, there, most=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        more = f" and {len(there) - _SHOWN_WORDS:,} more" if len(there) > _SHOWN_WORDS else ""
        shown = ", ".join(there[:_SHOWN_WORDS]) + more
        raise InputError(f"{word!r} is not in sentence {number}, which has the words: {shown or 'none'}.{hint}")
    return spans


def _overlapping(pieces: Sequence[Piece], start: int, end: int, word: str, number: int) -> list[int]:
    own = [p.index for p in pieces if not p.special and p.start < end and p.end > start]
    if not own:
        raise InputError(f"the tokeniser has no token for {word!r} in sentence {number}; choose another word or model.")
    return own


def _occurrence(text: str, number: int, start: int, end: int, pieces: list[str]) -> Occurrence:
    before, after = text[max(0, start - 30) : start], text[end : end + 30]
    if start > 30:
        before = "…" + before.partition(" ")[2]
    if end + 30 < len(text):
        after = after.rpartition(" ")[0] + "…"
    context = " ".join(f"{before}[{text[start:end]}]{after}".split())
    return Occurrence(
        sentence=number, start=start, end=end, surface=text[start:end], context=context, pieces=tuple(pieces)
    )


def _other_words(
    texts: Sequence[str], readings: Sequence[TextReading], found: Sequence[list[tuple[int, int]]]
) -> list[tuple[str, Place]]:
    """The words beside the one asked for, without punctuation."""
    others: list[tuple[str, Place]] = []
    for sentence, (text, reading, spans) in enumerate(zip(texts, readings, found, strict=True)):
        for start, end in word_spans(text):
            asked = any(a < end and b > start for a, b in spans)
            own = [p.index for p in reading.pieces if not p.special and p.start < end and p.end > start]
            if own and not asked and text[start].isalnum():
                others.append((text[start:end].casefold(), (sentence, own)))
    return others[:MOST_OTHER_WORDS]


def _layers(
    reader: Reader, readings: Sequence[TextReading], places: Sequence[Place], others: Sequence[tuple[str, Place]]
) -> tuple[LayerSimilarity, ...]:
    table = word_table(reader)
    embedded = [table[[piece.id for piece in reading.pieces]] for reading in readings]
    static = _means(embedded, places)
    different = np.array([[a[0] != b[0] for b in others] for a in others], dtype=bool)
    layers = []
    for number in range(STATIC, len(readings[0].hidden)):
        tokens = embedded if number == STATIC else [reading.hidden[number] for reading in readings]
        vectors = _means(tokens, places)
        similarity = cos_sim(vectors, vectors)
        unlike = cos_sim(*[_means(tokens, [place for _, place in others])] * 2)[different] if different.any() else None
        to_static = float(np.diag(cos_sim(vectors, static)).mean()) if vectors.shape == static.shape else None
        layers.append(
            LayerSimilarity(
                layer=number,
                name={STATIC: "static", 0: "embeddings"}.get(number, f"layer {number}"),
                similarity=tuple(tuple(float(min(max(v, -1.0), 1.0)) for v in row) for row in similarity),
                mean=float(similarity[np.triu_indices(len(places), 1)].mean()),
                to_static=to_static,
                other_words=None if unlike is None else float(unlike.mean()),
            )
        )
    return tuple(layers)


def _means(tokens: Sequence[np.ndarray], places: Sequence[Place]) -> np.ndarray:
    """One vector for each place: the mean of its tokens'."""
    return np.stack([tokens[sentence][own].mean(axis=0) for sentence, own in places])


def _sentences(word: str, layers: Sequence[LayerSimilarity]) -> tuple[str, ...]:
    static, last = layers[0], layers[-1]
    said = []
    if static.mean > 1 - 1e-5:
        said.append(
            f"The static vector of {word!r} is the same everywhere (similarity 1.00): it cannot tell senses apart."
        )
    else:
        said.append(
            f"The static vectors differ (mean similarity {static.mean:.2f}), since {word!r} is written differently."
        )
    told = f"In the last layer (of {last.layer}) its occurrences have a mean similarity of {last.mean:.2f}"
    if last.other_words is not None:
        told += f"; two different words have {last.other_words:.2f}"
    said.append(f"{told}.")
    n = len(last.similarity)
    if n > 2:
        pairs = [(last.similarity[i][j], i + 1, j + 1) for i in range(n) for j in range(i + 1, n)]
        (high, a, b), (low, c, d) = max(pairs), min(pairs)
        said.append(f"Most alike there are occurrences {a} and {b} ({high:.2f}), least alike {c} and {d} ({low:.2f}).")
    return tuple(said)

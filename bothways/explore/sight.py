"""``explore.order``: what each position may see, for a model that reads both ways and one that reads to the left only.

Without models the matrices follow from the definitions. With a model they are measured: position i sees j if any head
of any layer passes weight from j to i, directly or through other positions.

Shapes: S tokens, L layers, H heads.

Sources: Devlin et al. 2019, figure 3; Radford et al. 2019, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.data.words import word_spans
from bothways.errors import InputError
from bothways.explore.masks import (
    USUAL_MASK,
    Guess,
    best_guesses,
    check_top_k,
    mask_places,
    probabilities_at,
    with_mask_of,
)
from bothways.explore.pieces import check_text
from bothways.explore.reading import Reader, is_causal, load_reader, read_text

MOST_WORDS = 512
BLANK = "_"  # stands for the gap where a model has no mask of its own


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What the positions of one kind of model see.

    Attributes:
        name: ``"BERT"``, ``"GPT-2"`` or the name of the model.
        both_ways: whether it reads in both directions.
        tokens: of the text.
        sees: (S, S); ``sees[i][j]`` is whether position i sees position j.
        measured: read off a model's attention; else it follows from the definition.
        gap: the place of the (first) mask in ``tokens``; None where there is none.
        guesses: the best words for the gap; None without a gap or a model with the head for it.
        note: what these guesses are based on.
    """

    name: str
    both_ways: bool
    tokens: tuple[str, ...]
    sees: tuple[tuple[bool, ...], ...]
    measured: bool
    gap: int | None
    guesses: tuple[Guess, ...] | None
    note: str

    @property
    def n_seen(self) -> int:
        """How many (position, position) pairs are visible."""
        return sum(map(sum, self.sees))


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    """The answer of ``order``. The model that reads both ways comes first."""

    text: str
    sights: tuple[Sight, Sight]
    sentences: tuple[str, ...]


def order(
    text: str,
    *,
    bidirectional: Any = None,
    causal: Any = None,
    top_k: int = 5,
) -> OrderReport:
    """Bidirectional against causal context of a text, as matrices; with models also their words for a gap.

    Args:
        text: with ``[MASK]`` where a word is to be guessed; without it there are only the matrices.
        bidirectional: a model with a masked-language head, or any encoder for a text without a mask; None for the
            definition (BERT).
        causal: a model that writes; None for the definition (GPT-2).
        top_k: how many words for the gap.

    Raises:
        InputError: a model that reads the other way, without the head, or a text that it cannot read.
    """
    check_text(text, "text")
    check_top_k(top_k)
    first = _defined(text, both_ways=True) if bidirectional is None else _bidirectional(text, bidirectional, top_k)
    second = _defined(text, both_ways=False) if causal is None else _causal(text, causal, top_k)
    return OrderReport(text=text, sights=(first, second), sentences=_sentences(first, second))


def _defined(text: str, *, both_ways: bool) -> Sight:
    """By words, without a model."""
    words: list[str] = []
    for i, part in enumerate(text.split(USUAL_MASK)):
        words += [USUAL_MASK] * (i > 0) + [part[start:end] for start, end in word_spans(part)]
    if not words:
        raise InputError("the text has no word; expected at least one.")
    if len(words) > MOST_WORDS:
        raise InputError(f"the text has {len(words):,} words; matrices of up to {MOST_WORDS} are made. Shorten it.")
    tokens = ["[CLS]", *words, "[SEP]"] if both_ways else [BLANK if word == USUAL_MASK else word for word in words]
    sees = np.ones((len(tokens), len(tokens)), dtype=bool)
    gap = words.index(USUAL_MASK) + both_ways if USUAL_MASK in words else None
    return Sight(
        name="BERT" if both_ways else "GPT-2",
        both_ways=both_ways,
        tokens=tuple(tokens),
        sees=_rows(sees if both_ways else np.tril(sees)),
        measured=False,
        gap=gap,
        guesses=None,
        note="by definition; name a model to measure it",
    )


def _bidirectional(text: str, model: Any, top_k: int) -> Sight:
    with_gap = USUAL_MASK in text
    reader = load_reader(model)
    if is_causal(reader):
        raise InputError(f"{reader.name} reads to the left only; pass it as causal (--causal).")
    own = reader.tokenizer.mask_token
    if with_gap or (own is not None and own in text):
        reader = load_reader(model, task="masked-lm")
        text = with_mask_of(reader, text)
    reading = read_text(reader, text, weights=True)
    gap = guesses = None
    if reader.model.task == "masked-lm":
        gap = mask_places(reader, reading.pieces)[0]
        everything = np.ones((1, len(reading.pieces)), dtype=bool)
        guesses = best_guesses(reader, probabilities_at(reader, reading.pieces, gap, everything)[0], top_k)
    return Sight(
        name=reader.name,
        both_ways=True,
        tokens=tuple(piece.text for piece in reading.pieces),
        sees=_rows(_measured(reading.weights)),
        measured=True,
        gap=gap,
        guesses=guesses,
        note="for the gap, from both sides",
    )


def _causal(text: str, model: Any, top_k: int) -> Sight:
    before, has_gap, _ = text.partition(USUAL_MASK)
    reader = load_reader(model)
    if not is_causal(reader):
        raise InputError(f"{reader.name} reads in both directions; pass it as bidirectional (--bidirectional).")
    if has_gap:
        reader = load_reader(model, task="causal-lm")
    reading = read_text(reader, text.replace(USUAL_MASK, BLANK), weights=True)
    gap = next((p.index for p in reading.pieces if has_gap and p.end > len(before)), None)
    guesses = _next_words(reader, before.rstrip(), top_k) if has_gap else None
    return Sight(
        name=reader.name,
        both_ways=False,
        tokens=tuple(piece.text for piece in reading.pieces),
        sees=_rows(_measured(reading.weights)),
        measured=True,
        gap=gap,
        guesses=guesses,
        note="for the next word after the left side; it never sees the right one",
    )


def _next_words(reader: Reader, before: str, top_k: int) -> tuple[Guess, ...]:
    """The best continuations of what stands before the gap; of the beginning of a text where nothing does."""
    import torch

    ids = reader.tokenizer.encode_texts([before])[0].ids if before else [reader.tokenizer.bos_token_id]
    if not ids or ids[0] is None:
        raise InputError(
            f"the gap is the first word and {reader.name} has no token to begin with; put a word before it."
        )
    with torch.no_grad():
        output = reader.model(input_ids=torch.tensor([ids], device=reader.model.device), use_cache=False)
    return best_guesses(reader, output.logits[0, -1].double().softmax(-1).cpu().numpy(), top_k)


def _measured(weights: np.ndarray | None) -> np.ndarray:
    """bool (S, S) from (L, H, S, S): what reaches a position through all layers, its own vector included."""
    assert weights is not None
    n = weights.shape[-1]
    reached = np.eye(n, dtype=bool)
    for layer in weights:
        passes = (layer > 0).any(axis=0) | np.eye(n, dtype=bool)
        reached = (passes.astype(np.float32) @ reached.astype(np.float32)) > 0
    return reached


def _rows(sees: np.ndarray) -> tuple[tuple[bool, ...], ...]:
    return tuple(tuple(row) for row in sees.tolist())


def _sentences(first: Sight, second: Sight) -> tuple[str, ...]:
    said = []
    for sight in (first, second):
        n = len(sight.tokens)
        how = "measured" if sight.measured else "by definition"
        direction = "in both directions" if sight.both_ways else "to the left only"
        said.append(
            f"{sight.name} reads {direction}: of {n * n:,} pairs of positions, the first sees the second in "
            f"{sight.n_seen:,} ({how})."
        )
    if first.gap is not None and second.gap is not None:
        left = second.gap
        right = len(first.tokens) - first.gap - 1
        said.append(
            f"For the gap {first.name} uses {first.gap:,} tokens before it and {right:,} after it; {second.name} has "
            f"only the {left:,} before it, since it predicts each word from those that came before."
        )
    for sight in (first, second):
        if sight.guesses:
            best = sight.guesses[0]
            said.append(f"{sight.name} expects {best.word!r} in the gap ({100 * best.probability:.1f} %).")
    return tuple(said)

"""One result of every kind, made without a model; with texts that want to be more than text."""

from __future__ import annotations

import numpy as np

from bothways import explore
from bothways.explore.agreement import measure_agreement
from bothways.explore.links import _head, _sentences
from bothways.explore.masks import Candidate, Gap, Guess, MaskReport, View
from bothways.explore.pieces import Piece, Tokenised, TokensReport
from bothways.explore.pooled import _report
from bothways.explore.words import LayerSimilarity, Occurrence, WordReport

HOSTILE = "<script>alert('x')</script>"
RANDOM = np.random.default_rng(0)


def piece(index: int, text: str, **changes) -> Piece:
    values = {"id": 7 * index, "type_id": 0, "mask": 1, "start": 0, "end": len(text), "surface": text, "second": False}
    return Piece(**{"index": index, "text": text, "special": False, "unknown": False, **values, **changes})


def pieces(n: int) -> tuple[Piece, ...]:
    texts = [HOSTILE, "שלום", "👩‍👩‍👧", "Ġlong_" * 6, "a\x1b[31m", *(f"w{i}" for i in range(n))]
    return (piece(0, "[CLS]", special=True, surface=""), *(piece(i, t) for i, t in enumerate(texts[: n - 1], 1)))


def word_report(n: int = 3) -> WordReport:
    own = [
        Occurrence(sentence=i, start=0, end=4, surface="bank", context=f"[bank] {HOSTILE}", pieces=("ba", "##nk"))
        for i in range(1, n + 1)
    ]
    layers = []
    for number in range(-1, 7):
        table = np.clip(np.eye(n) + 0.1 * number, -1, 1)
        names = {-1: "static", 0: "embeddings"}
        layers.append(
            LayerSimilarity(
                layer=number, name=names.get(number, f"layer {number}"), similarity=tuple(map(tuple, table.tolist())),
                mean=0.1 * number, to_static=None if number == 2 else 0.5, other_words=None if number == 3 else 0.2,
            )
        )  # fmt: skip
    texts = tuple(f"bank {HOSTILE}" for _ in range(n))
    return WordReport(
        word=HOSTILE, model="m" * 80, sentences_read=texts, occurrences=tuple(own), layers=tuple(layers),
        sentences=("Said.", HOSTILE),
    )  # fmt: skip


def mask_report() -> MaskReport:
    guesses = tuple(
        Guess(word=word, token=i, probability=p) for i, (word, p) in enumerate(((HOSTILE, 0.9), ("b", 1e-5)))
    )
    views = tuple(View(side=side, shown="x [MASK]", guesses=guesses, bits=1.5) for side in ("both", "left", "right"))
    one = dict.fromkeys(("both", "left", "right"), 0.9)
    candidate = Candidate(word=HOSTILE, token=0, probabilities=one, ranks=dict.fromkeys(one, 1234), asked=True)
    gap = Gap(number=1, views=views, candidates=(candidate,))
    return MaskReport(text=f"x [MASK] {HOSTILE}", model="m", gaps=(gap,), sentences=("Said.",))


def attention_report(n: int = 12, n_layers: int = 2, n_heads: int = 3) -> explore.AttentionReport:
    weights = RANDOM.random((n_layers, n_heads, n, n)).astype(np.float32) ** 6
    weights[0, 0] = 0.02
    weights[0, 0, :, 0] = 0.8
    weights /= weights.sum(-1, keepdims=True)
    own = np.arange(1, n)
    heads = tuple(
        _head(layer + 1, head + 1, weights[layer, head], own, np.array([], dtype=int), 2)
        for layer in range(n_layers)
        for head in range(n_heads)
    )
    shown = pieces(n)
    return explore.AttentionReport(
        text="x", model="m", pieces=shown, n_layers=n_layers, n_heads=n_heads, heads=heads,
        sentences=_sentences(heads, shown),
    )  # fmt: skip


def tokens_report(n: int = 12) -> TokensReport:
    own = (*pieces(n), piece(n, "[UNK]", unknown=True))
    rows = [
        Tokenised(
            name=f"model-{i}/" + "long" * 9, tokenizer_class="BertTokenizerFast", vocab_size=30_522, limit=512,
            pieces=own, n_words=9, n_unknown=1, pieces_per_word=1.5,
        )
        for i in (1, 2)
    ]  # fmt: skip
    return TokensReport(text=HOSTILE, pair="second", rows=tuple(rows), sentences=("Said.",))


def pooling_report() -> explore.PoolingReport:
    gold = RANDOM.random(60)
    ways = [gold + noise * RANDOM.random(60) for noise in (2, 0.5, 1, 3)]
    return _report("m", measure_agreement((gold > 0.5).astype(float), ways, binary=True), 60, HOSTILE)


def order_report() -> explore.OrderReport:
    return explore.order(f"The bank of the [MASK] {HOSTILE}")


ALL = {
    "word": word_report,
    "mask": mask_report,
    "attention": attention_report,
    "tokens": tokens_report,
    "pooling": pooling_report,
    "order": order_report,
}

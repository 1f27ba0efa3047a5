"""``explore.attention``: where the heads of a model look, as weights and as simple statistics.

Shapes: S tokens, T tokens of the text (without special ones), L layers, H heads.

Sources: Clark et al. 2019, "What Does BERT Look At?", sections 3.1 to 3.3 (relative position, separators, entropy);
Jain and Wallace 2019, "Attention is not Explanation".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.explore.pieces import Piece
from bothways.explore.reading import load_reader, read_text

CAVEAT = (
    "Attention is not explanation: weights show where a head reads, not why a model decides. Quite different weights "
    "can give the same answer (Jain and Wallace 2019)."
)
MOSTLY = 0.5
"""A head that puts more than this share of its attention into one place is said to look mostly there."""

PATTERNS = {
    "previous": "the previous token",
    "next": "the next token",
    "itself": "the token itself",
    "first": "the first token",
    "separator": "separators",
}


@dataclass(frozen=True, kw_only=True)
class Link:
    """A token that looks at another, with its share of attention."""

    source: int
    target: int
    weight: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """One head. Shares are means over the tokens of the text, from 0 to 1.

    Attributes:
        layer, head: from 1.
        weights: float32 (S, S); row i is where token i looks, and adds up to 1.
        shares: for each name of ``PATTERNS`` the share of attention that goes there: the token before, the one after,
            the token itself, the first token (such as ``[CLS]``) and separators (``[SEP]``); None where the model has
            no such token.
        entropy: mean in bits; 0 for one token only, log2(S) for all alike.
        strongest: the strongest links between different tokens of the text, best first.
    """

    layer: int
    head: int
    weights: np.ndarray
    shares: dict[str, float | None]
    entropy: float
    strongest: tuple[Link, ...]

    @property
    def mostly(self) -> str | None:
        """The pattern that has more than half of the attention."""
        known = {name: share for name, share in self.shares.items() if share is not None}
        best = max(known, key=lambda name: known[name])
        return best if known[best] > MOSTLY else None


@dataclass(frozen=True, kw_only=True)
class AttentionReport:
    """The answer of ``attention``. ``heads`` has layer 1 first."""

    text: str
    model: str
    pieces: tuple[Piece, ...]
    n_layers: int
    n_heads: int
    heads: tuple[Head, ...]
    sentences: tuple[str, ...]


def attention(text: str, *, model: Any = "minilm-l6", tokenizer: Any = None, links: int = 3) -> AttentionReport:
    """The attention weights of every head over a text, with what they mostly look at.

    Args:
        text: as long as the model reads at once at most.
        model: a name, a directory or a model.
        tokenizer: of a model that was not loaded by name.
        links: how many of the strongest links are named for each head.

    Raises:
        InputError: a blank or too long text, or one without tokens of its own.
    """
    if isinstance(links, bool) or not isinstance(links, int) or links < 1:
        raise InputError(f"links is {links!r}; expected a number of links from 1 on.")
    reader = load_reader(model, tokenizer)
    reading = read_text(reader, text, weights=True)
    assert reading.weights is not None
    own = np.array([piece.index for piece in reading.pieces if not piece.special], dtype=np.int64)
    if not len(own):
        raise InputError(f"the text has only special tokens for {reader.name}; expected a word that it can read.")
    separator = reader.tokenizer.sep_token_id
    separators = np.array([p.index for p in reading.pieces if p.id == separator and p.special], dtype=np.int64)
    heads = tuple(
        _head(layer, head, weights, own, separators, links)
        for layer, of_layer in enumerate(reading.weights, 1)
        for head, weights in enumerate(of_layer, 1)
    )
    return AttentionReport(
        text=text,
        model=reader.name,
        pieces=reading.pieces,
        n_layers=len(reading.weights),
        n_heads=len(reading.weights[0]),
        heads=heads,
        sentences=_sentences(heads, reading.pieces),
    )


def _head(layer: int, head: int, weights: np.ndarray, own: np.ndarray, separators: np.ndarray, links: int) -> Head:
    rows = weights[own]  # (T, S)
    before, after = own[own > 0], own[own + 1 < len(weights)]
    seen = np.where(rows > 0, rows, 1.0)
    return Head(
        layer=layer,
        head=head,
        weights=weights,
        shares={
            "previous": float(weights[before, before - 1].mean()) if len(before) else None,
            "next": float(weights[after, after + 1].mean()) if len(after) else None,
            "itself": float(weights[own, own].mean()),
            "first": float(rows[:, 0].mean()),
            "separator": float(rows[:, separators].sum(axis=1).mean()) if len(separators) else None,
        },
        entropy=max(0.0, float(-(rows * np.log2(seen)).sum(axis=1).mean())),
        strongest=_strongest(weights, own, links),
    )


def _strongest(weights: np.ndarray, own: np.ndarray, links: int) -> tuple[Link, ...]:
    """Between different tokens of the text; those to special tokens are in the statistics."""
    among = weights[np.ix_(own, own)].copy()
    np.fill_diagonal(among, -1.0)
    best = np.argsort(-among, axis=None, kind="stable")[:links].tolist()
    places = [(i // len(own), i % len(own)) for i in best]
    return tuple(
        Link(source=int(own[a]), target=int(own[b]), weight=float(among[a, b])) for a, b in places if among[a, b] > 0
    )


def _sentences(heads: Sequence[Head], pieces: Sequence[Piece]) -> tuple[str, ...]:
    counts = {name: sum(head.mostly == name for head in heads) for name in PATTERNS}
    named = [f"{count} at {PATTERNS[name]}" for name, count in counts.items() if count]
    if not named:
        told = f"None of {len(heads)} heads looks mostly (more than half) at one place"
    else:
        told = f"Of {len(heads)} heads, this many look mostly (more than half) at one place: {', '.join(named)}"
    sharp, broad = min(heads, key=lambda head: head.entropy), max(heads, key=lambda head: head.entropy)
    return (
        f"{told}.",
        f"The narrowest is head {sharp.head} of layer {sharp.layer} ({sharp.entropy:.1f} bits), the broadest head "
        f"{broad.head} of layer {broad.layer} ({broad.entropy:.1f} bits of at most {np.log2(len(pieces)):.1f}).",
        CAVEAT,
    )

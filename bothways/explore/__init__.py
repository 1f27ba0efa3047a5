"""What a model knows, for people who want to look: one plain function a question, each with a frozen result.

``word`` (one word in several sentences), ``mask`` (what reading in both directions buys), ``attention`` (where heads
look), ``tokens`` (tokenisers side by side), ``pooling`` (from token vectors to one), ``order`` (what a position may
see). ``to_terminal`` and ``to_html`` show any of the results; torch is loaded when a model is.
"""

from bothways.explore.links import AttentionReport, Head, Link, attention
from bothways.explore.masks import Candidate, Gap, Guess, MaskReport, View, mask
from bothways.explore.page import to_html
from bothways.explore.pieces import Piece, Tokenised, TokensReport, tokens
from bothways.explore.pooled import PoolingReport, PoolingScore, pooling
from bothways.explore.sight import OrderReport, Sight, order
from bothways.explore.terminal import to_terminal
from bothways.explore.words import LayerSimilarity, Occurrence, WordReport, word

__all__ = [
    "AttentionReport",
    "Candidate",
    "Gap",
    "Guess",
    "Head",
    "LayerSimilarity",
    "Link",
    "MaskReport",
    "Occurrence",
    "OrderReport",
    "Piece",
    "PoolingReport",
    "PoolingScore",
    "Sight",
    "Tokenised",
    "TokensReport",
    "View",
    "WordReport",
    "attention",
    "mask",
    "order",
    "pooling",
    "to_html",
    "to_terminal",
    "tokens",
    "word",
]

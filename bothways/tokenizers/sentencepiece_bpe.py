"""From the pieces of a SentencePiece BPE model to merges, which its ``.model`` does not contain.

SentencePiece joins, again and again, the two neighbours whose union has the highest score. A table of merges says the
same: every way to make a piece from two others, by falling score.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from bothways.errors import TokenizerError
from bothways.tokenizers.sentencepiece_model import Piece

MAX_CHARS = 512  # of one piece; SentencePiece's own limit is 16 by default, and the time here is quadratic


def merges_of_pieces(
    pieces: Sequence[Piece], scores: Sequence[tuple[str, float]], path: str | os.PathLike[str]
) -> list[tuple[str, str]]:
    """The merges, best first, in the order of the ecosystem's converter (``generate_merges``).

    Args:
        pieces: of the file, by id; the halves of a merge are looked for here.
        scores: tokens with their scores, as the engine gets them.
        path: for messages.

    Raises:
        TokenizerError: a piece is longer than ``MAX_CHARS``.
    """
    known = {piece.text for piece in pieces}
    found: list[tuple[float, int, int, str, str]] = []
    for token, score in dict(scores).items():
        if len(token) > MAX_CHARS:
            raise TokenizerError(
                f"{path} has a piece of {len(token):,} characters; in BPE models up to {MAX_CHARS} are read."
            )
        halves = ((token[:n], token[n:]) for n in range(1, len(token)))
        found += [(score, len(a), len(b), a, b) for a, b in halves if a in known and b in known]
    found.sort(key=lambda merge: merge[:3], reverse=True)
    return [(left, right) for _, _, _, left, right in found]

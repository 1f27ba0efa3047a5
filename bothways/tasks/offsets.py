"""Where the tokens of a text are.

Shapes: L tokens.
"""

from __future__ import annotations

import numpy as np


def without_space(offsets: np.ndarray, text: str) -> np.ndarray:
    """The characters of tokens without white space, which byte-level and Unigram tokenisers count to the next token.

    Args:
        offsets: integers (L, 2), first character and the one after the last.
        text: in which they count.

    Returns:
        (L, 2) of the same dtype. A token of white space alone is empty, at its end.

    Example: ``"a b"`` with (0, 1), (1, 3) -> (0, 1), (2, 3).
    """
    found = offsets.copy()
    for i, (start, end) in enumerate(offsets.tolist()):
        if start < end and (text[start].isspace() or text[end - 1].isspace()):
            piece = text[start:end]
            start += len(piece) - len(piece.lstrip())
            found[i] = start, start + len(piece.strip())
    return found

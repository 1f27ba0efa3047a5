"""Next sentence: whether the second of two texts follows the first.

Shapes: n pairs, W windows of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bothways.tasks.encoded import EncodedTexts
from bothways.tasks.text_classification import decode

LABELS = ("IsNext", "NotNext")
"""By the number of the output. Source: Devlin et al. 2019, section 3.1; the published heads have 0 for "it follows"."""


def relations(logits: np.ndarray, encoded: EncodedTexts) -> Iterator[dict[str, Any]]:
    """For each pair the better label and its probability.

    Args:
        logits: (W, 2).
        encoded: the n pairs. The probability of a pair in several windows is the mean of theirs, weighted by tokens.
    """
    for row in decode(logits, encoded, "softmax"):
        best = int(row.argmax())
        yield {"label": LABELS[best], "score": float(row[best])}

"""Multiple choice: one logit for each choice becomes scores that add up to 1.

Shapes: W windows of a text, K choices.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bothways.tasks.crossed import CrossedText
from bothways.tasks.text_classification import softmax


def choice_scores(text: CrossedText, logits: np.ndarray) -> np.ndarray:
    """The score of each choice, (K,).

    Args:
        text: the text that the choices stand beside.
        logits: (W, K, 1). The scores of a text in several windows are the mean of theirs, weighted by their tokens.

    Source: Devlin et al. 2019, section 4.4 (SWAG).
    """
    return text.mean(softmax(logits[..., 0]))


def best_choice(choices: tuple[str, ...], scores: np.ndarray) -> dict[str, Any]:
    """The result of one text: number and text of the best choice, and the scores (K,) in the order of the choices."""
    best = int(scores.argmax())
    return {"choice": best, "answer": choices[best], "scores": scores.tolist()}

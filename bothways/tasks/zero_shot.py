"""Zero-shot classification: labels become hypotheses, entailment becomes scores.

Source: Yin et al. 2019, section 5 (labels as hypotheses for a model of natural language inference).

Shapes: W windows of a text, K labels, C outputs of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.tasks.text_classification import softmax

TEMPLATE = "This example is {}."


def parse_labels(labels: Any) -> tuple[Any, ...]:
    """Labels as the caller gave them: a text with commas, or several labels.

    Example: ``"politics, sports,"`` -> ``("politics", "sports")``.

    Raises:
        InputError: none, or something that is no label.
    """
    if isinstance(labels, str):
        found: tuple[Any, ...] = tuple(part.strip() for part in labels.split(",") if part.strip())
    elif isinstance(labels, Iterable) and not isinstance(labels, (bytes, Mapping)):
        found = tuple(labels)
    else:
        raise InputError(
            f"candidate_labels is {labels!r:.60} ({type(labels).__name__}); expected labels as 'a, b' or as a list."
        )
    if not found:
        raise InputError(
            f"candidate_labels is {labels!r}. You must include at least one label and at least one sequence."
        )
    wrong = [label for label in found if not isinstance(label, (str, int, float))]
    if wrong:
        raise InputError(f"candidate label {wrong[0]!r:.60} is a {type(wrong[0]).__name__}; expected a text (str).")
    return found


def hypotheses(labels: Sequence[Any], template: str) -> list[str]:
    """The template filled with each label.

    Raises:
        InputError: the template has no place for a label, or more than one kind of place.
    """
    try:
        filled = [template.format(label) for label in labels]
    except (LookupError, ValueError, AttributeError) as problem:
        raise InputError(
            f"hypothesis_template {template!r} cannot be filled with a label ({type(problem).__name__}: {problem}). "
            "Put {} where the label belongs."
        ) from None
    if filled and filled[0] == template:
        raise InputError(
            f"the hypothesis_template {template!r} has no place for a label. Put {{}} where the label belongs, as in "
            f"{TEMPLATE!r}."
        )
    return filled


def entailment_id(label2id: Mapping[str, int]) -> int:
    """Number of the first label that begins with "entail" in any case; -1, the last output, if there is none."""
    return next((number for label, number in label2id.items() if label.lower().startswith("entail")), -1)


def label_scores(logits: np.ndarray, entailment: int, *, independent: bool) -> np.ndarray:
    """The scores of the labels in each window.

    Args:
        logits: (W, K, C).
        entailment: number of the output for entailment. Contradiction is the first output, or the last one where
            entailment is the first.
        independent: each label against its contradiction; else the labels against each other. A label that is alone
            is always judged against its contradiction.

    Returns:
        (W, K).
    """
    if not independent and logits.shape[1] > 1:
        return softmax(logits[..., entailment])
    contradiction = -1 if entailment == 0 else 0
    return softmax(logits[..., [contradiction, entailment]])[..., 1]


def ranked(sequence: str, labels: Sequence[Any], scores: np.ndarray) -> dict[str, Any]:
    """The result of one text: labels with their scores (K,), best first; of equal ones the later, as the ecosystem."""
    order = np.argsort(scores, kind="stable")[::-1]
    return {"sequence": sequence, "labels": [labels[k] for k in order.tolist()], "scores": scores[order].tolist()}

"""Scores of classes predicted, from the labels alone.

Zero divisions: precision without predictions, recall without gold examples, F1 where both are 0, and the Matthews
correlation of a constant gold or predicted column are all 0.0. Macro averages run over the labels that occur in gold
or predicted, so that a label absent from a small evaluation set does not lower them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from typing import Any

from bothways.errors import InputError

MOST_IN_MATRIX = 200


def classification_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """Scores for one label an example.

    Args:
        gold, predicted: one label for each example.
        labels: all labels, in the order of ``confusion``.

    Returns:
        ``examples``, ``accuracy``, ``macro_f1``, ``micro_f1`` (equal to accuracy), ``weighted_f1``, ``mcc``,
        ``per_label`` (label → precision, recall, f1, support, predicted), ``labels``, and up to 200 labels
        ``confusion`` (rows gold, columns predicted; counts): of 5,000 labels that would be 25 million numbers.

    Raises:
        InputError: no examples, lists of different lengths, a label twice or not in ``labels``.
    """
    index = _label_index(labels)
    _check_lengths(gold, predicted)
    for name, values in (("gold", gold), ("predicted", predicted)):
        _check_known(name, values, index)
    cells = Counter(zip(gold, predicted, strict=True))
    supports, guesses = Counter(gold), Counter(predicted)
    hits = [cells[label, label] for label in labels]
    support = [supports[label] for label in labels]
    guessed = [guesses[label] for label in labels]
    total = len(gold)
    per_label = _per_label(labels, hits, support, guessed)
    accuracy = sum(hits) / total
    scores = {
        "examples": total,
        "accuracy": accuracy,
        "macro_f1": _macro_f1(per_label),
        "micro_f1": accuracy,
        "weighted_f1": _weighted_f1(per_label),
        "mcc": _mcc(sum(hits), support, guessed, total),
        "per_label": per_label,
        "labels": list(labels),
    }
    if len(labels) <= MOST_IN_MATRIX:
        scores["confusion"] = [[cells[truth, guess] for guess in labels] for truth in labels]
    return scores


def multilabel_scores(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str]
) -> dict[str, Any]:
    """Scores for any number of labels an example.

    Returns:
        ``examples``, ``subset_accuracy`` (all labels right), ``micro_f1``, ``macro_f1``, ``weighted_f1``,
        ``per_label`` (label → precision, recall, f1, support, predicted) and ``labels``.

    Raises:
        InputError: as ``classification_scores``; also one string where a collection of labels is expected.
    """
    index = _label_index(labels)
    _check_lengths(gold, predicted)
    hits, support, guessed = ([0] * len(labels) for _ in range(3))
    exact = 0
    for row, (truth, guess) in enumerate(zip(gold, predicted, strict=True)):
        if isinstance(truth, str) or isinstance(guess, str):
            raise InputError(f"example {row} has one string; expected a collection of labels in gold and predicted.")
        _check_known("gold", truth, index)
        _check_known("predicted", guess, index)
        truth, guess = set(truth), set(guess)
        exact += truth == guess
        for counts, names in ((hits, truth & guess), (support, truth), (guessed, guess)):
            for name in names:
                counts[index[name]] += 1
    per_label = _per_label(labels, hits, support, guessed)
    return {
        "examples": len(gold),
        "subset_accuracy": exact / len(gold),
        "micro_f1": _ratio(2 * sum(hits), sum(support) + sum(guessed)),
        "macro_f1": _macro_f1(per_label),
        "weighted_f1": _weighted_f1(per_label),
        "per_label": per_label,
        "labels": list(labels),
    }


def _per_label(
    labels: Sequence[str], hits: Sequence[int], support: Sequence[int], guessed: Sequence[int]
) -> dict[str, dict[str, Any]]:
    return {
        label: {
            "precision": _ratio(hits[i], guessed[i]),
            "recall": _ratio(hits[i], support[i]),
            "f1": _ratio(2 * hits[i], support[i] + guessed[i]),
            "support": support[i],
            "predicted": guessed[i],
        }
        for i, label in enumerate(labels)
    }


def _macro_f1(per_label: dict[str, dict[str, Any]]) -> float:
    present = [scores["f1"] for scores in per_label.values() if scores["support"] or scores["predicted"]]
    return _ratio(math.fsum(present), len(present))


def _weighted_f1(per_label: dict[str, dict[str, Any]]) -> float:
    weighted = math.fsum(scores["f1"] * scores["support"] for scores in per_label.values())
    return _ratio(weighted, sum(scores["support"] for scores in per_label.values()))


def _mcc(hits: int, support: Sequence[int], guessed: Sequence[int], total: int) -> float:
    """Gorodkin 2004, equation 8, in whole numbers until the root."""
    both = hits * total - sum(s * g for s, g in zip(support, guessed, strict=True))
    spread = (total**2 - sum(s * s for s in support)) * (total**2 - sum(g * g for g in guessed))
    return both / math.sqrt(spread) if spread else 0.0


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _label_index(labels: Sequence[str]) -> dict[Hashable, int]:
    index: dict[Hashable, int] = {label: i for i, label in enumerate(labels)}
    if len(index) != len(labels):
        twice = sorted(name for name, count in Counter(labels).items() if count > 1)
        raise InputError(f"labels holds {', '.join(map(repr, twice))} more than once.")
    return index


def _check_lengths(gold: Sequence[Any], predicted: Sequence[Any]) -> None:
    if len(gold) != len(predicted):
        raise InputError(f"gold has {len(gold)} labels and predicted has {len(predicted)}; expected as many.")
    if not len(gold):
        raise InputError("there are no examples to score; at least one is needed.")


def _check_known(name: str, values: Collection[Any], index: dict[Hashable, int]) -> None:
    unknown = {value for value in values if value not in index}
    if unknown:
        shown = ", ".join(sorted(map(repr, unknown))[:10])
        raise InputError(f"{name} has {len(unknown)} labels that are not among the {len(index)} of labels: {shown}.")

"""Answers with a guarantee: an answer or none at a bounded risk, and sets of labels that hold the right one.

Both guarantees are for texts drawn as those were on which the calibration was measured. They hold for all texts
together, and neither for each label nor for a text of other origin.

Shapes: n texts, C labels.
"""

from __future__ import annotations

import math

import numpy as np

from bothways.errors import InputError
from bothways.tasks.calibration import Calibration, answer_doubt

CONFIDENCE = 0.95
"""That the risk is at most what was asked."""
STARTS = 10
"""Coverages from which thresholds are tested: 10 %, 20 %, … of the texts."""


def abstains(calibration: Calibration, scores: np.ndarray, risk: float) -> np.ndarray:
    """For each text of (n, C) calibrated scores whether an answer to it would be too risky.

    Raises:
        InputError: as ``doubt_at_risk``.
    """
    return answer_doubt(scores, calibration.kind) > doubt_at_risk(calibration, risk)


def doubt_at_risk(calibration: Calibration, risk: float, confidence: float = CONFIDENCE) -> float:
    """The doubt up to which answers are given, so that at most a share of ``risk`` of those given is wrong.

    The bound of the risk at a threshold is Geifman and El-Yaniv's. Their search by halves gives up where half of the
    answers are too few to show what all of them would, so thresholds are tested in a fixed order: from each tenth of
    the coverage upwards until one fails, each such walk at the level (1 - confidence) / 10.

    Args:
        risk: wrong answers among those given, between 0 and 1.
        confidence: with which the risk is at most that, over the choice of the calibration texts.

    Raises:
        InputError: an impossible risk, a calibration of numbers, or one whose texts are too few to show so small a
            risk for any threshold; the message has the smallest that they can show.

    Source: Geifman and El-Yaniv 2017, lemma 3.1 (Gascuel and Caraux 1992); Angelopoulos et al. 2021, section 2.4.
    """
    if isinstance(risk, bool) or not isinstance(risk, (int, float)) or not 0 < risk < 1:
        raise InputError(f"abstain_at_risk is {risk!r}; expected a share of wrong answers between 0 and 1, as 0.02.")
    if calibration.kind == "regression":
        raise InputError("abstain_at_risk is for labels; this model answers with numbers. Ask for conformal=0.1.")
    bounds = [
        upper_bound(wrong, covered, (1 - confidence) / STARTS)
        for wrong, covered in zip(calibration.wrong, calibration.covered, strict=True)
    ]
    chosen, least = -1, 1.0
    for tenth in range(1, STARTS + 1):
        place = int(np.searchsorted(calibration.covered, calibration.count * tenth / STARTS))
        least = min(least, *bounds[place : place + 1], 1.0)
        while place < len(bounds) and bounds[place] <= risk:
            chosen, place = max(chosen, place), place + 1
    if chosen < 0:
        raise InputError(
            f"abstain_at_risk={risk}: the {calibration.count:,} texts of the calibration cannot show with "
            f"{confidence * 100:.0f} % confidence that any part of the answers is wrong in at most {risk * 100:g} %; "
            f"the smallest risk that they show is {least * 100:.1f} %. Give more labelled texts to `bothways "
            "calibrate`, or ask for that risk."
        )
    return calibration.doubts[chosen]


def upper_bound(wrong: int, count: int, level: float) -> float:
    """The largest rate of errors with which so few would be seen with a probability of at least ``level``.

    Source: Clopper and Pearson 1934; the inverse of the binomial tail.
    """
    from scipy.special import betaincinv

    return 1.0 if wrong >= count else float(betaincinv(wrong + 1, count - wrong, 1 - level))


def conformal_doubt(calibration: Calibration, error: float) -> float:
    """The doubt up to which labels are in a set that misses the right one in at most a share of ``error`` of texts.

    It is that of rank ceil((count + 1) * (1 - error)) among the doubts about the right labels, or of the next rank
    above that is stored. The coverage is then at least 1 - error, and with a full table at most 1 / (count + 1) more.

    Args:
        error: between 0 and 1.

    Raises:
        InputError: an impossible error, or too few texts: fewer than 1 / error - 1.

    Source: Angelopoulos and Bates 2023, section 1 and appendix D; the score is that of Sadinle et al. 2019 (LAC), whose
    sets are the smallest on average. Unlike adaptive sets (APS) they need no chance to be exact.
    """
    if isinstance(error, bool) or not isinstance(error, (int, float)) or not 0 < error < 1:
        raise InputError(f"conformal is {error!r}; expected a share of misses between 0 and 1, as 0.1.")
    rank = math.ceil((calibration.count + 1) * (1 - error) - 1e-9)
    if rank > calibration.count or not calibration.ranks:
        raise InputError(
            f"conformal={error}: {math.ceil(1 / error - 1e-9) - 1:,} labelled texts are needed, and the calibration "
            f"has {calibration.count:,}. Give more to `bothways calibrate`, or allow more misses."
        )
    place = int(np.searchsorted(calibration.ranks, rank))
    return calibration.nonconformity[min(place, len(calibration.nonconformity) - 1)]


def label_sets(calibration: Calibration, scores: np.ndarray, error: float) -> np.ndarray:
    """Which labels are in the set of each text: bool (n, C).

    A set of a model with one label a text is never empty: where even the best label is in more doubt, it stands alone,
    which can only raise the coverage. With several labels a text, a set holds all right labels together.

    Args:
        scores: (n, C), calibrated.

    Raises:
        InputError: as ``conformal_doubt``.
    """
    inside = (1 - scores) <= conformal_doubt(calibration, error)
    if calibration.kind == "single":
        inside[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return inside

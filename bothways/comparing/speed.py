"""How fast models answer: from text to answer, tokenisation included, all models in turns.

Models take turns in every round, so that a machine that is slow for a while is slow for all of them; the median of the
rounds is what counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.comparing.entrants import Entrant, part_of
from bothways.progress import progress_bar
from bothways.training.task import TrainingTask

ROUNDS = 5
SAMPLE = 256
SINGLES = 30
ROUND_SECONDS = 4.0
"""What one model's turn may take: slow ones are timed on fewer texts, all models on the same."""
LEAST = 8


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Attributes:
    texts_per_second, tokens_per_second: of many texts at once; the median of ``rounds``.
    slowest, fastest: texts a second in the slowest and the fastest round.
    p50, p95: seconds from one text to its answer, of ``singles`` calls.
    texts: how many there were in a round. singles: how many calls with one text.
    """

    texts_per_second: float
    tokens_per_second: float
    slowest: float
    fastest: float
    p50: float
    p95: float
    rounds: int
    texts: int
    singles: int


def measure_speeds(
    entrants: Sequence[Entrant], *, rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> list[Speed]:
    """Time all models on the same examples, spread evenly over the file.

    Args:
        rounds: how often each model answers them all.
        clock: gives seconds; another one in tests.
    """
    total = len(entrants[0].job.split.evaluation)
    few = _spread(total, LEAST)
    slowest = max(_timed(entrant, part_of(entrant.job, few), clock)[0] / len(few) for entrant in entrants)
    chosen = _spread(total, int(np.clip(ROUND_SECONDS / max(slowest, 1e-9), LEAST, SAMPLE)))
    calls = _spread(total, int(np.clip(rounds * ROUND_SECONDS / max(slowest, 1e-9), LEAST, SINGLES)))
    parts = [part_of(entrant.job, chosen) for entrant in entrants]
    seconds: list[list[float]] = [[] for _ in entrants]
    singles: list[list[float]] = [[] for _ in entrants]
    tokens = [0] * len(entrants)
    with progress_bar("Timing", rounds + len(calls), "rounds") as advance:
        for _ in range(rounds):
            for i, entrant in enumerate(entrants):
                taken, tokens[i] = _timed(entrant, parts[i], clock)
                seconds[i].append(taken)
            advance()
        for number in calls:
            for i, entrant in enumerate(entrants):
                singles[i].append(_timed(entrant, part_of(entrant.job, [number]), clock)[0])
            advance()
    return [_speed(len(chosen), *found) for found in zip(tokens, seconds, singles, strict=True)]


def _timed(entrant: Entrant, part: TrainingTask, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds from texts to answers, and the tokens that were read."""
    start = clock()
    encoded = entrant.encode(part)
    part.answer(entrant.runner, encoded)
    return clock() - start, count_tokens(encoded)


def _speed(texts: int, tokens: int, seconds: list[float], singles: list[float]) -> Speed:
    usual = float(np.median(seconds))
    p50, p95 = np.quantile(singles, [0.5, 0.95])
    return Speed(
        texts_per_second=texts / usual,
        tokens_per_second=tokens / usual,
        slowest=texts / max(seconds),
        fastest=texts / min(seconds),
        p50=float(p50),
        p95=float(p95),
        rounds=len(seconds),
        texts=texts,
        singles=len(singles),
    )


def count_tokens(encoded: Any) -> int:
    """Tokens of all sequences in what a task's ``encode_evaluation`` gave."""
    if hasattr(encoded, "encoded"):
        return count_tokens(encoded.encoded)
    if hasattr(encoded, "input_ids"):
        return sum(len(ids) for ids in encoded.input_ids)
    if hasattr(encoded, "seconds"):  # one text beside each of several: a row for each window and second text
        texts, seconds = (sum(map(len, rows)) for rows in (encoded.parts, encoded.seconds))
        return texts * len(encoded.seconds) + seconds * len(encoded.parts)
    if isinstance(encoded, (list, tuple)):
        return sum(count_tokens(part) for part in encoded)
    return 0


def _spread(total: int, most: int) -> list[int]:
    """At most ``most`` numbers from 0 to ``total`` - 1, spread evenly."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(total, most)).round()})


__all__ = ["Speed", "measure_speeds"]

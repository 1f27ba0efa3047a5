"""Timing, with a clock that each model sets forward by what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from bothways.comparing.speed import count_tokens, measure_speeds
from bothways.training.task import Split


class FakeJob:
    """Each text takes ``seconds_each`` of the clock, and each call one millisecond."""

    def __init__(self, n: int, seconds_each: float, now: list[float]) -> None:
        self.split = Split(train=[], evaluation=list(range(n)), held_out=False)
        self.seconds_each, self.now = seconds_each, now

    def encode_evaluation(self, tokenizer, most):
        return SimpleNamespace(input_ids=[[1, 2, 3]] * len(self.split.evaluation))

    def answer(self, runner, encoded):
        self.now[0] += 0.001 + self.seconds_each * len(self.split.evaluation)


@dataclass
class FakeEntrant:
    job: FakeJob
    runner: object = None
    tokenizer: object = None
    calls: list[int] = field(default_factory=list)

    def encode(self, job):
        self.calls.append(len(job.split.evaluation))
        return job.encode_evaluation(None, None)


def entrants(*seconds: float, n: int = 1000) -> tuple[list[FakeEntrant], list[float]]:
    now = [0.0]
    return [FakeEntrant(FakeJob(n, each, now)) for each in seconds], now


def test_texts_and_tokens_a_second_and_the_time_of_one_text():
    found, now = entrants(0.001, 0.002)
    fast, slow = measure_speeds(found, rounds=3, clock=lambda: now[0])
    assert fast.texts == slow.texts == 256 and fast.rounds == 3 and fast.singles == 30
    assert fast.texts_per_second == pytest.approx(256 / 0.257)
    assert fast.tokens_per_second == pytest.approx(3 * 256 / 0.257)
    assert slow.p50 == slow.p95 == pytest.approx(0.003)
    assert found[0].calls == found[1].calls == [8, 256, 256, 256, *[1] * 30]


def test_slow_models_are_timed_on_fewer_texts_and_all_on_the_same():
    found, now = entrants(0.001, 0.4)
    fast, slow = measure_speeds(found, rounds=2, clock=lambda: now[0])
    assert fast.texts == slow.texts == 9 and fast.singles == slow.singles == 19


def test_few_examples_are_enough():
    found, now = entrants(0.001, n=2)
    (speed,) = measure_speeds(found, rounds=1, clock=lambda: now[0])
    assert speed.texts == speed.singles == 2


def test_tokens_are_counted_in_what_every_task_encodes():
    rows = SimpleNamespace(input_ids=[[1, 2], [3]])
    assert count_tokens(rows) == 3
    assert count_tokens([SimpleNamespace(encoded=rows), SimpleNamespace(encoded=rows)]) == 6
    crossed = SimpleNamespace(parts=[[1, 2, 3], [4]], seconds=[[5], [6, 7]])
    assert count_tokens(crossed) == 2 * 4 + 2 * 3, "each part beside each second text"

from __future__ import annotations

import itertools

import torch

from bothways.engine import peak


def test_the_peak_is_that_of_the_fastest_product(monkeypatch):
    seconds = iter([0.5, 0.25, 0.125, 0.5, 0.5])
    ticks = itertools.chain.from_iterable((0.0, took) for took in seconds)
    monkeypatch.setattr(peak.time, "perf_counter", lambda: next(ticks))
    assert peak.measured_peak("float32", torch.device("cpu")) == 2 * 1024**3 / 0.125

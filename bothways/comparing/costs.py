"""What a candidate costs on a machine: operations, seconds, and the arithmetic as lines to read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bothways.comparing.candidates import Candidate
from bothways.comparing.machine import Machine
from bothways.evaluation.formats import seconds_text

METHODS = {"fine-tuning": 3.0, "LoRA": 2.0, "head only": 1.0}
"""Passes through the layers for each text that is learned: forward, and backward as much for the inputs and once more
for the weights. LoRA leaves out the last; a head on a frozen encoder needs one pass forward, once for all epochs."""

BYTES_PER_TRAINED = 16
"""A weight in float32, its gradient and the two moments of Adam (Kingma and Ba 2015)."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done: tokens of a text, texts to answer, texts to learn from, passes over these."""

    tokens: int
    documents: int
    labelled: int
    epochs: int
    passes: int = 1
    """Through the model for each text: one, or one for each class in zero-shot."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a candidate needs; all computed from what was measured of the machine.

    Attributes:
        windows: in which a text is read.
        operations: for one text.
        latency: seconds for one text, tokenisation left out.
        texts_per_second: of many at once.
        answering: seconds for all documents.
        training: seconds by method, nothing where there is nothing to learn from.
    """

    windows: int
    operations: float
    latency: float
    texts_per_second: float
    answering: float
    training: dict[str, float]


def cost_of(candidate: Candidate, work: Work, machine: Machine) -> Cost:
    """See ``Cost``."""
    windows = math.ceil(work.tokens / candidate.longest)
    length = math.ceil(work.tokens / windows)
    operations = float(work.passes * windows * length * candidate.operations_per_token(length))
    share = machine.share_of(candidate.hidden)
    learned = work.labelled * min(work.tokens, candidate.longest)
    one_pass = learned * candidate.operations_per_token(min(work.tokens, candidate.longest))
    rate = machine.peak * share.training
    training = {
        "fine-tuning": METHODS["fine-tuning"] * one_pass * work.epochs / rate,
        "LoRA": METHODS["LoRA"] * one_pass * work.epochs / rate,
        "head only": METHODS["head only"] * one_pass / (machine.peak * share.many),
    }
    return Cost(
        windows=windows,
        operations=operations,
        latency=operations / (machine.peak * share.single),
        texts_per_second=machine.peak * share.many / operations,
        answering=work.documents * operations / (machine.peak * share.many),
        training=training if work.labelled else {},
    )


def arithmetic(candidate: Candidate, cost: Cost, work: Work, machine: Machine, method: str) -> list[str]:
    """How the numbers of a candidate come about, line by line."""
    share, length = machine.share_of(candidate.hidden), math.ceil(work.tokens / cost.windows)
    peak = f"{machine.peak / 1e9:,.0f} GFLOP/s"
    products = (
        f"2 × (4 × {candidate.hidden:,}² + {candidate.matrices} × {candidate.hidden:,} × {candidate.intermediate:,})"
    )
    times = "".join(
        f" × {count} {what}" for count, what in ((cost.windows, "windows"), (work.passes, "classes")) if count > 1
    )
    lines = [
        f"peak: {peak}, measured now: large products in {machine.precision} on {machine.name}, threads: "
        f"{machine.threads}",
        f"one layer of width {candidate.hidden:,} reaches of that, measured now: {share.single:.0%} on one text, "
        f"{share.many:.0%} on many, {share.training:.0%} in training",
        f"one text: {candidate.layers} layers × ({products} + 4 × {length:,} × {candidate.hidden:,}) × "
        f"{length:,} tokens{times} = {cost.operations / 1e9:,.2f} GFLOP",
        f"latency: {cost.operations / 1e9:,.2f} GFLOP / ({peak} × {share.single:.0%}) = {seconds_text(cost.latency)}, "
        "tokenisation not counted",
        f"all documents: {work.documents:,} × {cost.operations / 1e9:,.2f} GFLOP / ({peak} × {share.many:.0%}) = "
        f"{seconds_text(cost.answering)}",
    ]
    if method in cost.training:
        lines.append(_training_line(candidate, cost, work, machine, method))
        if method == "fine-tuning":
            needed = BYTES_PER_TRAINED * candidate.parameters / 1e6
            lines.append(
                f"memory in training: {BYTES_PER_TRAINED} bytes × {candidate.parameters / 1e6:,.1f} M weights = "
                f"{needed:,.0f} MB, and what the texts of a step need"
            )
    return lines


def _training_line(candidate: Candidate, cost: Cost, work: Work, machine: Machine, method: str) -> str:
    length = min(work.tokens, candidate.longest)
    one = length * candidate.operations_per_token(length) / 1e9
    share = machine.share_of(candidate.hidden)
    epochs, reached = (1, share.many) if method == "head only" else (work.epochs, share.training)
    return (
        f"training ({method}): {work.labelled:,} texts × {epochs} epochs × {METHODS[method]:g} passes × "
        f"{one:,.2f} GFLOP / ({machine.peak / 1e9:,.0f} GFLOP/s × {reached:.0%}) = "
        f"{seconds_text(cost.training[method])}"
    )


__all__ = ["METHODS", "Cost", "Work", "arithmetic", "cost_of"]

"""Advice about settings outside what is known to work: a sentence each, and never a refusal.

What is known comes from: Devlin et al. 2019, appendix A.3 (BERT: rates 2e-5 to 5e-5, 2 to 4 epochs, batches of 16 and
32, warm-up 0.1, decay 0.01); Liu et al. 2019, table 10 (RoBERTa: from 1e-5, 10 epochs, warm-up 0.06, decay 0.1); Clark
et al. 2020, table 7 (ELECTRA: 3e-4 small, 1e-4 base, 5e-5 large; layer decay from 0.8); the notes on the models of Turc
et al. 2019 (BERTs from 128 wide: 3e-5 to 3e-4, batches of 8 to 128); Mosbach et al. 2021 (20 epochs of small data
sets); Sun et al. 2019 (BERT base does not converge at 4e-4); Hu et al. 2021, table 9 (LoRA: 2e-4 to 5e-4, up to 80
epochs); Houlsby et al. 2019 (adapters: 3e-5 to 3e-3).

Measured here: minilm-l6, 432 messages in 6 classes, 4 epochs, the head 100 times faster: accuracy 0.78 at 5e-6, 0.93 at
2e-5, 0.97 at 5e-5, 0.98 at 2e-4, 0.94 at 5e-4, 0.90 at 1e-3. Its head alone, 30 epochs: 0.31 at 1e-6, 0.81 at 1e-5,
0.88 at 1e-4, 0.90 at 1e-3, 0.87 at 1e-2, 0.85 at 0.1 with a loss that jumps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from bothways.models.writing import WritingModel
from bothways.nn.lora import lora_layers
from bothways.training.settings import FitSettings
from bothways.training.task import Defaults

Way = Literal["full", "lora", "head"]

FEW_STEPS = 50
SMALLEST = 128
"""Narrowest hidden vectors that anything is published about."""
SMALL, BASE = 512, 1023
"""Widest hidden vectors of models that are called small, and base."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """What is known to work, both ends included; ``of`` is what it is known of."""

    low: float
    high: float
    of: str


RATES: dict[str, Range] = {
    "small": Range(low=2e-5, high=3e-4, of="fine-tuning of small BERT-like models"),
    "base": Range(low=1e-5, high=1e-4, of="fine-tuning of BERT-like models"),
    "large": Range(low=5e-6, high=5e-5, of="fine-tuning of large BERT-like models"),
    "lora": Range(low=3e-5, high=3e-3, of="LoRA"),
    "head": Range(low=1e-4, high=1e-2, of="a head on a frozen encoder"),
}
EPOCHS: dict[Way, int] = {"full": 20, "lora": 80, "head": 200}
BATCHES = Range(low=4, high=128, of="fine-tuning")
MOST_WARMUP, MOST_DECAY, LEAST_LAYER_DECAY = 0.3, 0.1, 0.8


def advice(settings: FitSettings, usual: Defaults, model: Any, examples: int, *, processes: int = 1) -> tuple[str, ...]:
    """What to expect of settings that are not known to work.

    Args:
        settings: to train with.
        usual: what suits the data, had the user asked for nothing.
        model: with its trainable parameters chosen.
        examples: to train on.
        processes: that train together, each with batches of its own.

    Returns:
        A sentence for each such setting; none for usual ones.
    """
    way = way_of(model)
    steps = -(-examples // (settings.batch_size * processes))
    layers, writes = int(model.config.num_hidden_layers), isinstance(model, WritingModel)
    found = [
        _on_rate(settings, usual, way, int(model.config.hidden_size), writes),
        _on_epochs(settings, usual, way, steps, writes),
        _on_batch(settings, examples, steps),
        _on_warmup(settings),
        _on_decay(settings, way, layers),
    ]
    return tuple(sentence for sentence in found if sentence)


def way_of(model: Any) -> Way:
    """What of a model is trained: everything, thin matrices beside it, or nothing below its pooler."""
    if any(True for _ in lora_layers(model)):
        return "lora"
    body = model.base_model
    apart = {id(p) for p in body.pooler.parameters()} if getattr(body, "pooler", None) is not None else set()
    learns = any(p.requires_grad for p in body.parameters() if id(p) not in apart)
    return "full" if learns else "head"


def _on_rate(settings: FitSettings, usual: Defaults, way: Way, width: int, writes: bool) -> str | None:
    if way == "full" and (width < SMALLEST or writes):
        return None  # of models that write other rates are known for every family
    size = "small" if width <= SMALL else "base" if width <= BASE else "large"
    known = RATES[size if way == "full" else way]
    factor = settings.head_factor if way == "head" else 1.0
    rate, proposed = (
        settings.learning_rate * factor,
        usual.learning_rate * (usual.head_factor if way == "head" else 1.0),
    )
    proposed = min(max(proposed, known.low), known.high) / factor
    bounds = f"{known.of} is known to work with ({_number(known.low / factor)} to {_number(known.high / factor)})"
    shown = f"Learning rate {_number(settings.learning_rate)}"
    if rate > known.high * 1.001:
        return (
            f"{shown} is {_times(rate / known.high)} times the highest that {bounds}: expect worse scores than with "
            f"{_number(proposed)}, or a loss that does not fall."
        )
    if rate < known.low * 0.999:
        return (
            f"{shown} is {_times(known.low / rate)} times below the lowest that {bounds}: expect little to be learned "
            f"in {_epochs(settings.epochs)}, and try {_number(proposed)}."
        )
    return None


def _on_epochs(settings: FitSettings, usual: Defaults, way: Way, steps: int, writes: bool) -> str | None:
    if settings.epochs > EPOCHS[way] and not writes:  # from random weights, translation is learned in 40 and more
        return (
            f"{settings.epochs} epochs are more than the {EPOCHS[way]} that anything is known of for this kind of "
            f"training: expect the examples to be learned by heart, and no better score than after {usual.epochs}."
        )
    total = steps * settings.epochs
    if total < FEW_STEPS and settings.epochs < usual.epochs:
        return (
            f"Only {total} steps are made in {_epochs(settings.epochs)}: expect a {'model' if writes else 'head'} that "
            f"has hardly begun to learn, and try {usual.epochs} epochs."
        )
    return None


def _on_batch(settings: FitSettings, examples: int, steps: int) -> str | None:
    size = settings.batch_size
    if size > BATCHES.high:
        return (
            f"Batches of {size} are larger than the {BATCHES.low:g} to {BATCHES.high:g} that fine-tuning is known to "
            f"work with: an epoch of {examples:,} examples has only {steps:,} steps, and 32 make it "
            f"{-(-examples // 32):,}."
        )
    if size < BATCHES.low:
        return (
            f"Batches of {size} are smaller than the {BATCHES.low:g} to {BATCHES.high:g} that fine-tuning is known to "
            "work with: expect a slow and restless training, and try 16; memory is the same, since steps are divided."
        )
    return None


def _on_warmup(settings: FitSettings) -> str | None:
    if settings.warmup_ratio <= MOST_WARMUP:
        return None
    return (
        f"A warm-up of {settings.warmup_ratio:g} leaves {1 - settings.warmup_ratio:.0%} of the steps to a falling "
        "rate; 0 to 0.1 is known to work."
    )


def _on_decay(settings: FitSettings, way: Way, layers: int) -> str | None:
    if settings.weight_decay > MOST_DECAY:
        return (
            f"Weight decay {settings.weight_decay:g} is {_times(settings.weight_decay / MOST_DECAY)} times the highest "
            f"that is known to work (0 to {MOST_DECAY:g}): expect the model to forget what it came with."
        )
    if way == "full" and settings.layer_decay < LEAST_LAYER_DECAY:
        share = settings.layer_decay**layers
        return (
            f"With a layer decay of {settings.layer_decay:g} the lowest of {layers} layers learns at {_number(share)} "
            f"of the rate; {LEAST_LAYER_DECAY:g} to 1 is known to work."
        )
    return None


def _number(value: float) -> str:
    """``5e-5``, ``0.001``."""
    return f"{value:.2g}".replace("e-0", "e-")


def _times(ratio: float) -> str:
    return f"{ratio:.1f}".removesuffix(".0") if ratio < 9.95 else f"{float(f'{ratio:.1e}'):,.0f}"


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


__all__ = ["advice", "way_of"]

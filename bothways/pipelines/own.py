"""Pipelines of a program's own: a subclass of ``Pipeline`` with the four steps of the ecosystem.

inputs ─ preprocess ─► what the model takes ─ _forward ─► what it gives ─ postprocess ─► answer

``_sanitize_parameters`` divides the keyword arguments of a call among the three. Inputs go one by one: only the author
knows how to put several together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bothways.errors import UsageError
from bothways.model_output import ModelOutput
from bothways.pipelines.options import HARMLESS

if TYPE_CHECKING:
    from bothways.pipelines.base import Pipeline

STEPS = ("_sanitize_parameters", "preprocess", "_forward", "postprocess")


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """Keyword arguments of the three steps."""

    preprocess: Mapping[str, Any] = field(default_factory=dict)
    forward: Mapping[str, Any] = field(default_factory=dict)
    postprocess: Mapping[str, Any] = field(default_factory=dict)

    def plus(self, given: Sequence[Mapping[str, Any]]) -> StepOptions:
        """With what ``_sanitize_parameters`` made of further arguments."""
        names = [own.name for own in fields(self)]
        return StepOptions(**{n: {**getattr(self, n), **more} for n, more in zip(names, given, strict=True)})


def check_steps(cls: type[Pipeline]) -> None:
    """Refuse a class whose steps would not be taken, as soon as it is written.

    Raises:
        UsageError: a class of a task with a step of its own, or one with some steps only.
    """
    own = [name for name in STEPS if name in vars(cls)]
    if own and cls.options_class is not StepOptions:
        base = cls.__mro__[1].__name__
        raise UsageError(
            f"{cls.__name__} has a {' and a '.join(own)} of its own, but {base} answers whole batches of tokens and "
            f"takes no such steps. Change its answers after the call, or write all of {', '.join(STEPS)} in a "
            "subclass of Pipeline."
        )
    missing = [name for name in STEPS if not hasattr(cls, name)]
    if own and missing:
        raise UsageError(f"{cls.__name__} has {', '.join(own)} and lacks {', '.join(missing)}; all four are needed.")


def options_of(pipe: Any, options: StepOptions, given: Mapping[str, Any]) -> StepOptions:
    """The options with the arguments of a call; those of the ecosystem that have no effect here are left out."""
    asked = {name: value for name, value in given.items() if name not in HARMLESS}
    return options.plus(pipe._sanitize_parameters(**asked))


def answer_in_steps(pipe: Any, inputs: Sequence[Any], options: StepOptions) -> Iterator[Any]:
    """An answer for each input."""
    for item in inputs:
        ready = moved(pipe.preprocess(item, **options.preprocess), pipe.device)
        with torch.no_grad():
            found = pipe._forward(ready, **options.forward)
        yield pipe.postprocess(moved(found, torch.device("cpu")), **options.postprocess)


def moved(value: Any, device: torch.device) -> Any:
    """The tensors in a value on a device: a tensor, a mapping or an output of a model, a list, or none."""
    if isinstance(value, Tensor):
        return value.to(device)
    if hasattr(value, "items"):
        found = {key: moved(one, device) for key, one in value.items()}
        if isinstance(value, (dict, ModelOutput)):
            return type(value)(**found)
        value.update(found)  # what a tokeniser gives stays what it is
        return value
    if type(value) in (list, tuple):
        return type(value)(moved(one, device) for one in value)
    return value

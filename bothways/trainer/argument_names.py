"""Older spellings of training arguments, names that are refused, and the answer to unknown ones."""

from __future__ import annotations

import abc
import dataclasses
import inspect
from typing import Any

from bothways.errors import UsageError, nearest

MEANT = {
    **dict.fromkeys(("batch_size", "train_batch_size"), "per_device_train_batch_size"),
    **dict.fromkeys(("per_device_batch_size", "per_gpu_batch_size"), "per_device_train_batch_size"),
    **dict.fromkeys(("eval_batch_size", "test_batch_size"), "per_device_eval_batch_size"),
    **dict.fromkeys(("epochs", "n_epochs", "max_epochs", "num_epochs", "train_epochs"), "num_train_epochs"),
    **dict.fromkeys(("lr", "rate"), "learning_rate"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "schedule", "scheduler_type"), "lr_scheduler_type"),
    **dict.fromkeys(("optimizer", "optimizer_type", "optimiser"), "optim"),
    **dict.fromkeys(("gradient_clipping", "clip_grad_norm", "grad_clip"), "max_grad_norm"),
    **dict.fromkeys(("accumulation_steps", "grad_accumulation_steps"), "gradient_accumulation_steps"),
    **dict.fromkeys(("label_smoothing", "smoothing"), "label_smoothing_factor"),
    **dict.fromkeys(("num_workers", "workers"), "dataloader_num_workers"),
    "mixed_precision": "bf16",
}
"""Names of other libraries, and what they are called here: spelling alone would lead elsewhere."""


class ArgumentNameError(UsageError, TypeError):
    """A training argument that nobody knows. A ``TypeError`` too, as Python's own message for it is."""


class OldName:
    """An older spelling of a field, on the class: read, set, given to ``__init__`` or on the command line.

    Args:
        new: the field that holds the value.
        flag_for: the older spelling is a switch; on means this value of ``new``. None: both take the same values.
        member: ``new`` is a list, and the switch says whether ``flag_for`` is in it.
    """

    def __init__(self, new: str, flag_for: Any = None, *, member: bool = False) -> None:
        self.new, self.flag_for, self.member = new, flag_for, member

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = getattr(instance, self.new)
        if self.member:
            return self.flag_for in value
        return value if self.flag_for is None else value == self.flag_for

    def __set__(self, instance: Any, value: Any) -> None:
        if self.flag_for is None:
            setattr(instance, self.new, value)
        elif self.member:
            others = [word for word in getattr(instance, self.new) if word != self.flag_for]
            setattr(instance, self.new, [*others, self.flag_for] if value else others)
        elif value:
            setattr(instance, self.new, self.flag_for)
        elif self.__get__(instance):
            setattr(instance, self.new, defaults_of(type(instance))[self.new])

    def give(self, given: dict[str, Any], value: Any) -> None:
        """Put ``value`` of the older spelling into keyword arguments; its default says nothing.

        Raises:
            UsageError: both spellings are given and differ.
        """
        if value is None or (self.flag_for is not None and not value):
            return
        if self.member:
            given[self.new] = list(dict.fromkeys([*(given.get(self.new) or []), self.flag_for]))
            return
        meant = value if self.flag_for is None else self.flag_for
        other = given.get(self.new)
        if other is not None and _word(other) != _word(meant):
            raise UsageError(
                f"{self.name}={value!r} and {self.new}={other!r} contradict each other; "
                f"{self.name} is an older spelling. Pass {self.new} only."
            )
        given[self.new] = meant


class AcceptsOldNames(abc.ABCMeta):
    """Classes whose calls take older spellings, also in subclasses whose ``__init__`` ``@dataclass`` has written.

    A subclass gets an ``__init__`` of its own from ``@dataclass``, so translating in the base's would not reach it.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **new_names(cls, kwargs))

    @property
    def __signature__(cls) -> inspect.Signature:
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


def new_names(cls: type, given: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments for ``cls.__init__``, older spellings translated.

    Raises:
        ArgumentNameError: unknown names, all of them, each with the nearest known one.
        UsageError: two spellings contradict each other.
    """
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    old = {name: alias for name, alias in old_names(cls).items() if name not in parameters}
    translated = {name: value for name, value in given.items() if name not in old}
    for name, alias in old.items():
        if name in given:
            alias.give(translated, given[name])
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return translated
    known = [*list(parameters)[1:], *old]
    unknown = [name for name in translated if name not in parameters]
    if unknown:
        raise ArgumentNameError(" ".join(_unknown(cls, name, known) for name in unknown))
    return translated


def old_names(cls: type) -> dict[str, OldName]:
    """Older spelling → its field, in the order of definition."""
    return {
        name: value
        for base in reversed(cls.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, OldName)
    }


def defaults_of(cls: type) -> dict[str, Any]:
    """Field → default."""
    return {
        f.name: f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        for f in dataclasses.fields(cls)
    }


def _unknown(cls: type, name: str, known: list[str]) -> str:
    like = [MEANT[name]] if MEANT.get(name) in known else nearest(name, known)
    hint = f" Did you mean {like[0]!r}?" if like else ""
    return f"{cls.__name__} got an unexpected keyword argument {name!r}.{hint}"


def _word(value: Any) -> Any:
    return getattr(value, "value", value)

"""Settings of generation checked, with what came, what was expected and what to do; and joined with what is passed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

from bothways.errors import InputError


def number_problem(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    whole: bool = False,
    advice: str = "",
) -> str | None:
    """What is wrong with a number, as a sentence, or None.

    Args:
        name: the setting's name.
        value: what came.
        above, least: the open or closed lower bound.
        below, most: the open or closed upper bound.
        whole: only integers.
        advice: a sentence that says what to do instead.
    """
    kind = Integral if whole else Real
    fits = isinstance(value, kind) and not isinstance(value, bool) and not math.isnan(value)
    if fits:
        fits = not (above is not None and value <= above or least is not None and value < least)
        fits = fits and not (below is not None and value >= below or most is not None and value > most)
    if fits:
        return None
    bounds = (("above", above), ("at least", least), ("below", below), ("at most", most))
    range_ = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    said = f"{name} is {value!r:.80}, expected a {'whole ' if whole else ''}number {range_}".rstrip() + "."
    return f"{said} {advice}".rstrip()


def checked_number(name: str, value: Any, **limits: Any) -> Any:
    """``value``, which is in its limits (see ``number_problem``).

    Raises:
        InputError: it is not.
    """
    problem = number_problem(name, value, **limits)
    if problem is not None:
        raise InputError(problem)
    return value


def id_list_problem(name: str, value: Any, *, empty: bool = False) -> str | None:
    """What is wrong with a list of token ids, as a sentence, or None."""
    if isinstance(value, (list, tuple)) and (value or empty) and all(is_id(i) for i in value):
        return None
    return (
        f"{name} is {value!r:.80}, expected a {'' if empty else 'non-empty '}list of token ids, whole numbers from 0."
    )


def is_id(value: Any) -> bool:
    """Whether a value can be the id of a token."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def id_list(name: str, value: Any) -> list[int]:
    """One token id, several, or a tensor of such, as a list.

    Raises:
        InputError: something else, or a negative id.
    """
    listed = value.tolist() if hasattr(value, "tolist") else value
    listed = [listed] if isinstance(listed, Integral) else listed
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not all(is_id(i) for i in listed):
        raise InputError(f"{name} is {value!r:.80}, expected a token id or a list of them, whole numbers from 0.")
    return [int(i) for i in listed]


def merged(ours: Iterable[Any], given: Sequence[Any]) -> list[Any]:
    """Processors or criteria made from settings, and those of the caller; of two of one class the caller's counts."""
    result = []
    for one in ours:
        same = next((other for other in given if type(other) is type(one)), None)
        if same is not None:
            warnings.warn(
                f"{type(one).__name__} was passed and also follows from the settings: the one passed is used.",
                UserWarning,
                stacklevel=3,
            )
        result.append(one if same is None else same)
    return result + [other for other in given if not any(other is one for one in result)]

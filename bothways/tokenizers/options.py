"""The words of a tokeniser call (``padding=True, truncation="only_second"``) become one checked value."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass, fields
from typing import Any

from bothways.errors import TokenizerError, nearest

logger = logging.getLogger("bothways")
VERY_LARGE_INTEGER = int(1e30)  # the ecosystem's "no limit" for model_max_length
LARGE_INTEGER = int(1e20)  # anything above means "no limit"
PADDING = ("longest", "max_length", "do_not_pad")
TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")
SIDES = ("right", "left")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long the rows of a call may be and how they are filled up. Lengths count tokens, special ones included."""

    padding: str = "do_not_pad"
    truncation: str = "do_not_truncate"
    max_length: int | None = None
    stride: int = 0  # tokens that consecutive windows share
    pad_to_multiple_of: int | None = None
    padding_side: str = "right"
    truncation_side: str = "right"

    @property
    def truncates(self) -> bool:
        return self.truncation != "do_not_truncate"

    @property
    def pads(self) -> bool:
        return self.padding != "do_not_pad"


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The options of a call, by the ecosystem's names and defaults."""

    add_special_tokens: bool = True
    padding: Any = False
    truncation: Any = None
    max_length: int | None = None
    stride: int = 0
    is_split_into_words: bool = False
    pad_to_multiple_of: int | None = None
    padding_side: str | None = None
    return_tensors: Any = None
    return_token_type_ids: bool | None = None
    return_attention_mask: bool | None = None
    return_overflowing_tokens: bool = False
    return_special_tokens_mask: bool = False
    return_offsets_mapping: bool = False
    return_length: bool = False
    verbose: bool = True
    split_special_tokens: bool | None = None


def call_options(**given: Any) -> CallOptions:
    """The options of a call; an unknown name is refused and the nearest known one named."""
    if given.pop("pad_to_max_length", False):  # how tutorials wrote it before version 3
        given["padding"] = "max_length"
    if "truncation_strategy" in given:  # of the same age, and still on the pages of published models
        given["truncation"] = given.pop("truncation_strategy")
    known = [field.name for field in fields(CallOptions)]
    for name in given:
        if name not in known:
            near = nearest(name, known, most=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise TokenizerError(
                f"unknown option {name!r} in a tokeniser call.{hint} Known options: {', '.join(known)}."
            )
    return CallOptions(**given)


@functools.cache
def say_that_it_cuts() -> None:
    """Once, as the ecosystem does, that ``max_length`` alone means truncation."""
    logger.warning("max_length was given without truncation: longer texts are cut. Pass truncation=True to say so.")


def resolve_limits(
    *,
    padding: Any = False,
    truncation: Any = None,
    max_length: int | None = None,
    stride: int = 0,
    pad_to_multiple_of: int | None = None,
    padding_side: str = "right",
    truncation_side: str = "right",
    model_max_length: int = VERY_LARGE_INTEGER,
) -> Limits:
    """Decide strategies and length as the ecosystem does.

    ``max_length`` alone means truncation; without ``max_length`` the model's limit counts, and without a limit there
    is neither truncation nor padding to a fixed length.

    Raises:
        TokenizerError: an unknown value (the nearest known one is named) or an impossible number.
    """
    max_length = _whole("max_length", max_length, least=1)
    multiple = _whole("pad_to_multiple_of", pad_to_multiple_of, least=0) or None
    stride = _whole("stride", stride, least=0) or 0
    padding = getattr(padding, "value", padding)  # the reference library's enums
    truncation = getattr(truncation, "value", truncation)
    if max_length is not None and padding is False and truncation is None:
        say_that_it_cuts()
        truncation = "longest_first"
    pads = {True: "longest", False: "do_not_pad", None: "do_not_pad"}.get(padding, padding)
    cuts = {True: "longest_first", False: "do_not_truncate", None: "do_not_truncate"}.get(truncation, truncation)
    _known("padding", pads, PADDING)
    _known("truncation", cuts, TRUNCATION)
    _known("padding_side", padding_side, SIDES)
    _known("truncation_side", truncation_side, SIDES)

    if max_length is None and (pads == "max_length" or cuts != "do_not_truncate"):
        if model_max_length > LARGE_INTEGER:
            pads = "do_not_pad" if pads == "max_length" else pads
            cuts = "do_not_truncate"
        else:
            max_length = int(model_max_length)
    elif max_length is not None and max_length > LARGE_INTEGER:
        cuts = "do_not_truncate"
    if multiple and max_length and cuts != "do_not_truncate" and pads != "do_not_pad" and max_length % multiple:
        raise TokenizerError(
            f"max_length ({max_length}) is not a multiple of pad_to_multiple_of ({multiple}), and both truncation and "
            f"padding are on. Pass max_length={max_length // multiple * multiple or multiple}."
        )
    return Limits(
        padding=pads,
        truncation=cuts,
        max_length=max_length,
        stride=stride,
        pad_to_multiple_of=multiple,
        padding_side=padding_side,
        truncation_side=truncation_side,
    )


def check_room(limits: Limits, n_special: int) -> None:
    """Refuse a ``max_length`` without room for the special tokens, and a stride as long as the room.

    The engine would silently not truncate in the first case and panic in the second.
    """
    if not limits.truncates or limits.max_length is None:
        return
    room = limits.max_length - n_special
    if room < 0:
        raise TokenizerError(
            f"max_length is {limits.max_length}, but this input gets {n_special} special tokens. "
            f"Pass a max_length of at least {n_special + 1}, or add_special_tokens=False."
        )
    if limits.stride and limits.stride >= room:
        raise TokenizerError(
            f"stride ({limits.stride}) must be smaller than the {room} tokens that max_length={limits.max_length} "
            f"leaves beside {n_special} special tokens. Stride is the overlap of windows."
        )


def pair_rooms(limits: Limits, n_special: int, first: int, second: int) -> tuple[int, int]:
    """Tokens that each text of a pair may keep, by the engine's rules. ``first`` and ``second`` are token counts."""
    assert limits.max_length is not None
    room = limits.max_length - n_special
    if first + second <= room:
        return first, second
    if limits.truncation == "only_first":
        return room - second, second
    if limits.truncation == "only_second":
        return first, room - first
    shorter, longer = sorted((first, second))
    kept_longer = shorter if shorter > room else max(shorter, room - shorter)
    kept_shorter = shorter
    if kept_shorter + kept_longer > room:
        kept_shorter = room // 2
        kept_longer = kept_shorter + room % 2
    return (kept_longer, kept_shorter) if first > second else (kept_shorter, kept_longer)


def _whole(name: str, value: Any, *, least: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TokenizerError(f"{name} must be a whole number, not {value!r}.")
    if (number := value.__index__()) < least:
        raise TokenizerError(f"{name} is {number}; it must be at least {least}.")
    return number


def _known(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value in known:
        return
    near = nearest(value, known, most=1) if isinstance(value, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise TokenizerError(f"unknown {name} {value!r}.{hint} Known values: {', '.join(map(repr, known))}.")

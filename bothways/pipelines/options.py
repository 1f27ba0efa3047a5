"""The keyword arguments that all text pipelines share: which are known, which are harmless, which are mistakes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bothways.errors import InputError, nearest
from bothways.tasks.encoded import LONG_INPUT, EncodedTexts, encode, position_limit
from bothways.tasks.windows import WINDOW_OVERLAP
from bothways.tokenizers.options import say_that_it_cuts

HARMLESS = (
    "batch_size",
    "num_workers",
    "padding",
    "pad_to_multiple_of",
    "padding_side",
    "return_attention_mask",
    "return_token_type_ids",
    "framework",
    "use_fast",
    "use_cache",
    "trust_remote_code",
    "binary_output",
    "verbose",
    "clean_up_tokenization_spaces",
    "modelcard",
    "feature_extractor",
    "image_processor",
    "processor",
    "args_parser",
)
"""Arguments of the ecosystem without effect: batches are chosen by tokens, nothing is padded, no code is loaded."""

TOKENIZER_OPTIONS = ("truncation", "max_length", "long_input", "window_overlap", "stride", "add_special_tokens")
_STRATEGIES = ("longest_first", "only_first", "only_second")


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How texts become ids.

    Attributes:
        truncation: the caller's, with the ecosystem's meaning: None, False, True or which text of a pair to shorten.
        max_length: longest row in tokens; by default what the model reads.
        long_input: ``"window"``, ``"truncate"`` or ``"error"``; None follows ``truncation``, and else divides.
        window_overlap: tokens that consecutive windows share.
        add_special_tokens: whether to add ``[CLS]`` and ``[SEP]``.
    """

    truncation: bool | str | None = None
    max_length: int | None = None
    long_input: str | None = None
    window_overlap: int = WINDOW_OVERLAP
    add_special_tokens: bool = True

    def encode(
        self, tokenizer: Any, config: Any, texts: Sequence[str], pairs: Sequence[str | None] | None, first: int
    ) -> EncodedTexts:
        """Encode a chunk of texts whose first has the number ``first``; see ``tasks.encoded.encode``."""
        return encode(
            tokenizer, texts, pairs, truncation=self.strategy, first=first, **self.encoding(tokenizer, config)
        )

    def encoding(self, tokenizer: Any, config: Any) -> dict[str, Any]:
        """The keyword arguments that all ways of encoding share: the limit, and what happens above it."""
        limits = [n for n in (self.max_length, position_limit(config)) if n is not None]
        cuts = bool(self.truncation) or (self.truncation is None and self.max_length is not None)  # as the ecosystem
        long_input = self.long_input or ("truncate" if cuts else "window")
        if self.truncation is self.long_input is None and cuts:
            say_that_it_cuts()
        if long_input == "truncate" and self.max_length is None:
            limits.append(tokenizer.model_max_length)
        return {
            "max_length": min(limits, default=None),
            "long_input": long_input,
            "window_overlap": self.window_overlap,
            "add_special_tokens": self.add_special_tokens,
        }

    @property
    def strategy(self) -> str:
        """Which text of a pair is shortened."""
        return self.truncation if isinstance(self.truncation, str) else "longest_first"


def take_tokenizer_options(given: dict[str, Any]) -> dict[str, Any]:
    """Remove from ``given`` what a tokeniser call takes and return the fields of ``TextOptions`` that change.

    Raises:
        InputError: an impossible value, or ``truncation`` and ``long_input`` that contradict each other.
    """
    changes = {name: given.pop(name) for name in TOKENIZER_OPTIONS if name in given}
    if "stride" in changes:
        changes.setdefault("window_overlap", changes.pop("stride"))
    if "truncation" in changes:
        changes["truncation"] = _truncation(changes["truncation"])
        changes.setdefault("long_input", None)
    elif "long_input" in changes:
        changes["truncation"] = None
    long_input = changes.get("long_input")
    if long_input is not None and long_input not in LONG_INPUT:
        raise InputError(f"long_input is {long_input!r}; expected one of {', '.join(map(repr, LONG_INPUT))}.")
    if changes.get("truncation") and long_input not in (None, "truncate"):
        raise InputError(
            f"truncation={changes['truncation']!r} and long_input={long_input!r} contradict each other. Pass one."
        )
    length = changes.get("max_length")
    if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise InputError(f"max_length is {length!r}; expected a number of tokens from 1 on.")
    return changes


def refuse_unknown(given: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse keyword arguments that are left over and not harmless.

    Raises:
        TypeError: naming the nearest known argument.
    """
    as_it_was = ("compat", "v4")  # where nothing differs from version 4
    unknown = [name for name, value in given.items() if name not in HARMLESS and (name, value) != as_it_was]
    if unknown:
        like = nearest(unknown[0], [*known, *TOKENIZER_OPTIONS, *HARMLESS], most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise TypeError(f"{where} got an unexpected keyword argument {unknown[0]!r}.{hint}")


def _truncation(value: Any) -> bool | str | None:
    if isinstance(value, str):
        name = str(getattr(value, "value", value))  # the ecosystem also has an enumeration of these
        if name == "do_not_truncate":
            return False
        if name in _STRATEGIES:
            return name
    elif value is None or isinstance(value, bool):
        return value
    raise InputError(f"truncation is {value!r}; expected True, False or one of {', '.join(map(repr, _STRATEGIES))}.")

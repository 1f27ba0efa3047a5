"""Running the engine for one call: limits set, rows encoded, limits cleared, columns picked.

Truncation and padding are settings of the engine, so all of it happens under the tokeniser's lock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tokenizers import Encoding

from bothways.errors import TokenizerError
from bothways.tokenizers.batch_encoding import BatchEncoding
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.inputs import explain_refusal, is_pair
from bothways.tokenizers.options import CallOptions, Limits, check_room, pair_rooms, resolve_limits
from bothways.tokenizers.vocabulary import Vocabulary


class Encoder(Vocabulary):
    """From engine inputs to encodings and columns."""

    _lock: threading.RLock
    model_input_names: list[str]
    padding_side: str
    truncation_side: str
    model_max_length: int
    split_special_tokens: bool

    def _encode_rows(self, rows: list[Any], options: CallOptions, *, batched: bool) -> BatchEncoding:
        limits = self._limits(options)
        encodings = self._run_engine(
            rows,
            limits,
            options.add_special_tokens,
            options.is_split_into_words,
            split_special=options.split_special_tokens,
        )
        sources = list(range(len(encodings)))
        if options.return_overflowing_tokens:
            windows = [[first, *first.overflowing] for first in encodings]
            sources = [index for index, group in enumerate(windows) for _ in group]
            encodings = [window for group in windows for window in group]
            _check_windows(encodings, limits)
        columns: dict[str, Any] = {name: [read(e) for e in encodings] for name, read in self._returned(options).items()}
        if options.return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = sources
        elif not batched and options.return_tensors is None:
            columns = {k: v[0] if isinstance(v[0], list) else v for k, v in columns.items()}
        return BatchEncoding(columns, encodings, tensor_type=options.return_tensors)

    def _returned(self, options: CallOptions) -> dict[str, Callable[[Encoding], Any]]:
        """The columns that a call asks for, in the ecosystem's order."""
        types, mask = options.return_token_type_ids, options.return_attention_mask
        wanted: dict[str, tuple[Any, Callable[[Encoding], Any]]] = {
            "input_ids": (True, lambda e: e.ids),
            "token_type_ids": (
                "token_type_ids" in self.model_input_names if types is None else types,
                lambda e: e.type_ids,
            ),
            "attention_mask": (
                "attention_mask" in self.model_input_names if mask is None else mask,
                lambda e: e.attention_mask,
            ),
            "special_tokens_mask": (options.return_special_tokens_mask, lambda e: e.special_tokens_mask),
            "offset_mapping": (options.return_offsets_mapping, lambda e: e.offsets),
            "length": (options.return_length, len),
        }
        return {name: read for name, (asked, read) in wanted.items() if asked}

    def _limits(self, options: CallOptions) -> Limits:
        limits = resolve_limits(
            padding=options.padding,
            truncation=options.truncation,
            max_length=options.max_length,
            stride=options.stride,
            pad_to_multiple_of=options.pad_to_multiple_of,
            padding_side=self.padding_side if options.padding_side is None else options.padding_side,
            truncation_side=self.truncation_side,
            model_max_length=self.model_max_length,
        )
        if limits.pads and self.pad_token is None:
            raise TokenizerError(
                "padding is asked for, but this tokeniser has no pad_token. Set tokenizer.pad_token, or add one with "
                "tokenizer.add_special_tokens({'pad_token': '[PAD]'})."
            )
        return limits

    def _run_engine(
        self,
        rows: list[Any],
        limits: Limits,
        add_special_tokens: bool,
        words: bool,
        *,
        split_special: bool | None = None,
        offsets: bool = True,
    ) -> list[Encoding]:
        with self._lock:
            if limits.truncates:
                self._check_lengths(rows, limits, add_special_tokens, words)
            self._tokenizer.encode_special_tokens = (
                self.split_special_tokens if split_special is None else split_special
            )
            encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
            try:
                self._set_engine_limits(limits)
                with guarded("the input cannot be encoded"):
                    try:
                        return encode(rows, is_pretokenized=words, add_special_tokens=add_special_tokens)
                    except TypeError:  # the engine does not say which input it was
                        raise explain_refusal(rows, words) from None
            finally:
                self._tokenizer.no_truncation()
                self._tokenizer.no_padding()

    def _set_engine_limits(self, limits: Limits) -> None:
        if limits.truncates:
            self._tokenizer.enable_truncation(
                max_length=limits.max_length,
                stride=limits.stride,
                strategy=limits.truncation,
                direction=limits.truncation_side,
            )
        if limits.pads:
            self._tokenizer.enable_padding(
                length=limits.max_length if limits.padding == "max_length" else None,
                direction=limits.padding_side,
                pad_id=self.pad_token_id,
                pad_token=self.pad_token,
                pad_type_id=self.pad_token_type_id,
                pad_to_multiple_of=limits.pad_to_multiple_of,
            )

    def _check_lengths(self, rows: list[Any], limits: Limits, add_special_tokens: bool, words: bool) -> None:
        """Refuse what the engine would panic about: too little room, or windows that overlap wholly."""
        paired = [index for index, row in enumerate(rows) if is_pair(row, words)]
        if len(paired) < len(rows):
            check_room(limits, self.num_special_tokens_to_add(pair=False) if add_special_tokens else 0)
        if not paired:
            return
        n_special = self.num_special_tokens_to_add(pair=True) if add_special_tokens else 0
        check_room(limits, n_special)
        one_sided = limits.truncation != "longest_first"
        if not (limits.stride or one_sided):
            return
        kept = (
            1 if limits.truncation == "only_first" else 0
        )  # the side whose whole length the other must leave room for
        sides = [self._token_counts([rows[i][side] for i in paired], words) for side in (0, 1)]
        for index, first, second in zip(paired, *sides, strict=True):
            rooms = pair_rooms(limits, n_special, first, second)
            for side, (size, room) in enumerate(zip((first, second), rooms, strict=True)):
                if size <= room:
                    continue
                if room < 0 or (room == 0 and one_sided):
                    raise TokenizerError(
                        f"input {index}: text {kept + 1} of the pair has {(first, second)[kept]} tokens and there are "
                        f"{n_special} special tokens, so max_length={limits.max_length} leaves no token for text "
                        f"{side + 1}. Raise max_length or use truncation=True."
                    )
                if limits.stride >= room > 0:
                    raise TokenizerError(
                        f"input {index}: stride ({limits.stride}) must be smaller than the {room} tokens that "
                        f"max_length={limits.max_length} leaves for text {side + 1} of the pair ({first} and {second} "
                        f"tokens, {n_special} special tokens). Lower stride or raise max_length."
                    )

    def _token_counts(self, texts: list[Any], words: bool) -> list[int]:
        whole = Limits()
        return [len(e) for e in self._run_engine(texts, whole, False, words, offsets=False)]


def _check_windows(encodings: list[Encoding], limits: Limits) -> None:
    """Without room for a text the engine returns its whole rest as one window, longer than allowed."""
    longest = max(map(len, encodings), default=0)
    if limits.truncates and longest > (limits.max_length or longest):
        raise TokenizerError(
            f"a window of {longest} tokens remains, because max_length={limits.max_length} leaves no room for the text "
            "beside the special tokens and the other text. Raise max_length."
        )

"""Text to text: what an encoder-decoder model writes about a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch

from bothways.errors import InputError
from bothways.pipelines.base import checked_text
from bothways.pipelines.prompt_batches import Prompt, Written
from bothways.pipelines.writing import WritingOptions, WritingPipeline, pad_of
from bothways.tasks.encoded import account
from bothways.tasks.generated_text import flat_if_single, record_name, written_records
from bothways.tasks.text_pairs import task_prefix
from bothways.tokenizers.options import VERY_LARGE_INTEGER

_KNOWN = (
    *("return_tensors", "return_text", "return_type", "clean_up_tokenization_spaces", "truncation", "stop_sequence"),
    *("long_input", "max_source_length", "prefix", "details"),
)


class Text2TextGenerationPipeline(WritingPipeline):
    """Writes about texts with an encoder-decoder model.

    Options: all settings of ``generate`` (``max_new_tokens``, ``num_beams``, ``do_sample``, …) and its further
    arguments, ``return_tensors``, ``clean_up_tokenization_spaces``, ``stop_sequence``, ``details``, and for texts that
    are longer than the model reads ``long_input`` (``"error"`` or ``"truncate"``; the same as ``truncation=True``) and
    ``max_source_length``.

    Unless the checkpoint or the caller says otherwise at most 256 tokens are written, with 4 beams. What the checkpoint
    wants before every text (``task_specific_params``) is put there.

    A text gives ``[{"generated_text": …}]``; a list of texts a list of dictionaries if each has one, else of lists.
    """

    default_task = "text2text-generation"
    model_task = "seq2seq-lm"
    own_settings = {"max_new_tokens": 256, "num_beams": 4}
    known: ClassVar[tuple[str, ...]] = _KNOWN
    divides: ClassVar[bool] = False  # whether long texts are read in pieces

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Write. Inputs are a text, a list or a stream of texts; see ``Pipeline``."""
        result = super().__call__(inputs, **options)
        if isinstance(inputs, (list, tuple)):
            return flat_if_single(list(inputs), result)
        return result

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        given.pop("return_text", None)
        kind = given.pop("return_type", None)
        if kind is not None and given.get("return_tensors") is None:
            given["return_tensors"] = getattr(kind, "value", kind) in (0, "tensors")
        if not self.divides and given.get("long_input") == "window":
            raise InputError(
                f"long_input is 'window', but {self.task} cannot join what is written about several windows. Pass "
                "'truncate' or 'error', or use the task 'summarization' or 'translation'."
            )
        return super().parse(given)

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        texts = [checked_text(item, first + i) for i, item in enumerate(inputs)]
        rows = self.encode(texts, options)
        limit = self.source_limit(options)
        lengths = [len(row) for row in rows]
        long = [i for i, n in enumerate(lengths) if limit is not None and n > limit]
        way = options.long_input or ("truncate" if options.truncation else "window" if self.divides else "error")
        if long and way == "error":
            raise self._too_long(lengths, long, limit, first)
        if long and way == "truncate":
            for i in long:
                rows[i] = self.shortened(rows[i], limit)
        divided = self.pieces_wanted(texts, long if way == "window" else [], options)
        whole = [i for i in range(len(texts)) if i not in divided]
        written = dict(
            zip(whole, self.write_rows([rows[i] for i in whole], options, [first + i for i in whole]), strict=True)
        )
        answers = self.answer_divided({i: texts[i] for i in divided}, options, first)
        for i, n_tokens in enumerate(lengths):
            records, finished, n_windows = (
                answers[i] if i in answers else (self.records(written[i], options), written[i].finished, 1)
            )
            if options.details:
                told = account(n_tokens, n_windows, len(rows[i]) < n_tokens)
                records = [r | told | {"finished": f} for r, f in zip(records, finished, strict=True)]
            yield records

    def encode(self, texts: Sequence[str], options: Any) -> list[list[int]]:
        """The ids of texts as the encoder reads them, whole."""
        prefix = self.prefix(options)
        rows = self.source_ids([prefix + text for text in texts], options)
        for number, row in enumerate(rows):
            if not row:
                raise InputError(f"text {number} of {len(rows)} has no tokens. Leave add_special_tokens on.")
        return rows

    def prefix(self, options: Any) -> str:
        """What the checkpoint wants before every text."""
        return task_prefix(self.model.config, self.task) or getattr(self.model.config, "prefix", None) or ""

    def decoder_settings(self, options: Any) -> dict[str, Any]:
        """Settings of ``generate`` that the task adds."""
        return {}

    def pieces_wanted(self, texts: Sequence[str], long: list[int], options: Any) -> list[int]:
        """Which texts are read in pieces, of those that are too long to be read at once."""
        return long

    def answer_divided(self, texts: Mapping[int, str], options: Any, first: int) -> dict[int, Any]:
        """For each text that is read in pieces: records, whether each is finished, number of pieces."""
        return {}

    def write_rows(self, rows: Sequence[Sequence[int]], options: Any, numbers: Sequence[int]) -> list[Written]:
        """What the model writes about rows of ids that belong to the inputs with these numbers."""
        begins = self._begins(options)
        prompts = [Prompt(ids=row, number=i, counted=begins) for row, i in zip(rows, numbers, strict=True)]
        return self.write(prompts, options, **self.decoder_settings(options))

    def records(self, written: Written, options: Any) -> list[dict[str, Any]]:
        """What is returned for a text that was read at once."""
        config, _ = self.settings(options, **self.decoder_settings(options))
        if options.return_tensors:
            rows: Any = [torch.tensor(row) for row in written.sequences(pad_of(config))]
        else:
            rows = [[*written.begin, *row] for row in written.new]
        return written_records(
            self.tokenizer,
            rows,
            task=self.task,
            return_tensors=bool(options.return_tensors),
            clean_up_tokenization_spaces=bool(options.clean_up_tokenization_spaces),
        )

    def joined_records(self, parts: Sequence[list[dict[str, Any]]], join: Any) -> list[dict[str, Any]]:
        """Records of a text from those of its pieces: its k-th from their k-th."""
        name = record_name(self.task)
        joined = []
        for own in zip(*parts, strict=True):
            if f"{name}_token_ids" in own[0]:
                joined.append({f"{name}_token_ids": torch.cat([record[f"{name}_token_ids"] for record in own])})
            else:
                joined.append({f"{name}_text": join([record[f"{name}_text"] for record in own])})
        return joined

    def source_limit(self, options: Any) -> int | None:
        if options.max_length is not None or not (self.divides or options.truncation):
            return super().source_limit(options)
        limits = [super().source_limit(options), self.tokenizer.model_max_length]
        return min((n for n in limits if n is not None and n < VERY_LARGE_INTEGER), default=None)

    def count(self, texts: list[str]) -> list[int]:
        """Tokens of texts, without special ones."""
        return [len(ids) for ids in self.source_ids(texts, WritingOptions(add_special_tokens=False))]

    def text_of(self, written: Written) -> str:
        """The first of the written texts."""
        return str(self.tokenizer.decode([*written.begin, *written.new[0]], skip_special_tokens=True))

    def room_for_text(self, options: Any) -> int:
        """Tokens of text that fit beside special ones and the prefix."""
        limit = self.source_limit(options)
        return VERY_LARGE_INTEGER if limit is None else max(limit - len(self.encode([""], options)[0]), 1)

    def shortened(self, row: list[int], limit: int | None) -> list[int]:
        """The first tokens of a row, with the special ones at its end."""
        if limit is None or len(row) <= limit:
            return row
        ends: list[int] = []
        for token in reversed(row):
            if token not in self.tokenizer.all_special_ids or len(ends) + 1 >= limit:
                break
            ends.insert(0, token)
        return row[: limit - len(ends)] + ends

    def _begins(self, options: Any) -> int:
        """Tokens that the decoder begins with."""
        own = options.arguments.get("decoder_input_ids")
        if own is None:
            return 1
        config, _ = self.settings(options)
        return int(own.shape[1]) + int(bool((own[:, 0] != config.decoder_start_token_id).any()))

    def _too_long(self, lengths: list[int], long: list[int], limit: int | None, first: int) -> InputError:
        more = f" (so have {len(long) - 1} more inputs)" if len(long) > 1 else ""
        other = "long_input='window' or 'truncate'" if self.divides else "long_input='truncate'"
        return InputError(
            f"input {first + long[0]} has {lengths[long[0]]} tokens, but the model reads {limit}{more}. Shorten it, or "
            f"pass {other}."
        )

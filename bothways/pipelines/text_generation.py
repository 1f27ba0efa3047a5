"""Text generation: how a text goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bothways.errors import InputError
from bothways.pipelines.base import checked_text
from bothways.pipelines.prompt_batches import Prompt, Written
from bothways.pipelines.writing import WritingOptions, WritingPipeline, pad_of
from bothways.tasks.encoded import account, position_limit
from bothways.tasks.generated_text import ReturnType, continuation_records, continuation_type
from bothways.tasks.text_pairs import task_prefix

_KNOWN = (
    *("return_full_text", "return_text", "return_tensors", "return_type", "clean_up_tokenization_spaces", "prefix"),
    *("handle_long_generation", "stop_sequence", "continue_final_message", "skip_special_tokens"),
    *("tokenizer_encode_kwargs", "details", "max_source_length"),
)
_RETURNS = ("return_full_text", "return_text", "return_tensors")
_TYPES: tuple[ReturnType, ...] = ("tensors", "new_text", "full_text")  # in the order of the ecosystem's enumeration


@dataclass(frozen=True, kw_only=True)
class ContinuationOptions(WritingOptions):
    """Attributes:
    return_type: the whole text, the new text, or ids.
    prefix: is put before every text; None for that of the checkpoint.
    keep_end: a text that is too long loses its beginning, so that there is room for new tokens.
    skip_special_tokens: leave out such as ``<|endoftext|>``.
    encode_kwargs: further arguments of the tokeniser.
    """

    return_type: ReturnType = "full_text"
    prefix: str | None = None
    keep_end: bool = False
    skip_special_tokens: bool = True
    encode_kwargs: Mapping[str, Any] | None = None


class TextGenerationPipeline(WritingPipeline):
    """Continues texts with a causal model.

    Options: all settings of ``generate`` (``max_new_tokens``, ``do_sample``, ``temperature``, ``num_beams``, ``seed``,
    …), its ``streamer``, ``stopping_criteria`` and further arguments, ``return_full_text``, ``return_text``,
    ``return_tensors``, ``prefix``, ``stop_sequence``, ``handle_long_generation="hole"`` (the same as
    ``long_input="truncate"``: a long text loses its beginning), ``clean_up_tokenization_spaces``,
    ``skip_special_tokens``, ``tokenizer_encode_kwargs``, ``details``.

    Unless the checkpoint or the caller says otherwise 256 tokens are drawn with temperature 0.7. A list of texts gives
    each what it gets alone; where tokens are drawn this needs a ``seed``, one number, or one for each text.

    A text gives ``[{"generated_text": …}]``, a list of texts a list of such lists.
    """

    default_task = "text-generation"
    model_task = "causal-lm"
    options_class = ContinuationOptions
    own_settings = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
    known = _KNOWN

    def __call__(self, text_inputs: Any, **options: Any) -> Any:  # type: ignore[override]
        """Continue.

        Args:
            text_inputs: a text, a list or a stream of texts.
            options: override the pipeline's options for this call.

        Raises:
            InputError: options that exclude each other, a conversation, a text without room for new tokens.
        """
        if isinstance(text_inputs, Mapping) or (isinstance(text_inputs, (list, tuple)) and _is_chat(text_inputs)):
            raise _no_template(0)
        return super().__call__(text_inputs, **options)

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        asked = {name: given.pop(name, None) for name in _RETURNS}
        kind = given.pop("return_type", None)
        if kind is not None:
            changes["return_type"] = _return_type(kind)
        elif any(value is not None for value in asked.values()):
            changes["return_type"] = continuation_type(*asked.values())
        for name in ("prefix", "skip_special_tokens"):
            value = given.pop(name, None)
            if value is not None:
                changes[name] = value
        if "tokenizer_encode_kwargs" in given:
            changes["encode_kwargs"] = given.pop("tokenizer_encode_kwargs")
        given.pop("continue_final_message", None)  # of conversations
        changes |= super().parse(_with_long_input(given))
        if "long_input" in changes:
            changes["keep_end"] = changes["long_input"] == "truncate"
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        for number, item in enumerate(inputs, first):
            if isinstance(item, Mapping) or (isinstance(item, (list, tuple)) and _is_chat([item])):
                raise _no_template(number)
        texts = [checked_text(item, first + i) for i, item in enumerate(inputs)]
        prompts, lengths = self._prompts(texts, options, first)
        config, _ = self.settings(options)
        pad = pad_of(config)
        for text, prompt, length, written in zip(texts, prompts, lengths, self.write(prompts, options), strict=True):
            records = self._records(text, length, written, pad, options)
            if options.details:
                told = account(length, 1, len(prompt.ids) < length)
                records = [r | told | {"finished": f} for r, f in zip(records, written.finished, strict=True)]
            yield records

    def _prompts(self, texts: list[str], options: Any, first: int) -> tuple[list[Prompt], list[int]]:
        """Prompts, and how many tokens each had before it was cut."""
        prefix = self._prefix(options)
        how = {k: v for k, v in (options.encode_kwargs or {}).items() if k not in ("padding", "return_tensors")}
        rows = self.source_ids([prefix + text for text in texts], options, **how)
        counted = -len(self.source_ids([prefix], options, add_special_tokens=False)[0]) if prefix else 0
        lengths = [len(row) for row in rows]
        prompts = []
        config, said = self.settings(options)
        for number, row in enumerate(rows, first):
            row = row or self._start(number)
            prompt = Prompt(ids=row, number=number, counted=len(row) + counted)
            if options.truncation:
                prompt = self._cut(prompt, options)
            elif options.keep_end:
                prompt = self._end_of(prompt, config, said)
            prompts.append(prompt)
        return prompts, lengths

    def _prefix(self, options: Any) -> str:
        if options.prefix is not None:
            return str(options.prefix)
        return task_prefix(self.model.config, self.task) or getattr(self.model.config, "prefix", None) or ""

    def _start(self, number: int) -> list[int]:
        """What an empty prompt begins with."""
        start = self.generation_config.bos_token_id
        if start is None:
            raise InputError(f"input {number} has no tokens, and the model has no token to begin with (bos_token_id).")
        return [int(start)]

    def _cut(self, prompt: Prompt, options: Any) -> Prompt:
        """A prompt of at most so many tokens as the tokeniser's truncation leaves."""
        named = options.settings.get("max_length")  # in the ecosystem one name for the prompt's length and for all
        limits = [n for n in (options.max_length, named, position_limit(self.model.config)) if n is not None]
        most = min([*limits, self.tokenizer.model_max_length])
        cut = prompt.ids[-most:] if self.tokenizer.truncation_side == "left" else prompt.ids[:most]
        return Prompt(ids=cut, number=prompt.number, counted=prompt.counted - len(prompt.ids) + len(cut))

    def _end_of(self, prompt: Prompt, config: Any, said: frozenset[str]) -> Prompt:
        """The last tokens of a prompt, so many that there is room for the new ones."""
        limits = [n for n in (position_limit(self.model.config), self.tokenizer.model_max_length) if n is not None]
        limit = min(limits)
        if config.max_new_tokens is not None:
            new = config.max_new_tokens
            if not said & {"max_new_tokens", "max_length"}:
                new = min(new, max(limit // 4, 1))  # nobody asked for as many: most of the room is the prompt's
        else:
            new = config.max_length - prompt.counted
            if new < 0:
                raise InputError(
                    f"input {prompt.number} has {prompt.counted} tokens, above max_length {config.max_length}. We "
                    "cannot infer how many new tokens are expected: pass max_new_tokens."
                )
        if len(prompt.ids) + new <= limit:
            return prompt
        if new >= limit:
            raise InputError(
                f"We cannot use `hole` to handle this generation: {new} new tokens leave no room for input "
                f"{prompt.number} in the {limit} positions of the model. Pass a smaller max_new_tokens."
            )
        kept = prompt.ids[-(limit - new) :]
        return Prompt(ids=kept, number=prompt.number, counted=prompt.counted)

    def _records(self, text: str, length: int, written: Written, pad: int, options: Any) -> list[dict[str, Any]]:
        sequences = [[*written.begin, *row] for row in written.new]
        if options.return_type == "tensors":
            sequences = written.sequences(pad)
        cleans = options.clean_up_tokenization_spaces
        return continuation_records(
            self.tokenizer,
            sequences,
            prompt=text,
            prompt_ids=written.begin if length else None,
            return_type=options.return_type,
            clean_up_tokenization_spaces=True if cleans is None else cleans,
            skip_special_tokens=options.skip_special_tokens,
            further=_further(written.output, len(sequences)),
        )


def _further(output: Any, count: int) -> dict[str, list[Any]]:
    """What else ``generate`` returned for each of the sequences of a single prompt, in the ecosystem's form."""
    found: dict[str, list[Any]] = {}
    for name, value in () if output is None else output.items():
        if isinstance(value, tuple) and value and isinstance(value[0], torch.Tensor) and len(value[0]) == count:
            found[name] = torch.stack(value).swapaxes(0, 1).tolist()
        elif isinstance(value, torch.Tensor) and name != "sequences" and len(value) == count == 1:
            found[name] = value[None].tolist()
    return found


def _with_long_input(given: dict[str, Any]) -> dict[str, Any]:
    """The ecosystem's name for a prompt whose beginning is forgotten, in ours."""
    hole = given.pop("handle_long_generation", None)
    if hole is not None:
        if hole != "hole":
            raise InputError(f"handle_long_generation is {hole!r}; expected 'hole' or None.")
        given.setdefault("long_input", "truncate")
    if given.get("long_input") == "window":
        raise InputError(
            "long_input is 'window', but a text that goes on after several windows has one end. Pass 'truncate' to "
            "forget its beginning, or 'error'."
        )
    return given


def _return_type(kind: Any) -> ReturnType:
    """One of our names, or of the ecosystem's enumeration."""
    value = getattr(kind, "value", kind)
    if value in _TYPES:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(_TYPES):
        return _TYPES[value]
    raise InputError(f"return_type is {kind!r:.60}; expected one of {', '.join(map(repr, _TYPES))}.")


def _is_chat(inputs: Any) -> bool:
    """Whether a list holds messages, or conversations."""
    first = inputs[0] if len(inputs) else None
    if isinstance(first, (list, tuple)) and first:
        first = first[0]
    return isinstance(first, Mapping)


def _no_template(number: int) -> InputError:
    return InputError(
        f"input {number} has messages (role, content). How they become a text is told by a template, which is code of "
        "the model's directory, and none is executed here. Write the messages as one text, in the form that the "
        "model's page shows, and pass that."
    )

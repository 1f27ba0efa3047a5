"""Ids that a model wrote, as the records that pipelines return.

Source: ``postprocess`` of the reference's ``pipelines/text_generation.py`` and ``text2text_generation.py`` (4.57).

Shapes: n sequences for one input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bothways.errors import InputError

ReturnType = Literal["full_text", "new_text", "tensors"]
RECORD_NAMES = {
    "text-generation": "generated",
    "text2text-generation": "generated",
    "summarization": "summary",
    "translation": "translation",
}
"""What the keys of a task's records begin with: ``summary_text`` and ``summary_token_ids``."""


def continuation_type(
    return_full_text: bool | None, return_text: bool | None, return_tensors: bool | None
) -> ReturnType:
    """What a continuation is returned as, from the three arguments of ``text-generation``.

    Raises:
        InputError: (a ``ValueError``) arguments that exclude each other, in the reference's words.
    """
    if return_full_text is not None:
        for name, other in (("return_text", return_text), ("return_tensors", return_tensors)):
            if other is not None:
                raise InputError(f"`{name}` is mutually exclusive with `return_full_text`: pass one of them.")
        return "full_text" if return_full_text else "new_text"
    if return_tensors is not None and return_text is not None:
        raise InputError("`return_text` is mutually exclusive with `return_tensors`: pass one of them.")
    return "tensors" if return_tensors else "full_text"


def continuation_records(
    tokenizer: Any,
    sequences: Sequence[Any],
    *,
    prompt: str | Sequence[Mapping[str, Any]],
    prompt_ids: Any = None,
    return_type: ReturnType = "full_text",
    clean_up_tokenization_spaces: bool = True,
    skip_special_tokens: bool = True,
    continue_final_message: bool | None = None,
    further: Mapping[str, Sequence[Any]] | None = None,
) -> list[dict[str, Any]]:
    """Records of what a causal model wrote after a prompt.

    Args:
        sequences: n rows of ids, the prompt's and the new ones.
        prompt: the text, or the messages of a conversation.
        prompt_ids: its ids, as the rows begin; None where the rows have only new ones.
        return_type: the prompt with the continuation, the continuation, or ids.
        clean_up_tokenization_spaces: remove spaces before punctuation.
        skip_special_tokens: leave out such as ``<|endoftext|>``.
        continue_final_message: the new text goes on with the last message; None: if that is the assistant's.
        further: more keys of the records with which texts are returned, with n values each.

    Returns:
        n dictionaries: ``{"generated_text": str}``, or all messages with the answer as the last one, or
        ``{"generated_token_ids": list}``.
    """
    rows = [_ids(sequence) for sequence in sequences]
    if return_type == "tensors":
        return [{"generated_token_ids": row} for row in rows]

    def decoded(ids: list[int]) -> str:
        text: str = tokenizer.decode(
            ids,
            skip_special_tokens=skip_special_tokens,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
        )
        return text

    # The prompt is cut off by the length of its own decoded text: spaces between it and the rest belong to the rest.
    before = 0 if prompt_ids is None else len(decoded(_ids(prompt_ids)))
    records = []
    for number, row in enumerate(rows):
        new = decoded(row)[before:]
        value = _with_prompt(prompt, new, continue_final_message) if return_type == "full_text" else new
        records.append({"generated_text": value} | {key: own[number] for key, own in (further or {}).items()})
    return records


def written_records(
    tokenizer: Any,
    sequences: Sequence[Any],
    *,
    task: str = "text2text-generation",
    return_tensors: bool = False,
    clean_up_tokenization_spaces: bool = False,
) -> list[dict[str, Any]]:
    """Records of what an encoder-decoder model wrote.

    Args:
        sequences: n rows of the decoder's ids, with its start token and padding.
        task: one of ``RECORD_NAMES``, or ``translation_xx_to_yy``.

    Returns:
        n dictionaries with ``generated_text``, ``summary_text`` or ``translation_text``; with ``return_tensors`` the
        rows as they came, under ``…_token_ids``.

    Raises:
        InputError: another task.
    """
    name = record_name(task)
    if return_tensors:
        return [{f"{name}_token_ids": sequence} for sequence in sequences]
    return [
        {
            f"{name}_text": tokenizer.decode(
                _ids(sequence),
                skip_special_tokens=True,
                clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            )
        }
        for sequence in sequences
    ]


def record_name(task: str) -> str:
    """What the keys of a task's records begin with.

    Raises:
        InputError: a task that writes no text.
    """
    plain = "translation" if task.startswith("translation_") else task
    if plain not in RECORD_NAMES:
        raise InputError(f"task {task!r} writes no text. Known: {', '.join(RECORD_NAMES)}, translation_xx_to_yy.")
    return RECORD_NAMES[plain]


def flat_if_single(inputs: Any, records: list[list[dict[str, Any]]]) -> list[Any]:
    """Results of encoder-decoder pipelines: one list of records where every text of a list has one.

    Args:
        inputs: what the pipeline was called with.
        records: for each input its records; for one text those of that text alone.
    """
    is_list = isinstance(inputs, list) and all(isinstance(text, str) for text in inputs)
    if is_list and all(len(own) == 1 for own in records):
        return [own[0] for own in records]
    return records if isinstance(inputs, list) else records[0]


def _with_prompt(prompt: str | Sequence[Mapping[str, Any]], new: str, continue_final: bool | None) -> Any:
    if isinstance(prompt, str):
        return prompt + new
    messages = [dict(message) for message in prompt]
    last = messages[-1] if messages else {}
    if continue_final is None:
        continue_final = last.get("role") == "assistant"
    if continue_final and messages:
        return [*messages[:-1], {"role": last["role"], "content": last["content"] + new}]
    return [*messages, {"role": "assistant", "content": new}]


def _ids(row: Any) -> list[int]:
    """A list of ids from a list, array or tensor."""
    return list(row.tolist() if hasattr(row, "tolist") else row)

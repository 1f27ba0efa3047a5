"""How a pipeline writes, in layers: its own defaults, the checkpoint's settings, those for the task, the caller's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bothways.errors import InputError
from bothways.generation.configuration import GenerationConfig, GenerationMode
from bothways.generation.settings import DEFAULTS
from bothways.generation.settings_checks import BEAM_SETTINGS, SAMPLING_SETTINGS

_OTHER_WAYS = ("assistant_model", "prompt_lookup_num_tokens", "penalty_alpha", "streamer")


def base_settings(model: Any, tokenizer: Any, task: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a pipeline before its caller says anything.

    Args:
        model: its ``generation_config`` precedes ``defaults``, and ``config.task_specific_params[task]`` both.
        tokenizer: lends its padding token to a model that names none.
        task: such as ``"summarization"`` or ``"translation_en_to_de"``.
        defaults: the pipeline's own.
    """
    params = getattr(model.config, "task_specific_params", None) or {}
    of_task = params.get(task) if isinstance(params, Mapping) else None
    known = {k: v for k, v in (of_task if isinstance(of_task, Mapping) else {}).items() if k in DEFAULTS}
    # As in the reference, max_length among these shortens nothing: GPT-2's file says 50, prompt included.
    settings = layered(defaults, model.generation_config.to_diff_dict()) | known
    if settings.get("pad_token_id") is None:
        settings["pad_token_id"] = tokenizer.pad_token_id
    return settings


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers precede earlier ones. A length that one layer says in tokens of the whole row replaces one that an
    earlier layer said in new tokens.

    Example: ``{"max_new_tokens": 256}`` and ``{"max_length": 50}`` -> ``{"max_new_tokens": None, "max_length": 50}``.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for new, whole in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
            if layer.get(whole) is not None and layer.get(new) is None:
                merged[new] = None
        merged |= layer
    return merged


def settings_of_call(
    base: GenerationConfig, given: Mapping[str, Any], said: Collection[str], own: Mapping[str, Any]
) -> GenerationConfig:
    """The settings of one call, checked together.

    What nobody asked for gives way to what the caller asks for: the pipeline's own sampling or beams where the caller
    wants another way to write, a minimum that is above the caller's maximum, settings that do nothing in this way.

    Args:
        base: of the pipeline.
        given: settings of the call by name, and arguments of ``generate`` that decide the way to write.
        said: names of all settings that come from the caller, of this call or of the pipeline's construction.
        own: the pipeline's own defaults.

    Raises:
        InputError: impossible values.
    """
    values = layered(base.to_dict(), {name: value for name, value in given.items() if name in DEFAULTS})
    for name in _giving_way(values, given):
        if name in own and name not in said and values[name] == own[name]:
            values[name] = DEFAULTS[name]
    if values["temperature"] == 0 and not values["do_sample"]:
        values["temperature"] = DEFAULTS["temperature"]  # which is what 0 means
    for least, most in (("min_new_tokens", "max_new_tokens"), ("min_length", "max_length")):
        limit = values[most] if most == "max_new_tokens" or values["max_new_tokens"] is None else None
        if least not in said and limit is not None and (values[least] or 0) > limit:
            values[least] = limit
    idle = [] if values["do_sample"] else [k for k in SAMPLING_SETTINGS if k != "top_k" or not values["penalty_alpha"]]
    if values["num_beams"] == 1:
        idle += BEAM_SETTINGS
    return GenerationConfig(**values | {name: DEFAULTS[name] for name in idle if name not in said})


def _giving_way(values: Mapping[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Names of the pipeline's own defaults that contradict what the caller asks for."""
    names: set[str] = set()
    if any(given.get(name) is not None for name in _OTHER_WAYS):
        names.add("num_beams")
    constrained = given.get("constraints") is not None or given.get("force_words_ids") is not None
    groups = (given.get("num_beam_groups") or 1) > 1
    if constrained or groups or given.get("penalty_alpha") or values["temperature"] == 0:
        names.add("do_sample")
    return names


def most_new_tokens(
    config: GenerationConfig, said: Collection[str], *, length: int, counted: int, limit: int | None, what: str
) -> int:
    """How many new tokens a row may have.

    A length that the caller said is kept or refused; any other one gives way to the positions of the model.

    Args:
        said: names of all settings that come from the caller.
        length: tokens that the row begins with.
        counted: those of them that ``max_length`` counts.
        limit: positions of the model; None if nothing limits them.
        what: the row, for messages.

    Raises:
        InputError: no room for one token, or not for as many as the caller wants.
    """
    unread = 0 if config.get_generation_mode() is GenerationMode.CONTRASTIVE_SEARCH else 1
    room = None if limit is None else limit - length + unread
    if room is not None and room < 1:
        raise InputError(
            f"{what} has {length} tokens, but the model has {limit} positions: no room for a new one. "
            "Shorten it, or take a model with more positions."
        )
    is_own = "max_new_tokens" in said or "max_length" in said
    if config.max_new_tokens is not None:
        most = config.max_new_tokens
    elif config.max_length == DEFAULTS["max_length"] and not is_own:
        most = config.max_length
    else:
        most = config.max_length - counted
        if most < 1:
            source = "" if is_own else ", from the model's files"
            raise InputError(
                f"{what} has {counted} tokens, and max_length is {config.max_length}{source}: no room for a new one. "
                "Raise max_length, or pass max_new_tokens."
            )
    if room is None or most <= room:
        return int(most)
    if is_own:
        raise InputError(
            f"{what} has {length} tokens, and {most} new ones make {length + most}; the model has {limit} positions. "
            f"Pass max_new_tokens={room} or less, or a shorter text."
        )
    return room


def least_new_tokens(config: GenerationConfig, *, counted: int, most: int) -> int:
    """How many new tokens a row must have; see ``most_new_tokens``."""
    if config.min_new_tokens is not None:
        return min(config.min_new_tokens, most)
    return min(max((config.min_length or 0) - counted, 0), most)

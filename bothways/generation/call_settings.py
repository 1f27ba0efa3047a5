"""The settings of one call: those of the model, those of a ``GenerationConfig``, and those by name, in this order."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from bothways.errors import InputError, nearest
from bothways.generation.build import merged
from bothways.generation.configuration import GenerationConfig
from bothways.generation.settings import DEFAULTS
from bothways.generation.settings_checks import idle_settings, unreachable_minimum
from bothways.generation.stopping import MaxTimeCriteria, StoppingCriteria, StoppingCriteriaList, StopStringCriteria

MODEL_INPUTS = (
    *("input_ids", "attention_mask", "inputs_embeds", "encoder_outputs"),
    *("decoder_input_ids", "decoder_attention_mask", "tokenizer"),
)
"""What ``generate`` takes by name besides its own arguments and the settings."""

NOT_HERE = {
    "past_key_values": "generate() makes its own cache",
    "cache_position": "generate() makes its own cache",
    "position_ids": "positions follow from attention_mask",
    "token_type_ids": "models that write have one type of token",
    "decoder_inputs_embeds": "pass decoder_input_ids",
    "custom_generate": "nothing is loaded that could be executed",
    "assistant_tokenizer": "the assistant must have the vocabulary of the model",
    "watermarking_config": "this library writes no watermarks",
    "dola_layers": "DoLa is not among the ways to write here",
    "token_healing": "cut the prompt where a token ends",
    "assistant_early_exit": "pass an assistant_model or prompt_lookup_num_tokens",
}
"""Words of the ecosystem that are refused, with the reason."""

SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")


def settings_of_call(
    model_settings: GenerationConfig,
    given: GenerationConfig | None,
    named: Mapping[str, Any],
    use_model_defaults: bool | None = None,
) -> tuple[GenerationConfig, dict[str, Any]]:
    """Settings of a call, checked together.

    Args:
        model_settings: of the model. given: of the caller.
        named: keyword arguments of the caller.
        use_model_defaults: False takes nothing but special tokens from the model where ``given`` is there.

    Returns:
        The settings, and the keyword arguments that are none.

    Raises:
        InputError: an impossible value, or one that is refused here.
    """
    config = copy.deepcopy(model_settings if given is None else given)
    if given is not None:
        filled = [name for name in DEFAULTS if use_model_defaults is not False or name in SPECIAL_TOKENS]
        for name in filled:
            default = DEFAULTS[name]
            if getattr(config, name) == default and getattr(model_settings, name) != default:
                setattr(config, name, copy.deepcopy(getattr(model_settings, name)))
        if config.temperature == 0.0:
            config.do_sample = False
    rest = config.update(**named)
    for name, reason in NOT_HERE.items():
        value = rest.get(name) if name in rest else getattr(config, name, None)
        if value is not None and value is not False:
            raise InputError(f"{name} cannot be used with generate() here: {reason}.")
    return config, {name: value for name, value in rest.items() if name not in NOT_HERE}


def check_names(rest: Collection[str], signature: Collection[str]) -> None:
    """Refuse keyword arguments that nobody knows.

    Raises:
        InputError: with the nearest names.
    """
    unknown = [name for name in rest if name not in MODEL_INPUTS]
    if unknown:
        known = sorted({*DEFAULTS, *MODEL_INPUTS, *signature})
        meant = [
            f"{name} (did you mean {' or '.join(near)}?)" if (near := nearest(name, known)) else name
            for name in unknown
        ]
        raise InputError(f"generate() does not know {', '.join(meant)}.")


def warn_of_idle_settings(config: GenerationConfig, given: GenerationConfig | None, named: Mapping[str, Any]) -> None:
    """One sentence about settings of the caller that do nothing. Those of the model's own file are nobody's mistake."""
    said = {name for name, value in named.items() if name in DEFAULTS and value is not None}
    if given is not None:
        said |= {name for name in DEFAULTS if getattr(given, name) != DEFAULTS[name]}
    decisive = ("do_sample", "num_beams", "return_dict_in_generate", "constraints", "force_words_ids")
    asked = copy.copy(config)
    for name, default in DEFAULTS.items():
        if name not in said and name not in decisive:
            vars(asked)[name] = default
    asked_for_least = said & {"min_length", "min_new_tokens"}
    for sentence in (idle_settings(asked), unreachable_minimum(config) if asked_for_least else None):
        if sentence:
            warnings.warn(sentence, UserWarning, stacklevel=4)


def new_tokens(
    config: GenerationConfig, named: Mapping[str, Any], *, width: int, longest: int, limit: int | None, unread: int = 1
) -> int:
    """How many new tokens a row may have.

    ``max_length`` counts the columns of the prompts' rectangle, padding included, as in the ecosystem;
    ``max_new_tokens`` does not depend on the other prompts.

    Args:
        width: columns of the prompts. longest: tokens of the longest prompt.
        limit: positions of the model, None if nothing limits them.
        unread: how many of the last tokens the model need not read.

    Raises:
        InputError: no room for one token.
    """
    default = named.get("max_length") is None and config.max_length == DEFAULTS["max_length"]
    if config.max_new_tokens is not None:
        most = config.max_new_tokens
    elif default:
        # Nobody said how long: so many new tokens, or as many as the model has positions for.
        most = config.max_length if limit is None else max(min(config.max_length, limit - longest), 1)
    else:
        most = config.max_length - width
        if most < 1:
            raise InputError(
                f"the prompts have {width} columns, and max_length is {config.max_length}: no room for a new token. "
                "Raise max_length, or set max_new_tokens."
            )
    if limit is not None and longest + most - unread > limit:
        room = limit - longest + unread
        advice = f"Set max_new_tokens to at most {room}, or shorten the prompt." if room > 0 else "Shorten the prompt."
        raise InputError(
            f"a prompt of {longest} tokens and {most} new ones are {longest + most}; the model has {limit} positions. "
            + advice
        )
    return most


def least_new_tokens(config: GenerationConfig, *, width: int) -> int:
    """How many new tokens a row must have. ``min_length`` counts columns, as ``max_length`` does."""
    if config.min_new_tokens is not None:
        return config.min_new_tokens
    return max((config.min_length or 0) - width, 0)


def criteria_of(
    config: GenerationConfig, given: Iterable[Callable[..., Any]] | None, tokenizer: Any
) -> StoppingCriteriaList:
    """What ends rows besides end tokens and lengths.

    Raises:
        InputError: ``stop_strings`` without a tokeniser.
    """
    ours: list[StoppingCriteria] = []
    if config.max_time is not None:
        ours.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise InputError("stop_strings are texts: pass tokenizer= to generate(), which says what tokens mean.")
        ours.append(StopStringCriteria(tokenizer, config.stop_strings))
    return StoppingCriteriaList(merged(ours, list(given or ())))


def token_ids(value: Any) -> list[int]:
    """Ids of one token, of several or of none; negative ones say in published files that there is none."""
    listed = value.tolist() if hasattr(value, "tolist") else value
    ids: Sequence[Any] = listed if isinstance(listed, (list, tuple)) else [listed]
    return [int(token) for token in ids if token is not None and token >= 0]

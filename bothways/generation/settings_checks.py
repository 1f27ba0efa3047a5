"""What is wrong with settings of generation, and which of them do nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Integral
from typing import Any

from bothways.generation.arguments import id_list_problem, is_id, number_problem
from bothways.generation.settings import DEFAULTS, EXTRA_OUTPUT_FLAGS

_GREEDY = "For the likeliest token at every step set do_sample=False."

_NUMBERS: dict[str, dict[str, Any]] = {
    "max_length": {"least": 1, "whole": True},
    "max_new_tokens": {"least": 1, "whole": True, "advice": "Generation writes at least one token."},
    "min_length": {"least": 0, "whole": True},
    "min_new_tokens": {"least": 0, "whole": True},
    "max_time": {"above": 0, "advice": "It is a time in seconds."},
    "num_beams": {"least": 1, "whole": True, "advice": "1 means no beam search."},
    "num_beam_groups": {"least": 1, "whole": True},
    "num_return_sequences": {"least": 1, "whole": True},
    "diversity_penalty": {"least": 0},
    "penalty_alpha": {"least": 0, "most": 1},
    "top_k": {"least": 0, "whole": True, "advice": "0 keeps all tokens."},
    "top_p": {"above": 0, "most": 1, "advice": "1.0 keeps all tokens."},
    "min_p": {"least": 0, "most": 1},
    "typical_p": {"above": 0, "most": 1, "advice": "1.0 keeps all tokens."},
    "epsilon_cutoff": {"least": 0, "below": 1, "advice": "0.0 keeps all tokens."},
    "eta_cutoff": {"least": 0, "below": 1, "advice": "0.0 keeps all tokens."},
    "repetition_penalty": {"above": 0, "advice": "1.0 changes nothing."},
    "encoder_repetition_penalty": {"above": 0, "advice": "1.0 changes nothing."},
    "length_penalty": {},
    "no_repeat_ngram_size": {"least": 0, "whole": True, "advice": "0 forbids nothing."},
    "encoder_no_repeat_ngram_size": {"least": 0, "whole": True, "advice": "0 forbids nothing."},
    "guidance_scale": {},
    "forced_bos_token_id": {"least": 0, "whole": True},
    "prompt_lookup_num_tokens": {"least": 1, "whole": True},
    "max_matching_ngram_size": {"least": 1, "whole": True},
    "num_assistant_tokens": {"least": 1, "whole": True},
    "assistant_confidence_threshold": {"least": 0, "most": 1},
}
"""The limits of each number. None is allowed everywhere."""

_SWITCHES = ("do_sample", "use_cache", "renormalize_logits", "remove_invalid_values", "return_dict_in_generate")

_OF_THE_CALL = (
    *("logits_processor", "stopping_criteria", "prefix_allowed_tokens_fn", "synced_gpus", "assistant_model"),
    *("streamer", "negative_prompt_ids", "negative_prompt_attention_mask", "use_model_defaults"),
)

SAMPLING_SETTINGS = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "seed")
BEAM_SETTINGS = ("early_stopping", "length_penalty", "num_beam_groups", "diversity_penalty")


def problems_of(config: Any) -> list[str]:
    """What is wrong with a ``GenerationConfig``, a sentence each: values first, then values that exclude each other."""
    return list(_value_problems(config)) or list(_contradictions(config))


def idle_settings(config: Any) -> str | None:
    """One sentence that names all settings which do nothing beside the others, or None."""

    def changed(names: tuple[str, ...]) -> list[str]:
        values = {name: getattr(config, name) for name in names}
        return [f"{k} ({v!r})" for k, v in values.items() if v is not None and v != DEFAULTS[k]]

    contrastive = bool(config.penalty_alpha) and config.num_beams == 1
    groups: list[tuple[list[str], str]] = []
    if not config.do_sample:
        sampling = tuple(name for name in SAMPLING_SETTINGS if not (contrastive and name == "top_k"))
        groups.append((changed(sampling), "without do_sample=True"))
    if config.num_beams == 1 and config.constraints is None and config.force_words_ids is None:
        groups.append((changed(BEAM_SETTINGS), "with num_beams=1"))
    elif config.num_beam_groups == 1:
        groups.append((changed(("diversity_penalty",)), "with num_beam_groups=1"))
    if config.penalty_alpha and (config.do_sample or config.num_beams > 1):
        groups.append((changed(("penalty_alpha",)), "with sampling or beams"))
    if not config.return_dict_in_generate:
        flags = [f"{name} (True)" for name in EXTRA_OUTPUT_FLAGS if getattr(config, name)]
        groups.append((flags, "without return_dict_in_generate=True"))
    said = [f"{_listed(names)} {'do' if len(names) > 1 else 'does'} nothing {why}" for names, why in groups if names]
    return "; ".join(said) + "." if said else None


def _value_problems(config: Any) -> Iterator[str]:
    """Values that are impossible whatever the others are."""
    for name, limits in _NUMBERS.items():
        value = getattr(config, name)
        problem = None if value is None else number_problem(name, value, **limits)
        if problem:
            yield problem
    for name in _SWITCHES:
        value = getattr(config, name)
        if value is not None and not isinstance(value, bool):
            yield f"{name} is {value!r:.80}, expected True or False."
    yield from _temperature_problem(config)
    if not (isinstance(config.early_stopping, bool) or config.early_stopping == "never"):
        yield f"early_stopping is {config.early_stopping!r:.80}, expected True, False or 'never'."
    yield from _text_problems(config)
    yield from _id_problems(config)
    misplaced = [name for name in _OF_THE_CALL if name in vars(config)]
    if misplaced:
        yield f"{_listed(misplaced)}: pass to generate(), not to GenerationConfig."


def _temperature_problem(config: Any) -> Iterator[str]:
    if config.temperature is None or config.temperature == 0 and not config.do_sample:
        return  # greedy is what 0 means
    problem = number_problem("temperature", config.temperature, above=0, below=math.inf, advice=_GREEDY)
    if problem:
        yield problem


def _text_problems(config: Any) -> Iterator[str]:
    texts = [config.stop_strings] if isinstance(config.stop_strings, str) else config.stop_strings
    if texts is None:
        return
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(t, str) and t for t in texts):
        yield f"stop_strings is {config.stop_strings!r:.80}, expected a text or a list of texts, none of them empty."


def _id_problems(config: Any) -> Iterator[str]:
    """Token ids and seeds. Negative ids of special tokens are in published files, and say that there is none."""
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
        value = getattr(config, name)
        values = value.tolist() if hasattr(value, "tolist") else value
        values = values if isinstance(values, (list, tuple)) else [values]
        if value is not None and not all(isinstance(i, Integral) and not isinstance(i, bool) for i in values):
            yield f"{name} is {value!r:.80}, expected a token id, or a list of them."
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        value = getattr(config, name)
        problem = None if value is None else id_list_problem(name, value, empty=True)
        if problem:
            yield problem
    ends = config.forced_eos_token_id
    problem = None if ends is None or is_id(ends) else id_list_problem("forced_eos_token_id", ends)
    if problem:
        yield problem
    seeds = config.seed if isinstance(config.seed, (list, tuple)) else [config.seed]
    if config.seed is not None and not (seeds and all(is_id(seed) for seed in seeds)):
        yield f"seed is {config.seed!r:.80}, expected a whole number from 0, or a list with one for each prompt."


def unreachable_minimum(config: Any) -> str | None:
    """A sentence about a least length above the largest one: no end token then comes before the largest."""
    pairs = [("min_new_tokens", "max_new_tokens")]
    if config.max_new_tokens is None:
        pairs.append(("min_length", "max_length"))
    for lower, upper in pairs:
        least, most = getattr(config, lower), getattr(config, upper)
        if least is not None and most is not None and least > most:
            return f"{lower} ({least}) is above {upper} ({most}): texts will be cut at {most}. Raise {upper}."
    return None


def _contradictions(config: Any) -> Iterator[str]:
    """Values that exclude each other."""
    beams, returned = config.num_beams, config.num_return_sequences
    if beams == 1 and returned > 1 and not config.do_sample:
        yield f"num_return_sequences ({returned}) would be equal. Set do_sample=True, or num_beams={returned}."
    if returned > beams > 1:
        yield f"num_return_sequences ({returned}) is above num_beams ({beams})."
    constrained = config.constraints is not None or config.force_words_ids is not None
    if constrained and beams == 1:
        yield "constraints and force_words_ids need beam search: set num_beams above 1."
    if constrained and (config.do_sample or config.num_beam_groups > 1):
        yield "constraints and force_words_ids exclude do_sample=True and num_beam_groups above 1."
    yield from _group_problems(config)
    if config.penalty_alpha and beams == 1 and not config.do_sample and (config.top_k or 0) < 2:
        yield f"penalty_alpha ({config.penalty_alpha}) needs top_k of at least 2 to choose from, got {config.top_k}."


def _group_problems(config: Any) -> Iterator[str]:
    beams, groups = config.num_beams, config.num_beam_groups
    if groups == 1 or beams == 1:
        return
    if beams % groups:
        yield f"num_beams ({beams}) must be divisible by num_beam_groups ({groups})."
    if config.do_sample:
        yield f"num_beam_groups ({groups}) excludes do_sample=True."
    if not config.diversity_penalty:
        yield f"num_beam_groups ({groups}) needs diversity_penalty above 0.0: without it the groups are equal."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

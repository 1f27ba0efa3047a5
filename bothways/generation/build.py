"""From settings to the processors that they ask for, in the reference's order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from bothways.errors import InputError
from bothways.generation import lengths, repetition, warpers
from bothways.generation.arguments import merged
from bothways.generation.configuration import GenerationConfig
from bothways.generation.guidance import (
    HammingDiversityLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from bothways.generation.processor import LogitsProcessor, LogitsProcessorList
from bothways.generation.rows import Rows

Processor = Callable[..., Tensor]


def build_processors(
    config: GenerationConfig,
    *,
    input_ids_seq_length: int | None = None,
    encoder_input_ids: Tensor | Sequence[Tensor] | None = None,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Any] | None = None,
    logits_processor: Iterable[Processor] | None = None,
    device: Any = "cpu",
    unconditional: Callable[[Rows], Tensor] | None = None,
) -> LogitsProcessorList:
    """The processors for some settings.

    Args:
        config: the settings.
        input_ids_seq_length: tokens of every prompt. None takes what each row says of itself: the length of its prompt
            and its greatest length.
        encoder_input_ids: the inputs, int64 (B, S) or a list of inputs without padding: for a decoder the prompts.
        prefix_allowed_tokens_fn: which tokens may follow (``PrefixConstrainedLogitsProcessor``).
        logits_processor: processors of the caller. One of a class that the settings ask for too takes its place.
        device: where scores will be.
        unconditional: log-probabilities or logits (R, V) of rows without their prompts, for ``guidance_scale``.

    Raises:
        InputError: a setting that needs what is not there.
    """
    eos = None if config.eos_token_id is None else [i for i in _ids(config.eos_token_id) if i >= 0]
    processors = [
        *_from_tokens(config, encoder_input_ids, unconditional, eos),
        *_from_lengths(config, input_ids_seq_length, prefix_allowed_tokens_fn, eos, device),
    ]
    processors = merged(processors, list(logits_processor or ()))
    if config.do_sample:
        processors += _warpers(config, eos)
    if config.watermarking_config is not None:
        raise InputError("watermarking_config is set, but this library writes no watermarks. Set it to None.")
    if config.renormalize_logits:
        processors.append(warpers.LogitNormalization())
    return LogitsProcessorList(processors)


def _from_tokens(
    config: GenerationConfig,
    encoder_input_ids: Tensor | Sequence[Tensor] | None,
    unconditional: Callable[[Rows], Tensor] | None,
    eos: list[int] | None,
) -> Iterator[LogitsProcessor]:
    """Processors that look at the tokens before."""
    if config.guidance_scale is not None and config.guidance_scale != 1:
        yield UnbatchedClassifierFreeGuidanceLogitsProcessor(config.guidance_scale, None, scores_of_rows=unconditional)
    if config.sequence_bias is not None:
        yield repetition.SequenceBiasLogitsProcessor(config.sequence_bias)
    if config.diversity_penalty and config.num_beam_groups > 1:
        beams = (config.num_beams, config.num_beam_groups)
        yield HammingDiversityLogitsProcessor(config.diversity_penalty, *beams)
    if config.encoder_repetition_penalty not in (None, 1):
        inputs = _inputs("encoder_repetition_penalty", encoder_input_ids)
        yield repetition.EncoderRepetitionPenaltyLogitsProcessor(config.encoder_repetition_penalty, inputs)
    if config.repetition_penalty not in (None, 1):
        yield repetition.RepetitionPenaltyLogitsProcessor(config.repetition_penalty)
    if config.no_repeat_ngram_size:
        yield repetition.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size)
    if config.encoder_no_repeat_ngram_size:
        inputs = _inputs("encoder_no_repeat_ngram_size", encoder_input_ids)
        yield repetition.EncoderNoRepeatNGramLogitsProcessor(config.encoder_no_repeat_ngram_size, inputs)
    if config.bad_words_ids is not None:
        yield repetition.NoBadWordsLogitsProcessor(config.bad_words_ids, eos)


def _from_lengths(
    config: GenerationConfig,
    start: int | None,
    allowed: Callable[[int, Tensor], Any] | None,
    eos: list[int] | None,
    device: Any,
) -> Iterator[LogitsProcessor]:
    """Processors that look at how long rows are, and two that stand among them in the reference."""
    # Where rows have lengths of their own, min_new_tokens says what the reference writes into min_length.
    replaced = start is None and config.min_new_tokens is not None
    if config.min_length and eos and not replaced:
        yield lengths.MinLengthLogitsProcessor(config.min_length, eos, device)
    if config.min_new_tokens and eos:
        yield lengths.MinNewTokensLengthLogitsProcessor(start, config.min_new_tokens, eos, device)
    if allowed is not None:
        yield PrefixConstrainedLogitsProcessor(allowed, config.num_beams)
    if config.forced_bos_token_id is not None:
        yield lengths.ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id)
    if config.forced_eos_token_id is not None:
        end = None if start is None else config.max_length
        yield lengths.ForcedEOSTokenLogitsProcessor(end, config.forced_eos_token_id, device)
    if config.remove_invalid_values:
        yield warpers.InfNanRemoveLogitsProcessor()
    if config.exponential_decay_length_penalty is not None:
        if not eos:
            raise InputError("exponential_decay_length_penalty needs eos_token_id, the token whose score it raises.")
        yield lengths.ExponentialDecayLengthPenalty(config.exponential_decay_length_penalty, eos, start)
    if config.suppress_tokens is not None:
        yield lengths.SuppressTokensLogitsProcessor(config.suppress_tokens, device)
    if config.begin_suppress_tokens is not None:
        forced = config.forced_bos_token_id is not None
        first = start + 1 if start is not None and start <= 1 and forced else start
        yield lengths.SuppressTokensAtBeginLogitsProcessor(
            config.begin_suppress_tokens, first, device, after_forced_bos=forced
        )


def _warpers(config: GenerationConfig, eos: list[int] | None) -> Iterator[LogitsProcessor]:
    """What sampling adds. Beams need a token besides each end, so that something is left to go on with."""
    keep: dict[str, Any] = {"min_tokens_to_keep": max(len(eos or ()), 1) + 1 if config.num_beams > 1 else 1}
    if config.temperature not in (None, 1):
        yield warpers.TemperatureLogitsWarper(config.temperature)
    if config.top_k:
        yield warpers.TopKLogitsWarper(config.top_k, **keep)
    if config.top_p is not None and config.top_p < 1:
        yield warpers.TopPLogitsWarper(config.top_p, **keep)
    if config.min_p is not None:
        yield warpers.MinPLogitsWarper(config.min_p, **keep)
    if config.typical_p is not None and config.typical_p < 1:
        yield warpers.TypicalLogitsWarper(config.typical_p, **keep)
    if config.epsilon_cutoff:
        yield warpers.EpsilonLogitsWarper(config.epsilon_cutoff, **keep)
    if config.eta_cutoff:
        yield warpers.EtaLogitsWarper(config.eta_cutoff, **keep)


def _inputs(name: str, inputs: Tensor | Sequence[Tensor] | None) -> Tensor | Sequence[Tensor]:
    if inputs is None:
        raise InputError(f"{name} needs the ids of the inputs: pass input_ids.")
    return inputs


def _ids(value: Any) -> list[int]:
    listed = value.tolist() if hasattr(value, "tolist") else value
    return [int(i) for i in (listed if isinstance(listed, (list, tuple)) else [listed])]

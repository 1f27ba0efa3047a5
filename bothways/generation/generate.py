"""``generate``: what a caller passes becomes a ``Request``, which a strategy answers in the form that the caller wants.

Shapes: B prompts, W columns of them, R returned rows, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation import outputs
from bothways.generation.assisted import write_assisted
from bothways.generation.beams import search_beams
from bothways.generation.build import build_processors
from bothways.generation.call_settings import (
    check_names,
    criteria_of,
    least_new_tokens,
    new_tokens,
    settings_of_call,
    token_ids,
    warn_of_idle_settings,
)
from bothways.generation.configuration import GenerationConfig, GenerationMode
from bothways.generation.constrained import search_constrained
from bothways.generation.constraints import constraints_of
from bothways.generation.contrastive import search_contrastively
from bothways.generation.decoder import Decoder
from bothways.generation.group_beams import search_groups
from bothways.generation.guessers import guesser_for
from bothways.generation.inputs import CallInputs
from bothways.generation.loop import write_rows
from bothways.generation.processor import LogitsProcessorList
from bothways.generation.prompts import Prompts
from bothways.generation.request import Request, Result
from bothways.generation.stopping import StoppingCriteriaList
from bothways.generation.transition_scores import transition_scores
from bothways.generation.unconditional import Unconditional

ARGUMENTS = (
    *(
        "inputs",
        "generation_config",
        "logits_processor",
        "stopping_criteria",
        "prefix_allowed_tokens_fn",
        "synced_gpus",
    ),
    *("assistant_model", "streamer", "negative_prompt_ids", "negative_prompt_attention_mask", "use_model_defaults"),
)
"""What ``generate`` takes besides keyword arguments."""

BEAMS = (
    GenerationMode.BEAM_SEARCH,
    GenerationMode.BEAM_SAMPLE,
    GenerationMode.GROUP_BEAM_SEARCH,
    GenerationMode.CONSTRAINED_BEAM_SEARCH,
)


class GenerationMixin:
    """``generate`` for a model that has ``config``, ``device``, ``generation_config`` and ``start_decoding``."""

    config: Any
    device: Any
    generation_config: Any
    start_decoding: Callable[..., Decoder]

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Iterable[Callable[..., Tensor]] | None = None,
        stopping_criteria: Iterable[Callable[..., Any]] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], Any] | None = None,
        synced_gpus: bool | None = None,
        assistant_model: Any = None,
        streamer: Any = None,
        negative_prompt_ids: Tensor | None = None,
        negative_prompt_attention_mask: Tensor | None = None,
        use_model_defaults: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write on.

        Rows are computed without padding: a batch gives what its prompts give alone, whatever side is padded.

        Args:
            inputs: prompts, int64 (B, W); the encoder's input for encoder-decoder models. Also as ``input_ids``.
            generation_config: settings; what it leaves at the defaults is taken from the model's.
            logits_processor: further processors, applied after those that the settings ask for.
            stopping_criteria: further criteria.
            prefix_allowed_tokens_fn: gets the number of a prompt and the row so far; returns the ids that may follow.
            synced_gpus: accepted where False.
            assistant_model: a smaller model with the same vocabulary, which guesses tokens for this one to check.
            streamer: gets the prompts and then every token.
            negative_prompt_ids, negative_prompt_attention_mask: what ``guidance_scale`` leads away from, (B, N).
            use_model_defaults: False takes nothing but special tokens from the model beside ``generation_config``.
            kwargs: settings of ``GenerationConfig`` by name, which precede all others (``seed`` among them: a number,
                or one for each prompt); and ``attention_mask``, ``inputs_embeds``, ``encoder_outputs``,
                ``decoder_input_ids``, ``decoder_attention_mask``, ``tokenizer`` (for ``stop_strings``).

        Returns:
            int64 (R, S): the prompts in the caller's columns (for encoder-decoder models what the decoder began with)
            and the new tokens, padded at the right. With ``return_dict_in_generate`` an output of
            ``generation.outputs``.

        Raises:
            InputError: impossible settings or inputs.
            OutOfMemoryError: more rows than memory has room for.
        """
        config, rest = settings_of_call(self.generation_config, generation_config, kwargs, use_model_defaults)
        check_names(rest, ARGUMENTS)
        warn_of_idle_settings(config, generation_config, kwargs)
        mode = config.get_generation_mode(assistant_model)
        _check_call(config, mode, streamer, synced_gpus)
        call = CallInputs(self, config, inputs, rest)
        most = _set_lengths(config, kwargs, mode, call)
        call.check_memory(mode, most)
        negative = (negative_prompt_ids, negative_prompt_attention_mask)
        processors = build_processors(
            config,
            encoder_input_ids=call.sources,
            prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
            logits_processor=logits_processor,
            device=self.device,
            unconditional=Unconditional.of(call.decoder, config, mode, call.prompts, most, *negative),
        )
        criteria = criteria_of(config, stopping_criteria, rest.get("tokenizer"))
        request = _request(call, config, processors, criteria, most, streamer)
        if streamer is not None:
            streamer.put(call.prompts.given.cpu())
        result = _answer(request, mode, call, assistant_model)
        return _in_form_of_caller(result, request, call.prompts, mode, bool(self.config.is_encoder_decoder))

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """Scores of the tokens that were chosen, (R, steps); see ``generation.transition_scores``."""
        return transition_scores(sequences, scores, beam_indices, normalize_logits)


def who_can_generate(classes: Iterable[type]) -> list[str]:
    """The model types among some classes that can write, for the sentence that refuses the others."""
    found = [
        getattr(model_class, "config_class", None)
        for model_class in classes
        if issubclass(model_class, GenerationMixin)
    ]
    return sorted({config.model_type for config in found if config is not None})


def _check_call(config: GenerationConfig, mode: GenerationMode, streamer: Any, synced_gpus: bool | None) -> None:
    """Refuse what no strategy here does."""
    if config.output_attentions or config.output_hidden_states:
        raise InputError(
            "output_attentions and output_hidden_states are not kept while writing. Call the model on the result: "
            "model(output.sequences, output_hidden_states=True) gives those of every token."
        )
    if synced_gpus:
        raise InputError("synced_gpus=True: parameters that are divided among devices cannot write here.")
    if streamer is not None and mode in BEAMS:
        raise InputError("streamer: beams decide at the end what they have written. Set num_beams=1 to stream.")
    if mode is GenerationMode.ASSISTED_GENERATION and config.num_return_sequences > 1:
        raise InputError(
            f"num_return_sequences is {config.num_return_sequences}, expected 1 with an assistant or prompt lookup."
        )


def _set_lengths(config: GenerationConfig, named: Mapping[str, Any], mode: GenerationMode, call: CallInputs) -> int:
    """Say all lengths in new tokens, whatever the caller said them in. Returns how many a row may have."""
    width = call.prompts.given.shape[1]
    most = new_tokens(
        config,
        named,
        width=width,
        longest=max(len(row) for row in call.prompts.rows),
        limit=getattr(call.model, "longest_output", None),
        unread=0 if mode is GenerationMode.CONTRASTIVE_SEARCH else 1,
    )
    config.min_new_tokens = least_new_tokens(config, width=width)
    config.max_new_tokens, config.min_length = most, 0
    return most


def _request(
    call: CallInputs,
    config: GenerationConfig,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    most: int,
    streamer: Any,
) -> Request:
    asked = bool(config.return_dict_in_generate)
    return Request(
        start=lambda: call.decoder(most),
        prompts=call.prompts.rows,
        config=config,
        processors=processors,
        criteria=criteria,
        most=most,
        eos=token_ids(config.eos_token_id),
        pad=call.pad,
        seeds=call.seeds(),
        streamer=streamer,
        keep_scores=asked and bool(config.output_scores),
        keep_logits=asked and bool(config.output_logits),
    )


def _answer(request: Request, mode: GenerationMode, call: CallInputs, assistant: Any) -> Result:
    if mode is GenerationMode.CONSTRAINED_BEAM_SEARCH:
        return search_constrained(request, constraints_of(request.config))
    if mode is GenerationMode.GROUP_BEAM_SEARCH:
        return search_groups(request)
    if mode in BEAMS:
        return search_beams(request)
    if mode is GenerationMode.CONTRASTIVE_SEARCH:
        return search_contrastively(request)
    if mode is GenerationMode.ASSISTED_GENERATION:
        return write_assisted(request, guesser_for(request, call.model, assistant, call.sources, call.decoder))
    return write_rows(request)


def _in_form_of_caller(
    result: Result, request: Request, prompts: Prompts, mode: GenerationMode, encoder_decoder: bool
) -> Any:
    """Put the caller's columns before the new tokens, and all into an output if that was asked for."""
    copies = len(result.ids) // len(prompts.given)
    sequences = torch.cat([prompts.given.repeat_interleave(copies, dim=0), result.ids], dim=1)
    config = request.config
    if not config.return_dict_in_generate:
        return sequences
    if mode not in BEAMS:
        plain = outputs.GenerateEncoderDecoderOutput if encoder_decoder else outputs.GenerateDecoderOnlyOutput
        return plain(sequences=sequences, scores=result.scores, logits=result.logits)
    of_beams = outputs.GenerateBeamEncoderDecoderOutput if encoder_decoder else outputs.GenerateBeamDecoderOnlyOutput
    return of_beams(
        sequences=sequences,
        sequences_scores=result.sequences_scores if config.output_scores else None,
        scores=result.scores,
        logits=result.logits,
        beam_indices=result.beam_indices,
    )

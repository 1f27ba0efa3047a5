"""What every ``forward`` can be asked for, and what none of them takes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import InputError
from bothways.models.inputs import ModelInputs
from bothways.models.outputs import ModelOutput
from bothways.nn.stack import StackOutput


def wanted(config: PretrainedConfig, hidden: bool | None, weights: bool | None) -> tuple[bool, bool]:
    """``output_hidden_states`` and ``output_attentions`` of a call, else of the configuration."""
    return (
        config.output_hidden_states if hidden is None else hidden,
        config.output_attentions if weights is None else weights,
    )


def extras_of(inputs: ModelInputs, encoded: StackOutput) -> dict[str, tuple[Tensor, ...] | None]:
    """What was wanted besides the last hidden vectors, as rectangles."""
    hidden, weights = encoded.all_hidden, encoded.all_weights
    return {
        "hidden_states": None if hidden is None else tuple(inputs.unpack(h) for h in hidden),
        "attentions": None if weights is None else tuple(inputs.unpack_weights(w) for w in weights),
    }


def returned(output: ModelOutput, config: PretrainedConfig, return_dict: bool | None) -> Any:
    """An output, or its tuple."""
    return output if (config.use_return_dict if return_dict is None else return_dict) else output.to_tuple()


def refuse_head_mask(head_mask: Any) -> None:
    """Only all ones pass.

    Raises:
        InputError: says what to do in its place.
    """
    if head_mask is not None and not bool((torch.as_tensor(head_mask) == 1).all()):
        raise InputError("head_mask is not supported: pass None, and zero columns of attention.output.dense instead.")


def refuse_decoding(*arguments: Any) -> None:
    """Nothing but None passes.

    Raises:
        InputError: these are for decoders.
    """
    if any(argument is not None for argument in arguments):
        raise InputError(
            "encoder_hidden_states, encoder_attention_mask and past_key_values are for decoders, but this model reads "
            "in both directions: leave them out."
        )

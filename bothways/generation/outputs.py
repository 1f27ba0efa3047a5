"""What ``generate`` returns where ``return_dict_in_generate`` asks for more than the ids.

Shapes: R returned rows, S their length, N rows that were written side by side (prompts times beams or sequences), V
vocab_size.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bothways.model_output import ModelOutput

Steps = tuple[Tensor, ...]
"""One tensor a step, (N, V). Where a row had ended before, padding has the score 0 and every other token -inf."""


@dataclass(eq=False, repr=False)
class GenerateDecoderOnlyOutput(ModelOutput):
    """sequences int64 (R, S), prompts included; scores after the processors and logits before them, one a step."""

    sequences: Tensor
    scores: Steps | None = None
    logits: Steps | None = None


class GenerateEncoderDecoderOutput(GenerateDecoderOnlyOutput):
    """sequences int64 (R, S), which begin with the tokens that the decoder began with; scores; logits."""


@dataclass(eq=False, repr=False)
class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """What beams wrote.

    sequences int64 (R, S), prompts included; sequences_scores (R,), sums of log-probabilities over length to the power
    of ``length_penalty``; scores, log-probabilities after the processors, and logits, one a step; beam_indices (R, new
    tokens): which of the N rows each token continued, -1 after the end.
    """

    sequences: Tensor
    sequences_scores: Tensor | None = None
    scores: Steps | None = None
    logits: Steps | None = None
    beam_indices: Tensor | None = None


class GenerateBeamEncoderDecoderOutput(GenerateBeamDecoderOnlyOutput):
    """The same of an encoder-decoder model: sequences begin with the tokens that the decoder began with."""

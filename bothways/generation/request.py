"""One call of ``generate`` after all checks: what every strategy is given, and what it gives back.

Shapes: B prompts, R live rows, N rows written side by side, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.configuration import GenerationConfig
from bothways.generation.decoder import Decoder
from bothways.generation.processor import LogitsProcessorList
from bothways.generation.stopping import StoppingCriteriaList
from bothways.generation.written import Written


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to continue, how, and until when."""

    start: Callable[[], Decoder]
    """A decoder with a row for each prompt that has read nothing."""
    prompts: Sequence[Tensor]
    """B rows of ids, int64 (length,), without padding."""
    config: GenerationConfig
    processors: LogitsProcessorList
    criteria: StoppingCriteriaList
    """What ends a row besides ``eos`` and ``most``."""
    most: int
    """New tokens of a row, at most."""
    eos: Sequence[int]
    pad: int
    seeds: Sequence[int] | None = None
    """For each prompt the number that its draws follow from; None for torch's global state."""
    streamer: Any = None
    keep_scores: bool = False
    keep_logits: bool = False

    @property
    def device(self) -> torch.device:
        return self.prompts[0].device

    def read(self, decoder: Decoder, *, every: bool = False) -> Tensor:
        """Let the decoder read the prompts: fp32 (B, V), or with ``every`` a row for each of their tokens."""
        return decoder.advance(torch.cat(list(self.prompts)), [len(prompt) for prompt in self.prompts], every=every)

    def process(self, written: Written, scores: Tensor, **kwargs: Any) -> Tensor:
        """Scores (R, V) of the next tokens after all processors."""
        return self.processors.apply(written.rows(), scores, **kwargs) if self.processors else scores

    def ended(self, written: Written, tokens: Tensor, scores: Any) -> Tensor:
        """bool (R,): which rows end with the last of their tokens, int64 (R,), for another reason than their length.

        Args:
            written: the rows, ``tokens`` among them.
            scores: those of all steps so far, as criteria of the ecosystem get them, or None.
        """
        done = torch.zeros_like(tokens, dtype=torch.bool)
        for token in self.eos:
            done |= tokens == token
        if self.criteria:
            done |= self.criteria.apply(written.rows(), scores)
        return done


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a strategy wrote: rows of new tokens, padded at the right, and on request the scores behind them."""

    ids: Tensor
    """int64 (rows, new tokens)."""
    scores: tuple[Tensor, ...] | None = None
    logits: tuple[Tensor, ...] | None = None
    sequences_scores: Tensor | None = None
    beam_indices: Tensor | None = None


def check_scores(best: Tensor, rows: Sequence[int], step: int) -> None:
    """Refuse to choose among scores that are not numbers.

    Args:
        best: (R,), the largest score of each row; NaN where any of the row is.
        rows: the number of each row in the caller's batch.
        step: new tokens before this one.

    Raises:
        InputError: names the row and the step.
    """
    broken = best.isnan()
    if broken.any():
        row = rows[int(broken.nonzero()[0])]
        raise InputError(
            f"the scores of row {row} at step {step} have NaN among them. Check the weights and the dtype of the model "
            "(fp16 overflows where fp32 and bf16 do not), or pass remove_invalid_values=True to read NaN as 0."
        )

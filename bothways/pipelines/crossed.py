"""The options of tasks that put one text beside several others, and their way through the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.models.runner import PackedRunner
from bothways.pipelines.options import TextOptions
from bothways.tasks.crossed import CrossedText, crossed_logits, encode_crossed


@dataclass(frozen=True, kw_only=True)
class CrossedOptions(TextOptions):
    """Attributes:
    details: add ``n_tokens``, ``n_windows`` and ``truncated`` to every result.
    """

    details: bool = False

    def logits(
        self, runner: PackedRunner, tokenizer: Any, texts: Sequence[str], seconds: Any, first: int, what: str
    ) -> Iterator[tuple[CrossedText, np.ndarray]]:
        """Each text with its logits (windows, second texts, outputs); see ``tasks.crossed``."""
        how = self.encoding(tokenizer, runner.model.config)
        crossed = encode_crossed(tokenizer, texts, seconds, first=first, what=what, **how)
        return crossed_logits(crossed, runner.sequence_logits)

"""The options of tasks that put one text beside several others, and their way through the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.models.runner import PackedRunner
from bothways.pipelines.options import TextOptions
from bothways.tasks.crossed import CrossedText, crossed_logits, encode_crossed
from bothways.tasks.encoded import position_limit


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
        how = self.long_input or ("truncate" if self.truncates else "window")
        limits = [n for n in (self.max_length, position_limit(runner.model.config)) if n is not None]
        if how == "truncate" and self.max_length is None:
            limits.append(tokenizer.model_max_length)
        crossed = encode_crossed(
            tokenizer,
            texts,
            seconds,
            max_length=min(limits, default=None),
            long_input=how,
            window_overlap=self.window_overlap,
            add_special_tokens=self.add_special_tokens,
            first=first,
            what=what,
        )
        return crossed_logits(crossed, runner.sequence_logits)

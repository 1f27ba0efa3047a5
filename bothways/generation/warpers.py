"""Processors that shape the distribution, whatever the tokens before: temperature, and the ways to cut the tail.

Shapes: R rows, V vocab_size. All expect logits or log-probabilities, (R, V), and give ``filter_value`` to tokens that
are cut. At least ``min_tokens_to_keep`` tokens of each row are never cut.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bothways.generation.arguments import checked_number
from bothways.generation.processor import RowsProcessor
from bothways.generation.rows import Rows


class TemperatureLogitsWarper(RowsProcessor):
    """Divides logits: below 1 the likely becomes likelier, above 1 the unlikely does."""

    def __init__(self, temperature: float) -> None:
        advice = "For the likeliest token at every step set do_sample=False."
        self.temperature = float(checked_number("temperature", temperature, above=0, advice=advice))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return scores / self.temperature


class _TailCutter(RowsProcessor):
    """What all cutters have in common."""

    def __init__(self, filter_value: float, min_tokens_to_keep: int) -> None:
        self.filter_value = filter_value
        self.min_tokens_to_keep = int(checked_number("min_tokens_to_keep", min_tokens_to_keep, least=1, whole=True))

    def _cut(self, scores: Tensor, tail: Tensor) -> Tensor:
        return scores.masked_fill(tail, self.filter_value)

    def _below_the_kept(self, scores: Tensor) -> Tensor:
        """bool (R, V): scores less than the last of those that are kept in any case."""
        kept = min(self.min_tokens_to_keep, scores.shape[-1])
        return scores < torch.topk(scores, kept).values[..., -1:]


class TopKLogitsWarper(_TailCutter):
    """Keeps the ``top_k`` likeliest tokens, and those that are as likely as the last of them."""

    def __init__(self, top_k: int, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        advice = "In a GenerationConfig 0 keeps all tokens."
        checked_number("top_k", top_k, least=1, whole=True, advice=advice)
        self.top_k = max(int(top_k), self.min_tokens_to_keep)

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        kept = min(self.top_k, scores.shape[-1])
        return self._cut(scores, scores < torch.topk(scores, kept).values[..., -1:])


class TopPLogitsWarper(_TailCutter):
    """Keeps the fewest likeliest tokens whose probabilities add up to ``top_p`` or more.

    Source: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """

    def __init__(self, top_p: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.top_p = float(checked_number("top_p", top_p, least=0, most=1))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        probabilities = scores.softmax(dim=-1)
        # All tokens below this together have less than what is cut, so that only the others need sorting.
        surely_cut = (1 - self.top_p) / scores.shape[-1]
        likely = max(int((probabilities > surely_cut).sum(dim=-1).max()), self.min_tokens_to_keep)
        where = torch.topk(scores, min(likely, scores.shape[-1])).indices.flip(-1)  # the least likely first
        others = probabilities.scatter(-1, where, 0.0).sum(dim=-1, keepdim=True)
        tail = others + probabilities.gather(-1, where).cumsum(dim=-1) <= 1 - self.top_p
        tail[..., -self.min_tokens_to_keep :] = False
        return self._cut(scores, torch.ones_like(scores, dtype=torch.bool).scatter(-1, where, tail))


class MinPLogitsWarper(_TailCutter):
    """Keeps tokens with at least ``min_p`` times the probability of the likeliest.

    Source: Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling", section 3.
    """

    def __init__(self, min_p: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.min_p = float(checked_number("min_p", min_p, least=0, most=1))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        probabilities = scores.softmax(dim=-1)
        tail = probabilities < self.min_p * probabilities.amax(dim=-1, keepdim=True)
        kept = torch.topk(scores, min(self.min_tokens_to_keep, scores.shape[-1])).indices
        return self._cut(scores, tail.scatter(-1, kept, False))


class TypicalLogitsWarper(_TailCutter):
    """Keeps tokens whose information is nearest to the entropy, until their probabilities add up to ``mass``.

    Source: Meister et al. 2023, "Locally Typical Sampling", section 4.
    """

    def __init__(self, mass: float = 0.9, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.mass = float(checked_number("typical_p", mass, above=0, below=1))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        log_probabilities = scores.log_softmax(dim=-1)
        entropy = -(log_probabilities * log_probabilities.exp()).nansum(dim=-1, keepdim=True)  # 0 * -inf counts nothing
        distance, where = torch.sort((-log_probabilities - entropy).abs())
        mass = scores.gather(-1, where).softmax(dim=-1).cumsum(dim=-1)
        last = (mass < self.mass).sum(dim=-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        tail = distance > distance.gather(-1, last)
        tail[..., : self.min_tokens_to_keep] = False
        return self._cut(scores, tail.scatter(-1, where, tail))


class EpsilonLogitsWarper(_TailCutter):
    """Keeps tokens with a probability of at least ``epsilon``.

    Source: Hewitt et al. 2022, "Truncation Sampling as Language Model Desmoothing", section 4.
    """

    def __init__(self, epsilon: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.epsilon = float(checked_number("epsilon_cutoff", epsilon, above=0, below=1))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return self._cut(scores, (scores.softmax(dim=-1) < self.epsilon) & self._below_the_kept(scores))


class EtaLogitsWarper(_TailCutter):
    """Keeps tokens with a probability of at least eta = min(epsilon, sqrt(epsilon) * exp(-entropy)).

    ``device`` is accepted for compatibility: the cut is made where the scores are.

    Source: Hewitt et al. 2022, "Truncation Sampling as Language Model Desmoothing", section 4.
    """

    def __init__(
        self, epsilon: float, filter_value: float = -math.inf, min_tokens_to_keep: int = 1, device: Any = None
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        self.epsilon = float(checked_number("eta_cutoff", epsilon, above=0, below=1))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        probabilities = scores.softmax(dim=-1)
        logs = scores.log_softmax(dim=-1).clamp(min=torch.finfo(scores.dtype).min)  # 0 * -inf would be NaN
        entropy = -(logs * probabilities).sum(dim=-1, keepdim=True)
        eta = (math.sqrt(self.epsilon) * torch.exp(-entropy)).clamp(max=self.epsilon)
        return self._cut(scores, (probabilities < eta) & self._below_the_kept(scores))


class InfNanRemoveLogitsProcessor(RowsProcessor):
    """Replaces NaN by 0 and infinities by the largest and smallest numbers of the dtype."""

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return torch.nan_to_num(scores, nan=0.0)


class LogitNormalization(RowsProcessor):
    """Turns scores into log-probabilities again, after others have changed them."""

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        return scores.log_softmax(dim=-1)

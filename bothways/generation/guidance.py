"""Processors that ask something else than the row: a function of the caller, other beams, the model without the prompt.

Shapes: R rows, S tokens, V vocab_size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.arguments import checked_number
from bothways.generation.processor import RowsProcessor
from bothways.generation.rows import Rows


class PrefixConstrainedLogitsProcessor(RowsProcessor):
    """Only tokens that a function allows.

    Args:
        prefix_allowed_tokens_fn: gets the number of the prompt and the tokens of a row so far, int64 (S,), without
            padding; returns the ids that may follow.
        num_beams: rows that belong to each prompt, where the rows do not tell themselves.

    Source: De Cao et al. 2021, "Autoregressive Entity Retrieval", section 3.2.
    """

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, Tensor], Any], num_beams: int) -> None:
        self._prefix_allowed_tokens_fn = prefix_allowed_tokens_fn
        self._num_beams = int(checked_number("num_beams", num_beams, least=1, whole=True))

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        prompts = rows.prompt_of(max(len(scores) // self._num_beams, 1))
        mask = torch.full_like(scores, -math.inf)
        for index, prompt in enumerate(prompts):
            allowed = self._prefix_allowed_tokens_fn(prompt, rows.row(index))
            if len(allowed) == 0:
                raise InputError(
                    f"prefix_allowed_tokens_fn allows no token for prompt {prompt} after "
                    f"{rows.lengths[index]} tokens. Return at least one id, for example that of the end."
                )
            mask[index, allowed] = 0
        return scores + mask


class HammingDiversityLogitsProcessor(RowsProcessor):
    """Makes tokens less likely that the groups of beams before this one have chosen in the same step.

    Args:
        diversity_penalty: what is subtracted for each beam that chose the token.
        num_beams: beams of a prompt, all groups together.
        num_beam_groups: groups of beams.

    Source: Vijayakumar et al. 2018, "Diverse Beam Search", section 4.
    """

    def __init__(self, diversity_penalty: float, num_beams: int, num_beam_groups: int) -> None:
        self._diversity_penalty = float(checked_number("diversity_penalty", diversity_penalty, above=0))
        self._num_beams = int(checked_number("num_beams", num_beams, least=2, whole=True))
        groups = checked_number("num_beam_groups", num_beam_groups, least=2, most=num_beams, whole=True)
        self._num_sub_beams = self._num_beams // int(groups)

    def process(
        self, rows: Rows, scores: Tensor, current_tokens: Tensor | None = None, beam_group_idx: int | None = None
    ) -> Tensor:
        """New scores of the beams of one group, (R, V) with R = prompts * beams of a group.

        Args:
            rows: not read.
            scores: (R, V).
            current_tokens: int64 (prompts * num_beams,), what the groups before have chosen in this step.
            beam_group_idx: which group this is, from 0.
        """
        if current_tokens is None or beam_group_idx is None:
            raise InputError("HammingDiversityLogitsProcessor needs current_tokens and beam_group_idx of group beams.")
        before = beam_group_idx * self._num_sub_beams
        if before == 0:
            return scores
        chosen = current_tokens.view(-1, self._num_beams)[:, :before]
        counts = torch.zeros(len(chosen), scores.shape[-1], dtype=scores.dtype, device=scores.device)
        counts.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=scores.dtype))
        return scores - self._diversity_penalty * counts.repeat_interleave(len(scores) // len(chosen), dim=0)


class UnbatchedClassifierFreeGuidanceLogitsProcessor(RowsProcessor):
    """Moves scores away from those that the model gives without the prompt, or after a prompt to avoid.

    Log-probabilities s become ``u + guidance_scale * (s - u)``, u being those without the prompt.

    Args:
        guidance_scale: above 1 the prompt counts more.
        model: called as ``model(input_ids, attention_mask=, use_cache=, past_key_values=)``; its result has ``logits``
            and may have ``past_key_values``.
        unconditional_ids: what stands in place of the prompt, int64 (R, N); None is the last token of the prompt.
        unconditional_attention_mask: (R, N), where tokens of it are.
        use_cache: whether the model remembers what it has read.
        scores_of_rows: gives u itself for rows, (R, V), in place of ``model``: how ``generate`` does it.

    Source: Sanchez et al. 2023, "Stay on Topic with Classifier-Free Guidance", section 3.1.
    """

    def __init__(
        self,
        guidance_scale: float,
        model: Callable[..., Any] | None,
        unconditional_ids: Tensor | None = None,
        unconditional_attention_mask: Tensor | None = None,
        use_cache: bool = True,
        *,
        scores_of_rows: Callable[[Rows], Tensor] | None = None,
    ) -> None:
        self.guidance_scale = float(checked_number("guidance_scale", guidance_scale))
        if model is None and scores_of_rows is None:
            raise InputError("guidance_scale needs a model, or a function scores_of_rows, to ask without the prompt.")
        self.model, self.use_cache = model, use_cache
        self._scores_of_rows = scores_of_rows
        self._ids, self._mask = unconditional_ids, unconditional_attention_mask
        self._past: Any = None
        self._begun = False

    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        scores = scores.log_softmax(dim=-1)
        if self.guidance_scale == 1:
            return scores
        ask = self._ask_model if self._scores_of_rows is None else self._scores_of_rows
        without = ask(rows).log_softmax(dim=-1)
        return without + self.guidance_scale * (scores - without)

    def _ask_model(self, rows: Rows) -> Tensor:
        """The model's logits after what stands in place of the prompt and all tokens written since, (R, V)."""
        last = rows.ids[:, -1:]
        ids = last if self._ids is None else self._ids
        mask = torch.ones_like(ids) if self._mask is None else self._mask
        if self._begun:
            mask = torch.cat([mask, torch.ones_like(last)], dim=1)
            ids = last if self.use_cache else torch.cat([ids, last], dim=1)
        self._ids, self._mask, self._begun = ids, mask, True
        assert self.model is not None
        answer = self.model(ids, attention_mask=mask, use_cache=self.use_cache, past_key_values=self._past)
        self._past = answer.get("past_key_values", None) if hasattr(answer, "get") else None
        return answer.logits[:, -1]

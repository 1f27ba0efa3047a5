"""The scores that a model gives without the prompt, or after another one: what ``guidance_scale`` leads away from.

Shapes: B prompts, R rows, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.configuration import GenerationConfig, GenerationMode
from bothways.generation.decoder import Decoder
from bothways.generation.prompts import Prompts, prompts_of
from bothways.generation.rows import Rows


class Unconditional:
    """Follows the rows that are written with rows of its own, which begin otherwise and go on alike.

    Called with the rows at every step; rows may be dropped, reordered and repeated between two calls.

    Source: Sanchez et al. 2023, Stay on Topic with Classifier-Free Guidance.
    """

    def __init__(self, start: Callable[[], Decoder], prompts: Sequence[Tensor]) -> None:
        """``prompts``: B rows of ids, what stands in place of each prompt."""
        self.start, self.prompts = start, prompts
        self.decoder: Decoder | None = None
        self.scores: Tensor | None = None
        self.places: dict[tuple[int, ...], int] = {}

    @classmethod
    def of(
        cls,
        decoder: Callable[..., Decoder],
        config: GenerationConfig,
        mode: GenerationMode,
        prompts: Prompts,
        most: int,
        negative: Tensor | None,
        mask: Tensor | None,
    ) -> Unconditional | None:
        """What the settings ask for; None without ``guidance_scale``.

        Args:
            decoder: makes decoders. most: new tokens of a row.
            negative: int64 (B, N) or None, which stands for the last token of each prompt.
            mask: (B, N), where tokens of ``negative`` are.

        Raises:
            InputError: another number of negative prompts, or a strategy that does not go with guidance.
        """
        if config.guidance_scale in (None, 1):
            return None
        if mode in (GenerationMode.GROUP_BEAM_SEARCH, GenerationMode.ASSISTED_GENERATION):
            raise InputError(f"guidance_scale ({config.guidance_scale}) cannot be used with {mode.value} here.")
        rows: Sequence[Tensor] = [row[-1:] for row in prompts.rows]
        if negative is not None:
            rows = prompts_of(negative.to(prompts.given.device), mask, start=None, name="negative_prompt_ids").rows
            rows = rows * len(prompts.rows) if len(rows) == 1 else rows
        if len(rows) != len(prompts.rows):
            raise InputError(f"negative_prompt_ids has {len(rows)} rows for {len(prompts.rows)} prompts.")
        longest = max(len(row) for row in rows)
        return cls(lambda: decoder(most, longest=longest), rows)

    def __call__(self, rows: Rows) -> Tensor:
        """Logits of the next tokens, (R, V)."""
        written = _written(rows)
        if self.decoder is None:
            self.decoder = self.start()
            self.scores = self.decoder.advance(torch.cat(list(self.prompts)), [len(row) for row in self.prompts])
            assert rows.prompts is not None
            parents = list(rows.prompts)
        else:
            parents = [self.places[row[:-1]] for row in written]
        if parents != list(range(len(self.decoder.lengths))):
            chosen = torch.tensor(parents, device=rows.ids.device)
            self.decoder.select(chosen)
            assert self.scores is not None
            self.scores = self.scores[chosen]
        if len(written[0]) > 1:
            self.scores = self.decoder.advance(rows.ids[:, -1].contiguous(), [1] * len(written))
        self.places = {row: place for place, row in enumerate(written)}
        assert self.scores is not None
        return self.scores


def _written(rows: Rows) -> list[tuple[int, ...]]:
    """For each row its prompt and its new tokens: by these it is found again."""
    assert rows.prompts is not None and rows.prompt_lengths is not None
    new = rows.lengths[0] - rows.prompt_lengths[0]
    tails = rows.ids[:, rows.ids.shape[1] - new :].tolist()
    return [(prompt, *tail) for prompt, tail in zip(rows.prompts, tails, strict=True)]

"""Collators that hide words for a model to find again: masked language modelling, by tokens or by whole words.

Shapes: B examples, S columns of the padded rectangle.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from bothways.errors import InputError, UsageError
from bothways.trainer.collators import check_kind, padded

logger = logging.getLogger(__name__)

IGNORED = -100


@dataclass
class DataCollatorForLanguageModeling:
    """Fills up examples, chooses tokens at random, and asks for them in ``labels``.

    Of the chosen tokens a share becomes the mask token, a share a random token, and the rest stays. Special tokens
    and padding are never chosen. Source: Devlin et al. 2019, section 3.1.

    Attributes:
        tokenizer: whose ``pad`` and special tokens are used.
        mlm: False hides nothing; the labels are then the ids, with -100 for padding.
        whole_word_mask: choose whole words; examples need ``offset_mapping``. All of them become the mask token.
        mlm_probability: share of tokens, or of words, that is chosen.
        mask_replace_prob, random_replace_prob: shares of the chosen tokens.
        pad_to_multiple_of: round the length up.
        tf_experimental_compile: not supported.
        return_tensors: ``"pt"`` or ``"np"``.
        seed: of a generator of its own, which goes on from batch to batch. With None torch's own one is used, which
            ``Trainer`` seeds for every batch: only then a resumed run sees the same masks.
    """

    tokenizer: Any
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float | None = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    tf_experimental_compile: bool = False
    return_tensors: str = "pt"
    seed: int | None = None

    padding: ClassVar[bool] = True
    max_length: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        self._check()
        if self.whole_word_mask and self.mask_replace_prob < 1:
            logger.warning("With whole_word_mask=True every chosen token becomes the mask token.")
            self.mask_replace_prob, self.random_replace_prob = 1.0, 0.0
        self.generator: torch.Generator | None = None

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        """(B, S) by name, with int64 ``labels``: -100 where nothing is asked.

        Args:
            features: mappings with ``input_ids``, or lists of ids.
        """
        kind = check_kind(return_tensors or self.return_tensors)
        batch = self.torch_call(list(features))
        return batch if kind == "pt" else {name: value.numpy() for name, value in batch.items()}

    def torch_call(self, examples: list[Any]) -> Any:
        """A ``BatchEncoding`` of tensors."""
        self._begin()
        rows = [row if isinstance(row, Mapping) else {"input_ids": row} for row in examples]
        offsets = [row["offset_mapping"] for row in rows] if all("offset_mapping" in row for row in rows) else None
        batch = padded(self, [{n: v for n, v in row.items() if n != "offset_mapping"} for row in rows], "pt")
        special = batch.pop("special_tokens_mask", None)
        if self.mlm:
            mapping = None if offsets is None else self._filled(offsets, batch["input_ids"].shape[1])
            batch["input_ids"], batch["labels"] = self.torch_mask_tokens(batch["input_ids"], special, mapping)
        else:
            ids = batch["input_ids"]
            batch["labels"] = ids.clone()
            if self.tokenizer.pad_token_id is not None:
                batch["labels"] = ids.masked_fill(ids == self.tokenizer.pad_token_id, IGNORED)
        return batch

    def torch_mask_tokens(
        self, inputs: Tensor, special_tokens_mask: Any = None, offset_mapping: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Choose tokens and hide them.

        Args:
            inputs: int64 (B, S).
            special_tokens_mask: (B, S), not 0 for tokens that are never chosen; by default the special ones.
            offset_mapping: (B, S, 2), for whole words.

        Returns:
            inputs with hidden tokens, and labels; int64 (B, S) each.
        """
        special = self._special(inputs) if special_tokens_mask is None else torch.as_tensor(special_tokens_mask).bool()
        if not self.whole_word_mask:
            return self._hidden(inputs, self._drawn(inputs.shape, self.mlm_probability or 0.0, ~special))
        if offset_mapping is None:
            raise InputError(
                "whole_word_mask=True needs offset_mapping in every example: pass return_offsets_mapping=True when "
                "tokenising, and remove_unused_columns=False to TrainingArguments."
            )
        begins, word = _words(offset_mapping, special)
        drawn = self._drawn(inputs.shape, self.mlm_probability or 0.0, begins)
        # the first token of a word decides for all of it; words are numbered from 1, and 0 is no word
        chosen = torch.zeros(inputs.shape[0], int(word.max()) + 1, dtype=torch.bool).scatter(1, word * drawn, drawn)
        chosen[:, 0] = False
        return self._hidden(inputs, chosen.gather(1, word))

    def _hidden(self, inputs: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Replace chosen tokens, and ask for them; the draws come in the reference's order."""
        labels = inputs.masked_fill(~chosen, IGNORED)
        everywhere = torch.ones_like(chosen)
        masked = self._drawn(inputs.shape, self.mask_replace_prob, everywhere) & chosen
        inputs = inputs.masked_fill(masked, self.tokenizer.mask_token_id)
        if self.mask_replace_prob == 1 or self.random_replace_prob == 0:
            return inputs, labels
        share = self.random_replace_prob / (1 - self.mask_replace_prob)
        random = self._drawn(inputs.shape, share, everywhere) & chosen & ~masked
        words = torch.randint(len(self.tokenizer), inputs.shape, generator=self.generator)
        return torch.where(random, words, inputs), labels

    def _drawn(self, shape: Sequence[int], share: float, where: Tensor) -> Tensor:
        return torch.bernoulli(torch.full(shape, float(share)) * where, generator=self.generator).bool()

    def _special(self, inputs: Tensor) -> Tensor:
        rows = [self.tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True) for ids in inputs.tolist()]
        return torch.tensor(rows, dtype=torch.bool).view(inputs.shape)

    def _filled(self, offsets: Sequence[Any], width: int) -> Tensor:
        """Offsets (B, S, 2), zeros where rows are filled up."""
        filled = torch.zeros(len(offsets), width, 2, dtype=torch.int64)
        for row, own in zip(filled, offsets, strict=True):
            place = slice(0, len(own)) if self.tokenizer.padding_side == "right" else slice(width - len(own), width)
            row[place] = torch.as_tensor(own, dtype=torch.int64).view(-1, 2)
        return filled

    def _begin(self) -> None:
        """Make the generator at the first batch."""
        self.generator = self.generator or own_generator(self.seed)

    def _check(self) -> None:
        if self.tf_experimental_compile:
            raise UsageError("tf_experimental_compile=True is not supported: there is no TensorFlow here.")
        for name in ("mlm_probability", "mask_replace_prob", "random_replace_prob"):
            value = getattr(self, name)
            if (value is not None or (self.mlm and name == "mlm_probability")) and not 0 <= (value or 0) <= 1:
                raise InputError(f"{name} is {value}; it must be from 0 to 1.")
        if self.mlm and self.mlm_probability is None:
            raise InputError("mlm_probability is None; with mlm=True it must be from 0 to 1.")
        both = self.mask_replace_prob + self.random_replace_prob
        if both > 1:
            raise InputError(
                f"mask_replace_prob ({self.mask_replace_prob:g}) and random_replace_prob "
                f"({self.random_replace_prob:g}) add up to {both:g}; together they may be 1 at most."
            )
        if self.mlm and self.tokenizer.mask_token is None:
            raise InputError(
                "this tokeniser has no mask token, and mlm=True needs one. Pass mlm=False, or another one."
            )
        if self.whole_word_mask and not self.mlm:
            raise InputError("whole_word_mask=True needs mlm=True.")


@dataclass
class DataCollatorForWholeWordMask(DataCollatorForLanguageModeling):
    """Chooses whole words, shuffled, until the share of tokens is reached; a word that would go beyond is left out.

    Which tokens belong together is read from the tokens: BERT's ``##``, or the beginnings ``▁`` and ``Ġ`` of others.
    Unlike the reference's, batches keep ``attention_mask`` and ``token_type_ids``. ``chinese_ref`` of an example lists
    tokens that go on with the word before. Attributes: those of ``DataCollatorForLanguageModeling``.
    """

    def torch_call(self, examples: list[Any]) -> Any:
        self._begin()
        rows = [dict(row) if isinstance(row, Mapping) else {"input_ids": row} for row in examples]
        joined = [set(map(int, row.pop("chinese_ref", ()))) for row in rows]
        kept = [{n: v for n, v in row.items() if n not in ("offset_mapping", "special_tokens_mask")} for row in rows]
        batch = padded(self, kept, "pt")
        chosen = torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
        for marks, row, more in zip(chosen, rows, joined, strict=True):
            found = torch.tensor(self._chosen(list(map(int, row["input_ids"])), more), dtype=torch.bool)
            place = slice(0, len(found)) if self.tokenizer.padding_side == "right" else slice(-len(found), None)
            marks[place] = found
        batch["input_ids"], batch["labels"] = self._hidden(
            batch["input_ids"], chosen & ~self._special(batch["input_ids"])
        )
        return batch

    def _chosen(self, ids: list[int], joined: set[int], most: int = 512) -> list[bool]:
        """Which of the tokens of a row are chosen."""
        special = self.tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
        words = _groups(self.tokenizer.convert_ids_to_tokens(ids), special, joined)
        budget = min(most, max(1, round(len(ids) * (self.mlm_probability or 0.0))))
        chosen = [False] * len(ids)
        for i in torch.randperm(len(words), generator=self.generator).tolist():
            if sum(chosen) + len(words[i]) <= budget:
                for place in words[i]:
                    chosen[place] = True
        return chosen


def own_generator(seed: int | None) -> torch.Generator | None:
    """The generator of a collator with a seed, another one in each worker process; None stands for torch's own."""
    if seed is None:
        return None
    worker = torch.utils.data.get_worker_info()
    return torch.Generator().manual_seed(seed + (worker.id if worker else 0))


def _words(offsets: Tensor, special: Tensor) -> tuple[Tensor, Tensor]:
    """Where words begin, bool (B, S), and the number of the word of each token from 1, 0 for special tokens."""
    before_end = offsets[:, :, 1].roll(1, dims=1)
    before_special = special.roll(1, dims=1)
    before_end[:, 0], before_special[:, 0] = -1, False
    begins = ~special & ((offsets[:, :, 0] != before_end) | before_special)
    return begins, begins.cumsum(dim=1).masked_fill(special, 0)


def _groups(tokens: Sequence[str], special: Sequence[int], joined: set[int]) -> list[list[int]]:
    """The places of each word's tokens."""
    marks_beginnings = any(token.startswith(("▁", "Ġ")) for token in tokens)
    words: list[list[int]] = []
    for place, token in enumerate(tokens):
        if special[place]:
            continue
        goes_on = not token.startswith(("▁", "Ġ")) if marks_beginnings else token.startswith("##")
        if words and (goes_on or place in joined) and words[-1][-1] == place - 1:
            words[-1].append(place)
        else:
            words.append([place])
    return words


__all__ = ["DataCollatorForLanguageModeling", "DataCollatorForWholeWordMask"]

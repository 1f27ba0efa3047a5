"""Collators of other objectives than hidden words alone: the order of sentences, XLNet's permutations, T5's spans.

Shapes: B examples, S columns of the padded rectangle, R columns of the labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bothways.errors import InputError
from bothways.objectives import corrupt_spans
from bothways.trainer.collators import check_kind, padded
from bothways.trainer.masking import IGNORED, DataCollatorForLanguageModeling, own_generator


@dataclass
class DataCollatorForSOP(DataCollatorForLanguageModeling):
    """Hides words of pairs of passages whose order is asked for too; examples have ``sentence_order_label``.

    Such examples come from ``LineByLineWithSOPTextDataset``. In the reference this class does not start. Where its
    ``attention_mask`` would cover the hidden words and show the padding, this one is 1 for tokens and 0 for padding.
    Source: Lan et al. 2020, section 3.1. Attributes: those of ``DataCollatorForLanguageModeling``.
    """

    def torch_call(self, examples: list[Any]) -> Any:
        """A ``BatchEncoding`` with int64 ``labels`` (B, S) and ``sentence_order_label`` (B,)."""
        for index, row in enumerate(examples):
            if not isinstance(row, Mapping) or "sentence_order_label" not in row:
                raise InputError(
                    f"example {index} has no sentence_order_label: 0 for passages in their order, 1 for swapped ones."
                )
        rows = [{name: value for name, value in row.items() if name != "sentence_order_label"} for row in examples]
        batch = super().torch_call(rows)
        batch["sentence_order_label"] = torch.tensor([int(row["sentence_order_label"]) for row in examples])
        return batch


@dataclass
class DataCollatorForPermutationLanguageModeling:
    """Hides spans, and says which tokens see which: each hidden one is asked for in a random order of all tokens.

    One span lies at random in each stretch of ``length / plm_probability`` tokens. Both halves of a row have the same
    order, so that a model may remember the first (``mems``); rows must have an even length therefore. Draws come from
    torch's own generator. Source: Yang et al. 2019, section 2; the reference's collator.

    Attributes:
        tokenizer: its mask, padding and special tokens are used.
        plm_probability: share of tokens that is hidden.
        max_span_length: spans have 1 to this many tokens.
        return_tensors: ``"pt"`` or ``"np"``.
    """

    tokenizer: Any
    plm_probability: float = 1 / 6
    max_span_length: int = 5
    return_tensors: str = "pt"

    padding: ClassVar[bool] = True
    max_length: ClassVar[int | None] = None
    pad_to_multiple_of: ClassVar[int | None] = None

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Any]:
        """``input_ids`` and ``labels`` int64 (B, S), ``perm_mask`` and ``target_mapping`` float32 (B, S, S).

        ``perm_mask`` is 1 where the first token must not see the second.
        """
        kind = check_kind(return_tensors or self.return_tensors)
        batch = self.torch_call(list(features))
        return batch if kind == "pt" else {name: value.numpy() for name, value in batch.items()}

    def torch_call(self, examples: list[Any]) -> dict[str, Tensor]:
        """Tensors by name."""
        rows = [{"input_ids": row["input_ids"] if isinstance(row, Mapping) else row} for row in examples]
        hidden = self.torch_mask_tokens(padded(self, rows, "pt")["input_ids"])
        return dict(zip(("input_ids", "perm_mask", "target_mapping", "labels"), hidden, strict=True))

    def torch_mask_tokens(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs with hidden tokens, ``perm_mask``, ``target_mapping`` and labels, from int64 (B, S)."""
        self._check(inputs)
        n_rows, width = inputs.shape
        marks = [
            self.tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True) for ids in inputs.tolist()
        ]
        special = torch.tensor(marks, dtype=torch.bool).view(inputs.shape)
        if self.tokenizer.pad_token_id is not None:
            special |= inputs == self.tokenizer.pad_token_id
        hidden = torch.stack([self._spans(width) for _ in range(n_rows)]) & ~special
        perm_mask = torch.stack([_unseen(hides, own) for hides, own in zip(hidden, special, strict=True)])
        mapping = torch.eye(width).expand(n_rows, width, width).clone()
        labels = inputs.masked_fill(~hidden, IGNORED)
        return inputs.masked_fill(hidden, self.tokenizer.mask_token_id), perm_mask, mapping, labels

    def _spans(self, width: int) -> Tensor:
        """bool (S,), True in one span of each stretch; the draws come in the reference's order."""
        hidden = torch.zeros(width, dtype=torch.bool)
        done = 0
        while done < width:
            length = int(torch.randint(1, self.max_span_length + 1, (1,)))
            stretch = int(length / self.plm_probability)
            start = done + int(torch.randint(stretch - length + 1, (1,)))
            hidden[start : start + length] = True
            done += stretch
        return hidden

    def _check(self, inputs: Tensor) -> None:
        if self.tokenizer.mask_token_id is None:
            raise InputError("this tokeniser has no mask token, and permutation language modelling needs one.")
        if not 0 < self.plm_probability <= 1:
            raise InputError(f"plm_probability is {self.plm_probability:g}; it must be above 0, and 1 at most.")
        if self.max_span_length < 1:
            raise InputError(f"max_span_length is {self.max_span_length}; it must be at least 1.")
        if inputs.shape[1] % 2:
            raise InputError(
                f"the rows have {inputs.shape[1]} tokens, an odd number; this collator divides rows into halves. Cut "
                "them or fill them up to an even length when tokenising."
            )


@dataclass
class DataCollatorForSpanCorruption:
    """Takes spans out of texts, as T5 was trained: what is left is the source, the spans are the labels.

    What the ecosystem's examples call ``FlaxDataCollatorForT5MLM``, for texts of any lengths. A row's last end-of-text
    token is taken off first; sources and labels get one of their own.

    Attributes:
        tokenizer: has ``<extra_id_0>``, ``<extra_id_1>`` and so on, each with the id before that of the last.
        noise_density: share of the tokens that is taken out.
        mean_noise_span_length: in tokens.
        pad_to_multiple_of: round the length of the sources up.
        label_pad_token_id: fills up labels.
        return_tensors: ``"pt"`` or ``"np"``.
        seed: as for ``DataCollatorForLanguageModeling``.
    """

    tokenizer: Any
    noise_density: float = 0.15
    mean_noise_span_length: float = 3.0
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"
    seed: int | None = None

    padding: ClassVar[bool] = True
    max_length: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        self.first_sentinel_id, self.n_sentinels = _sentinels(self.tokenizer)
        if self.tokenizer.eos_token_id is None:
            raise InputError(
                "this tokeniser has no end-of-text token (eos_token), and sources and targets end with it."
            )
        self.generator: torch.Generator | None = None

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> Any:
        """``input_ids`` and ``attention_mask`` (B, S), ``labels`` (B, R); int64.

        Args:
            features: mappings with ``input_ids``, whose other columns are dropped, or lists of ids.
        """
        kind = check_kind(return_tensors or self.return_tensors)
        batch = self.torch_call(list(features))
        return batch if kind == "pt" else {name: value.numpy() for name, value in batch.items()}

    def torch_call(self, examples: list[Any]) -> Any:
        """A ``BatchEncoding`` of tensors."""
        self.generator = self.generator or own_generator(self.seed)
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
        pairs = [self._corrupted(row["input_ids"] if isinstance(row, Mapping) else row, rng) for row in examples]
        batch = padded(self, [{"input_ids": source.tolist()} for source, _ in pairs], "pt")
        targets = [torch.from_numpy(target) for _, target in pairs]
        side = self.tokenizer.padding_side
        batch["labels"] = pad_sequence(targets, True, self.label_pad_token_id, padding_side=side)
        return batch

    def _corrupted(self, ids: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        eos = self.tokenizer.eos_token_id
        row = np.asarray(ids, dtype=np.int64)
        return corrupt_spans(
            row[:-1] if len(row) and row[-1] == eos else row,
            first_sentinel_id=self.first_sentinel_id,
            eos_token_id=eos,
            rng=rng,
            noise_density=self.noise_density,
            mean_span=self.mean_noise_span_length,
            n_sentinels=self.n_sentinels,
        )


def _unseen(hidden: Tensor, special: Tensor) -> Tensor:
    """float32 (S, S), 1 where the first token must not see the second, from bool (S,).

    Hidden tokens are seen by those that come later in the order; all others are seen by everyone.
    """
    half = len(hidden) // 2
    order = torch.arange(2 * half).reshape(2, half)[:, torch.randperm(half)].flatten()
    order = order.masked_fill(~hidden & ~special, -1)
    return ((order[:, None] <= order[None, :]) & hidden).float()


def _sentinels(tokenizer: Any) -> tuple[int, int]:
    """The id of ``<extra_id_0>``, and how many follow it downwards, itself included."""
    vocabulary = tokenizer.get_vocab()
    first = vocabulary.get("<extra_id_0>")
    if first is None:
        raise InputError(
            "this tokeniser has no <extra_id_0>, and span corruption needs sentinels. Use a T5 tokeniser, or add them: "
            "tokenizer.add_special_tokens({'additional_special_tokens': ['<extra_id_1>', '<extra_id_0>']})."
        )
    count = 1
    while vocabulary.get(f"<extra_id_{count}>") == first - count:
        count += 1
    if f"<extra_id_{count}>" in vocabulary:
        raise InputError(
            f"<extra_id_{count}> has id {vocabulary[f'<extra_id_{count}>']}, expected {first - count}: the ids of "
            f"sentinels fall by 1, from {first} of <extra_id_0>."
        )
    return first, count


__all__ = ["DataCollatorForPermutationLanguageModeling", "DataCollatorForSOP", "DataCollatorForSpanCorruption"]

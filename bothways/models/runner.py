"""The engine of all prediction: encoded sequences in, numbers out, without padding and without needless work.

Sequences are sorted by length and run in batches of a number of tokens, the largest batch first; equal sequences are
computed once; results come in the order asked. Pipelines, ``bothways predict`` and the evaluation during training all
go through it.

Shapes: n sequences, C labels, N hidden_size, V vocab_size, T tokens of a batch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.batching import PackedBatch, SeqLens, batches_by_tokens, collate
from bothways.errors import CheckpointError, InputError
from bothways.models.base import PreTrainedModel
from bothways.models.inputs import ModelInputs
from bothways.models.loading import parse_dtype
from bothways.models.rows import first_rows
from bothways.models.task_models import TaskModel
from bothways.nn.block import Rows
from bothways.nn.linear import has_fast_bfloat16
from bothways.tasks.encoded import position_limit

logger = logging.getLogger("bothways")

Ids = Sequence[Sequence[int]]

MAX_TOKENS = {("cpu", torch.float32): 2048, ("cpu", torch.bfloat16): 4096}
MAX_TOKENS_ELSEWHERE = 65536
"""Tokens of a batch by kind of device and dtype.

CPU: measured with 6 layers of 384 in fp32 on one AVX2 core, processor time for 3,449 tokens of short texts: 0.86 s with
1,024 or 2,048 tokens, 0.96 s with 4,096; for 6,802 tokens of mixed texts 1.87, 1.86 and 1.91 s. Matrix units
for bfloat16 want larger batches, and half the bytes leave room for them. CUDA: not measured yet.
"""

POOLINGS = ("mean", "cls", "max")
"""Ways from the vectors of a sequence's tokens to one."""


class PackedRunner:
    """Runs a model over lists of encoded sequences.

    Args:
        model: it is put into evaluation mode and prepared for inference at the first use, and again after it trained,
            loaded weights or moved to another device.
        max_tokens: most tokens of a batch; by default chosen for the device.
        dtype: in which the blocks compute; by default that of the parameters. fp32 agrees with the reference to 1e-5.

    A runner may be shared by threads; it leaves the number of torch's threads alone.
    """

    def __init__(
        self, model: PreTrainedModel, *, max_tokens: int | None = None, dtype: torch.dtype | str | None = None
    ) -> None:
        if max_tokens is not None and max_tokens < 1:
            raise InputError(f"max_tokens is {max_tokens}; a batch needs at least 1 token.")
        self.model = model
        self.max_tokens = max_tokens
        self.dtype = None if dtype is None else parse_dtype(dtype)
        if self.dtype in (torch.bfloat16, torch.float16) and model.device.type == "cpu" and not has_fast_bfloat16():
            logger.warning("this CPU has no unit for %s: it computes slower than float32 here.", self.dtype)
        self.computed_sequences = 0
        self._prepared_on: torch.device | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Copies and other processes get a lock of their own."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def sequence_logits(self, input_ids: Ids, token_type_ids: Ids | None = None) -> np.ndarray:
        """One row for each sequence, from a head that reads the first token: float32 (n, C).

        Raises:
            InputError: the model has no such head, a sequence is empty or too long, or ids outside the vocabulary.
        """
        model = self._with_head("a sequence")
        rows = _Distinct(input_ids, token_type_ids)
        outputs, order = [], []
        for members, inputs in self._batches(rows):
            outputs.append(model.compute_logits(inputs)[0])
            order.extend(members)
        if not outputs:
            return np.zeros((0, model.config.num_labels), dtype=np.float32)
        joined = _to_numpy(torch.cat(outputs))
        wrong = int((~np.isfinite(joined)).any(axis=1).sum())
        if wrong:
            raise CheckpointError(
                f"the model gives no numbers (NaN or infinite) for {wrong} of {len(joined)} sequences: its weights are "
                f"damaged, or too large for {self.dtype or model.dtype}."
            )
        logits = np.empty_like(joined)
        logits[order] = joined
        return logits[rows.source]

    def token_logits(self, input_ids: Ids, token_type_ids: Ids | None = None) -> list[np.ndarray]:
        """The logits of every token, from a head that reads them: for each sequence float32 (length, C)."""
        model = self._with_head("tokens")
        return self._tokens(input_ids, token_type_ids, lambda inputs: model.compute_logits(inputs)[0])

    def hidden(self, input_ids: Ids, token_type_ids: Ids | None = None) -> list[np.ndarray]:
        """The body's last hidden vectors, whatever head the model has: for each sequence float32 (length, N)."""
        body: Any = self.model.base_model
        return self._tokens(input_ids, token_type_ids, lambda inputs: body.run_body(inputs).hidden)

    def pooled(self, input_ids: Ids, token_type_ids: Ids | None = None, *, pooling: str = "mean") -> np.ndarray:
        """One vector for each sequence, float32 (n, N): mean, first or largest of its tokens' last hidden vectors."""
        body: Any = self.model.base_model
        sequences = _Distinct(input_ids, token_type_ids)
        vectors = np.empty((len(sequences.ids), self.model.config.hidden_size), dtype=np.float32)
        for members, inputs in self._batches(sequences):
            seqlens = inputs.batch.seqlens
            if pooling == "cls":
                pooled = body.run_body(inputs, rows=first_rows(seqlens)).hidden
            else:
                lengths = torch.tensor(seqlens.lengths, device=self.model.device)
                pooled = torch.segment_reduce(body.run_body(inputs).hidden.float(), pooling, lengths=lengths)
            vectors[members] = _to_numpy(pooled)
        return vectors[sequences.source]

    def masked_logits(
        self,
        input_ids: Ids,
        positions: Ids,
        token_type_ids: Ids | None = None,
        *,
        then: Callable[[np.ndarray], Any] | None = None,
    ) -> list[Any]:
        """Logits at chosen tokens only; the last layer and the vocabulary are computed for no others.

        Args:
            positions: for each sequence the places of the tokens, rising; may be empty.
            then: applied to the logits of each sequence, float32 (chosen, V), as soon as there are any. With a large
                vocabulary the logits of all sequences at once may not fit into memory.

        Returns:
            For each sequence the logits or what ``then`` makes of them. Equal sequences share one object.
        """
        model = self._with_head("tokens")
        rows = _Distinct(input_ids, token_type_ids, positions)
        found: list[Any] = [None] * len(rows.ids)
        for members, inputs in self._batches(rows):
            chosen = [rows.positions[i] for i in members]
            starts = np.cumsum([0, *(len(rows.ids[i]) for i in members[:-1])])
            index = np.concatenate([start + places for start, places in zip(starts, chosen, strict=True)])
            counts = SeqLens.from_lengths([len(places) for places in chosen], self.model.device)
            asked = Rows(torch.from_numpy(index).to(self.model.device), counts)
            logits = _to_numpy(model.compute_logits(inputs, rows=asked)[0])
            for i, own in zip(members, np.split(logits, np.cumsum(counts.lengths)[:-1]), strict=True):
                found[i] = own if then is None else then(own)
        return [found[i] for i in rows.source.tolist()]

    def _tokens(
        self, input_ids: Ids, token_type_ids: Ids | None, compute: Callable[[ModelInputs], Tensor]
    ) -> list[np.ndarray]:
        rows = _Distinct(input_ids, token_type_ids)
        found: list[Any] = [None] * len(rows.ids)
        for members, inputs in self._batches(rows):
            packed = _to_numpy(compute(inputs))
            for i, own in zip(members, np.split(packed, np.cumsum(inputs.batch.seqlens.lengths)[:-1]), strict=True):
                found[i] = own
        return [found[i] for i in rows.source.tolist()]

    def _batches(self, rows: _Distinct) -> Iterator[tuple[list[int], ModelInputs]]:
        """Batches on the model's device, without gradients while the caller works on each."""
        self._prepare()
        device = self.model.device
        lengths = [len(ids) for ids in rows.ids]
        most = self.max_tokens or most_tokens(device, self.dtype or self.model.dtype)
        # no_grad and not inference_mode: attention caches tensors of its plans, and those made in inference mode
        # could not be saved for a backward pass when training meets the same lengths
        with torch.no_grad():
            for members in _largest_first(batches_by_tokens(lengths, most), lengths):
                types = None if rows.types is None else [rows.types[i] for i in members]
                batch = collate([rows.ids[i] for i in members], types)
                if device.type != "cpu":
                    check_ids(batch, self.model.config)
                    batch = batch.to(device)
                self.computed_sequences += len(members)
                yield members, self.model.packed(batch)

    def _prepare(self) -> None:
        with self._lock:
            encoder: Any = self.model.base_model.encoder
            ready = self._prepared_on == self.model.device and encoder.is_prepared
            if not ready or self.model.training:
                self.model.prepare_for_inference(self.dtype)
                self._prepared_on = self.model.device

    def _with_head(self, reads: str) -> Any:
        wanted = ("tokens",) if reads == "tokens" else ("pooled", "first", "last", "eos", "mean")
        if not isinstance(self.model, TaskModel) or self.model.head.reads not in wanted:
            raise InputError(f"{type(self.model).__name__} has no head that reads {reads}.")
        return self.model


def most_tokens(device: torch.device, dtype: torch.dtype) -> int:
    """Tokens of a batch that suit a device."""
    if device.type != "cpu":
        return MAX_TOKENS_ELSEWHERE
    return MAX_TOKENS.get(("cpu", dtype), MAX_TOKENS["cpu", torch.float32])


def check_ids(batch: PackedBatch, config: Any) -> None:
    """What the embeddings check on a CPU; on a GPU a wrong id would end the process instead of the call.

    Raises:
        InputError: a sequence is too long, or ids are outside the vocabulary.
    """
    most = position_limit(config)
    if most is not None and batch.seqlens.max_seqlen > most:
        raise InputError(
            f"a sequence has {batch.seqlens.max_seqlen} tokens but the model has {most} positions. "
            "Shorten it, or split the text into windows."
        )
    low, high = int(batch.input_ids.min()), int(batch.input_ids.max())
    if low < 0 or high >= config.vocab_size:
        raise InputError(
            f"input_ids from {low} to {high} do not fit the vocabulary of {config.vocab_size}. "
            "Does the tokeniser belong to this model?"
        )


def _largest_first(batches: Iterable[list[int]], lengths: Sequence[int]) -> list[list[int]]:
    """The batches in falling order of their tokens, so that each fits into the memory that the one before it gave back.

    Hardly two batches have the same number of tokens. In another order glibc's heap gets ever new holes that are a
    little too small for the next batch: it hands out aligned blocks with slivers around them, which its caches of small
    blocks keep, so that holes side by side do not join (with ``glibc.malloc.tcache_count=0`` they do, in any order).
    Measured with 5,553 questions, one layer of 384, peak above the loaded model: 340 MB, in order of length 700 MB.
    """
    return sorted(batches, key=lambda members: -sum(lengths[i] for i in members))


@dataclass(init=False)
class _Distinct:
    """The different ones among n sequences.

    Attributes:
        ids, types, positions: of each different sequence, int64.
        source: int64 (n,), for each sequence asked the one that stands for it.
    """

    ids: list[Any]
    types: list[Any] | None
    positions: list[np.ndarray]
    source: np.ndarray

    def __init__(self, input_ids: Ids, token_type_ids: Ids | None, positions: Ids | None = None) -> None:
        number_of: dict[tuple[bytes, ...], int] = {}
        columns = [column for column in (input_ids, token_type_ids, positions) if column is not None]
        distinct: list[list[np.ndarray]] = []
        source = []
        for i, row in enumerate(zip(*columns, strict=True)):
            arrays = [np.asarray(values, dtype=np.int64) for values in row]
            if not len(arrays[0]):
                raise InputError(f"sequence {i} has no tokens.")
            key = tuple(array.tobytes() for array in arrays)
            number = number_of.setdefault(key, len(distinct))
            if number == len(distinct):
                distinct.append(arrays)
            source.append(number)
        self.ids = [arrays[0] for arrays in distinct]
        self.types = None if token_type_ids is None else [arrays[1] for arrays in distinct]
        self.positions = [] if positions is None else [arrays[-1] for arrays in distinct]
        self.source = np.array(source, dtype=np.int64)


def _to_numpy(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()

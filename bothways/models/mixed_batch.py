"""One batch for several tasks: the shared encoder runs once over rows of all of them, LoRA on the slices of each.

Rows are put in the order of their tasks, so that a task's tokens lie side by side:

    tokens    | task 0 ......... | task 1 .... | task 2 ............. |
    W x       one product over all of them
    B A x     one for each slice, added in its place
    segments  one table, in which each task that trained its own has its own rows

Shapes: T tokens, R rows that heads read, N hidden_size.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bothways.batching import PackedBatch, SeqLens, batches_by_tokens, collate
from bothways.errors import InputError
from bothways.models import loading
from bothways.models.adapters import SEGMENTS
from bothways.models.runner import check_ids, most_tokens
from bothways.models.shared_encoder import SharedEncoder
from bothways.models.task_models import EncoderModel, TaskModel
from bothways.nn.block import Rows
from bothways.nn.linear import Prepared
from bothways.nn.lora import LowRank, lora_layers

OWN_SEGMENTS = f"embeddings.{SEGMENTS}.weight"
Slices = tuple[tuple[int, int, int], ...]
"""(task, first, end) of the slices of a batch, by rows."""


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """One encoded sequence and the task to answer it with.

    Attributes:
        task: name of the model in ``MixedRunner``.
        token_type_ids: as many as ids; None is all zeros.
        positions: of the tokens to answer, rising; None is all. For a head that reads tokens only.
    """

    task: str
    input_ids: Sequence[int]
    token_type_ids: Sequence[int] | None = None
    positions: Sequence[int] | None = None


class MixedRunner:
    """Runs rows of several tasks together, each with what its own model gives to 1e-5 (fp32).

    Args:
        models: by names of your choice, all from ``shared_model`` on one encoder, device and dtype.
        dtype: in which the blocks compute; by default that of the parameters.
        max_tokens: most tokens of a batch; by default chosen for the device.

    A runner may be shared by threads.

    Raises:
        InputError: a model that shares no encoder, or not this one.
    """

    def __init__(
        self,
        models: Mapping[str, TaskModel],
        *,
        dtype: torch.dtype | str | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.models = dict(models)
        self.encoder = _common_encoder(self.models)
        self.dtype = self.encoder.dtype if dtype is None else loading.parse_dtype(dtype)
        self.max_tokens = max_tokens or most_tokens(self.encoder.device, self.dtype)
        self._names = list(self.models)
        self._slices = _Slices()
        self._lock = threading.Lock()
        self._versions: Any = None
        self._body, own = _body(self.models, self.encoder)
        self._segments = [model.base_model.get_parameter(OWN_SEGMENTS) for model in self.models.values()] if own else []

    def logits(self, rows: Sequence[TaskRow]) -> list[np.ndarray]:
        """What the head of each row's task gives, in the order of the rows.

        Returns:
            float32: (C,) from a head that reads a sequence, (length, C) from one that reads tokens; of ``positions``
            those alone.

        Raises:
            InputError: an unknown task, an empty row, positions that cannot be, or a model that was changed since.
        """
        for number, row in enumerate(rows):
            self._check(row, number)
        self._prepare()
        found: list[Any] = [None] * len(rows)
        with torch.no_grad():
            for members in batches_by_tokens([len(row.input_ids) for row in rows], self.max_tokens):
                ordered = sorted(members, key=lambda i: (self._names.index(rows[i].task), i))
                for i, answer in zip(ordered, self._run([rows[i] for i in ordered]), strict=True):
                    found[i] = answer.float().cpu().numpy()
        return found

    def _run(self, rows: list[TaskRow]) -> list[Tensor]:
        """One batch, its rows in the order of the tasks."""
        types = None
        if any(row.token_type_ids is not None for row in rows):
            types = [row.token_type_ids or [0] * len(row.input_ids) for row in rows]
        batch = collate([row.input_ids for row in rows], types)
        check_ids(batch, self._body.config)
        tasks = [self._names.index(row.task) for row in rows]
        lengths = [len(row.input_ids) for row in rows]
        batch = self._with_own_segments(batch, tasks, lengths)
        inputs = self._body.packed(batch.to(self.encoder.device))
        places = [self._places(row) for row in rows]
        counts = [len(own) for own in places]
        read = None
        if counts != lengths:
            starts = accumulate(lengths, initial=0)
            index = torch.tensor([start + p for start, own in zip(starts, places, strict=False) for p in own])
            read = Rows(index.to(self.encoder.device), SeqLens.from_lengths(counts, self.encoder.device))
        self._slices.of = {sum(lengths): _slices(tasks, lengths), sum(counts): _slices(tasks, counts)}
        hidden = self._body.run_body(inputs, rows=read).hidden  # (R, N)
        answers: list[Tensor] = []
        for task, first, end in _slices(tasks, counts):
            model = self.models[self._names[task]]
            own = [count for count, its in zip(counts, tasks, strict=True) if its == task]
            features = hidden[first:end]
            if model.head.reads == "pooled":
                features = model.base_model.pooler(features)
            logits = model.head.logits(model, features)
            answers += list(logits.split(own)) if model.head.reads == "tokens" else list(logits)
        return answers

    def _with_own_segments(self, batch: PackedBatch, tasks: Sequence[int], lengths: Sequence[int]) -> PackedBatch:
        """The batch with each task's segments counted from its first row in the table of all tasks."""
        if not self._segments:
            return batch
        starts = torch.tensor([0, *(len(table) for table in self._segments)]).cumsum(0)
        first = starts[tasks].repeat_interleave(torch.tensor(lengths))  # (T,)
        return replace(batch, token_type_ids=first if batch.token_type_ids is None else first + batch.token_type_ids)

    def _places(self, row: TaskRow) -> Sequence[int]:
        """The tokens that the head of a row reads."""
        if self.models[row.task].head.reads != "tokens":
            return (0,)
        return range(len(row.input_ids)) if row.positions is None else row.positions

    def _check(self, row: TaskRow, number: int) -> None:
        if row.task not in self.models:
            raise InputError(f"row {number} asks for {row.task!r:.60}; there are {', '.join(self.models)}.")
        length = len(row.input_ids)
        if not length:
            raise InputError(f"row {number} has no tokens.")
        if row.token_type_ids is not None and len(row.token_type_ids) != length:
            raise InputError(f"row {number} has {length} tokens and {len(row.token_type_ids)} token types.")
        known = max(getattr(self.models[row.task].config, "type_vocab_size", 0), 1)  # some families know none
        if row.token_type_ids is not None and not 0 <= min(row.token_type_ids) <= max(row.token_type_ids) < known:
            found = f"{min(row.token_type_ids)} to {max(row.token_type_ids)}"
            raise InputError(f"row {number} has token types from {found}; the model knows 0 to {known - 1}.")
        if row.positions is None:
            return
        if self.models[row.task].head.reads != "tokens":
            raise InputError(f"row {number} has positions, but the head of {row.task} reads the whole sequence.")
        places = [-1, *row.positions, length]
        if any(a >= b for a, b in pairwise(places)):
            shown = f"{list(row.positions)!r:.60}"
            raise InputError(f"row {number} has the positions {shown}; they have to rise, from 0 to {length - 1}.")

    def _prepare(self) -> None:
        """Take the form for inference, again after LoRA or the shared weights changed."""
        with self._lock:
            strays = [name for name, model in self.models.items() if model.shared_encoder is not self.encoder]
            if strays:
                raise InputError(f"{', '.join(strays)}: the encoder is no longer shared, after training or moving it.")
            own = [p for m in self.models.values() for _, layer in lora_layers(m) for p in (layer.lora_A, layer.lora_B)]
            versions = [(p.data_ptr(), p._version) for p in (*own, *self._segments)]
            stack = self._body.encoder
            if versions != self._versions or not stack.is_prepared:
                if self._segments:
                    table = torch.cat([table.detach() for table in self._segments])
                    self._body.embeddings.token_type_embeddings = nn.Embedding.from_pretrained(table)
                paths = {module: path for path, module in stack.named_modules()}
                stack.prepare(self.dtype, make=lambda layers, *how, **more: self._product(layers, paths, *how, **more))
                self._versions = versions

    def _product(
        self, layers: Sequence[nn.Module], paths: Mapping[nn.Module, str], dtype: torch.dtype, *, blocks: bool
    ) -> Prepared:
        stacks = [model.base_model.encoder for model in self.models.values()]
        own: list[list[Any]] = [[stack.get_submodule(paths[layer]) for layer in layers] for stack in stacks]
        shared = self.encoder.product(own[0], dtype, blocks=blocks)
        assert shared is not None  # ``_body`` has made sure
        low = tuple(LowRank.of(of_task, dtype) for of_task in own)
        return shared if not any(low) else _PreparedMixed(shared, low, self._slices)


class _Slices(threading.local):
    """Of the batch that this thread computes, by the number of rows of a tensor: all T tokens, or the R that are read.

    Where both numbers are the same every token is read, and so are the slices.
    """

    of: dict[int, Slices]


class _PreparedMixed:
    """A shared product, and beside it the LoRA of each task on the task's rows."""

    def __init__(self, shared: Prepared, low: tuple[LowRank | None, ...], slices: _Slices) -> None:
        self.shared, self.low, self.slices = shared, low, slices

    def __call__(self, x: Tensor) -> Tensor:
        out = self.shared(x)
        for task, first, end in self.slices.of[len(x)]:
            low = self.low[task]
            if low is not None:
                low.add_to(out[first:end], x[first:end])
        return out


def _slices(tasks: Sequence[int], counts: Sequence[int]) -> Slices:
    """Where the rows of each task lie. Example: tasks (0, 0, 2), counts (3, 1, 2) give (0, 0, 4), (2, 4, 6)."""
    found = []
    first = 0
    for task, run in groupby(zip(tasks, counts, strict=True), key=itemgetter(0)):
        end = first + sum(count for _, count in run)
        found.append((task, first, end))
        first = end
    return tuple(found)


def _common_encoder(models: Mapping[str, TaskModel]) -> SharedEncoder:
    if not models:
        raise InputError("no models: pass {'sentiment': shared_model('minilm-l6-sentiment'), …}.")
    encoders = {id(model.shared_encoder): model.shared_encoder for model in models.values()}
    (encoder, *others) = encoders.values()
    if encoder is None or others:
        lone = [name for name, model in models.items() if model.shared_encoder is None]
        what = f"{', '.join(lone)} share none" if lone else f"they have {len(encoders)}"
        raise InputError(f"models of one batch share one encoder, but {what}. Load all with shared_model().")
    return encoder


def _body(models: Mapping[str, TaskModel], encoder: SharedEncoder) -> tuple[EncoderModel, bool]:
    """Embeddings and blocks without LoRA, on the shared weights; and whether a model tells segments in its own way.

    Raises:
        InputError: a model that has weights of its own there, settings of its own, or no head.
    """
    first = next(iter(models.values()))
    for name, model in models.items():
        if not isinstance(model, TaskModel) or model.head.reads not in ("pooled", "first", "tokens"):
            raise InputError(f"{name} is a {type(model).__name__}, whose head cannot run in a mixed batch.")
    with torch.device("meta"):
        body = first.base_class(first.config, add_pooling_layer=False, nested=True)
    encoder.fill(body)
    own_segments = False
    for name, model in models.items():
        own = dict(model.base_model.named_parameters())
        changed = [path for path, p in body.named_parameters() if own[path].data_ptr() != p.data_ptr()]
        if OWN_SEGMENTS in changed:
            own_segments = True
            changed.remove(OWN_SEGMENTS)
        specs = [[block.spec for block in layer] for layer in model.base_model.encoder.sequence()]
        if changed or specs != [[block.spec for block in layer] for layer in body.encoder.sequence()]:
            what = changed[0] if changed else "settings"
            raise InputError(f"{name} has {what} of its own in the encoder: it cannot run in a mixed batch.")
    return body.eval(), own_segments

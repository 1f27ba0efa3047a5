"""Predictions of many batches as one array, on disk where memory would grow with the data set.

Shapes: n rows, S the longest row of all batches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

PADDING = -100
IN_MEMORY = 64 * 2**20
"""Bytes of one array that are kept in memory; more goes to a temporary file."""

Tree = Any
"""An array, or tuples, lists and dictionaries of arrays."""


class Gathered:
    """Collects the batches of one thing (logits, labels), each a tree of arrays.

    Rows of different lengths are padded with -100 on the right, as the ecosystem does.

    Args:
        in_memory: bytes beyond which arrays are kept in a temporary file.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.in_memory = in_memory
        self.columns: list[_Column] | None = None
        self.shape: Tree = None

    def add(self, tree: Tree) -> None:
        """The next batch."""
        leaves: list[np.ndarray] = []
        shape = _flatten(tree, leaves)
        if self.columns is None:
            self.columns, self.shape = [_Column(self.in_memory) for _ in leaves], shape
        for column, leaf in zip(self.columns, leaves, strict=True):
            column.add(leaf)

    def result(self) -> Tree:
        """All batches joined, in the form of one; None if nothing was added."""
        if self.columns is None:
            return None
        return _rebuild(self.shape, iter([column.joined() for column in self.columns]))

    def batches(self) -> list[Tree]:
        """The batches as they were added."""
        if self.columns is None:
            return []
        parts = zip(*(column.parts() for column in self.columns), strict=True)
        return [_rebuild(self.shape, iter(leaves)) for leaves in parts]


class _Column:
    """One array of every batch."""

    def __init__(self, in_memory: int) -> None:
        self.in_memory = in_memory
        self.kept: list[np.ndarray] = []
        self.held = 0
        self.shapes: list[tuple[int, ...]] = []
        self.dtype: np.dtype[Any] | None = None
        self.file: Any = None

    def add(self, array: np.ndarray) -> None:
        array = np.atleast_1d(array)
        self.dtype = array.dtype if self.dtype is None else np.promote_types(self.dtype, array.dtype)
        self.shapes.append(array.shape)
        self.kept.append(array)
        self.held += array.nbytes
        if self.held > self.in_memory:
            self._spill()

    def parts(self) -> list[np.ndarray]:
        return list(self._parts())

    def joined(self) -> np.ndarray:
        """(n, S, ...), rows in order."""
        assert self.dtype is not None
        rows = sum(shape[0] for shape in self.shapes)
        inner = [shape[1:] for shape in self.shapes]
        if len({len(shape) for shape in inner}) != 1:
            raise ValueError(f"batches have arrays of {sorted({len(s) + 1 for s in inner})} dimensions: not one array.")
        widest = tuple(max(sizes) for sizes in zip(*inner, strict=True))
        total = rows * int(np.prod(widest, dtype=np.int64)) * self.dtype.itemsize
        out: np.ndarray
        if total > self.in_memory:
            # the file has no name: the system takes it back when the array is no longer used
            out = np.memmap(tempfile.TemporaryFile(), dtype=self.dtype, mode="w+", shape=(rows, *widest))  # noqa: SIM115
        else:
            out = np.empty((rows, *widest), dtype=self.dtype)
        start = 0
        for part in self._parts():
            place = out[start : start + part.shape[0]]
            if part.shape[1:] != widest:
                place[...] = PADDING
            place[tuple(slice(0, size) for size in part.shape)] = part
            start += part.shape[0]
        return out

    def _spill(self) -> None:
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this object
        for array in self.kept:
            np.save(self.file, array, allow_pickle=False)
        self.kept, self.held = [], 0

    def _parts(self) -> Any:
        if self.file is not None:
            self.file.flush()
            self.file.seek(0)
            for _ in range(len(self.shapes) - len(self.kept)):
                yield np.load(self.file, allow_pickle=False)
        yield from self.kept


def to_numpy(tree: Tree) -> Tree:
    """Tensors to arrays; bfloat16, which NumPy lacks, to float32."""
    return _map(tree, _array)


def detached(tree: Tree) -> Tree:
    """Tensors without their history."""
    return _map(tree, lambda leaf: leaf.detach() if isinstance(leaf, Tensor) else leaf)


def _array(leaf: Any) -> np.ndarray:
    if isinstance(leaf, Tensor):
        leaf = leaf.detach().cpu()
        return leaf.float().numpy() if str(leaf.dtype) == "torch.bfloat16" else leaf.numpy()
    return np.asarray(leaf)


def _map(tree: Tree, change: Callable[[Any], Any]) -> Tree:
    if tree is None:
        return None
    if isinstance(tree, (list, tuple)):
        return type(tree)(_map(part, change) for part in tree if part is not None)
    if isinstance(tree, Mapping):
        return {name: _map(part, change) for name, part in tree.items() if part is not None}
    return change(tree)


def _flatten(tree: Tree, leaves: list[np.ndarray]) -> Tree:
    """The form of a tree with None for its arrays, which are added to ``leaves``."""
    if isinstance(tree, (list, tuple)):
        return tuple(_flatten(part, leaves) for part in tree)
    if isinstance(tree, Mapping):
        return {name: _flatten(part, leaves) for name, part in tree.items()}
    leaves.append(_array(tree))
    return None


def _rebuild(shape: Tree, leaves: Any) -> Tree:
    if isinstance(shape, tuple):
        return tuple(_rebuild(part, leaves) for part in shape)
    if isinstance(shape, dict):
        return {name: _rebuild(part, leaves) for name, part in shape.items()}
    return next(leaves)


__all__ = ["Gathered", "detached", "to_numpy"]

"""From parts to shards: duplicates are found, and what is kept is written in its order.

Memory: some 400 bytes a document, and one part at a time.

Shapes: D documents of all parts together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bothways.corpus.duplicates import exact_duplicates, near_duplicates
from bothways.corpus.manifest import DOCUMENTS, SENTENCES, SHARD_NAME, TOKENIZER, ShardFile
from bothways.corpus.minhash import BINS
from bothways.corpus.parts import read_part
from bothways.directories import publishing
from bothways.files import replacing
from bothways.progress import progress_bar
from bothways.tokenizers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What is known of all documents before they are written.

    Attributes:
        lengths, sentence_counts: of each document, int64 (D,).
        exact, near: which documents are duplicates, bool (D,).
        part_starts: number of the first document of each part, and D.
        counts: see ``Part``; summed.
    """

    lengths: NDArray[np.int64]
    sentence_counts: NDArray[np.int64]
    exact: NDArray[np.bool_]
    near: NDArray[np.bool_]
    part_starts: list[int]
    counts: NDArray[np.int64]

    @property
    def kept(self) -> NDArray[np.bool_]:
        return ~(self.exact | self.near)


@dataclass(frozen=True, kw_only=True)
class Written:
    """The files, and the hash of all tokens."""

    files: tuple[ShardFile, ...]
    tokens_sha256: str


def survey(parts: Sequence[Path], *, keep_duplicates: bool) -> Overview:
    """Look through all parts, and find the duplicates unless they are kept."""
    names = ("lengths", "sentence_counts", "counts", *(() if keep_duplicates else ("digests", "keys")))
    with progress_bar("Comparing documents", len(parts), "parts") as advance:
        found = []
        for path in parts:
            found.append(read_part(path, *names))
            advance()
    lengths, sentences = (np.concatenate([part[name] for part in found]) for name in names[:2])
    part_starts = np.cumsum([0, *(len(part["lengths"]) for part in found)]).tolist()
    exact = near = np.zeros(len(lengths), dtype=bool)
    if not keep_duplicates:
        exact = exact_duplicates(np.concatenate([part["digests"] for part in found]))
        keys = np.concatenate([part["keys"] for part in found])
        near = near_duplicates(keys, ~exact, lambda which: _signatures(parts, part_starts, which))
    return Overview(
        lengths=lengths,
        sentence_counts=sentences,
        exact=exact,
        near=near,
        part_starts=part_starts,
        counts=np.sum([part["counts"] for part in found], axis=0),
    )


def write_shards(
    directory: Path,
    parts: Sequence[Path],
    overview: Overview,
    dtype: str,
    shard_tokens: int,
    tokenizer: PreTrainedTokenizerBase,
) -> Written:
    """Write tokens, documents, sentences and the tokeniser, each whole or not at all.

    A document never crosses a shard; one with more than ``shard_tokens`` tokens has a shard of its own.
    """
    kept = overview.kept
    starts = np.concatenate([[0], np.cumsum(overview.lengths[kept])])
    stops = _shard_stops(starts, shard_tokens)
    everything = hashlib.sha256()
    files = []
    with progress_bar("Writing shards", int(starts[-1]), "tokens") as advance:
        stream = _Stream(_kept_tokens(parts, overview))
        for number, (start, stop) in enumerate(zip([0, *stops], stops, strict=False)):
            own = hashlib.sha256()
            path = directory / SHARD_NAME.format(number)
            with replacing(path) as temporary, temporary.open("wb") as out:
                for tokens in stream.take(stop - start):
                    data = tokens.astype(np.dtype(dtype).newbyteorder("<"), copy=False).tobytes()
                    for digest in (own, everything):
                        digest.update(data)
                    out.write(data)
                    advance(len(tokens))
            size = (stop - start) * np.dtype(dtype).itemsize
            files.append(ShardFile(name=path.name, n_bytes=size, sha256=own.hexdigest(), n_tokens=stop - start))
    files.append(_write_table(directory / DOCUMENTS, len(starts), iter([starts])))
    n_sentences = int(overview.sentence_counts[kept].sum())
    files.append(_write_table(directory / SENTENCES, n_sentences, _kept_sentences(parts, overview)))
    files += _save_tokenizer(directory, tokenizer)
    return Written(files=tuple(files), tokens_sha256=everything.hexdigest())


def _signatures(parts: Sequence[Path], part_starts: list[int], which: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Signatures of some documents, given by rising numbers: in a file, since they may be many."""
    path = parts[0].with_name("signatures.npy")
    found = npy.open_memmap(path, mode="w+", dtype=np.uint16, shape=(len(which), BINS))
    edges = np.searchsorted(which, part_starts)
    for part, (start, stop) in enumerate(zip(edges, edges[1:], strict=False)):
        if start < stop:
            own = which[start:stop] - part_starts[part]
            found[start:stop] = read_part(parts[part], "signatures")["signatures"][own]
    return found


def _shard_stops(starts: NDArray[np.int64], shard_tokens: int) -> list[int]:
    """Where shards end, in tokens, between documents."""
    stops: list[int] = []
    document = 0
    while document < len(starts) - 1:
        last = int(np.searchsorted(starts, starts[document] + shard_tokens, side="right")) - 1
        document = max(last, document + 1)
        stops.append(int(starts[document]))
    return stops


def _kept_tokens(parts: Sequence[Path], overview: Overview) -> Iterator[NDArray[Any]]:
    kept, starts = overview.kept, overview.part_starts
    for path, start, stop in zip(parts, starts, starts[1:], strict=False):
        tokens = read_part(path, "tokens")["tokens"]
        yield tokens[np.repeat(kept[start:stop], overview.lengths[start:stop])]


def _kept_sentences(parts: Sequence[Path], overview: Overview) -> Iterator[NDArray[np.int64]]:
    """Places of sentences, counted through all documents that are kept."""
    kept, starts = overview.kept, overview.part_starts
    begin = 0
    for path, start, stop in zip(parts, starts, starts[1:], strict=False):
        places = read_part(path, "sentence_starts")["sentence_starts"]
        counts, own = overview.sentence_counts[start:stop], kept[start:stop]
        lengths = overview.lengths[start:stop][own]
        offsets = begin + np.cumsum(lengths) - lengths
        yield places[np.repeat(own, counts)] + np.repeat(offsets, counts[own])
        begin += int(lengths.sum())


def _write_table(path: Path, count: int, parts: Iterator[NDArray[np.int64]]) -> ShardFile:
    """int64 (count,) as ``.npy``."""
    digest = hashlib.sha256()
    with replacing(path) as temporary, temporary.open("w+b") as out:
        npy.write_array_header_1_0(out, {"descr": "<i8", "fortran_order": False, "shape": (count,)})
        out.seek(0)
        digest.update(out.read())
        for part in parts:
            data = part.astype("<i8", copy=False).tobytes()
            digest.update(data)
            out.write(data)
        size = out.tell()
    return ShardFile(name=path.name, n_bytes=size, sha256=digest.hexdigest())


def _save_tokenizer(directory: Path, tokenizer: PreTrainedTokenizerBase) -> list[ShardFile]:
    with publishing(directory / TOKENIZER) as temporary:
        tokenizer.save_pretrained(temporary)
    files = []
    for path in sorted((directory / TOKENIZER).iterdir()):
        data = path.read_bytes()
        name = f"{TOKENIZER}/{path.name}"
        files.append(ShardFile(name=name, n_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
    return files


class _Stream:
    """Arrays of any lengths, taken in other lengths."""

    def __init__(self, arrays: Iterator[NDArray[Any]]) -> None:
        self._arrays = arrays
        self._rest: NDArray[Any] = np.empty(0)

    def take(self, count: int) -> Iterator[NDArray[Any]]:
        while count:
            if not len(self._rest):
                self._rest = next(self._arrays)
                continue
            piece, self._rest = self._rest[:count], self._rest[count:]
            count -= len(piece)
            yield piece

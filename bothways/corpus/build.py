"""Making shards: files are read in parts, parts are tokenised by several processes, and put together in their order.

The parts depend on the files alone, so any number of processes gives the same bytes; a run that was killed goes on
with the parts that it finished.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.corpus import plan
from bothways.corpus.identity import tokenizer_identity
from bothways.corpus.manifest import (
    DOCUMENTS,
    MANIFEST,
    SENTENCES,
    UNFINISHED,
    Manifest,
    Source,
    content_hash,
    read_manifest,
)
from bothways.corpus.notes import notes_on
from bothways.corpus.parts import encode_document
from bothways.corpus.reading import is_shards, open_shards
from bothways.corpus.sources import Reading, SourceFile, find_sources
from bothways.corpus.tokenising import Done, tokenise_all
from bothways.corpus.writing import Overview, Written, survey, write_shards
from bothways.data.documents import DIVISIONS
from bothways.errors import DataError, InputError, TokenizerError, UsageError
from bothways.files import write_json
from bothways.run_lock import RunLock
from bothways.tokenizers import PreTrainedTokenizerBase

SHARD_TOKENS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class ShardReport:
    """What a run did.

    Attributes:
        directory, manifest: what is there now.
        seconds: wall-clock time of this run.
        text_bytes, n_documents, n_tokens: what this run tokenised; less than all if it went on with an earlier one.
        n_parts, n_parts_before: parts of the work, and those that an earlier run had done.
        notes: what the user should know of the texts, as sentences.
    """

    directory: Path
    manifest: Manifest
    seconds: float
    text_bytes: int = 0
    n_documents: int = 0
    n_tokens: int = 0
    n_parts: int = 0
    n_parts_before: int = 0
    notes: tuple[str, ...] = ()


def build_shards(
    files: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
    *,
    tokenizer: PreTrainedTokenizerBase,
    jobs: int = 1,
    keep_duplicates: bool = False,
    text_column: str | None = None,
    divide: str = "blank-lines",
    format: str | None = None,
    encoding: str | None = None,
    shard_tokens: int = SHARD_TOKENS,
    say: Callable[[str], object] | None = None,
) -> ShardReport:
    """Make token shards from files of texts, or go on with making them.

    Tokens are those of ``tokenizer(text, add_special_tokens=False)``. Documents with more than 2**20 characters are
    divided at white space. Of documents that are equal or nearly so (estimated Jaccard similarity of runs of five
    tokens 0.8 or more) the first is kept. Free space is needed for the shards twice.

    Args:
        files, text_column, divide, format, encoding: see ``bothways.data.iter_documents``.
        directory: where the shards are to be; new, empty, or left by a run of the same command that was ended. The
            tokeniser is saved there too.
        jobs: processes that tokenise. With 1 this process does; with more, a script that calls this needs the usual
            ``if __name__ == "__main__"``.
        keep_duplicates: drop none.
        shard_tokens: tokens of a shard, more or less: documents are not divided between shards.
        say: called with each of the notes of the report.

    Raises:
        UsageError: files or options that are not there; a directory that holds other things, or in which another run
            is at work.
        DataError: texts that cannot be read, or none; files that have changed since the unfinished run.
        OSError: the disk is full, for instance; what is done stays, and the same call goes on.
    """
    began = time.monotonic()
    _check_numbers(jobs, shard_tokens, divide)
    directory = Path(directory)
    finished = plan.check_directory(directory)
    sources = find_sources(files)
    reading = Reading(text_column=text_column, divide=divide, format=format, encoding=encoding)
    _check_tokenizer(tokenizer)
    identity = tokenizer_identity(tokenizer)
    settings = plan.settings(reading, keep_duplicates, shard_tokens)
    if finished:
        manifest = plan.check_finished(directory, {**settings, "tokenizer": identity["sha256"]}, sources)
        open_shards(directory, verify=True)  # nothing was deleted or damaged since
        return _report(directory, manifest, sources, say, seconds=time.monotonic() - began)
    with RunLock(directory / UNFINISHED) as lock:
        if lock.note and say is not None:
            say(lock.note)
        manifest, done, n_parts = _make(directory, tokenizer, identity, settings, sources, reading, jobs)
    return _report(
        directory,
        manifest,
        sources,
        say,
        seconds=time.monotonic() - began,
        text_bytes=done.text_bytes,
        n_documents=done.n_documents,
        n_tokens=done.n_tokens,
        n_parts=n_parts,
        n_parts_before=done.n_parts_before,
    )


def _make(
    directory: Path,
    tokenizer: PreTrainedTokenizerBase,
    identity: dict[str, Any],
    settings: dict[str, Any],
    sources: Sequence[SourceFile],
    reading: Reading,
    jobs: int,
) -> tuple[Manifest, Done, int]:
    """Tokenise what is not tokenised yet, and put all parts together: the manifest, what was done, how many parts."""
    dtype = "uint16" if identity["vocab_size"] <= 2**16 else "uint32"
    parts_depend_on = {**vars(reading), "tokenizer": identity["sha256"]}
    work = plan.begin(directory, parts_depend_on, sources)
    done = Done()
    records = tokenise_all(work, tokenizer, dtype, sources, reading, jobs, done)
    parts = [plan.part_path(work, i, k) for i, (_, count) in enumerate(records) for k in range(count)]
    if not parts:
        raise DataError(f"{', '.join(str(file.path) for file in sources)}: no text. Expected documents.")
    overview = survey(parts, keep_duplicates=settings["keep_duplicates"])
    plan.clear_shards(directory)
    written = write_shards(directory, parts, overview, dtype, settings["shard_tokens"], tokenizer)
    manifest = _manifest(identity, dtype, settings, [source for source, _ in records], overview, written)
    write_json(directory / MANIFEST, manifest.to_json())
    plan.finish(directory)
    return manifest, done, len(parts)


def content_of(data: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The identity of data that is a directory of shards, or files of texts: one hash for each, in order.

    Raises:
        UsageError, DataError: see ``open_shards`` and ``build_shards``.
    """
    paths = [Path(path) for path in data]
    if len(paths) == 1 and is_shards(paths[0]):
        return [read_manifest(paths[0]).content_sha256]
    return [file.source.sha256 for file in find_sources(paths)]


def _report(
    directory: Path,
    manifest: Manifest,
    sources: Sequence[SourceFile],
    say: Callable[[str], object] | None,
    **done: Any,
) -> ShardReport:
    notes = notes_on(manifest, sources)
    if say is not None:
        for note in notes:
            say(note)
    return ShardReport(directory=directory, manifest=manifest, notes=notes, **done)


def _check_numbers(jobs: int, shard_tokens: int, divide: str) -> None:
    if jobs < 1:
        raise InputError(f"jobs is {jobs}; expected a number of processes from 1 on.")
    if shard_tokens < 1:
        raise InputError(f"shard_tokens is {shard_tokens}; expected a number of tokens from 1 on.")
    if divide not in DIVISIONS:
        raise UsageError(f"divide is {divide!r}; expected one of {', '.join(map(repr, DIVISIONS))}.")


def _check_tokenizer(tokenizer: Any) -> None:
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise InputError(
            f"tokenizer is a {type(tokenizer).__name__}; expected a tokeniser of this library, such as "
            "AutoTokenizer.from_pretrained(…) gives."
        )
    try:
        encode_document(tokenizer, "a")
    except TokenizerError as problem:
        raise UsageError(
            f"{type(tokenizer).__name__} does not tell where its tokens are in a text, and sentences are found by "
            f"that ({problem}) Choose another tokeniser."
        ) from None


def _manifest(
    identity: dict[str, Any],
    dtype: str,
    settings: dict[str, Any],
    sources: list[Source],
    overview: Overview,
    written: Written,
) -> Manifest:
    kept = overview.kept
    hashes = {file.name: file.sha256 for file in written.files}
    empty, special, unknown = overview.counts.tolist()
    return Manifest(
        tokenizer=identity,
        dtype=dtype,
        n_documents=int(kept.sum()),
        n_tokens=int(overview.lengths[kept].sum()),
        n_tokens_read=int(overview.lengths.sum()),
        n_sentences=int(overview.sentence_counts[kept].sum()),
        n_exact_duplicates=int(overview.exact.sum()),
        n_near_duplicates=int(overview.near.sum()),
        n_empty=empty,
        n_special=special,
        n_unknown=unknown,
        content_sha256=content_hash(
            identity["sha256"], dtype, written.tokens_sha256, hashes[DOCUMENTS], hashes[SENTENCES]
        ),
        settings=settings,
        sources=tuple(sources),
        files=written.files,
    )

"""All texts of all files as parts on the disk, made by several processes, each made once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bothways.corpus import plan
from bothways.corpus.manifest import Source
from bothways.corpus.sources import Reading, SourceFile, text_parts
from bothways.corpus.workers import Counts, working
from bothways.progress import progress_bar
from bothways.tokenizers import PreTrainedTokenizerBase


@dataclass
class Done:
    """What a run has made so far.

    Attributes:
        text_bytes, n_documents, n_tokens: of the parts that it made itself.
        n_parts_before: parts that an earlier run had made.
        began: by the monotonic clock.
    """

    text_bytes: int = 0
    n_documents: int = 0
    n_tokens: int = 0
    n_parts_before: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, counts: Counts) -> None:
        self.text_bytes += counts.text_bytes
        self.n_documents += counts.n_documents
        self.n_tokens += counts.n_tokens

    def rate(self) -> str:
        seconds = max(time.monotonic() - self.began, 1e-9)
        return (
            f"{self.text_bytes / seconds / 1e6:.1f} MB/s of text, {self.n_documents / seconds:,.0f} documents/s, "
            f"{self.n_tokens / seconds:,.0f} tokens/s"
        )


def tokenise_all(
    work: Path,
    tokenizer: PreTrainedTokenizerBase,
    dtype: str,
    sources: Sequence[SourceFile],
    reading: Reading,
    jobs: int,
    done: Done,
) -> list[tuple[Source, int]]:
    """All parts of all files on the disk; of each file what is known of it, and its number of parts."""
    records: list[tuple[Source, int]] = []
    total = sum(file.source.n_bytes for file in sources)
    with working(jobs, tokenizer, dtype) as submit, progress_bar("Tokenising", total, "bytes") as advance:
        waiting: deque[Future[Counts] | _ReadToItsEnd] = deque()
        for number, file in enumerate(sources):
            record = plan.read_record(work, number)
            if record is not None:
                done.n_parts_before += record[1]
                advance(file.source.n_bytes)
                records.append(record)
                continue
            source, count = file.source, 0
            for part in text_parts(file, reading, advance):
                source = part.so_far
                if not part.texts:
                    continue
                path = plan.part_path(work, number, count)
                count += 1
                if path.is_file():
                    done.n_parts_before += 1
                else:
                    waiting.append(submit(path, part.texts))
                    _drain(waiting, 2 * jobs, work, done)
                    advance(0, note=done.rate())
            waiting.append(_ReadToItsEnd(number, source, count))
            records.append((source, count))
        _drain(waiting, 0, work, done)
    return records


class _ReadToItsEnd(NamedTuple):
    """Stands behind the last part of a file."""

    number: int
    source: Source
    parts: int


def _drain(waiting: deque[Future[Counts] | _ReadToItsEnd], most: int, work: Path, done: Done) -> None:
    """Wait until no more than ``most`` parts are being made, in their order."""
    while len(waiting) > most:
        first = waiting.popleft()
        if isinstance(first, _ReadToItsEnd):
            plan.write_record(work, first.number, first.source, first.parts)
        else:
            done.add(first.result())

"""The processes that tokenise: each makes one part after another and writes it to the disk itself."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bothways.corpus.parts import tokenise, write_part
from bothways.errors import BothwaysError
from bothways.tokenizers import PreTrainedTokenizerBase


class Counts(NamedTuple):
    """What was made of some texts."""

    text_bytes: int
    n_documents: int
    n_tokens: int


Submit = Callable[[Path, list[str]], "Future[Counts]"]

_mine: tuple[PreTrainedTokenizerBase, str] | None = None  # in a worker: its tokeniser, and the dtype of tokens


@contextmanager
def working(jobs: int, tokenizer: PreTrainedTokenizerBase, dtype: str) -> Iterator[Submit]:
    """Yield ``submit(path, texts)``, which has a part made of texts and written to a path.

    With one job it is made at once, here. At the end, however it comes, parts that were begun are finished.

    Raises:
        BothwaysError: a process was killed from outside.
    """
    if jobs == 1:
        yield lambda path, texts: _made_here(tokenizer, dtype, path, texts)
        return
    # spawned, not forked: engine, progress bar and torch may have threads, and a fork would copy their locks
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, _begin, (tokenizer, dtype))
    try:
        yield lambda path, texts: pool.submit(_make, path, texts)
    except BrokenProcessPool:
        raise BothwaysError(
            f"One of the {jobs} processes that tokenise was killed from outside, perhaps for want of memory. Finished "
            "parts are kept: give the command again, with fewer --jobs."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _made_here(tokenizer: PreTrainedTokenizerBase, dtype: str, path: Path, texts: list[str]) -> Future[Counts]:
    future: Future[Counts] = Future()
    future.set_result(_make_part(tokenizer, dtype, path, texts))
    return future


def _begin(tokenizer: PreTrainedTokenizerBase, dtype: str) -> None:
    global _mine
    _mine = tokenizer, dtype
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began this decides
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # as many processes as were asked for, and no threads besides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot tell its workers, which would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _make(path: Path, texts: list[str]) -> Counts:
    assert _mine is not None
    return _make_part(*_mine, path, texts)


def _make_part(tokenizer: PreTrainedTokenizerBase, dtype: str, path: Path, texts: list[str]) -> Counts:
    part = tokenise(tokenizer, texts, dtype)
    write_part(path, part)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return Counts(size, len(part.lengths), len(part.tokens))

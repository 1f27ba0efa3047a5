"""Systems in processes of their own, of which one is busy at a time.

Thread pools of two libraries in one process get in each other's way, and a library that is loaded changes what another
chooses. So every system lives in a process that stays alive, and does one repetition when it is asked.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from bothways.errors import BothwaysError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
PAUSE = 0.3
"""Seconds before a repetition: threads of the system before it may spin for some 200 ms after their work."""

T = TypeVar("T")


class Worker:
    """A process that holds one object and calls its methods when asked.

    Args:
        make: called in the process with ``arguments``; a function or class of an importable module that does not
            import torch when it is itself imported, or else the number of threads comes too late.
        threads: of every thread pool.
    """

    def __init__(self, name: str, make: Callable[..., Any], threads: int, **arguments: Any) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, threads, arguments), daemon=True)
        self._process.start()
        other.close()
        self._awaiting_start = True

    def wait_until_ready(self) -> None:
        """Return when the object is made. Raises what ``ask`` raises."""
        if self._awaiting_start:
            self._awaiting_start = False
            self._answer("start")

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of the object.

        Raises:
            BothwaysError: it failed there; the message holds the traceback.
        """
        self.wait_until_ready()
        self._pipe.send((method, arguments))
        return self._answer(method)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.terminate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _answer(self, what: str) -> Any:
        try:
            good, value = self._pipe.recv()
        except EOFError:
            self._process.join(timeout=5)
            code = self._process.exitcode
            raise BothwaysError(f"{self.name}: its process ended with code {code} in {what!r}.") from None
        if not good:
            raise BothwaysError(f"{self.name} failed in {what!r}:\n{value}")
        return value


def interleaved(workers: Sequence[Worker], repeats: int, ask: Callable[[Worker], T]) -> dict[str, list[T]]:
    """Ask every worker once in each repetition, one after the other, and start each repetition with another worker.

    Returns:
        For each worker, by its name, the answers in the order of the repetitions.
    """
    answers: dict[str, list[T]] = {worker.name: [] for worker in workers}
    for repetition in range(repeats):
        first = repetition % max(len(workers), 1)
        for worker in (*workers[first:], *workers[:first]):
            time.sleep(PAUSE)
            answers[worker.name].append(ask(worker))
    return answers


def thread_environment(threads: int) -> Mapping[str, str]:
    """Environment that limits the thread pools of the numeric libraries."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "true"}


def _serve(pipe: Connection, make: Callable[..., Any], threads: int, arguments: dict[str, Any]) -> None:
    os.environ.update(thread_environment(threads))
    made: Any = None
    request: tuple[str, tuple[Any, ...]] | None = None
    while True:
        try:
            if request is None:
                made, value = make(**arguments), None
            else:
                value = getattr(made, request[0])(*request[1])
            answer = (True, value)
        except Exception:
            answer = (False, traceback.format_exc())
        try:
            pipe.send(answer)
            request = pipe.recv()
        except (EOFError, OSError):
            return  # the benchmark has ended

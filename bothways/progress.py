"""Progress bars for long work: rate, time left, and silence when nobody watches."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_stop = threading.Event()
_wanted = threading.Event()
_wanted.set()


def show_bars(wanted: bool) -> None:
    """Whether bars are shown where nobody says so for one of them: at a terminal, unless they are not wanted."""
    _wanted.set() if wanted else _wanted.clear()


def bars_are_shown() -> bool:
    """What ``show_bars`` said last."""
    return _wanted.is_set()


def request_stop() -> None:
    """Ask long work to end at its next step. Python may lose a ``KeyboardInterrupt`` that comes inside an import."""
    _stop.set()


def accept_stop() -> None:
    """The request was heard: what follows, such as saving, runs to its end."""
    _stop.clear()


@contextmanager
def progress_bar(
    title: str, total: float | None, unit: str = "texts", *, show: bool | None = None
) -> Iterator[Callable[..., None]]:
    """Yield ``advance(n=1, note="")``, which raises ``KeyboardInterrupt`` after ``request_stop``.

    Args:
        title: what is being done.
        total: how many units there are; None when it is not known.
        unit: the name of a unit, or ``"bytes"`` for a download.
        show: None shows the bar on stderr if that is a terminal.
    """
    if show is None:
        show = _wanted.is_set() and sys.stderr is not None and sys.stderr.isatty()
    if not show:
        yield lambda n=1, note="": _check_stop()
        return

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    amount: list = (
        [DownloadColumn(), TransferSpeedColumn()]
        if unit == "bytes"
        else [TextColumn("{task.completed:,.0f}/{task.fields[of]} " + unit), TextColumn("{task.fields[rate]}")]
    )
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        *amount,
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        of = "?" if total is None else f"{total:,.0f}"
        task = progress.add_task(title, total=total, note="", of=of, rate="")

        def advance(n: float = 1, note: str = "") -> None:
            speed = progress.tasks[0].speed
            _check_stop()
            progress.update(task, advance=n, rate=f"{speed:,.0f}/s" if speed else "")
            if note:
                progress.update(task, note=note)

        yield advance


def _check_stop() -> None:
    if _stop.is_set():
        raise KeyboardInterrupt

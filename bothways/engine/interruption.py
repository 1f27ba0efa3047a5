"""Ctrl-C and SIGTERM as a wish to stop: the step is finished and saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bothways.errors import Interrupted
from bothways.progress import accept_stop


class Wish:
    """Attributes:
    signal: which signal asked to stop; None if none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._granted_at_once = False

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, as shells have it."""
        return 128 + (self.signal or 0)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, the wish is granted at once, by a ``KeyboardInterrupt``: for work that can be done again."""
        if self:
            raise KeyboardInterrupt
        self._granted_at_once = True
        try:
            yield
        finally:
            self._granted_at_once = False


@contextmanager
def stopping_gently() -> Iterator[Wish]:
    """Within, the first Ctrl-C or SIGTERM is remembered; a second Ctrl-C stops at once.

    Outside the main thread signals cannot be caught, and the wish is never made.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def remember(number: int, frame: FrameType | None) -> None:
        again = bool(wish) and number == signal.SIGINT
        wish.signal = number
        if again or wish._granted_at_once:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if wish:
            accept_stop()


@contextmanager
def interruptible(going_on: str) -> Iterator[None]:
    """Within, what follows a training: Ctrl-C and SIGTERM end it at once, and say how to go on.

    Raises:
        Interrupted: in place of the ``KeyboardInterrupt``.
    """
    with stopping_gently() as wish:
        try:
            with wish.at_once():
                yield
        except KeyboardInterrupt:
            said = f"Stopped before the result was written. {going_on}".strip()
            raise Interrupted(said, wish.exit_code if wish else 130) from None

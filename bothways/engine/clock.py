"""The time of a run, in thousandths, noted where they change, so that what follows the time can be repeated exactly."""

from __future__ import annotations

from collections.abc import Mapping

from bothways.engine.loop import Progress
from bothways.engine.processes import Processes

PARTS = 1000


class Clock:
    """How much of the time of a run is over.

    Args:
        minutes: of making steps; None has no end.
        noted: (step, thousandths that were over), where they changed; it is added to, and belongs to what the run
            remembers.
        replayed: of an earlier run, to repeat it: looked up in place of the time.
    """

    def __init__(
        self,
        minutes: float | None,
        noted: list[tuple[int, int]],
        group: Processes,
        replayed: Mapping[int, int] | None = None,
    ) -> None:
        self.minutes, self.noted, self.group, self.replayed = minutes, noted, group, replayed

    def share(self, progress: Progress) -> float:
        """From 0 to 1, the same in all processes; asked once before each step."""
        if self.minutes is None:
            return 0.0
        last = self.noted[-1][1] if self.noted else 0
        if self.replayed is not None:
            found = self.replayed.get(progress.step, last)
        else:
            found = self.group.share(min(PARTS, int(PARTS * progress.seconds / (self.minutes * 60))))
        if found != last:
            self.noted.append((progress.step, found))
        return found / PARTS

    def is_over(self, progress: Progress) -> bool:
        """Whether the time is up; never of a run that is repeated."""
        if self.minutes is None or self.replayed is not None:
            return False
        return self.group.share(progress.seconds >= self.minutes * 60)

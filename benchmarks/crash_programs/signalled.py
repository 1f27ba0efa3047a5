"""``bothways``, which sends itself a signal at a chosen place.

python signalled.py PLACE SIGNAL TIMES ARGUMENT …

PLACE: ``reading``, ``encoding``, ``step-N``, ``saving``, ``closing`` an epoch, ``evaluating`` or ``publishing``.
``full-N`` makes files of more than N bytes impossible instead.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from bothways.cli import main

PLACES = {
    "reading": ("bothways.training.text_task", "TextTask.load"),
    "encoding": ("bothways.training.text_task", "TextTask.training_set"),
    "step": ("bothways.engine.steps", "Stepper.step"),
    "saving": ("bothways.training.fit", "write_training"),
    "closing": ("bothways.training.fit", "digest_of"),
    "evaluating": ("bothways.training.text_task", "TextTask.answer"),
    "publishing": ("bothways.training.job", "write_result"),
}


def signal_at(place: str, number: int, times: int) -> None:
    """Let the process signal itself when it comes to the place, for a step when it comes there the Nth time."""
    place, _, count = place.partition("-")
    if place == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(count), int(count)))
        return
    owner: Any = import_module(PLACES[place][0])
    *path, name = PLACES[place][1].split(".")
    for part in path:
        owner = getattr(owner, part)
    calls = iter(range(int(count or 1) - 1, -1, -1))
    own = vars(owner)[name]
    changed = _signalling(getattr(owner, name) if isinstance(own, classmethod) else own, calls, number, times)
    setattr(owner, name, staticmethod(changed) if isinstance(own, classmethod) else changed)


def _signalling(plain: Callable[..., Any], calls: Any, number: int, times: int) -> Callable[..., Any]:
    def changed(*arguments: Any, **more: Any) -> Any:
        if next(calls, None) == 0:
            if number == signal.SIGSTOP:
                print(f"process {os.getpid()} waits", file=sys.stderr, flush=True)
            for _ in range(times):
                signal.raise_signal(number)
        return plain(*arguments, **more)

    return changed


if __name__ == "__main__":
    signal_at(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    sys.argv = ["bothways", *sys.argv[4:]]
    main()

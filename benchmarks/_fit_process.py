"""A program: one process of a training with our loop, alone or among those that ``torchrun`` started.

python -m benchmarks._fit_process JOB.json ANSWER.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks._clock import StepClock, packed_tokens
from benchmarks._trainers import Job, features_of, load
from bothways.files import read_json, write_json


def main(arguments: Sequence[str]) -> None:
    """Train as the job says; the first process writes the clock's reading with the tokens of all processes."""
    import torch

    from bothways.engine.processes import processes
    from bothways.errors import Interrupted
    from bothways.training.fit import fit
    from bothways.training.settings import FitSettings

    asked = read_json(Path(arguments[0]))
    torch.set_num_threads(asked["threads"])
    group = processes()
    settings = {"batch_size": asked["global_batch"] // group.count, "head_factor": 1.0}
    job = Job(bfloat16=False, thread_count=asked["threads"], settings=settings, rows=Path(asked["rows"]))
    model = load(job, "bothways", Path(asked["start"]))
    clock = StepClock(packed_tokens, asked["warm_up"], asked["steps"])
    # ``stop_after`` ends all processes after the same step: one more than is timed, since a step lasts until the next
    with clock.watching(model), suppress(Interrupted):
        fit(
            model,
            features_of(job),
            FitSettings(**settings, precision="float32"),
            lambda: 0.0,
            group=group,
            stop_after=clock.last + 1,
            show_progress=False,
        )
    reading = clock.reading()
    every = group.gather((reading["tokens"], reading["peak_megabytes"]))
    if group.is_first:
        tokens, peaks = zip(*every, strict=True)
        write_json(Path(arguments[1]), {**reading, "tokens": sum(tokens), "peak_megabytes": sum(peaks)})
    if group.count > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The main job with every checkpoint kept, so that ckpt-chaos can say which of them were whole at the crash.

python main_job.py DATA OUTPUT MODEL
"""

from __future__ import annotations

import sys

from bothways.training import job
from bothways.training.run_directory import RunDirectory


class KeepsAll(RunDirectory):
    """No checkpoint is pruned, and a finished run leaves them."""

    def __init__(self, output) -> None:
        super().__init__(output, keep=None)

    def finish(self) -> None:
        pass


job.RunDirectory = KeepsAll

if __name__ == "__main__":
    data, output, model = sys.argv[1:]
    job.train(
        data,
        output,
        model=model,
        epochs=3,
        batch_size=16,
        checkpoint_steps=2,
        say=lambda line: print(line, file=sys.stderr),
    )

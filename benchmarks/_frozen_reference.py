"""A program: the reference Trainer trains a head on a frozen encoder.

python -m benchmarks._frozen_reference JOB.json ANSWER.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._texts import labelled_texts
from benchmarks._trainers import Job, ReferenceTraining
from bothways.files import read_json, write_json


def main(arguments: Sequence[str]) -> None:
    """Train as the job says; write accuracy after each epoch and the seconds of training."""
    job, answer = arguments
    asked = read_json(Path(job))
    texts, labels = labelled_texts(Path(asked["train"]))
    held_texts, held_labels = labelled_texts(Path(asked["held"]))
    trainer = ReferenceTraining(
        Job(
            bfloat16=asked["bfloat16"],
            thread_count=asked["threads"],
            settings={"epochs": asked["epochs"]},
            texts=texts,
            labels=labels,
            held_texts=held_texts,
            held_labels=held_labels,
        ),
        frozen=True,
    )
    write_json(Path(answer), trainer.full_run(Path(asked["start"]), 0))


if __name__ == "__main__":
    main(sys.argv[1:])

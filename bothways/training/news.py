"""What a run says before it trains, in sentences."""

from __future__ import annotations

import torch

from bothways.engine.processes import Processes
from bothways.training.settings import FitSettings
from bothways.training.task import TrainingTask

PROBLEMS = {
    "blank_texts": "blank texts were skipped",
    "missing_labels": "rows without a label were skipped",
    "conflicts": "texts occur again with another label",
}


def about(job: TrainingTask) -> str:
    split = job.split
    where = "held out" if split.held_out else "in the evaluation file"
    labels = f", {len(job.label_names)} labels ({job.kind})" if len(job.label_names) > 1 else f" ({job.kind})"
    lines = [f"{len(split.train):,} {job.items} to train on, {len(split.evaluation):,} {where}{labels}."]
    for name, count in split.problems.items():
        if count and name != "duplicates":
            lines.append(f"{count:,} {PROBLEMS.get(name, name.replace('_', ' '))}.")
    if split.leaks:
        lines.append(
            f"{split.leaks:,} evaluation {job.items} are also in the training data: the scores are too good by that "
            "much."
        )
    return " ".join(lines)


def plan(settings: FitSettings, count: int, items: str, dtype: torch.dtype | None, group: Processes) -> str:
    batch = settings.batch_size * group.count
    steps = -(-count // batch) * settings.epochs
    precision = str(dtype or torch.float32).removeprefix("torch.")
    epochs = f"{settings.epochs} epoch{'' if settings.epochs == 1 else 's'}"
    return f"Training {epochs}, {steps:,} steps of {batch} {items}, in {precision}."


__all__ = ["about", "plan"]

"""Training: the loop, its optimizers and schedules, and the main job from files to a model directory."""

from __future__ import annotations

from typing import Any

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from bothways.training.job import train

        return train
    raise AttributeError(f"module 'bothways.training' has no attribute {name!r}")

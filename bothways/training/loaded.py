"""Trained models as the report asks them: a runner with its tokeniser, or a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bothways.engine.precision import best_device, resolve_precision
from bothways.errors import InputError
from bothways.models.auto import AutoConfig
from bothways.models.runner import PackedRunner
from bothways.pipelines import pipeline
from bothways.pipelines.build import infer_task, load_model
from bothways.pipelines.registry import find_pipeline
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.tokenizers import AutoTokenizer


def made_for_task(directory: Path) -> str:
    """The task that a model's head is for.

    Raises:
        InputError: it has none.
    """
    config = AutoConfig.from_pretrained(directory)
    task = infer_task(str(directory), config, {})
    if task == "feature-extraction":
        raise InputError(
            f"{directory} holds {', '.join(config.architectures or ['a body'])}, which has no head that answers. Train "
            "one first: `bothways train`."
        )
    return task


def load_runner(directory: Path, task: str, precision: str) -> tuple[PackedRunner, Any]:
    """A runner on the best device, and the tokeniser."""
    device = best_device()
    _, pipeline_class = find_pipeline(task)
    model = load_model(directory, pipeline_class).to(device)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    check_tokenizer(model, tokenizer)
    return PackedRunner(model, dtype=resolve_precision(precision, device)), tokenizer


def load_pipe(task: str, model: str, precision: str) -> Any:
    """A pipeline on the best device."""
    device = best_device()
    return pipeline(task, model=model, device=device, dtype=resolve_precision(precision, device))

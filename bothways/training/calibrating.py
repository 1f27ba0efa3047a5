"""How sure a trained model may be: measured on the evaluation texts, and stored in its configuration.

Shapes: n texts, C labels.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bothways.checkpoints.config import CONFIG_NAME
from bothways.directories import publishing
from bothways.engine.precision import best_device, resolve_precision
from bothways.errors import InputError, UsageError
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.calibrated import FEWEST, Calibrated, measure_calibration, measure_confidences
from bothways.files import read_json, write_json
from bothways.models.runner import PackedRunner
from bothways.pipelines.build import infer_task, load_model
from bothways.pipelines.registry import find_pipeline
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.resolver import resolve_model
from bothways.tasks.calibration import CONFIG_KEY, head_sketch
from bothways.tasks.encoded import position_limit
from bothways.tokenizers import AutoTokenizer
from bothways.training.known_tasks import find_task
from bothways.training.task import TrainingTask
from bothways.training.text_task import TextTask


def calibrate_run(job: TrainingTask, model: Any, predictions: Predictions, seed: int) -> Calibrated | None:
    """Put a calibration into the configuration of a model that was just trained, and say what it is worth.

    A calibration is fitted for text classification alone; of entities and answers the confidences are measured. None
    for fewer than ``FEWEST`` of them, and for other tasks.

    Args:
        predictions: of the model for the evaluation texts.
    """
    vars(model.config).pop(CONFIG_KEY, None)  # that of the model it started from
    if job.name != TextTask.name:
        return _measured(job, predictions)
    if len(predictions) < FEWEST:
        return None
    scores, gold = _arrays(job, predictions)
    found = measure_calibration(job.kind, scores, gold, head=head_sketch(model), items=job.items, seed=seed)
    assert found.calibration is not None
    setattr(model.config, CONFIG_KEY, found.calibration.to_json())
    return found


def calibrate(
    model: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    evaluation: str | os.PathLike[str] | None = None,
    output: str | os.PathLike[str] | None = None,
    task: str | None = None,
    precision: str = "auto",
    seed: int = 0,
    **reading: Any,
) -> Calibrated:
    """Measure on labelled data how sure a model may be, and store what classification can use of it with the model.

    A classifier's pipeline then takes ``calibrated=True``, ``abstain_at_risk`` and ``conformal``.
    The labels that it gives stay the same. Nothing but one key of ``config.json`` is written. Of entities and answers
    the confidences are measured, and nothing is stored.

    Args:
        model: a directory, or with ``output`` also a name.
        file: labelled data that the model did not learn from.
        evaluation: further data to measure on; without it each half of ``file`` is measured with what the other half
            gives, and the whole is stored.
        output: a new directory for model, tokeniser and calibration; by default the model's own one.
        task: by default what the model was made for.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        seed: of the halves.
        reading: ``text_column``, ``label_column``, ``format`` and ``encoding`` of the files.

    Raises:
        UsageError: a model that is no directory of the user's, or of a task without confidences.
        DataError, InputError: files that cannot be used, or too few examples.
        ModelNotFoundError, ConfigError, CheckpointError: about the model.
    """
    directory = resolve_model(model)
    task_class = find_task(task or infer_task(directory, None, {}))
    if task_class is not TextTask:
        if evaluation is not None or output is not None:
            raise UsageError(
                f"--eval and --output are for text classification; of {task_class.name} nothing is fitted."
            )
        return _measured_alone(directory, task_class, Path(file), precision, reading)
    if output is None and not (Path(model).is_dir() and (Path(model) / CONFIG_NAME).is_file()):
        raise UsageError(f"{model} is no model directory of yours that could be written. Give --output for a copy.")
    if output is not None and Path(output).exists():
        raise UsageError(f"--output {output} is there already; give a new directory.")
    runner, tokenizer = _load(directory, task_class, precision)
    kind, scores, gold = _answers(runner, tokenizer, Path(file), reading)
    other = None if evaluation is None else _answers(runner, tokenizer, Path(evaluation), reading)[1:]
    found = measure_calibration(kind, scores, gold, other=other, head=head_sketch(runner.model), seed=seed)
    assert found.calibration is not None
    stored = found.calibration.to_json()
    if output is None:
        path = Path(model) / CONFIG_NAME
        write_json(path, {**read_json(path), CONFIG_KEY: stored})
        return found
    setattr(runner.model.config, CONFIG_KEY, stored)
    with publishing(Path(output).absolute()) as place:
        runner.model.save_pretrained(place)
        tokenizer.save_pretrained(place)
    return found


def _measured_alone(
    directory: Path, task: type[TrainingTask], file: Path, precision: str, reading: dict[str, Any]
) -> Calibrated:
    runner, tokenizer = _load(directory, task, precision)
    job = task.load_evaluation(file, runner.model.config, **reading)
    found = job.confidences(job.answer(runner, job.encode_evaluation(tokenizer, position_limit(runner.model.config))))
    if found is None:
        raise UsageError(
            f"{task.name} has no confidences to measure. Known: text-classification, token-classification and "
            "question-answering."
        )
    items, confidence, right = found
    if not confidence:
        raise InputError(f"the model found no {items} in {file}, so that there is nothing to measure.")
    return measure_confidences(np.clip(confidence, 0, 1), right, items=items)


def _load(directory: Path, task: type[TrainingTask], precision: str) -> tuple[PackedRunner, Any]:
    _, pipeline_class = find_pipeline(task.name)
    device = best_device()
    model = load_model(directory, pipeline_class).to(device)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    check_tokenizer(model, tokenizer)
    return PackedRunner(model, dtype=resolve_precision(precision, device)), tokenizer


def _measured(job: TrainingTask, predictions: Predictions) -> Calibrated | None:
    found = job.confidences(predictions)
    if found is None or len(found[1]) < FEWEST:
        return None
    items, confidence, right = found
    return measure_confidences(np.clip(confidence, 0, 1), right, items=items)


def _answers(runner: Any, tokenizer: Any, file: Path, reading: dict[str, Any]) -> tuple[Any, np.ndarray, np.ndarray]:
    """Kind of labels, scores and gold of a file."""
    config = runner.model.config
    job = TextTask.load_evaluation(file, config, **reading)
    if len(job.split.evaluation) < 1:
        raise InputError(f"{file} has no labelled texts.")
    predictions = job.answer(runner, job.encode_evaluation(tokenizer, position_limit(config)))
    return (job.kind, *_arrays(job, predictions))


def _arrays(job: TrainingTask, predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Scores and gold, as ``measure_calibration`` takes them."""
    gold: Sequence[Any] = job.gold()
    if job.kind == "regression":
        return np.array(predictions.labels, dtype=np.float64), np.array(gold, dtype=np.float64)
    assert predictions.probabilities is not None
    place = {label: i for i, label in enumerate(job.label_names)}
    if job.kind == "single":
        return predictions.probabilities, np.array([place[label] for label in gold], dtype=np.int64)
    marks = np.zeros(predictions.probabilities.shape, dtype=np.int64)
    for row, own in zip(marks, gold, strict=True):
        row[[place[label] for label in own]] = 1
    return predictions.probabilities, marks

"""Evaluation and prediction of a ``Trainer``: batch after batch, in several processes, in constant memory.

Process r of W computes every W-th batch; after each round all have the results of all, in the order of the data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.trainer.batches import rows_in
from bothways.trainer.datasets import has_length
from bothways.trainer.gathering import Gathered, detached, to_numpy
from bothways.trainer.outputs import EvalLoopOutput, EvalPrediction


@dataclass
class _Collected:
    losses: list[float] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    logits: Gathered = field(default_factory=Gathered)
    labels: Gathered = field(default_factory=Gathered)
    inputs: Gathered = field(default_factory=Gathered)
    rows: int = 0


def evaluation_loop(
    trainer: Any,
    loader: Any,
    description: str,
    prediction_loss_only: bool | None,
    ignore_keys: list[str] | None,
    prefix: str,
) -> EvalLoopOutput:
    """Run a model over all batches of ``loader``; see ``Trainer.evaluation_loop``."""
    args = trainer.args
    loss_only = args.prediction_loss_only if prediction_loss_only is None else prediction_loss_only
    model = trainer.model
    model.eval()
    trainer.callback_handler.eval_dataloader = loader
    kept = _Collected()
    metrics: dict[str, Any] | None = None
    keeps = not args.batch_eval_metrics or description == "Prediction"
    with full_precision_of(trainer):
        for round_, is_last in _rounds(trainer, loader, loss_only, ignore_keys):
            for found in round_:
                _keep(kept, found, keeps)
            if args.batch_eval_metrics and trainer.compute_metrics is not None:
                metrics = _judge_batches(trainer, round_, is_last) or metrics
            trainer.control = trainer.callback_handler.on_prediction_step(args, trainer.state, trainer.control)
    return _finish(trainer, kept, metrics, loader, prefix)


def _keep(kept: _Collected, found: _Found, with_predictions: bool) -> None:
    kept.rows += found.rows
    if found.loss is not None:
        kept.losses.append(found.loss)
        kept.weights.append(found.rows)
    for name in ("logits", "labels", "inputs") if with_predictions else ():
        if getattr(found, name) is not None:
            getattr(kept, name).add(getattr(found, name))


@dataclass
class _Found:
    """What one batch gave, as arrays."""

    rows: int
    loss: float | None
    logits: Any
    labels: Any
    inputs: Any


def _rounds(
    trainer: Any, loader: Any, loss_only: bool, ignore_keys: list[str] | None
) -> Iterator[tuple[list[_Found], bool]]:
    """The results of W batches at a time, and whether they are the last."""
    group = trainer.group
    batches = iter(loader)
    coming = list(islice(batches, group.count))
    while coming:
        now, coming = coming, list(islice(batches, group.count))
        found = _found(trainer, now[group.rank], loss_only, ignore_keys) if group.rank < len(now) else None
        yield [other for other in group.gather(found) if other is not None], not coming


def _found(trainer: Any, inputs: Any, loss_only: bool, ignore_keys: list[str] | None) -> _Found:
    rows = rows_in(inputs)
    loss, logits, labels = trainer.prediction_step(trainer.model, inputs, loss_only, ignore_keys=ignore_keys)
    if logits is not None and trainer.preprocess_logits_for_metrics is not None:
        logits = trainer.preprocess_logits_for_metrics(logits, labels)
    wanted = "inputs" in trainer.args.include_for_metrics
    name = getattr(trainer.model, "main_input_name", "input_ids")
    return _Found(
        rows=rows,
        loss=None if loss is None else float(loss),
        logits=to_numpy(logits),
        labels=to_numpy(labels),
        inputs=to_numpy(inputs[name]) if wanted else None,
    )


def _judge_batches(trainer: Any, found: list[_Found], is_last: bool) -> dict[str, Any] | None:
    """Let ``compute_metrics`` see each batch, as tensors; the last call gives the result."""
    result = None
    for i, batch in enumerate(found):
        if batch.logits is None or batch.labels is None:
            continue
        extras = {}
        if "loss" in trainer.args.include_for_metrics and batch.loss is not None:
            extras["losses"] = torch.full((batch.rows,), batch.loss)
        if "inputs" in trainer.args.include_for_metrics:
            extras["inputs"] = _tensors(batch.inputs)
        prediction = EvalPrediction(predictions=_tensors(batch.logits), label_ids=_tensors(batch.labels), **extras)
        result = trainer.compute_metrics(prediction, compute_result=is_last and i == len(found) - 1)
    return result


def _finish(trainer: Any, kept: _Collected, metrics: dict[str, Any] | None, loader: Any, prefix: str) -> EvalLoopOutput:
    args = trainer.args
    joined = kept.logits.result() if args.eval_do_concat_batches else (kept.logits.batches() or None)
    labels = kept.labels.result() if args.eval_do_concat_batches else (kept.labels.batches() or None)
    if (
        trainer.compute_metrics is not None
        and joined is not None
        and labels is not None
        and not args.batch_eval_metrics
    ):
        extras: dict[str, Any] = {}
        if "loss" in args.include_for_metrics:
            extras["losses"] = np.repeat(np.array(kept.losses, dtype=np.float32), kept.weights)
        if "inputs" in args.include_for_metrics:
            extras["inputs"] = kept.inputs.result()
        metrics = trainer.compute_metrics(EvalPrediction(predictions=joined, label_ids=labels, **extras))
    metrics = {name: plain(value) for name, value in _dictionary(metrics).items()}
    if kept.losses:
        metrics[f"{prefix}_loss"] = float(np.average(kept.losses, weights=kept.weights))
    metrics = {n if n.startswith(f"{prefix}_") else f"{prefix}_{n}": value for n, value in metrics.items()}
    dataset = getattr(loader, "dataset", None)
    rows = len(dataset) if has_length(dataset) and kept.rows == 0 else kept.rows
    return EvalLoopOutput(predictions=joined, label_ids=labels, metrics=metrics, num_samples=rows)


def _dictionary(metrics: Any) -> Mapping[str, Any]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise InputError(
            f"compute_metrics returned a {type(metrics).__name__} ({metrics!r:.40}); it must return a dictionary, for "
            'example {"accuracy": 0.5}.'
        )
    return metrics


@contextmanager
def full_precision_of(trainer: Any) -> Iterator[None]:
    """Parameters and buffers in bfloat16 or float16 inside, where ``bf16_full_eval`` or ``fp16_full_eval`` asks for it.

    Afterwards they are what they were, bit by bit: training goes on from its own numbers.
    """
    args = trainer.args
    if not (args.bf16_full_eval or args.fp16_full_eval):
        yield
        return
    dtype = torch.bfloat16 if args.bf16_full_eval else torch.float16
    if trainer.model.training:
        trainer.model.eval()
    elif hasattr(trainer.model, "prepare_for_inference"):
        trainer.model.train().eval()  # copies of the weights that were prepared for inference are of another dtype
    tensors = [t for t in (*trainer.model.parameters(), *trainer.model.buffers()) if t.is_floating_point()]
    kept = [t.data for t in tensors]
    try:
        for t in tensors:
            t.data = t.data.to(dtype)
        yield
    finally:
        for t, before in zip(tensors, kept, strict=True):
            t.data = before


def prediction_step(
    trainer: Any, model: Any, inputs: dict[str, Any], loss_only: bool, ignore_keys: list[str] | None
) -> tuple[Tensor | None, Any, Any]:
    """Loss, logits and labels of one batch; see ``Trainer.prediction_step``."""
    names = trainer.label_names
    has_labels = bool(names) and all(inputs.get(name) is not None for name in names)
    asks = inputs.get("return_loss")
    if not names and (trainer.can_return_loss if asks is None else asks):
        has_labels = True
    inputs = trainer._prepare_inputs(inputs)
    ignored = ignore_keys
    if ignored is None:
        ignored = list(getattr(getattr(model, "config", None), "keys_to_ignore_at_inference", ["past_key_values"]))
    labels = None
    if has_labels and names:
        labels = detached(tuple(inputs.get(name) for name in names))
        labels = labels[0] if len(labels) == 1 else labels
    loss = None
    with torch.no_grad(), trainer.compute_loss_context_manager():
        if has_labels:
            loss, outputs = trainer.compute_loss(model, inputs, return_outputs=True)
            loss = loss.detach().mean()
        else:
            outputs = model(**inputs)
    if loss_only:
        return loss, None, None
    if hasattr(outputs, "items"):
        logits = tuple(value for name, value in outputs.items() if name not in [*ignored, "loss"])
    else:
        logits = tuple(outputs[1:] if has_labels else outputs) if isinstance(outputs, (list, tuple)) else (outputs,)
    logits = detached(logits)
    return loss, logits[0] if len(logits) == 1 else logits, labels


def plain(value: Any) -> Any:
    """Numbers of NumPy and torch as Python's, arrays as lists."""
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        return value.item() if value.ndim == 0 or (isinstance(value, Tensor) and value.numel() == 1) else value.tolist()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return value


def steps_of(rows: int, batch_size: int) -> int:
    """Batches that so many rows make."""
    return math.ceil(rows / batch_size)


def checked_metric(metrics: dict[str, Any], name: str) -> float:
    """The metric by which the best model is chosen.

    Raises:
        InputError: it is not among those that were computed. Also a ``KeyError``, as in the ecosystem.
    """
    full = name if name.startswith("eval_") else f"eval_{name}"
    if full not in metrics:
        raise MissingMetricError(
            f"metric_for_best_model is {name!r}, but the evaluation gave {', '.join(sorted(metrics))}. "
            f"Return {full.removeprefix('eval_')!r} from compute_metrics, or name one of these."
        )
    return metrics[full]


class MissingMetricError(InputError, KeyError):
    """A metric that was asked for is not there."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


def _tensors(tree: Any) -> Any:
    if isinstance(tree, tuple):
        return tuple(_tensors(part) for part in tree)
    return torch.from_numpy(np.asarray(tree))

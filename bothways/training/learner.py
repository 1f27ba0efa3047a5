"""The model that learns: loaded, told what of it is trained, given its objective, and written."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bothways.engine.precision import best_device, resolve_precision
from bothways.engine.processes import Processes
from bothways.engine.seeds import seed_for
from bothways.engine.shared_runner import SharedRunner
from bothways.errors import InputError, UsageError
from bothways.models.adapters import begin_lora, save_trained_adapter
from bothways.models.auto import AutoConfig, model_class
from bothways.models.causal_models import check_direction
from bothways.nn.dropout import set_dropout
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.resolver.adapters import is_adapter
from bothways.tokenizers import AutoTokenizer
from bothways.training.distillation import Distillation, ask_teacher
from bothways.training.features import Features
from bothways.training.frozen import freeze_body, frozen_features, vector_logits
from bothways.training.method import WITH_CLASSES, Method
from bothways.training.objectives import (
    CrossEntropy,
    ModelLoss,
    Objective,
    SequenceLoss,
    class_weights,
    packed_logits,
)
from bothways.training.settings import FitSettings
from bothways.training.task import TrainingTask


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a model is taught.

    Attributes:
        features: of the training set, as ``fit`` takes them.
        seconds: that were needed before the first step: for the vectors of a frozen encoder, and a teacher's answers.
        weights: what each class weighs; None where all weigh the same.
    """

    features: Features
    objective: Objective
    seconds: float = 0.0
    weights: dict[str, float] | None = None


def load_learner(source: Path, job: TrainingTask, seed: int, group: Processes, *, merge: bool) -> tuple[Any, Any]:
    """The model to train, with the labels of the data, and its tokeniser. A head for other labels is not kept.

    Args:
        merge: whether an adapter becomes part of the weights, all of which can be trained then.
    """
    torch.manual_seed(seed_for(seed))
    config = AutoConfig.from_pretrained(source, **job.configuration())
    quiet = logging.getLogger("bothways")
    level, quiet.level = quiet.level, logging.ERROR  # that the head is new is the point here
    try:
        cls = model_class(config.model_type, job.model_task)
        check_direction(cls, config)
        model = cls.from_pretrained(source, config=config, ignore_mismatched_sizes=True, merge=merge)
    finally:
        quiet.setLevel(level)
    tokenizer = AutoTokenizer.from_pretrained(source)
    check_tokenizer(model, tokenizer)
    return model.to(best_device(group.local_rank)), tokenizer


def choose_parameters(model: Any, method: Method, source: Path, features: Features) -> None:
    """Decide what of a model is trained: all, LoRA and head, or the head alone; and with how much dropout.

    With LoRA the vectors of first and second texts learn, too, where the data has pairs.

    Raises:
        UsageError: an impossible rank, or not that of the adapter that is to go on.
    """
    if method.freeze:
        freeze_body(model)
    if method.lora is not None:
        if is_adapter(source) and method.lora_targets is not None:
            raise UsageError(f"{source} is an adapter, whose layers have LoRA already: drop --lora-targets.")
        try:
            begin_lora(model, r=method.lora, targets=method.targets, pairs=features.token_type_ids is not None)
        except InputError as problem:
            raise UsageError(f"--lora {method.lora}: {problem}") from None
    if method.dropout is not None:
        set_dropout(model, method.dropout)


def make_lesson(
    model: Any,
    job: TrainingTask,
    features: Features,
    method: Method,
    settings: FitSettings,
    limit: int,
    group: Processes,
) -> Lesson:
    """The objective, and the features that it is about.

    Args:
        limit: tokens of an example that training reads.

    Raises:
        UsageError: a teacher or class weights that do not fit the data.
    """
    start = time.perf_counter()
    names = [label for _, label in sorted(model.config.id2label.items())]
    weights = None
    if method.class_weights is not None:
        weights = class_weights(method.class_weights, names, features.labels)
    dtype = resolve_precision(settings.precision, model.device)
    answers = None
    if method.teacher is not None:
        wants_vectors = method.teacher_vectors > 0
        answers = ask_teacher(method.teacher, job, model, features, limit, group, dtype=dtype, vectors=wants_vectors)
    if method.freeze:
        features = frozen_features(model, features, SharedRunner(model, group, dtype=dtype))
    objective: Objective = ModelLoss()
    if method.freeze and job.kind not in WITH_CLASSES:
        objective = SequenceLoss(model.config.problem_type, vector_logits)
    elif method.freeze or weights is not None or method.label_smoothing or answers is not None:
        forward = vector_logits if method.freeze else packed_logits
        objective = CrossEntropy(weights=weights, smoothing=method.label_smoothing, forward=forward)
    if answers is not None:
        assert isinstance(objective, CrossEntropy)
        objective = Distillation(
            objective,
            answers,
            weight=method.teacher_weight,
            temperature=method.temperature,
            vectors_weight=method.teacher_vectors,
        )
    return Lesson(
        features=features,
        objective=objective,
        seconds=time.perf_counter() - start if method.freeze or answers is not None else 0.0,
        weights=None if weights is None else dict(zip(names, weights.tolist(), strict=True)),
    )


def write_model(place: Path, model: Any, tokenizer: Any, weights: dict[str, Tensor]) -> None:
    """A model directory; ``weights`` replace those of the model."""
    names: dict[int, str] = {id(p): name for name, p in model.named_parameters()}
    state = dict(model.state_dict())
    for name, parameter in model.named_parameters(remove_duplicate=False):
        state[name] = weights.get(names[id(parameter)], state[name])
    model.save_pretrained(place, state_dict=state)
    tokenizer.save_pretrained(place)


def write_result(place: Path, model: Any, tokenizer: Any, method: Method, identity: dict[str, Any]) -> None:
    """A model directory, or with LoRA an adapter directory.

    Args:
        identity: name and hash of the model that training began with.
    """
    if method.lora is None:
        model.save_pretrained(place)
    else:
        save_trained_adapter(model, place, identity["name"], identity["sha256"])
    tokenizer.save_pretrained(place)


__all__ = ["Lesson", "choose_parameters", "load_learner", "make_lesson", "write_model", "write_result"]

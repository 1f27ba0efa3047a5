"""Learning from the answers of a larger model: its classifier's probabilities, and if asked for its vectors.

    loss = (1 - a) hard + a T^2 KL(softmax(teacher / T) || softmax(student / T)) + b MSE(student's vector, teacher's)

The teacher reads the training set once; no step runs it again.

Sources: Hinton et al. 2015, section 2 (the factor T^2); Sanh et al. 2019, section 3; Jiao et al. 2020, section 3.1
(vectors).

Shapes: n examples, R items (examples, or labelled tokens), C classes, N hidden_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bothways.engine.processes import Processes
from bothways.engine.shared_runner import SharedRunner
from bothways.errors import UsageError
from bothways.models.auto import AutoConfig, model_class
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.resolver import resolve_model
from bothways.tasks.encoded import position_limit
from bothways.tokenizers import AutoTokenizer
from bothways.training.features import Features
from bothways.training.frozen import read_by_head
from bothways.training.item_table import IGNORED, ItemTable, sequence_table, token_table
from bothways.training.objectives import CrossEntropy, Objective

ASKING = "Asking the teacher"


@dataclass(frozen=True, kw_only=True)
class TeacherAnswers:
    """Attributes:
    logits: (R, C) in the order of the student's classes.
    vectors: (R, N) of what the head reads; None where nobody asked.
    """

    logits: ItemTable
    vectors: ItemTable | None = None


class Distillation(Objective):
    """The sum above. With class weights every item counts as much in all of its parts.

    Args:
        hard: the loss against the labels.
        answers: of the teacher to the training set.
        weight: a. temperature: T. vectors_weight: b; needs ``answers.vectors``.
    """

    def __init__(
        self,
        hard: CrossEntropy,
        answers: TeacherAnswers,
        *,
        weight: float = 0.5,
        temperature: float = 2.0,
        vectors_weight: float = 0.0,
    ) -> None:
        self.hard, self.answers = hard, answers
        self.weight, self.temperature, self.vectors_weight = weight, temperature, vectors_weight

    def items(self, batch: Any) -> float:
        return self.hard.items(batch)

    def loss(self, model: Any, batch: Any, examples: Sequence[int]) -> Tensor:
        if self.vectors_weight:
            logits, vectors = _logits_and_vectors(model, batch)
        else:
            logits, vectors = self.hard.forward(model, batch), None
        self.told(logits, examples)
        counted = batch.labels != IGNORED
        weights = self.hard.item_weights(batch.labels)
        loss = (1 - self.weight) * self.hard.of(logits, batch.labels)
        soft = soft_loss(logits[counted], _rows(self.answers.logits, examples, logits), self.temperature)  # (R,)
        loss = loss + self.weight * (soft * weights).sum() / weights.sum()
        if vectors is not None:
            assert self.answers.vectors is not None
            wanted = _rows(self.answers.vectors, examples, vectors)
            apart = (vectors[counted].float() - wanted).square().mean(dim=-1)  # (R,)
            loss = loss + self.vectors_weight * (apart * weights).sum() / weights.sum()
        return loss


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """(R,) T^2 KL(softmax(teacher / T) || softmax(student / T)) of logits (R, C)."""
    log_probs = F.log_softmax(student.float() / temperature, dim=-1)
    wanted = F.log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * F.kl_div(log_probs, wanted, reduction="none", log_target=True).sum(dim=-1)


def ask_teacher(
    name: str, job: Any, student: Any, features: Features, limit: int, group: Processes, *, dtype: Any, vectors: bool
) -> TeacherAnswers:
    """Let the teacher answer the training set, once.

    Args:
        name: of the teacher, or its directory.
        job: the task. student: the model that learns. features: the training set as the student reads it.
        limit: tokens of an example that the student reads.
        vectors: whether the teacher's vectors are wanted too.

    Raises:
        UsageError: a model for another task, with other labels, of another width, or one that divides other words.
    """
    source = resolve_model(name)
    config = AutoConfig.from_pretrained(source)
    cls = model_class(config.model_type, job.model_task)
    _check_teacher(name, config, cls.__name__, student, vectors)
    teacher: Any = cls.from_pretrained(source).to(student.device)
    tokenizer = AutoTokenizer.from_pretrained(source)
    check_tokenizer(teacher, tokenizer)
    most = position_limit(config)
    asked = job.training_set(tokenizer, limit if most is None else min(limit, most), config).features
    _check_same_items(name, asked, features)
    runner = SharedRunner(teacher, group, dtype=dtype)
    columns = [config.label2id[label] for _, label in sorted(student.config.id2label.items())]
    if student.head.reads == "tokens":
        logits = token_table(
            asked, lambda ids, types: [own[:, columns] for own in runner.token_logits(ids, types)], len(columns), ASKING
        )
        read: Any = runner.hidden
        table: Any = token_table
    else:
        logits = sequence_table(
            asked, lambda ids, types: runner.sequence_logits(ids, types)[:, columns], len(columns), ASKING
        )
        read = read_by_head(student, runner)
        table = sequence_table
    return TeacherAnswers(logits=logits, vectors=table(asked, read, config.hidden_size, ASKING) if vectors else None)


def _check_teacher(name: str, config: Any, wanted: str, student: Any, vectors: bool) -> None:
    made_for = (config.architectures or [wanted])[0]
    if made_for != wanted:
        raise UsageError(f"the teacher {name} is a {made_for}; a {wanted} with the labels of the data is expected.")
    theirs, ours = (sorted(c.id2label.values()) for c in (config, student.config))
    if theirs != ours:
        raise UsageError(
            f"the teacher {name} has the labels {_shown(theirs)}; the data has {_shown(ours)}. They must be the same, "
            "in any order: train the teacher on data with these labels."
        )
    width = student.config.hidden_size
    if vectors and config.hidden_size != width:
        raise UsageError(
            f"teacher_vectors needs vectors of one width; the teacher's have {config.hidden_size} numbers, the "
            f"model's {width}. Drop --teacher-vectors."
        )


def _check_same_items(name: str, theirs: Features, ours: Features) -> None:
    """For tokens: both models must see the same labelled units in the same order."""
    if isinstance(ours.labels, Tensor):
        return
    counts = [[int((np.asarray(own) != IGNORED).sum()) for own in features.labels] for features in (theirs, ours)]
    if counts[0] != counts[1]:
        raise UsageError(
            f"the teacher {name} divides the training texts otherwise: {len(counts[0]):,} windows with "
            f"{sum(counts[0]):,} words, the model has {len(counts[1]):,} with {sum(counts[1]):,}. Give a --max-length "
            "that both read, and shorter texts."
        )


def _rows(table: ItemTable, examples: Sequence[int], like: Tensor) -> Tensor:
    return table.rows(examples).to(like.device)


def _logits_and_vectors(model: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """Logits, and of what the head reads: the first token, the mean of all, or every token."""
    inputs = model.packed(batch)
    logits, encoded = model.compute_logits(inputs)
    vectors = encoded.hidden
    if model.head.reads == "mean":
        vectors = torch.segment_reduce(vectors, "mean", lengths=batch.seqlens.cu_seqlens.diff().long())
    return logits, vectors


def _shown(labels: Sequence[str]) -> str:
    return ", ".join(labels[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")


__all__ = ["Distillation", "TeacherAnswers", "ask_teacher", "soft_loss"]

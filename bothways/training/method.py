"""How a model learns, beyond numbers: which of its parts, from which loss. Checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from bothways.errors import UsageError
from bothways.evaluation.written_scores import LANGUAGE, WRITTEN
from bothways.training.objectives import BALANCED, parse_weights
from bothways.training.task import Defaults

LORA_RATE = 2e-3
"""Measured on 432 messages in 6 classes, rank 8, one seed, accuracy: 0.963 after 4 epochs, as without LoRA; with 5e-4
0.926 after 4 epochs and 0.963 after 8. The head has the same rate in all of them.
"""
FROZEN = Defaults(epochs=30, learning_rate=3e-4, head_factor=3.0)
"""With a frozen encoder; the rate is the pooler's. Measured on 432 messages in 6 classes, seeds 1 to 3, accuracy of the
best of 30 epochs: 0.87 with these or with 1e-3 for both, 0.75 to 0.84 if the pooler stays as it is. All 30 epochs take
4 seconds on one core; one epoch of everything takes 13, and four of them come to 0.96.
"""
WITH_CLASSES = ("single", "entities")
"""Kinds of labels that cross entropy is about."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """Attributes:
    class_weights: ``"balanced"`` or ``"pos=2,neg=1"``; None weighs all classes alike.
    label_smoothing: probability that is given to all classes alike.
    lora: rank of the matrices that learn beside the encoder, which stays as it is; None trains all.
    lora_targets: ends of the paths of the layers beside which they learn, ``"query,key,value,dense"`` for all; None is
        ``"query,value"``.
    freeze: train only the head.
    teacher: a classifier with the same labels to learn from.
    teacher_weight: share of its answers in the loss; the labels have the rest.
    temperature: by which the logits of both are divided.
    teacher_vectors: weight of the distance between both models' vectors.
    dropout: share of numbers that are set to zero while training, everywhere in the model; None leaves the model's own.
    """

    class_weights: str | None = None
    label_smoothing: float = 0.0
    lora: int | None = None
    lora_targets: str | None = None
    freeze: bool = False
    teacher: str | None = None
    teacher_weight: float = 0.5
    temperature: float = 2.0
    teacher_vectors: float = 0.0
    dropout: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Method:
        """From the options of ``train``; what was not asked for has its default.

        Raises:
            UsageError: values that cannot be, or that do not go together; all of them.
        """
        asked = {f.name: options[f.name] for f in fields(cls) if options.get(f.name) is not None}
        method = cls(**asked)
        problems = [*method._impossible(), *method._together(options)]
        if problems:
            raise UsageError("; ".join(problems) + ".")
        return method

    @property
    def targets(self) -> tuple[str, ...]:
        """The names in ``lora_targets``, or the usual ones."""
        names = (self.lora_targets or "query,value").split(",")
        return tuple(name.strip() for name in names if name.strip())

    def check_task(self, job: Any) -> None:
        """Refuse what the labels of the data have no room for.

        Raises:
            UsageError: naming the option, the task and what to do.
        """
        given = {
            "--class-weights": self.class_weights is not None,
            "--label-smoothing": self.label_smoothing > 0,
            "--teacher": self.teacher is not None,
        }
        where = f"the labels of this {job.name} data are of kind {job.kind!r}"
        if job.kind in WRITTEN:
            given["--label-smoothing"] = False  # the words of the vocabulary are classes
        if job.kind not in WITH_CLASSES:
            for option in [name for name, is_given in given.items() if is_given]:
                raise UsageError(f"{option} is for one class for each text or token; {where}. Drop it.")
        if job.model_task == "multiple-choice":
            for option in [name for name in ("--class-weights", "--teacher") if given[name]]:
                raise UsageError(f"{option} is for classes; the choices of {job.name} are others each time. Drop it.")
        if self.freeze and job.kind in (*WRITTEN, LANGUAGE):
            raise UsageError(
                f"--freeze trains the head alone, and {job.name} needs all of a model. Take --lora 8, or drop it."
            )
        if self.freeze and job.kind == "answers":
            raise UsageError(
                f"--freeze trains the head alone, and that of {job.name} is one matrix, which finds no answers in what "
                "an encoder says that never learned to. Take --lora 8 instead."
            )

    def defaults(self, task: Defaults) -> Defaults:
        """Settings that suit the task and this method."""
        if self.freeze:
            return FROZEN
        if self.lora is not None:
            # the head's rate stays what it is when everything learns
            head = task.head_factor * task.learning_rate / LORA_RATE
            return replace(task, learning_rate=LORA_RATE, head_factor=max(1.0, head))
        return task

    def _impossible(self) -> list[str]:
        if self.class_weights is not None and self.class_weights.strip() != BALANCED:
            parse_weights(self.class_weights)
        found = [
            ("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "a number from 0 to below 1"),
            ("lora", self.lora, self.lora is None or self.lora >= 1, "a rank: a whole number from 1, such as 8"),
            ("teacher_weight", self.teacher_weight, 0 < self.teacher_weight <= 1, "a number above 0 and at most 1"),
            ("temperature", self.temperature, 0 < self.temperature < 1e3, "a number above 0 and below 1000"),
            ("dropout", self.dropout, self.dropout is None or 0 <= self.dropout < 1, "a number from 0 to below 1"),
            ("teacher_vectors", self.teacher_vectors, 0 <= self.teacher_vectors < 1e6, "a number from 0 to below 1e6"),
        ]
        return [f"{name} is {value}, expected {expected}" for name, value, ok, expected in found if not ok]

    def _together(self, options: Mapping[str, Any]) -> list[str]:
        found = []
        if self.lora_targets is not None and self.lora is None:
            found.append("--lora-targets without --lora says nothing: give the rank, such as --lora 8")
        if self.freeze and self.lora is not None:
            found.append("--freeze and --lora were both given: the encoder stays as it is, or learns a little")
        if self.freeze and options.get("layer_decay") is not None:
            found.append("--layer-decay is about the layers of the encoder, none of which learns with --freeze")
        if self.freeze and self.teacher_vectors:
            found.append("--teacher-vectors is about the encoder's vectors, which stay as they are with --freeze")
        if self.teacher is None:
            names = ("teacher_weight", "temperature", "teacher_vectors")
            given = [f"--{name.replace('_', '-')}" for name in names if options.get(name) is not None]
            if given:
                found.append(f"{' and '.join(given)} without --teacher says nothing: name the model to learn from")
        return found


__all__ = ["Method"]

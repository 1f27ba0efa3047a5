"""What models return: values readable by attribute, by key and by position; absent fields are skipped."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

Tensors = tuple[Tensor, ...]


class ModelOutput(OrderedDict[str, Any]):
    """Base of all outputs: ``output.logits``, ``output["logits"]``, ``output[0]``, ``output[:2]``, ``**output``.

    As in the ecosystem it is a dictionary of the fields that are present, and attributes and items stay the same.
    """

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None:
                super().__setitem__(field.name, value)

    def to_tuple(self) -> tuple[Any, ...]:
        """The present fields, in order."""
        return tuple(self.values())

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self:
                raise KeyError(f"{type(self).__name__} has no {key!r} here. Present: {', '.join(self)}.")
            return super().__getitem__(key)
        return self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in self and value is not None:
            super().__setitem__(name, value)

    def __reduce__(self) -> Any:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


@dataclass(eq=False, repr=False)
class BaseModelOutputWithPooling(ModelOutput):
    """last_hidden_state (B, S, N); pooler_output (B, N); hidden_states: embeddings and each layer; attentions."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class SequenceClassifierOutput(ModelOutput):
    """loss (); logits (B, C)."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class TokenClassifierOutput(SequenceClassifierOutput):
    """loss (); logits (B, S, C)."""


class MultipleChoiceModelOutput(SequenceClassifierOutput):
    """loss (); logits (B, choices)."""


class MaskedLMOutput(SequenceClassifierOutput):
    """loss (); logits (B, S, V)."""


class NextSentencePredictorOutput(SequenceClassifierOutput):
    """loss (); logits (B, 2): index 0 means that the second sentence follows the first."""


@dataclass(eq=False, repr=False)
class QuestionAnsweringModelOutput(ModelOutput):
    """loss (); start_logits and end_logits (B, S), the smallest number where the mask is 0."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class BertForPreTrainingOutput(ModelOutput):
    """loss (); prediction_logits (B, S, V); seq_relationship_logits (B, 2)."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False, repr=False)
class AlbertForPreTrainingOutput(ModelOutput):
    """loss (); prediction_logits (B, S, V); sop_logits (B, 2): index 0 means that the texts stand in their order."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    sop_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class ElectraForPreTrainingOutput(SequenceClassifierOutput):
    """loss (); logits (B, S): above 0 where a token seems replaced."""

"""What models return: values readable by attribute, by key and by position; absent fields are skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

Tensors = tuple[Tensor, ...]


class ModelOutput(Mapping):
    """Base of all outputs: ``output.logits``, ``output["logits"]``, ``output[0]``, ``output[:2]``, ``**output``."""

    def to_tuple(self) -> tuple[Any, ...]:
        """The present fields, in order."""
        return tuple(getattr(self, name) for name in self)

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in list(self):
                raise KeyError(f"{type(self).__name__} has no {key!r} here. Present: {', '.join(self)}.")
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return (f.name for f in fields(self) if getattr(self, f.name) is not None)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(eq=False)
class BaseModelOutput(ModelOutput):
    """last_hidden_state (B, S, N); hidden_states: embeddings and every layer; attentions: (B, H, S, S) a layer."""

    last_hidden_state: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False)
class BaseModelOutputWithPooling(ModelOutput):
    """As ``BaseModelOutput``, with pooler_output (B, N)."""

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False)
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


@dataclass(eq=False)
class QuestionAnsweringModelOutput(ModelOutput):
    """loss (); start_logits and end_logits (B, S), the smallest number where the mask is 0."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass(eq=False)
class BertForPreTrainingOutput(ModelOutput):
    """loss (); prediction_logits (B, S, V); seq_relationship_logits (B, 2)."""

    loss: Tensor | None = None
    prediction_logits: Tensor | None = None
    seq_relationship_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None

"""What a model is asked in pretraining, a class for each way: rows of an epoch, a step's exercise, its loss.

The loss of a step is a mean over its asked tokens; what is asked about whole rows, or about all tokens, has a mean of
its own over the step and is added. An exercise knows what part of its step it is, so that the losses of micro-batches
add up to that of the step exactly.

Shapes: B rows, T tokens, A asked tokens, V vocab_size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bothways.batching import collate
from bothways.errors import UsageError
from bothways.objectives.causal_lm import next_token_labels
from bothways.objectives.span_corruption import corrupt_spans, corrupted_lengths, spans_input_length
from bothways.pretraining.documents import Documents
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.rows import Rows, pieces
from bothways.tasks.causal_lm import boundary_ids
from bothways.training.writing_features import PairBatch

IGNORED = -100

Counts = dict[str, tuple[float, float]]
"""By the name of a measure: a sum, and what it is divided by."""


@dataclass(frozen=True, kw_only=True)
class GoalSettings:
    """Attributes:
    max_length: tokens of a row, special ones included.
    mask_rate: share of the tokens that is asked for, at the beginning and at the end of the run.
    whole_words: words are chosen as wholes.
    short_rows: share of the documents whose rows are shorter.
    """

    max_length: int
    mask_rate: tuple[float, float] = (0.15, 0.15)
    whole_words: bool = False
    short_rows: float = 0.0


class Goal(ABC):
    """One way of pretraining.

    Attributes:
        model_task: the head of a model that learns so.
        measures: what validation tells besides the loss: names, and words for people.
        asks_always: something is asked also where no token is.
        has_pairs: its rows have second texts.
        begins_with_word_vectors: a new model gets vectors counted from the corpus first.
    """

    model_task: ClassVar[str]
    measures: ClassVar[dict[str, str]]
    asks_always: ClassVar[bool] = False
    has_pairs: ClassVar[bool] = False
    begins_with_word_vectors: ClassVar[bool] = False

    def __init__(self, tokenizer: Any, settings: GoalSettings) -> None:
        self.tokenizer, self.settings = tokenizer, settings

    def check(self, documents: Documents) -> None:  # noqa: B027 - most refuse nothing
        """Refuse documents that hold nothing to ask.

        Raises:
            UsageError: which says why.
        """

    @abstractmethod
    def rows(self, documents: Documents, rng: np.random.Generator) -> Rows:
        """The rows of one epoch."""

    @abstractmethod
    def exercise(
        self, documents: Documents, rows: Rows, indices: Sequence[int], *, seed: int, share: float
    ) -> Exercise:
        """Some rows, and what is asked about them when ``share`` of the run is over."""

    @abstractmethod
    def loss(self, model: Any, exercise: Exercise) -> Tensor:
        """() its part of the step's loss."""

    @abstractmethod
    def counts(self, model: Any, exercise: Exercise) -> Counts:
        """``loss`` and the measures of an exercise."""

    @abstractmethod
    def asked_share(self) -> float:
        """For what share of the tokens the vocabulary is projected, at most."""

    def items(self, exercise: Exercise) -> int:
        """How many tokens are asked for."""
        assert exercise.batch.labels is not None
        return int((exercise.batch.labels != IGNORED).sum())

    def is_empty(self, exercise: Exercise) -> bool:
        """Whether there is nothing to learn from: the mean over no tokens is no number."""
        return not self.asks_always and not self.items(exercise)


class NextWords(Goal):
    """Each token is asked for behind those before it; documents end with the end token, and begin after the start."""

    model_task = "causal-lm"
    measures: ClassVar[dict[str, str]] = {"accuracy": "next tokens right"}

    def __init__(self, tokenizer: Any, settings: GoalSettings) -> None:
        super().__init__(tokenizer, settings)
        if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
            raise UsageError(
                f"{type(tokenizer).__name__} has neither a start nor an end token, and documents are told apart by "
                "them. Learn a vocabulary for this objective: bothways tokenizer train --type bpe --model-type gpt2."
            )
        start, end = boundary_ids(tokenizer)
        self.before = np.array([] if start is None else [start], dtype=np.int64)
        self.after = np.array([] if end is None else [end], dtype=np.int64)

    def rows(self, documents: Documents, rng: np.random.Generator) -> Rows:
        """A row begins with the last token of the one before it, which is read and not predicted again."""
        return pieces(documents.starts, self.settings.max_length - 2, overlap=1)

    def exercise(
        self, documents: Documents, rows: Rows, indices: Sequence[int], *, seed: int, share: float
    ) -> Exercise:
        places = rows.first[np.asarray(indices)]
        edges = documents.starts[np.searchsorted(documents.starts, places)] == places
        ids = []
        for (start, stop), (begins, ends) in zip(places, edges, strict=True):
            own = [documents.read(start, stop)]
            own = [self.before, *own] if begins else own
            ids.append(np.concatenate([*own, self.after] if ends else own))
        return Exercise(batch=next_token_labels(collate(ids)))

    def items(self, exercise: Exercise) -> int:
        return exercise.total_tokens - exercise.n_rows

    def loss(self, model: Any, exercise: Exercise) -> Tensor:
        return model(exercise.batch).loss * exercise.asked_share

    def counts(self, model: Any, exercise: Exercise) -> Counts:
        output = model(exercise.batch)
        first = exercise.batch.seqlens.first_tokens
        predicted = torch.ones(exercise.batch.total_tokens, dtype=torch.bool, device=first.device)
        predicted[first] = False
        return counted(output.loss, output.logits, exercise.batch.input_ids[predicted])

    def asked_share(self) -> float:
        return 1.0


class MissingSpans(Goal):
    """Spans are replaced by marks, and asked for in turn. Source: Raffel et al. 2020, section 3.1.4."""

    model_task = "seq2seq-lm"
    measures: ClassVar[dict[str, str]] = {"accuracy": "tokens of spans right"}
    mean_span = 3.0

    def __init__(self, tokenizer: Any, settings: GoalSettings) -> None:
        super().__init__(tokenizer, settings)
        self.sentinel = tokenizer.convert_tokens_to_ids("<extra_id_0>")
        if self.sentinel in (None, tokenizer.unk_token_id) or tokenizer.eos_token_id is None:
            raise UsageError(
                f"{type(tokenizer).__name__} has no marks for missing spans (<extra_id_0>, …). Take a T5 tokeniser: "
                "bothways tokenizer train --type unigram --model-type t5."
            )
        self.n_sentinels = sentinels_of(tokenizer)
        rates = settings.mask_rate
        self.room = spans_input_length(settings.max_length, noise_density=min(rates), mean_span=self.mean_span)
        most = max(self._spans(rate) for rate in (*rates, min(max(rates), max(min(rates), 0.5))))
        if most > self.n_sentinels:
            raise UsageError(
                f"rows of {settings.max_length:,} tokens have up to {most} missing spans, but the tokeniser has "
                f"{self.n_sentinels} marks for them. Give a smaller --max-length or --mask-rate."
            )

    def _spans(self, rate: float) -> int:
        """How many spans are taken out of the longest text."""
        source, target = corrupted_lengths(self.room, noise_density=rate, mean_span=self.mean_span)
        return (source + target - self.room) // 2 - 1

    def rows(self, documents: Documents, rng: np.random.Generator) -> Rows:
        rows = pieces(documents.starts, self.room)
        return Rows(first=rows.first[rows.n_tokens > 1])  # of one token nothing would be left to read

    def exercise(
        self, documents: Documents, rows: Rows, indices: Sequence[int], *, seed: int, share: float
    ) -> Exercise:
        rng = np.random.default_rng(seed)
        start, end = self.settings.mask_rate
        pairs = [
            corrupt_spans(
                documents.read(*rows.first[i]),
                first_sentinel_id=self.sentinel,
                eos_token_id=self.tokenizer.eos_token_id,
                rng=rng,
                noise_density=start + (end - start) * share,
                mean_span=self.mean_span,
                n_sentinels=self.n_sentinels,
            )
            for i in indices
        ]
        return Exercise(
            batch=collate([np.asarray(source) for source, _ in pairs]),
            target=next_token_labels(collate([np.asarray(target) for _, target in pairs])),
        )

    def items(self, exercise: Exercise) -> int:
        assert exercise.target is not None
        return exercise.target.total_tokens

    def loss(self, model: Any, exercise: Exercise) -> Tensor:
        return self._output(model, exercise).loss * exercise.asked_share

    def counts(self, model: Any, exercise: Exercise) -> Counts:
        assert exercise.target is not None
        output = self._output(model, exercise)
        return counted(output.loss, output.logits, exercise.target.input_ids)

    def asked_share(self) -> float:
        return max(self.settings.mask_rate) * (1 + 1 / self.mean_span)

    def _output(self, model: Any, exercise: Exercise) -> Any:
        assert exercise.target is not None
        return PairBatch(exercise.batch, exercise.target).output(model, with_loss=True)


def sentinels_of(tokenizer: Any) -> int:
    """How many marks of missing spans a tokeniser has whose ids fall one by one from ``<extra_id_0>``."""
    first, count = tokenizer.convert_tokens_to_ids("<extra_id_0>"), 1
    while tokenizer.convert_tokens_to_ids(f"<extra_id_{count}>") == first - count:
        count += 1
    return count


def counted(loss: Tensor, logits: Tensor, asked: Tensor) -> Counts:
    """Loss and accuracy, from the mean loss, logits (A, V) and the right ids (A,)."""
    count = len(asked)
    if not count:
        return {"loss": (0.0, 0), "accuracy": (0.0, 0)}
    right = float((logits.argmax(dim=-1) == asked).sum())
    return {"loss": (float(loss) * count, count), "accuracy": (right, count)}

"""What changes scores before a token is chosen: the base that people subclass, and the list.

The ecosystem calls a processor with a rectangle, ``processor(input_ids, scores)``. Our loops call
``processor.for_rows(rows, scores)``, where rows have lengths of their own. Who writes a processor defines ``__call__``
and need not know: rows of equal length are then handed over together, without padding. The processors of the library
define ``process`` instead, once for both.

Shapes: R rows, S tokens, V vocab_size.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from torch import Tensor

from bothways.errors import InputError
from bothways.generation.rows import Rows


class LogitsProcessor:
    """Base of everything that changes scores."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A ``__call__`` of one's own is what counts, also below a class that knows rows."""
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls) and "for_rows" not in vars(cls):
            cls.for_rows = LogitsProcessor.for_rows  # type: ignore[method-assign]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """New scores.

        Args:
            input_ids: int64 (R, S), the tokens so far.
            scores: (R, V), logits; log-probabilities in beam search.

        Returns:
            (R, V). ``scores`` itself is not changed.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(input_ids, scores).")

    def for_rows(self, rows: Rows, scores: Tensor, **kwargs: Any) -> Tensor:
        """New scores, (R, V), of rows with lengths of their own: one call for the rows of each length."""
        return call_by_length(self, rows, scores, **kwargs)


LogitsWarper = LogitsProcessor
"""The ecosystem's older name for processors of sampling."""


class RowsProcessor(LogitsProcessor):
    """Base of the library's own processors, which look at all rows at once."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        return self.process(Rows.rectangle(input_ids), scores, **kwargs)

    def for_rows(self, rows: Rows, scores: Tensor, **kwargs: Any) -> Tensor:
        return self.process(rows, scores, **kwargs)

    @abstractmethod
    def process(self, rows: Rows, scores: Tensor) -> Tensor:
        """New scores, (R, V), of each row as if it were alone."""


class LogitsProcessorList(list[Callable[..., Tensor]]):
    """Processors one after another."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """Scores after all processors, as the ecosystem calls them: a rectangle, (R, S) and (R, V)."""
        for processor in self:
            scores = processor(input_ids, scores, **_further(processor, kwargs))
        return scores

    def apply(self, rows: Rows, scores: Tensor, **kwargs: Any) -> Tensor:
        """Scores after all processors, (R, V), each row as if it were alone.

        Args:
            rows: the rows so far.
            scores: (R, V).
            kwargs: what some processors ask for besides, as ``current_tokens`` and ``beam_group_idx``.
        """
        for processor in self:
            further = _further(processor, kwargs)
            if isinstance(processor, LogitsProcessor):
                scores = processor.for_rows(rows, scores, **further)
            else:
                scores = call_by_length(processor, rows, scores, **further)
        return scores


def call_by_length(processor: Callable[..., Tensor], rows: Rows, scores: Tensor, **kwargs: Any) -> Tensor:
    """Call a processor that knows only rectangles once for the rows of each length."""
    if rows.even:
        return processor(rows.ids, scores, **kwargs)
    result = scores.clone()
    for chosen, ids in rows.groups():
        result[chosen] = processor(ids, scores[chosen], **kwargs).to(result.dtype)
    return result


def _further(processor: Callable[..., Tensor], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments beyond ids and scores for a processor that asks for any."""
    of_class = isinstance(processor, LogitsProcessor)
    asked = _asked_by_class(processor.__class__) if of_class else _asked(processor, 2)  # type: ignore[arg-type]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in asked):
        return given
    missing = [p.name for p in asked if p.name not in given and p.default is p.empty]
    if missing:
        raise InputError(f"{type(processor).__name__} asks for {', '.join(missing)}: pass them to the list as well.")
    return {parameter.name: given[parameter.name] for parameter in asked if parameter.name in given}


@lru_cache(maxsize=256)
def _asked_by_class(cls: type[LogitsProcessor]) -> tuple[inspect.Parameter, ...]:
    """What processors of a class ask for; the library's own say it in ``process``."""
    own = issubclass(cls, RowsProcessor) and cls.__call__ is RowsProcessor.__call__
    return _asked(cls.process if own else cls.__call__, 3)  # type: ignore[attr-defined]


def _asked(call: Callable[..., Any], first: int) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(call).parameters.values())[first:]

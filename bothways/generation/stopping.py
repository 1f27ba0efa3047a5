"""When a row ends: the base that people subclass, the list, and the criteria of the ecosystem.

As with processors, our loops call ``criterion.for_rows(rows, scores)``, where rows have lengths of their own, and who
writes a criterion defines ``__call__`` for a rectangle: rows of equal length are handed over together, without padding.

Shapes: R rows, S tokens, V vocab_size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.arguments import checked_number, id_list, merged
from bothways.generation.rows import Rows


class StoppingCriteria:
    """Base of everything that ends rows."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A ``__call__`` of one's own is what counts, also below a class that knows rows."""
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls) and "for_rows" not in vars(cls):
            cls.for_rows = StoppingCriteria.for_rows  # type: ignore[method-assign]

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """Which rows end now.

        Args:
            input_ids: int64 (R, S), the last token among them.
            scores: what ``generate`` keeps of the scores, a tuple with a tensor for each step, or None.
            kwargs: for criteria that ask for more.

        Returns:
            bool (R,), or one value for all rows.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(input_ids, scores, **kwargs).")

    def for_rows(self, rows: Rows, scores: Any, **kwargs: Any) -> Tensor:
        """Which rows end, bool (R,), of rows with lengths of their own: one call for the rows of each length."""
        return _ask_by_length(self, rows, scores, **kwargs)


class _RowsCriteria(StoppingCriteria):
    """Base of the library's own criteria, which look at all rows at once."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        return self._ended(Rows.rectangle(input_ids), scores)

    def for_rows(self, rows: Rows, scores: Any, **kwargs: Any) -> Tensor:
        return self._ended(rows, scores)

    def _ended(self, rows: Rows, scores: Any) -> Tensor:
        raise NotImplementedError


class MaxLengthCriteria(_RowsCriteria):
    """A row ends with ``max_length`` tokens, prompt included.

    ``max_position_embeddings`` is accepted for compatibility: whether a row has room is checked before it is written.
    """

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length = checked_number("max_length", max_length, least=0, whole=True)
        self.max_position_embeddings = max_position_embeddings

    def _ended(self, rows: Rows, scores: Any) -> Tensor:
        return torch.tensor([length >= self.max_length for length in rows.lengths], device=rows.ids.device)


class MaxTimeCriteria(_RowsCriteria):
    """All rows end after ``max_time`` seconds, which begin now or at ``initial_timestamp`` (as ``time.time()``)."""

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = checked_number("max_time", max_time, least=0)
        self.initial_timestamp = time.time() if initial_timestamp is None else initial_timestamp

    def _ended(self, rows: Rows, scores: Any) -> Tensor:
        over = time.time() - self.initial_timestamp > self.max_time
        return torch.full((len(rows.ids),), over, device=rows.ids.device)


class EosTokenCriteria(_RowsCriteria):
    """A row ends with one of these tokens."""

    def __init__(self, eos_token_id: int | Sequence[int] | Tensor) -> None:
        self.eos_token_id = torch.tensor(id_list("eos_token_id", eos_token_id), dtype=torch.int64)

    def _ended(self, rows: Rows, scores: Any) -> Tensor:
        return torch.isin(rows.ids[:, -1], self.eos_token_id.to(rows.ids.device))


class ConfidenceCriteria(_RowsCriteria):
    """A row ends with a token that had a probability below the threshold: what an assistant stops drafting at."""

    def __init__(self, assistant_confidence_threshold: float) -> None:
        name = "assistant_confidence_threshold"
        self.assistant_confidence_threshold = checked_number(name, assistant_confidence_threshold, least=0, most=1)

    def _ended(self, rows: Rows, scores: Any) -> Tensor:
        if scores is None:
            raise InputError("ConfidenceCriteria reads scores: pass return_dict_in_generate=True, output_scores=True.")
        probabilities = (scores if isinstance(scores, Tensor) else scores[-1]).softmax(dim=-1)
        return probabilities.gather(1, rows.ids[:, -1:])[:, 0] < self.assistant_confidence_threshold


class StopStringCriteria(_RowsCriteria):
    """A row ends when its last token completes one of these texts, wherever the borders of tokens are.

    The text may begin in any token and end inside the last one: "stop" is completed by ``st + op``, ``las + topper``,
    and, as bytes, by the last part of a character.

    Args:
        tokenizer: turns ids into text.
        stop_strings: a text, or several.
    """

    def __init__(self, tokenizer: Any, stop_strings: str | Sequence[str]) -> None:
        texts = (stop_strings,) if isinstance(stop_strings, str) else stop_strings
        if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(t, str) and t for t in texts):
            raise InputError(f"stop_strings is {stop_strings!r:.80}, expected texts that are not empty.")
        self.tokenizer, self.stop_strings = tokenizer, tuple(texts)
        # Tokens are read after others, as in the middle of a text: at its beginning some decoders drop a space.
        self._before = list(tokenizer("abcdef", add_special_tokens=False)["input_ids"])
        self._before_text = ""
        self._before_text = self._text([])
        self._longest = max(len(text) for text in texts)

    def _ended(self, rows: Rows, scores: Any) -> Tensor:
        ended = [self._completed(rows.row(index)) for index in range(len(rows.ids))]
        return torch.tensor(ended, device=rows.ids.device)

    def _completed(self, row: Tensor) -> bool:
        ids, text = self._tail(row)
        found = [stop for stop in self.stop_strings if stop in text]
        if not found:
            return False
        before = self._text_before(ids)
        return any(_occurrences(stop, text) > _occurrences(stop, before) for stop in found)

    def _tail(self, row: Tensor) -> tuple[list[int], str]:
        """The last tokens of a row, enough for every stop string, and their text.

        They begin with a whole character where that can be: after half of one, some decoders break all that follow.
        """
        count = 2 * self._longest + 8
        while True:
            for shift in range(_BYTES_OF_A_CHARACTER):
                ids = row[-(count + shift) :].tolist()
                text = self._text(ids)
                if not text.startswith(_BROKEN):
                    break
            if len(ids) == len(row) or len(text) >= self._longest + _BYTES_OF_A_CHARACTER:
                return ids, text
            count *= 2  # tokens without text, and parts of characters

    def _text_before(self, ids: list[int]) -> str:
        """The text before the last token, or before the character that it completes.

        While a character is not complete, some decoders show those before it as broken too.
        """
        texts = (self._text(ids[:-parts]) for parts in range(1, _BYTES_OF_A_CHARACTER + 1))
        last = next(texts)
        return last if not last.endswith(_BROKEN) else next((t for t in texts if not t.endswith(_BROKEN)), last)

    def _text(self, ids: list[int]) -> str:
        tokens = self.tokenizer.convert_ids_to_tokens(self._before + ids)
        text = self.tokenizer.convert_tokens_to_string([token for token in tokens if token is not None])
        return str(text).removeprefix(self._before_text)


class StoppingCriteriaList(list[Callable[..., Any]]):
    """Criteria of which one is enough to end a row."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Which rows end, bool (R,), as the ecosystem asks: a rectangle (R, S)."""
        done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        for criterion in self:
            done = done | criterion(input_ids, scores, **kwargs)
        return done

    def apply(self, rows: Rows, scores: Any, **kwargs: Any) -> Tensor:
        """Which rows end, bool (R,), each as if it were alone."""
        done = torch.zeros(len(rows.ids), dtype=torch.bool, device=rows.ids.device)
        for criterion in self:
            ask = criterion.for_rows if isinstance(criterion, StoppingCriteria) else None
            ended = _ask_by_length(criterion, rows, scores, **kwargs) if ask is None else ask(rows, scores, **kwargs)
            done = done | ended.to(done.device)
        return done

    @property
    def max_length(self) -> int | None:
        """The length at which rows end, if one of the criteria says so."""
        return next((one.max_length for one in self if isinstance(one, MaxLengthCriteria)), None)


def build_criteria(
    config: Any, stopping_criteria: Iterable[Callable[..., Any]] | None = None, tokenizer: Any = None
) -> StoppingCriteriaList:
    """The criteria that settings ask for besides length and end, which loops know, and those of the caller.

    Args:
        config: a ``GenerationConfig``.
        stopping_criteria: the caller's. One of a class that the settings ask for too takes its place.
        tokenizer: for ``stop_strings``.

    Raises:
        InputError: ``stop_strings`` without a tokeniser.
    """
    criteria: list[StoppingCriteria] = []
    if config.max_time is not None:
        criteria.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise InputError(
                f"stop_strings ({config.stop_strings!r:.60}) are texts: pass tokenizer= to generate() too."
            )
        criteria.append(StopStringCriteria(tokenizer, config.stop_strings))
    return StoppingCriteriaList(merged(criteria, list(stopping_criteria or ())))


_BYTES_OF_A_CHARACTER = 4
_BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What decoders show in place of a character whose bytes are not all there."""


def _ask_by_length(criterion: Callable[..., Any], rows: Rows, scores: Any, **kwargs: Any) -> Tensor:
    """Ask a criterion that knows only rectangles once for the rows of each length."""
    done = torch.zeros(len(rows.ids), dtype=torch.bool, device=rows.ids.device)
    if rows.even:
        return done | criterion(rows.ids, scores, **kwargs)
    for chosen, ids in rows.groups():
        answer = criterion(ids, _of_rows(scores, chosen, len(done)), **kwargs)
        done[chosen] = answer.to(done.device) if isinstance(answer, Tensor) else bool(answer)
    return done


def _of_rows(scores: Any, chosen: Tensor, count: int) -> Any:
    """The scores of the chosen rows, where there is one for each of ``count`` rows."""
    if isinstance(scores, (tuple, list)):
        return tuple(_of_rows(step, chosen, count) for step in scores)
    return scores[chosen] if isinstance(scores, Tensor) and len(scores) == count else scores


def _occurrences(part: str, text: str) -> int:
    """How often a text occurs in another, also where occurrences overlap."""
    count, place = 0, text.find(part)
    while place >= 0:
        count, place = count + 1, text.find(part, place + 1)
    return count

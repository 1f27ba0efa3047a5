"""Question answering: which words of a text answer a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.pipelines.base import Answers as AnswerStream
from bothways.pipelines.base import Pipeline
from bothways.pipelines.options import TextOptions, refuse_unknown
from bothways.pipelines.qa_compat import compat_answers, compat_windows
from bothways.tasks.answer_spans import MAX_ANSWER_LENGTH, Answers, find_answers, null_threshold_of
from bothways.tasks.encoded import LONG_INPUT, position_limit
from bothways.tasks.question_windows import MAX_LENGTH, OVERLAP, QuestionEncoder

NAMES = {
    "top_k": "top_k",
    "max_answer_len": "max_answer_length",
    "max_seq_len": "max_length",
    "max_length": "max_length",
    "max_question_len": "max_question_length",
    "doc_stride": "overlap",
    "stride": "overlap",
    "window_overlap": "overlap",
    "long_input": "long_input",
    "handle_impossible_answer": "handle_impossible_answer",
    "align_to_words": "align_to_words",
    "details": "details",
    "compat": "compat",
}
"""Arguments of a call, and the options that they set."""

_NUMBERS = {"top_k": 1, "max_answer_length": 1, "max_length": 1, "max_question_length": 1, "overlap": 0}
_IGNORED = ("truncation", "add_special_tokens", "X", "data", "question", "context")
_KEYS = ("question", "context")


class MissingKeyError(InputError, KeyError):
    """A dictionary lacks its question or its context. A ``KeyError``, as in the ecosystem."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringOptions(TextOptions):
    """How questions are answered.

    Attributes:
        top_k: how many answers.
        max_answer_length: longest answer in tokens, before it is widened to whole words.
        max_question_length: longest question in tokens; None keeps it whole while it leaves half of a row.
        overlap: tokens of the context that consecutive windows share; None for 128, at most half of a row.
        handle_impossible_answer: whether "" may be the answer.
        align_to_words: widen answers to whole words.
        details: add ``n_tokens``, ``n_windows`` and ``truncated`` to every answer.
        compat: ``"v4"`` for the numbers of the reference library, see ``qa_compat``.
        encoder: of one call, since it remembers the contexts that it has read.
    """

    top_k: int = 1
    max_answer_length: int = MAX_ANSWER_LENGTH
    max_question_length: int | None = None
    overlap: int | None = None
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    details: bool = False
    compat: str | None = None
    encoder: QuestionEncoder | None = None

    def limits(self, tokenizer: Any, config: Any) -> tuple[int, int]:
        """Longest row and overlap, in tokens.

        Raises:
            InputError: an overlap above the length.
        """
        longest = self.max_length or min(tokenizer.model_max_length, MAX_LENGTH)
        overlap = min(longest // 2, OVERLAP) if self.overlap is None else self.overlap
        if overlap > longest:
            raise InputError(f"`doc_stride` ({overlap}) is larger than `max_seq_len` ({longest})")
        return min(longest, position_limit(config) or longest), overlap


class QuestionAnsweringPipeline(Pipeline):
    """Answers that are words of a text.

    ``pipe(question=…, context=…)``; either may be a list. Also dictionaries with these two keys, lists and streams of
    them, and two texts. One question gives ``{"score", "start", "end", "answer"}``, or with ``top_k`` a list of such
    dictionaries, if there are several answers; more questions give a list. ``context[start:end]`` is the answer.

    Options: ``top_k``, ``max_answer_len`` (15), ``max_seq_len`` (384), ``doc_stride`` (128: the overlap of windows),
    ``max_question_len``, ``handle_impossible_answer``, ``align_to_words``, ``long_input``, ``details``, ``compat``. A
    context that is longer than a row is divided into overlapping windows, and a score is a probability over all of
    them and "no answer" (see ``tasks.answer_spans``). With ``handle_impossible_answer`` the answer "" is one of the
    candidates; ``null_threshold`` in the model's configuration, learned on development data, makes it less probable.
    ``compat="v4"`` gives the reference library's scores.
    """

    default_task = "question-answering"
    model_task = "question-answering"
    options_class = QuestionAnsweringOptions

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Answer questions; see the class for the forms of a call.

        Raises:
            InputError: no question or context, or an empty one; it is a ``ValueError``.
            MissingKeyError: a dictionary without them.
        """
        inputs = _gathered(args, options)
        chosen = self._for_call(self._with(self.options, options))
        if not isinstance(inputs, list):
            return AnswerStream(self._stream(inputs, chosen, eager=False), inputs)
        questions = [_question(item, i if len(inputs) > 1 else None) for i, item in enumerate(inputs)]
        results = list(self._stream(questions, chosen, eager=True))
        return results[0] if len(results) == 1 else results

    @staticmethod
    def create_sample(question: Any, context: Any) -> Any:
        """A question as the pipeline takes it, or for two lists a list of questions."""
        if isinstance(question, list):
            return [{"question": q, "context": c} for q, c in zip(question, context, strict=True)]
        return {"question": question, "context": context}

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        older = given.pop("topk", None)
        if given.get("top_k") is None:
            given["top_k"] = older
        for name in [name for name in given if name in NAMES]:
            value = given.pop(name)
            if value is not None or name == "compat":
                changes.setdefault(NAMES[name], _checked(NAMES[name], name, value))
        for name in _IGNORED:
            given.pop(name, None)
        refuse_unknown(given, (*NAMES, "topk"), "the question-answering pipeline")
        return changes

    def answer(self, inputs: list[Any], options: Any, first: int) -> Iterator[Any]:
        options = options if options.encoder is not None else self._for_call(options)
        rows = [_question(item, first + i) for i, item in enumerate(inputs)]
        found = self._compat(rows, options) if options.compat else self._found(rows, options, first)
        for answers in found:
            yield answers[0] if len(answers) == 1 else answers

    def _for_call(self, options: QuestionAnsweringOptions) -> QuestionAnsweringOptions:
        if options.compat and options.details:
            raise InputError("details=True is not part of compat='v4'. Leave one of them out.")
        length, overlap = options.limits(self.tokenizer, self.model.config)
        encoder = QuestionEncoder(
            self.tokenizer,
            max_length=length,
            overlap=overlap,
            max_question=options.max_question_length,
            long_input=options.long_input or "window",
        )
        return replace(options, encoder=encoder)

    def _found(
        self, rows: list[Mapping[str, str]], options: QuestionAnsweringOptions, first: int
    ) -> Iterator[list[dict[str, Any]]]:
        assert options.encoder is not None
        encoded = options.encoder.encode(
            [row["question"] for row in rows], [row["context"] for row in rows], first=first
        )
        ids: Any = encoded.input_ids
        types: Any = encoded.token_type_ids
        answers = find_answers(
            encoded,
            self.runner.token_logits(ids, types),
            top_k=options.top_k,
            max_answer_length=options.max_answer_length,
            align_to_words=options.align_to_words,
            null_threshold=null_threshold_of(self.model.config),
        )
        for i, (row, own) in enumerate(zip(rows, answers, strict=True)):
            results = _results(own, row["context"], options)
            yield [result | encoded.account(i) for result in results] if options.details else results

    def _compat(
        self, rows: list[Mapping[str, str]], options: QuestionAnsweringOptions
    ) -> Iterator[list[dict[str, Any]]]:
        length, overlap = options.limits(self.tokenizer, self.model.config)
        windows = [compat_windows(self.tokenizer, row["question"], row["context"], length, overlap) for row in rows]
        encodings = [encoding for own in windows for encoding in own.encodings]
        typed = "token_type_ids" in self.tokenizer.model_input_names
        types = [encoding.type_ids for encoding in encodings] if typed else None
        logits = iter(self.runner.token_logits([encoding.ids for encoding in encodings], types))
        for row, own in zip(rows, windows, strict=True):
            yield compat_answers(
                own,
                [next(logits) for _ in own.encodings],
                row["context"],
                top_k=options.top_k,
                max_answer_length=options.max_answer_length,
                align_to_words=options.align_to_words,
                handle_impossible_answer=options.handle_impossible_answer,
            )


def _results(answers: Answers, context: str, options: QuestionAnsweringOptions) -> list[dict[str, Any]]:
    results = [
        {"score": span.score, "start": span.start, "end": span.end, "answer": context[span.start : span.end]}
        for span in answers.spans
    ]
    if options.handle_impossible_answer or not results:
        results.append({"score": answers.no_answer, "start": 0, "end": 0, "answer": ""})
        results.sort(key=lambda result: -result["score"])  # type: ignore[operator]
    return results[: options.top_k]


def _gathered(args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A list of inputs, or a stream of them; what holds them is removed from the options."""
    named = {name: options.pop(name) for name in ("X", "data", *_KEYS) if name in options}
    if args:
        if len(args) == 2 and all(type(arg) is str for arg in args):
            return [{"question": args[0], "context": args[1]}]
        inputs = args[0] if len(args) == 1 else list(args)
    elif "X" in named or "data" in named:
        inputs = named.get("X", named.get("data"))
    elif set(_KEYS) <= set(named):
        inputs = _broadcast(named["question"], named["context"])
    else:
        raise InputError(f"Unknown arguments {named | options}. Pass question=… and context=….")
    if isinstance(inputs, Mapping) or hasattr(inputs, "question_text"):
        return [inputs]
    if isinstance(inputs, (list, tuple)):
        return list(inputs)
    if isinstance(inputs, (str, bytes)) or not (hasattr(inputs, "__iter__") or hasattr(inputs, "__getitem__")):
        raise InputError(f"{inputs!r:.80} argument needs to be of type (SquadExample, dict)")
    return inputs if hasattr(inputs, "__iter__") else (inputs[i] for i in range(len(inputs)))


def _broadcast(question: Any, context: Any) -> list[dict[str, Any]]:
    columns: list[Any] = []
    for name, value in zip(_KEYS, (question, context), strict=True):
        if value is None or isinstance(value, str):
            columns.append(value)
        elif not isinstance(value, (bytes, Mapping)) and hasattr(value, "__iter__"):
            columns.append(list(value))
        else:
            raise InputError(
                f"Arguments can't be understood: {name} is a {type(value).__name__}, not a text or a list."
            )
    lengths = {len(column) for column in columns if isinstance(column, list)}
    if len(lengths) > 1:
        raise InputError(
            f"Questions and contexts don't have the same lengths: {len(columns[0])} and {len(columns[1])}."
        )
    count = lengths.pop() if lengths else 1
    questions, contexts = (column if isinstance(column, list) else [column] * count for column in columns)
    return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]


def _question(item: Any, number: int | None) -> Mapping[str, str]:
    """One input as a dictionary. ``number`` is for messages; None where there is only one."""
    which = "" if number is None else f" (input {number})"
    if hasattr(item, "question_text") and hasattr(item, "context_text"):  # the ecosystem's SquadExample
        item = {"question": item.question_text, "context": item.context_text}
    if not isinstance(item, Mapping):
        raise InputError(f"{item!r:.80} argument needs to be of type (SquadExample, dict){which}")
    for key in _KEYS:
        if key not in item:
            raise MissingKeyError(f"You need to provide a dictionary with keys {{question:..., context:...}}{which}")
        if item[key] is None:
            raise InputError(f"`{key}` cannot be None{which}")
        if not isinstance(item[key], str):
            raise InputError(f"`{key}` is {item[key]!r:.60} ({type(item[key]).__name__}); expected a text{which}")
        if not item[key]:
            raise InputError(f"`{key}` cannot be empty{which}")
    return item


def _checked(option: str, name: str, value: Any) -> Any:
    if option in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise InputError(f"{name} is {value!r}; expected a number.")
        if value < _NUMBERS[option]:
            raise InputError(f"{name} parameter should be >= {_NUMBERS[option]} (got {value})")
        return int(value)
    if option == "long_input" and value not in LONG_INPUT:
        raise InputError(f"long_input is {value!r}; expected one of {', '.join(map(repr, LONG_INPUT))}.")
    if option == "compat":
        if value not in (None, "v4"):
            raise InputError(f"compat is {value!r}; expected 'v4', or None for this library's own scores.")
        return value
    return value if option == "long_input" else bool(value)

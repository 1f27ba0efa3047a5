"""For each task of ``bothways predict``: how its rows are read, what the pipeline is asked, what a line says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

ACCOUNT = ("n_tokens", "n_windows", "truncated")

Rows = Iterator[tuple[dict[str, Any], Any]]
"""What names a row in its line, and the input of the pipeline."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of the command that only some tasks have."""

    top_k: int | None
    labels: str | None
    template: str | None
    multi_label: bool
    aggregation: str | None
    question: str | None = None
    calibrated: bool = False
    abstain_at_risk: float | None = None
    conformal: float | None = None

    def check(self, way: RowTask) -> None:
        """Refuse options of other tasks, before any work."""
        from bothways.errors import UsageError

        given = [name for name, value in vars(self).items() if value is not None and value is not False]
        for name in given:
            if name not in way.takes:
                takes = ", ".join(f"--{n.replace('_', '-')}" for n in way.takes) or "none of these options"
                raise UsageError(f"--{name.replace('_', '-')} is not for {way.task}, which takes {takes}.")
        if "labels" in way.takes and not (self.labels or "").strip(", "):
            raise UsageError(f"{way.task} needs --labels, for example --labels 'politics,sports'.")
        if self.aggregation is not None:
            _check_aggregation(self.aggregation)
        if self.template is not None:
            _check_template(self.template)
        if self.top_k == 0 and way.task == "question-answering":
            raise UsageError(
                "--top-k 0 asks for all answers, but any words of a text may be one; give a number from 1."
            )


@dataclass(frozen=True, kw_only=True)
class RowTask:
    """One task.

    Attributes:
        read: (file, text_column, format, encoding) to rows.
        options: (asked, configuration of the model) to arguments of the call.
        line: (result, asked, configuration) to the fields of a line.
        takes: names of the options in ``Asked`` that it has.
        divides: whether texts that are too long are read in windows; else they are refused unless they may be cut.
    """

    task: str
    read: Callable[..., Rows]
    options: Callable[[Asked, Any], dict[str, Any]]
    line: Callable[[Any, Asked, Any], dict[str, Any]]
    takes: tuple[str, ...] = ()
    divides: bool = True


def row_task(task: str) -> RowTask:
    """The way of a task.

    Raises:
        UsageError: a task that does not answer rows of a file.
    """
    from bothways.errors import UsageError
    from bothways.pipelines.registry import find_pipeline
    from bothways.resolver.box import boxed_for

    boxed = boxed_for(task)
    name, _ = find_pipeline(task if boxed is None else boxed.tasks[0])
    if name.startswith("translation_"):
        return replace(ROW_TASKS["translation"], task=name)
    if name not in ROW_TASKS:
        raise UsageError(
            f"predict has no {name}. `bothways embed` makes vectors of texts. Tasks: {', '.join(sorted(ROW_TASKS))}."
        )
    return ROW_TASKS[name]


def made_for(model: str) -> str:
    """The task that a model's head is for.

    Raises:
        InputError: it has no head.
    """
    from bothways.errors import InputError
    from bothways.models.auto import AutoConfig
    from bothways.pipelines.build import infer_task

    config = AutoConfig.from_pretrained(model)
    task = infer_task(model, config, {})
    if task not in ROW_TASKS:
        raise InputError(
            f"{model} holds {', '.join(config.architectures or ['a body'])}, which has no head that answers. Train one "
            "first: `bothways train`; or make vectors of texts: `bothways embed`."
        )
    return task


def _check_aggregation(name: str) -> None:
    from bothways.errors import UsageError
    from bothways.tasks.entity_groups import AggregationStrategy

    known = [strategy.value for strategy in AggregationStrategy]
    if name.lower() not in known:
        raise UsageError(f"--aggregation is {name!r}; expected one of {', '.join(known)}.")


def _check_template(template: str) -> None:
    from bothways.errors import InputError, UsageError
    from bothways.tasks.zero_shot import TEMPLATE, hypotheses

    try:
        hypotheses(["label"], template)
    except InputError:
        raise UsageError(
            f"--template is {template!r}; expected a sentence with {{}} in the place of the label, as in {TEMPLATE!r}."
        ) from None


def _texts(file: str, **reading: Any) -> Rows:
    from bothways.data import iter_texts

    for number, t in enumerate(iter_texts(file, **reading), 1):
        yield {"row": number}, t.text if t.text_pair is None else {"text": t.text, "text_pair": t.text_pair}


def single_texts(file: str, **reading: Any) -> Rows:
    """Rows of one text each."""
    from bothways.errors import DataError

    for names, item in _texts(file, **reading):
        if isinstance(item, dict):
            raise DataError(f"row {names['row']} is a pair of texts; name the one to read: --text-column NAME.")
        yield names, item


def rows_of_texts(way: RowTask, texts: Sequence[str], asked: Asked) -> Rows:
    """Texts of the command line as rows.

    Raises:
        UsageError: the task answers something else than single texts, or a question is missing.
    """
    from bothways.errors import UsageError

    if way.read in (_pairs, _choices):
        raise UsageError(f"{way.task} does not answer single texts. Put its rows into a file: predict MODEL FILE.")
    if way.read is _questions and asked.question is None:
        raise UsageError("question-answering needs --question beside texts, or a file of questions with their texts.")
    return (({"row": number}, text) for number, text in enumerate(texts, 1))


def asking(question: str, rows: Rows) -> Rows:
    """The same question to every text; in a blank one, which the pipeline refuses, as in a space."""
    return ((names, {"question": question, "context": text or " "}) for names, text in rows)


def written_line(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What was written for a text; several texts as a list."""
    if len(records) == 1:
        return records[0]
    told = (*ACCOUNT, "finished")
    texts = [{name: value for name, value in record.items() if name not in told} for record in records]
    finished = all(record["finished"] for record in records)
    return {"texts": texts, **{name: records[0][name] for name in ACCOUNT}, "finished": finished}


def _texts_to_judge(file: str, **reading: Any) -> Rows:
    """Single texts; a blank line, which the pipeline refuses where it is empty, is judged as a space."""
    for names, item in single_texts(file, **reading):
        yield names, item or " "


def _pairs(file: str, **reading: Any) -> Rows:
    from bothways.errors import DataError

    for names, item in _texts(file, **reading):
        if isinstance(item, str):
            raise DataError(f"row {names['row']} is one text; a pair is needed: --text-column first,second.")
        yield names, item


def _questions(file: str, *, text_column: str | None, **reading: Any) -> Rows:
    from bothways.data.squad import iter_questions

    _refuse_column(text_column, "questions")
    for number, example in enumerate(iter_questions(file, **reading), 1):
        yield {"row": number, "id": example.id}, {"question": example.question, "context": example.context}


def _choices(file: str, *, text_column: str | None, **reading: Any) -> Rows:
    from bothways.data.choices import iter_choices

    _refuse_column(text_column, "choices")
    for number, example in enumerate(iter_choices(file, **reading), 1):
        yield {"row": number}, example


def _refuse_column(text_column: str | None, what: str) -> None:
    from bothways.errors import UsageError

    if text_column is not None:
        raise UsageError(f"--text-column is for texts; files of {what} have fixed names. Drop it.")


def _is_multi_label(config: Any) -> bool:
    return config.problem_type == "multi_label_classification"


def _label_options(asked: Asked, config: Any) -> dict[str, Any]:
    sure: dict[str, Any] = {"calibrated": True} if asked.calibrated else {}
    if asked.abstain_at_risk is not None:
        sure["abstain_at_risk"] = asked.abstain_at_risk
    if asked.conformal is not None:
        sure["conformal"] = asked.conformal
        return sure if asked.top_k is None else sure | {"top_k": asked.top_k}
    return sure | _top_labels(asked, config)


def _top_labels(asked: Asked, config: Any) -> dict[str, Any]:
    if _is_multi_label(config) or asked.top_k == 0:
        return {"top_k": None}
    return {} if asked.top_k is None else {"top_k": asked.top_k}


def _label_line(result: Any, asked: Asked, config: Any) -> dict[str, Any]:
    """The best label, or a list. A model of several labels shows those with a score of at least one half."""
    if not isinstance(result, list):
        return result
    above = 0.5 if _is_multi_label(config) and asked.top_k is None else -1e9
    labels = [{"label": r["label"], "score": r["score"]} for r in result if r["score"] >= above]
    if asked.top_k:
        labels = labels[: asked.top_k]
    return {"labels": labels, **{name: result[0][name] for name in ACCOUNT}}


def _entity_options(asked: Asked, config: Any) -> dict[str, Any]:
    return {"aggregation_strategy": asked.aggregation or "first"}


def _answer_options(asked: Asked, config: Any) -> dict[str, Any]:
    from bothways.tasks.answer_spans import NULL_THRESHOLD

    options: dict[str, Any] = {"handle_impossible_answer": getattr(config, NULL_THRESHOLD, None) is not None}
    return options if asked.top_k is None else options | {"top_k": asked.top_k}


def _answer_line(result: Any, asked: Asked, config: Any) -> dict[str, Any]:
    if not isinstance(result, list):
        return result
    answers = [{name: r[name] for name in ("answer", "score", "start", "end")} for r in result]
    return {"answers": answers, **{name: result[0][name] for name in ACCOUNT}}


def _zero_shot_options(asked: Asked, config: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"candidate_labels": asked.labels, "multi_label": asked.multi_label}
    return options if asked.template is None else options | {"hypothesis_template": asked.template}


def _zero_shot_line(result: Any, asked: Asked, config: Any) -> dict[str, Any]:
    most = asked.top_k or None
    labels = [{"label": k, "score": s} for k, s in zip(result["labels"], result["scores"], strict=True)]
    return {"labels": labels[:most], **{name: result[name] for name in ACCOUNT}}


def _mask_options(asked: Asked, config: Any) -> dict[str, Any]:
    if asked.top_k == 0:
        return {"top_k": config.vocab_size}
    return {} if asked.top_k is None else {"top_k": asked.top_k}


def _written(result: Any, asked: Asked, config: Any) -> dict[str, Any]:
    return written_line(result)


def _as_it_is(result: Any, asked: Asked, config: Any) -> dict[str, Any]:
    return result


def _none(asked: Asked, config: Any) -> dict[str, Any]:
    return {}


ROW_TASKS = {
    way.task: way
    for way in (
        RowTask(
            task="text-classification",
            read=_texts,
            options=_label_options,
            line=_label_line,
            takes=("top_k", "calibrated", "abstain_at_risk", "conformal"),
        ),
        RowTask(
            task="token-classification",
            read=single_texts,
            options=_entity_options,
            line=_as_it_is,
            takes=("aggregation",),
        ),
        RowTask(
            task="question-answering",
            read=_questions,
            options=_answer_options,
            line=_answer_line,
            takes=("top_k", "question"),
        ),
        RowTask(
            task="zero-shot-classification",
            read=_texts_to_judge,
            options=_zero_shot_options,
            line=_zero_shot_line,
            takes=("labels", "template", "multi_label", "top_k"),
        ),
        RowTask(task="fill-mask", read=single_texts, options=_mask_options, line=_as_it_is, takes=("top_k",)),
        RowTask(task="multiple-choice", read=_choices, options=_none, line=_as_it_is),
        RowTask(task="next-sentence-prediction", read=_pairs, options=_none, line=_as_it_is),
        RowTask(task="text-generation", read=single_texts, options=_none, line=_written, divides=False),
        RowTask(task="text2text-generation", read=single_texts, options=_none, line=_written, divides=False),
        RowTask(task="summarization", read=single_texts, options=_none, line=_written),
        RowTask(task="translation", read=single_texts, options=_none, line=_written),
    )
}
"""The tasks that answer rows."""

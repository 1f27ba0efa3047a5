"""``bothways predict --show``, ``--why`` and ``--html``: answers marked in their texts, for people to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bothways.cli.answers import check_file_output
from bothways.cli.predict_tasks import RowTask

MARKED = ("token-classification", "question-answering")
EXPLAINED = "text-classification"


class Viewer:
    """Shows each answer as it comes, and keeps what the page has room for.

    Args:
        way: the task.
        show: print marked texts in the place of lines.
        html: the page to write at the end.
        why: explain classifications.
        several: whether each text gets its number as a heading.
    """

    def __init__(self, way: RowTask, *, show: bool, html: Path | None, why: bool, several: bool) -> None:
        self.task = way.task
        self.show = show
        self.html = html
        self.why = why
        self.several = several
        self._views: list[str] = []
        self._size = self._left_out = 0

    def add(self, pipe: Any, item: Any, line: dict[str, Any]) -> None:
        """One answer. With ``why`` the line gets the explanation under this name."""
        if not (self.show or self.why or self.html):
            return
        explanation = _explanation(pipe, item) if self.why else None
        if self.why:
            line["why"] = None if explanation is None else explanation.as_json()
        if self.show:
            self._print(_lines(self.task, pipe, item, line, explanation), line)
        if self.html is not None:
            self._keep(pipe, item, line, explanation)

    def finish(self) -> None:
        """Write the page."""
        if self.html is None:
            return
        from bothways.evaluation.views import render_views
        from bothways.files import replacing

        titles = {"token-classification": "Entities", "question-answering": "Answers"}
        page = render_views(
            self._views,
            title=titles.get(self.task, "Words that moved the answers"),
            left_out=self._left_out,
        )
        with replacing(self.html) as temporary:
            temporary.write_text(page, encoding="utf-8")

    def _print(self, drawn: Any, line: dict[str, Any]) -> None:
        from rich.console import Console
        from rich.text import Text

        console = Console(file=sys.stdout, highlight=False)
        if self.several:
            console.print(Text(f"row {line['row']:,}", "dim underline"))
        console.print(drawn)
        if self.several:
            console.print()

    def _keep(self, pipe: Any, item: Any, line: dict[str, Any], explanation: Any) -> None:
        from bothways.evaluation.views import PAGE_BYTES

        if self._left_out or self._size > PAGE_BYTES:
            self._left_out += 1
            return
        view = _view(self.task, pipe, item, line, explanation)
        self._views.append(view)
        self._size += len(view.encode("utf-8"))


def check_viewing(way: RowTask, *, show: bool, html: Path | None, why: bool, read: str | None) -> None:
    """Refuse what cannot be looked at, before any work.

    Raises:
        UsageError: a task whose answers are no marks, or a page that cannot be written.
    """
    from bothways.errors import UsageError

    if why and way.task != EXPLAINED:
        raise UsageError(f"--why is for {EXPLAINED}: it shows the words that moved a label. This is {way.task}.")
    if (show or html) and way.task not in MARKED and not why:
        hint = " Add --why to see the words that moved the label." if way.task == EXPLAINED else ""
        option = "--show" if show else "--html"
        raise UsageError(f"{option} marks answers in their texts, for {' and '.join(MARKED)}; not {way.task}.{hint}")
    check_file_output(html, *([] if read is None else [read]), option="--html")


def _explanation(pipe: Any, item: Any) -> Any:
    """None for a text without words."""
    from bothways.data.words import word_spans
    from bothways.evaluation.attribution import explain

    texts = [item] if isinstance(item, str) else [item["text"], item["text_pair"]]
    return explain(pipe, *texts) if any(map(word_spans, texts)) else None


def _lines(task: str, pipe: Any, item: Any, line: dict[str, Any], explanation: Any) -> Any:
    from bothways.evaluation.terminal import answer_lines, entity_lines, explanation_lines

    if task == "token-classification":
        return entity_lines(item, line["entities"], types=_types(pipe))
    if task == "question-answering":
        return answer_lines(item["context"], _answers(line), question=item["question"])
    return "no words" if explanation is None else explanation_lines(explanation)


def _view(task: str, pipe: Any, item: Any, line: dict[str, Any], explanation: Any) -> str:
    from bothways.evaluation.views import answer_view, blank_view, entity_view, explanation_view

    if task == "token-classification":
        return entity_view(item, line["entities"], types=_types(pipe))
    if task == "question-answering":
        return answer_view(item["context"], _answers(line), question=item["question"])
    return blank_view() if explanation is None else explanation_view(explanation)


def _answers(line: dict[str, Any]) -> list[dict[str, Any]]:
    return line.get("answers", [line])


def _types(pipe: Any) -> list[str]:
    """All types of the model, so that they look the same in every text."""
    from bothways.metrics.tag_schemes import OUTSIDE, split_tag

    return [split_tag(name)[1] or name for name in pipe.model.config.id2label.values() if name != OUTSIDE]

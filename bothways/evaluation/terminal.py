"""Marked texts in a terminal. Names and brackets carry the meaning, colours help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bothways.evaluation.analysis import printable
from bothways.evaluation.formats import share_text
from bothways.evaluation.highlight import Drawing, Mark, draw, judged, read_marks
from bothways.evaluation.palette import (
    AGAINST,
    COLOURS,
    FOR,
    LIGHT_INK,
    Look,
    effect_shade,
    looks_of,
    text_on,
)
from bothways.evaluation.shown_effects import effect_text, fold, largest, listed, signed, step_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from bothways.evaluation.attribution import Explanation
    from bothways.evaluation.deletion_curve import DeletionCurve

BAR = 16  # columns of the longest bar
_STRONG = 3  # from this shade on a word has its sign beside it
_BLOCKS = "▁▂▃▄▅▆▇█"


def entity_lines(
    text: str, entities: Sequence[Any], *, gold: Sequence[Any] | None = None, types: Iterable[str] | None = None
) -> Text:
    """Entities in brackets with their names, each type in its colour, and a legend; with ``gold`` both, one after the
    other.

    Args:
        entities, gold: any form that ``read_marks`` knows.
        types: all types of the model, so that texts that are shown after one another have the same colours.

    Raises:
        InputError: what is no entity of this text.
    """
    from rich.text import Text

    found = read_marks(text, entities)
    right = None if gold is None else read_marks(text, gold)
    looks = looks_of([*(types or ()), *(m.kind for m in (*found, *(right or ())))])
    lines = Text()
    if right is not None:
        lines.append("predicted  ", "bold")
        found, right = judged(found, right), judged(right, found)
    lines.append_text(_drawn(draw(text, found), looks, "entities"))
    if right is not None:
        lines.append("\n")
        lines.append("gold       ", "bold")
        lines.append_text(_drawn(draw(text, right), looks, "entities"))
    return lines


def answer_lines(context: str, answers: Sequence[Mapping[str, Any]], *, question: str | None = None) -> Text:
    """Answers marked in their context, with rank and score.

    Args:
        answers: dictionaries with ``start``, ``end`` and ``score``, best first; an empty answer says that the text has
            none.

    Raises:
        InputError: an answer outside the context.
    """
    from rich.text import Text

    marks, looks = answer_marks(context, answers)
    lines = Text()
    if question is not None:
        lines.append(f"{printable(question)}\n", "bold")
    return lines.append_text(_drawn(draw(context, marks), looks, "answers", legend=False)).append(
        f"\n{answers_sentence(answers)}", "dim"
    )


def answer_marks(context: str, answers: Sequence[Mapping[str, Any]]) -> tuple[tuple[Mark, ...], dict[str, Look]]:
    """Answers as marks whose name is their rank and score, and how each rank looks."""
    named = [
        {"start": a["start"], "end": a["end"], "score": a["score"], "label": _answer_name(rank, a, len(answers))}
        for rank, a in enumerate(answers, 1)
        if a["start"] < a["end"]
    ]
    looks = {str(a["label"]): Look(rank % len(COLOURS), 0) for rank, a in enumerate(named)}
    return read_marks(context, named), looks


def answers_sentence(answers: Sequence[Mapping[str, Any]]) -> str:
    """What was answered, in words."""
    if not answers:
        return "No answer was given."
    parts = []
    for rank, answer in enumerate(answers, 1):
        said = f"“{fold(str(answer['answer']))}”" if answer["start"] < answer["end"] else "the text has no answer"
        parts.append(f"{rank}. {said} ({share_text(float(answer['score']))})" if len(answers) > 1 else said)
    if len(answers) > 1:
        return "; ".join(parts)
    return f"{parts[0][:1].upper()}{parts[0][1:]}, score {share_text(float(answers[0]['score']))}."


def explanation_lines(explanation: Explanation) -> Group:
    """The text with its words shaded, the strongest effects as bars, and the check of the marking."""
    from rich.console import Group
    from rich.text import Text

    e = explanation
    top = largest(e)
    score = f"{e.score:.3g}" if e.value else share_text(e.score)
    heading = Text.assemble((printable(e.label), "bold"), f"  {score}, logit {e.logit:+.2f}")
    parts: list[Any] = [heading, _shaded(e, top), Text(), _effect_table(e, top)]
    more = len(e.effects) - len(listed(e))
    if more:
        parts.append(Text(f"and {more:,} {e.unit}{'s' if more > 1 else ''} with less effect or none", "dim"))
    if e.curve is not None:
        parts += [Text(), _curve_lines(e.curve, e.unit)]
    return Group(*parts, Text(e.verdict), *(Text(note, "dim") for note in e.notes))


def written(renderable: Any, *, color: bool | None = None, width: int | None = None) -> str:
    """What Rich draws, as text; colours by default if standard output is a terminal that wants them."""
    import io
    import sys

    from rich.console import Console

    if color is None:
        color = Console(file=sys.stdout).color_system is not None
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="truecolor" if color else None,
        no_color=not color,
        highlight=False,
    )
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def _answer_name(rank: int, answer: Mapping[str, Any], count: int) -> str:
    score = share_text(float(answer["score"]))
    return f"answer {score}" if count == 1 else f"{rank}: {score}"


def _drawn(drawing: Drawing, looks: Mapping[str, Look], what: str, *, legend: bool = True) -> Text:
    """A drawing with brackets and names; the legend counts the kinds."""
    from rich.text import Text

    lines, opened = Text(), []
    for part in drawing.parts:
        if part.what == "open":
            assert part.mark is not None
            opened.append(_style(looks[part.mark.kind]))
            lines.append("[" if part.whole else "[…", opened[-1])
        elif part.what == "close":
            assert part.mark is not None
            sign = {"right": " =", "wrong": " ≠", None: ""}[part.mark.verdict]
            name = f" {printable(part.mark.label)}{sign}]" if part.whole else "…]"
            lines.append(name, f"bold {opened.pop()}")
        elif part.what == "gap":
            lines.append(f" … {part.end - part.start:,} characters … ", "dim italic")
        else:
            lines.append(printable(drawing.text[part.start : part.end]), opened[-1] if opened else "")
    if legend:
        lines.append("\n")
        lines.append_text(_legend(drawing, looks, what))
    return lines


def _legend(drawing: Drawing, looks: Mapping[str, Look], what: str) -> Text:
    from rich.text import Text

    line = Text("  ")
    for kind, count in Counter(mark.kind for mark in drawing.shown).most_common():
        line.append(f" {printable(kind)} ", _style(looks[kind]))
        line.append(f" {count:,}  ", "dim")
    if not drawing.n_marks:
        line.append(f"no {what}", "dim")
    if drawing.n_marks > len(drawing.shown):
        line.append(f" {drawing.n_marks - len(drawing.shown):,} more of {drawing.n_marks:,} are not shown", "dim")
    return line


def _style(look: Look) -> str:
    colour = COLOURS[look.colour]
    return f"{text_on(colour)} on {colour}"


def _shaded(e: Explanation, top: float) -> Text:
    from rich.text import Text

    lines, place = Text(), 0
    for effect in e.effects:
        step = step_of(effect.effect, top)
        style = f"{LIGHT_INK} on {effect_shade(step, supports=effect.effect > 0, dark=False)}" if step else ""
        lines.append(printable(e.text[place : effect.start]))
        word = printable(effect.text)
        lines.append(f"[{'+' if effect.effect > 0 else '−'}{word}]" if step >= _STRONG else word, style)
        place = effect.end
    return lines.append(printable(e.text[place:]))


def _effect_table(e: Explanation, top: float) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column(e.unit, overflow="fold", max_width=40)
    table.add_column("effect", justify="right", no_wrap=True)
    table.add_column(f"on the logit of {printable(e.label)}", no_wrap=True)
    for effect in listed(e):
        length = round(BAR * abs(effect.effect) / top)
        bar = "█" * length + ("" if length else "·")
        table.add_row(
            Text(effect_text(effect)), signed(effect.effect), Text(bar, FOR if effect.effect > 0 else AGAINST)
        )
    return table


def _curve_lines(curve: DeletionCurve, unit: str) -> Text:
    from rich.text import Text

    low, high = min(*curve.claimed, *curve.random_mean), max(*curve.claimed, *curve.random_mean)
    return Text.assemble(
        (f"logit while {unit}s are taken away, {high:+.2f} (█) to {low:+.2f} (▁)\n", "dim"),
        ("marked order  ", ""),
        (_blocks(curve.claimed, low, high), AGAINST),
        "\n",
        ("random order  ", ""),
        (_blocks(curve.random_mean, low, high), "dim"),
        f"   area between them {signed(curve.area)}",
    )


def _blocks(values: Sequence[float], low: float, high: float) -> str:
    width = (high - low) or 1.0
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, int((v - low) / width * len(_BLOCKS)))] for v in values)

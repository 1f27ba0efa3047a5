"""Marked texts as HTML: parts for any page, and pages of their own.

A page is one file without scripts that loads nothing; everything that comes from data is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from bothways.evaluation.analysis import printable
from bothways.evaluation.curve_chart import curve_chart
from bothways.evaluation.formats import count_text, share_text
from bothways.evaluation.highlight import Drawing, Mark, draw, judged, read_marks
from bothways.evaluation.palette import COLOURS, EFFECT_SHADES, LINES, Look, effect_shade, looks_of, shade, text_on
from bothways.evaluation.shown_effects import effect_text, fold, largest, listed, signed, step_of
from bothways.evaluation.terminal import answer_marks, answers_sentence

if TYPE_CHECKING:
    from markupsafe import Markup

    from bothways.evaluation.attribution import Explanation

PAGE_BYTES = 1_700_000
"""Room for views on a page, so that the whole stays under 2 MB."""
KINDS_LISTED = 40
MARKS_LISTED = 200
SHORT_NAME = 24
"""Characters of a name up to which it stays on one line."""


def render_entities(
    text: str, entities: Sequence[Any], *, gold: Sequence[Any] | None = None, title: str = "Entities"
) -> str:
    """A page with a text and its entities, coloured by type; see ``entity_view``.

    Args:
        text: the text that offsets are of, in code points.
        entities: what a token-classification pipeline found, under any aggregation, or (start, end, label).
        gold: right entities, shown beside the found ones, each with whether the other side has it.
        title: of the page.

    Raises:
        InputError: what is no entity of this text.
    """
    return render_views([entity_view(text, entities, gold=gold)], title=title)


def render_answer(
    context: str,
    answers: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    question: str | None = None,
    title: str = "Answer",
) -> str:
    """A page with answers marked in their context; see ``answer_view``.

    Raises:
        InputError: an answer outside the context.
    """
    return render_views([answer_view(context, answers, question=question)], title=title)


def render_views(views: Sequence[str], *, title: str, lead: str = "", left_out: int = 0) -> str:
    """One self-contained page of views. Views that would make it larger than 2 MB are left out, and counted.

    Args:
        views: HTML that this module made, one for each text.
        title, lead: heading and a sentence below it; any text.
        left_out: views that the caller left out, which are counted too.
    """
    sizes = accumulate(len(view.encode("utf-8")) for view in views)
    kept = max(1, sum(size <= PAGE_BYTES for size in sizes))
    left_out += max(0, len(views) - kept)
    template = _environment().get_template("looks.html.jinja")
    return template.render(views=[_safe(view) for view in views[:kept]], left_out=left_out, title=title, lead=lead)


def entity_view(
    text: str,
    entities: Sequence[Any],
    *,
    gold: Sequence[Any] | None = None,
    types: Iterable[str] | None = None,
    heading: str | None = None,
) -> Markup:
    """A text with its entities, as a part of a page that has ``looks_css``.

    Spans may overlap. A text above 3,000 characters is shown around its entities only.

    Args:
        entities, gold: any form that ``read_marks`` knows; with ``gold`` both are shown side by side.
        types: all types of the model or the data, so that all texts of a page have the same colours.
        heading: name of the text.

    Raises:
        InputError: what is no entity of this text.
    """
    found = read_marks(text, entities)
    right = None if gold is None else read_marks(text, gold)
    looks = looks_of([*(types or ()), *(m.kind for m in (*found, *(right or ())))])
    sources: list[tuple[str | None, tuple[Mark, ...]]] = [(None, found)]
    sentence = ""
    if right is not None:
        found, right = judged(found, right), judged(right, found)
        sources = [("Predicted", found), ("Gold", right)]
        sentence = _agreement(found, right)
    sides = [_side(name, draw(text, marks), looks) for name, marks in sources]
    return _macro("entities", sides=sides, heading=heading, sentence=sentence)


def answer_view(
    context: str, answers: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, question: str | None = None
) -> Markup:
    """Answers marked in their context, with their scores, as a part of a page that has ``looks_css``.

    Args:
        answers: one answer of the pipeline, or several, best first: ``answer``, ``score``, ``start``, ``end``. An empty
            one says that the text has no answer.

    Raises:
        InputError: an answer outside the context.
    """
    ranked = [answers] if isinstance(answers, Mapping) else list(answers)
    marks, looks = answer_marks(context, ranked)
    drawing = draw(context, marks)
    return _macro("answer", text=_drawn(drawing, looks), question=question, sentence=answers_sentence(ranked))


def explanation_view(explanation: Explanation) -> Markup:
    """A classified text with its words shaded by effect, the strongest as bars, and the check of the marking."""
    e = explanation
    top = largest(e)
    rows = [
        {
            "text": effect_text(effect),
            "number": signed(effect.effect),
            "supports": effect.effect > 0,
            "width": round(100 * abs(effect.effect) / top, 1),
        }
        for effect in listed(e)
    ]
    return _macro(
        "explanation",
        e=e,
        score=f"{e.score:.3g}" if e.value else share_text(e.score),
        text=_shaded(e, top),
        rows=rows,
        more=len(e.effects) - len(rows),
        chart=curve_chart(e.curve) if e.curve else None,
    )


def blank_view() -> Markup:
    """In the place of a text without words."""
    return _safe('<p class="look-muted">A text without words.</p>')


@cache
def looks_css() -> str:
    """The style of all views, for the ``<style>`` of a page; its class names begin with ``look``."""
    light, dark = [], []
    for number, colour in enumerate(COLOURS):
        light.append(f"--look-on: {text_on(colour)}; --look: {colour}; --look-shade: {shade(colour, dark=False)};")
        dark.append(f"--look-shade: {shade(colour, dark=True)};")
        light[-1], dark[-1] = f".look-c{number} {{ {light[-1]} }}", f".look-c{number} {{ {dark[-1]} }}"
    for step in range(1, EFFECT_SHADES + 1):
        for supports, name in ((True, "for"), (False, "against")):
            light.append(f".look-{name}-{step} {{ background: {effect_shade(step, supports=supports, dark=False)}; }}")
            dark.append(f".look-{name}-{step} {{ background: {effect_shade(step, supports=supports, dark=True)}; }}")
    lines = [f".look .look-l{number} {{ border-bottom-style: {line}; }}" for number, line in enumerate(LINES)]
    own, _, _ = _environment().loader.get_source(_environment(), "looks.css")
    dark_rules = "\n".join(dark)
    return "\n".join([own, *light, *lines, f"@media screen and (prefers-color-scheme: dark) {{\n{dark_rules}\n}}"])


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("bothways.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["count"] = count_text
    environment.filters["fold"] = fold
    environment.globals["looks_css"] = lambda: _safe(looks_css())
    return environment


def _macro(name: str, **values: Any) -> Markup:
    return _safe(getattr(_environment().get_template("looks_parts.html.jinja").module, name)(**values))


def _safe(html: str) -> Markup:
    from markupsafe import Markup

    return Markup(html)


def _side(name: str | None, drawing: Drawing, looks: Mapping[str, Look]) -> dict[str, Any]:
    """One source of entities: its text, legend and list."""
    kinds = Counter(mark.kind for mark in drawing.shown).most_common()
    listed = drawing.shown[:MARKS_LISTED]
    return {
        "name": name,
        "text": _drawn(drawing, looks),
        "legend": [(kind, looks[kind], count) for kind, count in kinds[:KINDS_LISTED]],
        "more_kinds": max(0, len(kinds) - KINDS_LISTED),
        "n_marks": drawing.n_marks,
        "n_shown": len(drawing.shown),
        "n_left_out": drawing.n_left_out,
        "n_characters": len(drawing.text),
        "listed": [(fold(drawing.text[m.start : m.end]), m) for m in listed],
    }


def _drawn(drawing: Drawing, looks: Mapping[str, Look]) -> Markup:
    """A drawing as nested ``<mark>`` elements, each with its name at its end."""
    from markupsafe import escape

    html: list[str] = []
    for part in drawing.parts:
        if part.mark is not None:
            look = looks[part.mark.kind]
            name = escape(fold(part.mark.label))
            if part.what == "open":
                score = "" if part.mark.score is None else f", score {part.mark.score:.3f}"
                html.append(f'<mark class="look-c{look.colour} look-l{look.line}" title="{name}{score}">')
                html.append("" if part.whole else '<span class="look-on">…</span>')
            else:
                html.append(
                    f"{_name_of(part.mark, name)}</mark>" if part.whole else '<span class="look-on">…</span></mark>'
                )
        elif part.what == "gap":
            html.append(f'<span class="look-gap">… {part.end - part.start:,} characters …</span>')
        else:
            html.append(str(escape(printable(drawing.text[part.start : part.end]))))
    return _safe("".join(html))


def _name_of(mark: Mark, name: str) -> str:
    sign = {
        "right": '\u00a0<span role="img" aria-label="also in the other">=</span>',
        "wrong": '\u00a0<span role="img" aria-label="not in the other">≠</span>',
    }
    short = " look-short" if len(mark.label) <= SHORT_NAME else ""
    return f'<span class="look-name{short}"><bdi>{name}</bdi>{sign.get(mark.verdict or "", "")}</span>'


def _agreement(found: Sequence[Mark], right: Sequence[Mark]) -> str:
    """One sentence about two sources."""
    hit = sum(mark.verdict == "right" for mark in right)
    wrong = sum(mark.verdict == "wrong" for mark in found)
    return (
        f"{hit:,} of {len(right):,} gold {'entity was' if len(right) == 1 else 'entities were'} found with the same "
        f"characters and type (=); {wrong:,} of {len(found):,} predicted {'is' if wrong == 1 else 'are'} not gold (≠)."
    )


def _shaded(e: Explanation, top: float) -> Markup:
    """The text with a shade behind each unit; the sign of strong ones stands beside them."""
    from markupsafe import escape

    html: list[str] = []
    place = 0
    for effect in e.effects:
        html.append(str(escape(printable(e.text[place : effect.start]))))
        step, word = step_of(effect.effect, top), escape(printable(effect.text))
        if step:
            side, sign = ("for", "+") if effect.effect > 0 else ("against", "−")
            strong = f'<sup class="look-sign">{sign}</sup>' if step >= 3 else ""
            number = signed(effect.effect)
            html.append(f'<span class="look-{side} look-{side}-{step}" title="{number}">{word}{strong}</span>')
        else:
            html.append(str(word))
        place = effect.end
    return _safe("".join([*html, str(escape(printable(e.text[place:])))]))

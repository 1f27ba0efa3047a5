"""The answers of ``explore`` in the terminal, as Rich tables; every number is written out, and no colour is used.

Texts and tokens are shown as text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bothways.errors import InputError
from bothways.explore.links import PATTERNS, AttentionReport, Link
from bothways.explore.masks import SIDES, Gap, MaskReport
from bothways.explore.pieces import Piece, Tokenised, TokensReport
from bothways.explore.pooled import PoolingReport
from bothways.explore.sight import OrderReport, Sight
from bothways.explore.words import WordReport

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

ROWS_SHOWN = 200
PAIRS_SHOWN = 6
MATRIX_SHOWN = 30  # positions, with names of 12 characters: 80 columns
NAME_SHOWN = 12
JOINERS = "\u200c\u200d"  # inside words of some scripts, and inside emoji
SIDE_NAMES = {"both": "both sides", "left": "left only", "right": "right only"}


def to_terminal(report: Any) -> Iterator[Any]:
    """What Rich prints for a result of ``explore``: tables and sentences, in order.

    Raises:
        InputError: something else.
    """
    parts = _PARTS.get(type(report))
    if parts is None:
        raise InputError(f"report is a {type(report).__name__}; expected a result of bothways.explore.")
    yield from parts(report)
    for sentence in report.sentences:
        yield _text(sentence)


def shown_token(text: str) -> str:
    """A token without control characters, which would move the cursor or turn the direction of what follows."""
    return "".join(c if c.isprintable() or c in JOINERS else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _word(report: WordReport) -> Iterator[Any]:
    table = _table(f"{report.word} in {report.model}", "#", "sentence", "context", "tokens")
    for number, own in enumerate(report.occurrences, 1):
        table.add_row(str(number), str(own.sentence), _text(own.context), _text(" ".join(own.pieces)))
    yield table
    n = len(report.occurrences)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    named = pairs if len(pairs) <= PAIRS_SHOWN else []
    headings = [f"{i + 1}–{j + 1}" for i, j in named] or ["least", "mean", "most"]
    table = _table(
        "Similarity (cosine) of the occurrences", "layer", *headings, "other words", "to static", numbers=True
    )
    for layer in report.layers:
        values = [layer.similarity[i][j] for i, j in pairs]
        cells = values if named else [min(values), layer.mean, max(values)]
        table.add_row(layer.name, *map(_two, cells), _two(layer.other_words), _two(layer.to_static))
    yield table


def _mask(report: MaskReport) -> Iterator[Any]:
    yield _text(f"{report.model}: {report.text}")
    for gap in report.gaps:
        yield _candidates(gap, len(report.gaps))
        table = _table("Best from each view", *SIDE_NAMES.values())
        for guesses in zip(*(view.guesses for view in gap.views), strict=True):
            table.add_row(*(_text(f"{shown_token(g.word)}  {_share(g.probability)}") for g in guesses))
        table.add_row(*(f"({view.bits:.1f} bits)" for view in gap.views))
        yield table


def _candidates(gap: Gap, n: int) -> Table:
    title = f"Gap {gap.number}: probability (rank)" if n > 1 else "Probability (rank)"
    table = _table(title, "word", *SIDE_NAMES.values(), numbers=True)
    for candidate in gap.candidates:
        cells = [f"{_share(candidate.probabilities[side])} ({candidate.ranks[side]:,})" for side in SIDES]
        table.add_row(_text(shown_token(candidate.word) + (" (asked for)" if candidate.asked else "")), *cells)
    return table


def _attention(report: AttentionReport) -> Iterator[Any]:
    headings = ("head", "prev.", "next", "itself", "first", "sep.", "bits", "strongest links")
    table = _table(f"Shares of attention in {report.model}, layer.head", *headings, numbers=True)
    table.columns[-1].justify = "left"
    for head in report.heads:
        shares = [_two(head.shares[name]) + ("*" if head.mostly == name else "") for name in PATTERNS]
        links = ", ".join(link_text(link, report.pieces) for link in head.strongest)
        table.add_row(f"{head.layer}.{head.head}", *shares, f"{head.entropy:.1f}", _text(links))
    yield table
    if any(head.mostly for head in report.heads):
        yield _text("* more than half of the head's attention")


def link_text(link: Link, pieces: Sequence[Piece]) -> str:
    """``it → cat 0.42``."""
    source, target = (shown_token(pieces[i].text) for i in (link.source, link.target))
    return f"{source} → {target} {link.weight:.2f}"


def _tokens(report: TokensReport) -> Iterator[Any]:
    names = [shown_token(row.name) for row in report.rows]
    table = _table("Tokenisers", "", *names, numbers=True)
    for fact, values in report.facts:
        table.add_row(fact, *values)
    yield table
    if len(report.rows) > 1:
        table = _table("The pieces of each word", "word", *names)
        for word, divided in report.by_word[:ROWS_SHOWN]:
            table.add_row(*(_text(shown_token(cell)) for cell in (word, *map(" ".join, divided))))
        yield table
    for row in report.rows:
        yield _pieces(row)
        if len(row.pieces) > ROWS_SHOWN:
            yield _text(f"The first {ROWS_SHOWN} of {len(row.pieces):,} tokens are shown.")


def _pieces(row: Tokenised) -> Table:
    table = _table(row.name, "#", "token", "id", "type", "mask", "characters", "stands for", "note")
    for piece in row.pieces[:ROWS_SHOWN]:
        note = "special" if piece.special else "unknown" if piece.unknown else ""
        place = "" if piece.special else f"{piece.start}–{piece.end}"
        table.add_row(
            str(piece.index),
            _text(shown_token(piece.text)),
            str(piece.id),
            str(piece.type_id),
            str(piece.mask),
            place,
            _text(shown_token(piece.surface)),
            note,
        )
    return table


def _pooling(report: PoolingReport) -> Iterator[Any]:
    title = f"{report.metric} on {report.n_pairs:,} pairs, {report.model}"
    if report.positive is not None:
        title += f" (alike: {report.positive})"
    table = _table(title, "pooling", report.metric, "95 % interval", "", numbers=True)
    for row in report.scores:
        mark = "wins" if row.way == report.winner else "baseline" if row.way == "static" else ""
        interval = f"{row.score.low:.3f} to {row.score.high:.3f}"
        table.add_row(row.name, f"{row.score.estimate:.3f}", interval, mark)
    yield table


def _order(report: OrderReport) -> Iterator[Any]:
    for sight in report.sights:
        yield _text(f"{sight.name}: a row is a position, a column what it sees (# seen, · not)")
        yield _text("\n".join(_matrix(sight)))
        if sight.guesses:
            table = _table(f"{sight.name}, {sight.note}", "word", "probability", numbers=True)
            for guess in sight.guesses:
                table.add_row(_text(shown_token(guess.word)), _share(guess.probability))
            yield table


def _matrix(sight: Sight) -> Iterator[str]:
    from rich.cells import cell_len

    names = [shown_token(token)[:NAME_SHOWN] for token in sight.tokens[:MATRIX_SHOWN]]
    width = max(map(cell_len, names))
    for i, (name, row) in enumerate(zip(names, sight.sees, strict=False)):
        mark = " ← gap" if i == sight.gap else ""
        signs = " ".join("#" if seen else "·" for seen in row[:MATRIX_SHOWN])
        yield f"{' ' * (width - cell_len(name))}{name}  {signs}{mark}"
    if len(sight.tokens) > MATRIX_SHOWN:
        yield f"The first {MATRIX_SHOWN} of {len(sight.tokens):,} positions are shown."


_PARTS: dict[type, Any] = {
    WordReport: _word,
    MaskReport: _mask,
    AttentionReport: _attention,
    TokensReport: _tokens,
    PoolingReport: _pooling,
    OrderReport: _order,
}


def _table(title: str, *headings: str, numbers: bool = False) -> Table:
    """Columns of texts; with ``numbers`` all but the first are set to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=_text(title), title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(_text(heading), justify="right" if numbers and i else "left", overflow="fold")
    return table


def _text(text: str) -> Text:
    from rich.text import Text

    return Text(text)


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if value >= 0.001 else "< 0.1 %"

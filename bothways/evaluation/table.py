"""The comparison as a table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bothways.evaluation.formats import megabytes_text, score_text, seconds_text
from bothways.evaluation.verdict import Comparison

if TYPE_CHECKING:
    from rich.table import Table


def comparison_table(comparison: Comparison) -> Table:
    """One line a contender, the model last: its first score with the 95 % interval, the others, and what it costs."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{comparison.n:,} {comparison.items} judged",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("model", overflow="fold")
    for i, score in enumerate(comparison.rows[0].scores):
        title = score.title.removesuffix(" correlation")  # the table fits a terminal of 80 columns
        title += "\n(95 % interval)" if i == 0 else ""
        widest = max(map(len, title.split()))  # which wraps between words, never inside
        table.add_column(title, justify="right", min_width=widest)
    for heading in ("training", f"per 1,000\n{comparison.items}", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.rows:
        first, *others = row.scores
        low, high = score_text(first, first.interval.low), score_text(first, first.interval.high)
        interval = f"({low.removesuffix(' %')} to {high.removesuffix(' %')})"
        table.add_row(
            Text(row.name),  # a name is text, never markup
            f"{score_text(first)}\n{interval}",  # below each other: the table fits a terminal of 80 columns
            *(score_text(score) for score in others),
            seconds_text(row.train_seconds),
            seconds_text(row.seconds_per_1000),
            megabytes_text(row.megabytes),
            style="bold" if row is comparison.rows[-1] else None,
        )
    return table

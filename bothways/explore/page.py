"""The answers of ``explore`` as one self-contained page each: no script, no network, everything escaped."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.explore.links import PATTERNS, AttentionReport, Head
from bothways.explore.masks import SIDES, MaskReport
from bothways.explore.pieces import TokensReport
from bothways.explore.pooled import PoolingReport
from bothways.explore.sight import OrderReport
from bothways.explore.terminal import SIDE_NAMES, link_text, shown_token
from bothways.explore.words import WordReport

TOKENS_SHOWN = 1_000
MATRIX_SHOWN = 64  # positions of a table of tokens by tokens
MEANS_SHOWN = 24  # tokens up to which the mean of a layer's heads is a table too
HEAT_SHOWN = 128  # tokens of the small pictures of heads
PIXELS = 2_200_000  # of all pictures of a page, four bits each: so it stays under 2 MB however many heads there are
TEXT_SHOWN = 2_000  # characters of the text that was read
PAIRS_SHOWN = 10
OCCURRENCES_SHOWN = 30
SHADES = 9
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 400, 220, 40, 12, 12, 34


def to_html(report: Any) -> str:
    """A page for a result of ``explore``.

    Raises:
        InputError: something else.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if type(report) not in _PAGES:
        raise InputError(f"report is a {type(report).__name__}; expected a result of bothways.explore.")
    template, title, values = _PAGES[type(report)]
    environment = Environment(
        loader=PackageLoader("bothways.explore"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cut=_cut, token=shown_token, two=_two, share=_share, count="{:,}".format)
    page = environment.get_template(f"{template}.html.jinja")
    return page.render(report=report, title=title(report), **values(report))


def _word(report: WordReport) -> dict[str, Any]:
    n = len(report.occurrences)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return {
        "pairs": pairs if len(pairs) <= PAIRS_SHOWN else [],
        "least": [min(layer.similarity[i][j] for i, j in pairs) for layer in report.layers],
        "most": [max(layer.similarity[i][j] for i, j in pairs) for layer in report.layers],
        "chart": _layer_chart(report),
        "matrix": [
            [(value, _shade(value)) for value in row[:OCCURRENCES_SHOWN]] for row in report.layers[-1].similarity
        ][:OCCURRENCES_SHOWN],
    }


def _layer_chart(report: WordReport) -> dict[str, Any]:
    """Lines over the layers: the word's occurrences, and different words as the scale."""
    lines: dict[str, list[float | None]] = {
        "word": [layer.mean for layer in report.layers],
        "other": [layer.other_words for layer in report.layers],
    }
    known = [value for values in lines.values() for value in values if value is not None]
    low = min(0.0, math.floor(min(known) * 5) / 5)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(report.layers) - 1)

    def y(value: float) -> float:
        return round(TOP + (1.0 - value) / (1.0 - low) * (HEIGHT - TOP - BOTTOM), 1)

    shown = max(1, len(report.layers) // 8)
    names = ["static", "emb.", *range(1, len(report.layers) - 1)]
    return {
        "lines": {
            name: [(round(LEFT + i * step, 1), y(v)) for i, v in enumerate(values) if v is not None]
            for name, values in lines.items()
        },
        "ticks_y": [(y(tick / 5), f"{tick / 5:.1f}") for tick in range(round(low * 5), 6)],
        "ticks_x": [(round(LEFT + i * step, 1), name) for i, name in enumerate(names) if i % shown == 0],
    }


def _mask(report: MaskReport) -> dict[str, Any]:
    return {"sides": SIDES, "side_names": SIDE_NAMES}


def _attention(report: AttentionReport) -> dict[str, Any]:
    n = min(len(report.pieces), HEAT_SHOWN, math.isqrt(PIXELS // len(report.heads)))
    layers = _by_layer(report)
    means = [np.mean([head.weights for head in heads], axis=0).tolist() for heads in layers]
    return {
        "layers": [
            [{"head": head, "picture": _picture(head.weights[:n, :n]), "links": _links(head, report)} for head in heads]
            for heads in layers
        ],
        "means": [[[(value, _shade(value)) for value in row] for row in mean] for mean in means]
        if len(report.pieces) <= MEANS_SHOWN
        else [],
        "patterns": PATTERNS,
        "heat_shown": n,
    }


def _by_layer(report: AttentionReport) -> list[Sequence[Head]]:
    return [report.heads[i : i + report.n_heads] for i in range(0, len(report.heads), report.n_heads)]


def _links(head: Head, report: AttentionReport) -> list[str]:
    return [link_text(link, report.pieces) for link in head.strongest]


def _picture(weights: np.ndarray) -> str:
    """A heat map as a PNG of one pixel a weight in 16 greys, white for 0 and black for the most, in a data URI."""
    height, width = weights.shape
    top = float(weights.max()) or 1.0
    greys = 15 - np.round(15 * np.sqrt(weights / top)).astype(np.uint8)  # the root keeps small weights visible
    greys = np.pad(greys, ((0, 0), (0, width % 2)))
    rows = b"".join(b"\0" + row.tobytes() for row in greys[:, ::2] << 4 | greys[:, 1::2])
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _tokens(report: TokensReport) -> dict[str, Any]:
    # of many tokenisers fewer tokens each, so that the page stays under 2 MB
    return {"most": min(TOKENS_SHOWN, max(100, 2 * TOKENS_SHOWN // len(report.rows)))}


def _pooling(report: PoolingReport) -> dict[str, Any]:
    """Positions of dots and intervals in percent of a common scale."""
    low = min(row.score.low for row in report.scores)
    high = max(row.score.high for row in report.scores)
    low, high = min(0.0, low) if low < 0.3 else math.floor(low * 10) / 10, math.ceil(high * 10) / 10
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return round(100 * (value - low) / span, 2)

    return {
        "bars": [(at(row.score.low), at(row.score.high), at(row.score.estimate)) for row in report.scores],
        "low": low,
        "high": high,
    }


def _order(report: OrderReport) -> dict[str, Any]:
    return {"most": MATRIX_SHOWN}


_PAGES: dict[type, tuple[str, Any, Any]] = {
    WordReport: ("word", lambda r: f"“{r.word}” in {len(r.sentences_read)} sentences", _word),
    MaskReport: ("mask", lambda r: "What reading both ways buys", _mask),
    AttentionReport: ("attention", lambda r: "Where the heads look", _attention),
    TokensReport: ("tokens", lambda r: "What tokenisers make of a text", _tokens),
    PoolingReport: ("pooling", lambda r: "From token vectors to one vector", _pooling),
    OrderReport: ("order", lambda r: "What each position may see", _order),
}


def _shade(value: float) -> int:
    """0 for nothing, then 1 to 9."""
    return 0 if value <= 0 else min(SHADES, 1 + int(value * SHADES))


def _cut(text: str, most: int = TEXT_SHOWN) -> str:
    """A text that is not too long for a page, with the number of characters left out."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text[:most])
    return shown if len(text) <= most else f"{shown} … ({len(text) - most:,} more characters)"


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if value >= 0.001 else "< 0.1 %"

"""The pages: self-contained, escaped, bounded."""

from __future__ import annotations

import base64
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from bothways import explore
from bothways.errors import InputError
from bothways.explore.page import _picture
from tests.explore.reports import ALL, HOSTILE, attention_report, pieces, tokens_report, word_report

VOID = {"meta", "link", "br", "img", "line", "circle", "polyline"}


class Structure(HTMLParser):
    """Checks that tags close, and collects what a reader of the page needs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag


@pytest.mark.parametrize("name", ALL)
def test_a_page_is_whole_escaped_and_needs_nothing_else(name):
    page = explore.to_html(ALL[name]())
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    tags = [tag for tag, _ in structure.tags]
    assert "script" not in tags and HOSTILE not in page
    sources = [v for _, a in structure.tags for k, v in a.items() if k in ("src", "href") and not v.startswith("data:")]
    assert sources == [] and "http" not in page.replace("http-equiv", "")
    assert tags.count("h1") == 1 and "viewport" in page and "prefers-color-scheme: dark" in page
    assert all(a.get("scope") in ("col", "row") for tag, a in structure.tags if tag == "th")
    assert all(a.get("alt") for tag, a in structure.tags if tag == "img")
    assert all(a.get("role") == "img" for tag, a in structure.tags if tag == "svg")
    ids = [a["id"] for _, a in structure.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(a["aria-labelledby"] in ids for _, a in structure.tags if "aria-labelledby" in a)
    assert "\x1b" not in page and len(page) < 200_000


@pytest.mark.parametrize(("n_layers", "n_heads", "shown"), [(12, 12, 123), (24, 16, 75)])
def test_a_large_attention_page_stays_under_two_megabytes(n_layers, n_heads, shown):
    page = explore.to_html(attention_report(n=130, n_layers=n_layers, n_heads=n_heads))
    assert len(page.encode()) < 2_000_000
    assert f"the first {shown} of 130 tokens are shown" in page


def test_long_texts_are_cut_with_their_count():
    page = explore.to_html(tokens_report(2_000))
    assert "The first 1,000 of 2,001 tokens are shown." in page
    many = explore.to_html(word_report(40))
    assert many.count('<th scope="col">') < 60 and "least" in many


def test_a_picture_has_a_pixel_for_every_weight():
    weights = np.array([[1.0, 0.0, 0.25]], dtype=np.float32)
    data = base64.b64decode(_picture(weights).partition(",")[2])
    assert data[24] == 4  # bits
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[16:24] == (3).to_bytes(4, "big") + (1).to_bytes(4, "big")
    pixels = zlib.decompressobj().decompress(data[data.index(b"IDAT") + 4 :])
    assert list(pixels) == [0, 0x0F, 0x70]  # no filter; black for the most, white for nothing, padded to a byte


def test_colour_is_never_alone():
    page = explore.to_html(ALL["order"]())
    cells = re.findall(r'<td class="s[07][^"]*">(.)</td>', page)
    assert set(cells) == {"●", "·"}
    tokens = explore.to_html(ALL["tokens"]())
    assert tokens.count("special</small>") == 2 and tokens.count("unknown</small>") == 2
    assert "mostly the first token (0.78)" in explore.to_html(ALL["attention"]())


def test_something_else_is_refused():
    with pytest.raises(InputError, match="report is a dict; expected a result of bothways.explore"):
        explore.to_html({})
    with pytest.raises(InputError, match="report is a dict"):
        list(explore.to_terminal({}))
    assert len(pieces(5)) == 5

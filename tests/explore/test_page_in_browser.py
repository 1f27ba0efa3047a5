"""The pages in a real browser, as wide as a phone and as wide as a desk."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from bothways import explore
from tests.evaluation.test_report_in_browser import COLLECT, FLAGS, MEASURE
from tests.explore.reports import ALL, HOSTILE

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
PAGES = [(name, width) for name in ALL for width in (390, 1280)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Every page in a frame of its width, without the policy against scripts."""
    directory = tmp_path_factory.mktemp("pages")
    frames = [COLLECT]
    for name, width in PAGES:
        text, dropped = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", explore.to_html(ALL[name]()))
        assert dropped == 1
        place = f"{name}-{width}"
        script = MEASURE.replace("NAME", json.dumps(place))
        (directory / f"{place}.html").write_text(text.replace("</head>", f"{script}</head>"), encoding="utf-8")
        frames.append(f'<iframe src="{place}.html" width="{width}" height="844" style="border:0"></iframe>')
    (directory / "all.html").write_text("".join(frames), encoding="utf-8")
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={directory / 'profile'}", "--dump-dom"]
    run = subprocess.run(
        [*command, (directory / "all.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'data-measured="([^"]*)"', run.stdout)
    assert found, run.stdout[:500]
    return json.loads(html.unescape(found[1]))


@pytest.mark.parametrize(("name", "width"), PAGES)
def test_nothing_sticks_out_nothing_is_loaded_and_texts_are_texts(name, width, measured):
    page = measured[f"{name}-{width}"]
    assert page["wide"] == width and page["out"] == [] and page["scrollWidth"] <= width
    assert [source for source in page["resources"] if not source.startswith("data:")] == []
    assert page["scripts"] == 1  # the one that measures
    if name == "tokens":
        assert HOSTILE in page["labels"]

"""The page in a real browser, as wide as a phone and as wide as a desk."""

import html
import json
import re
import shutil
import subprocess

import pytest

from bothways.evaluation import write_report
from tests.evaluation.reports import HOSTILE, entity_report, full_report, multi_report, regression_report, single_report

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --enable-logging=stderr --virtual-time-budget=3000"
)
PAGES = {
    "few labels": (single_report, 390),
    "many labels": (lambda: single_report(n_labels=40, n=400), 390),
    "wide matrix": (lambda: single_report(n_labels=12), 390),
    "several labels": (multi_report, 390),
    "numbers": (regression_report, 390),
    "small phone": (single_report, 320),
    "everything": (full_report, 390),
    "entities": (entity_report, 390),
    "everything with 30 labels": (lambda: full_report(n_labels=30, n=600), 390),
    "everything on a desk": (lambda: full_report(n_labels=30, n=600), 1280),
    "desk": (single_report, 1280),
}
MEASURE = """<script>addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  const fits = e => e.getBoundingClientRect().right <= innerWidth + 0.5;
  const scrolls = e => e.parentElement.closest(".scroll, .look-scroll");
  const out = [...document.querySelectorAll("body *")].filter(e => !fits(e) && !scrolls(e));
  parent.postMessage({
    name: NAME, wide: innerWidth, scrollWidth: root.scrollWidth,
    out: out.slice(0, 5).map(e => e.outerHTML.slice(0, 120)),
    resources: performance.getEntriesByType("resource").map(r => r.name),
    scripts: document.scripts.length, labels: [...document.querySelectorAll("bdi")].map(e => e.textContent),
  }, "*");
});</script>"""
COLLECT = """<!DOCTYPE html><script>const all = {};
addEventListener("message", e => {
  all[e.data.name] = e.data; document.documentElement.dataset.measured = JSON.stringify(all);
});</script>"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Every page in a frame of its width (a window cannot be narrower than 500), without the policy against scripts."""
    directory = tmp_path_factory.mktemp("pages")
    frames = [COLLECT]
    for name, (report, width) in PAGES.items():
        text = write_report(directory / name.replace(" ", "-"), report()).read_text(encoding="utf-8")
        text, dropped = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        assert dropped == 1
        (directory / f"{name}.html").write_text(
            text.replace("</head>", MEASURE.replace("NAME", json.dumps(name)) + "</head>"), encoding="utf-8"
        )
        frames.append(f'<iframe src="{name}.html" width="{width}" height="844" style="border:0"></iframe>')
    (directory / "all.html").write_text("".join(frames), encoding="utf-8")
    dom, console = _dump(directory / "all.html", directory / "profile")
    found = re.search(r'data-measured="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(html.unescape(found[1])), console


@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_and_nothing_is_loaded(name, measured):
    page = measured[0][name]
    assert page["wide"] == PAGES[name][1]
    assert page["out"] == [] and page["scrollWidth"] <= page["wide"]
    assert page["resources"] == []
    assert page["scripts"] == 1  # the one that measures


def test_console_is_silent_and_hostile_labels_are_text(measured):
    assert measured[1] == []
    assert HOSTILE in measured[0]["few labels"]["labels"]


def test_page_as_written_breaks_none_of_its_own_rules(tmp_path):
    dom, console = _dump(write_report(tmp_path, single_report()), tmp_path / "profile")
    assert console == []  # the browser reports every violation of the content security policy here
    assert "<script" not in dom and "<img" not in dom and "&lt;script&gt;" in dom


def _dump(path, profile):
    """The document after loading, and what the console said."""
    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]

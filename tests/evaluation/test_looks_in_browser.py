"""Marked texts in a real browser: nothing sticks out, nothing is loaded, names are legible in light and in dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

from bothways.evaluation.attribution import explain
from bothways.evaluation.views import answer_view, entity_view, explanation_view, render_views
from tests.evaluation.test_attribution import KnownPipe

CHROMIUM = shutil.which("chromium")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --enable-logging=stderr --virtual-time-budget=3000"
)
FRAMES = {"phone": 390, "small phone": 320, "desk": 1280}
MEASURE = """<script>addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("details").forEach(e => e.open = true);
  const fits = e => [...e.getClientRects()].every(r => r.right <= innerWidth + 0.5 && r.left >= -0.5);
  const out = [...document.querySelectorAll("body *")]
    .filter(e => !fits(e) && !e.parentElement.closest(".look-scroll"));
  const linear = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = c => linear(c).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { const c = getComputedStyle(e).backgroundColor;
    return /^rgba.*, 0\\)$/.test(c) ? ground(e.parentElement) : c; };
  const contrast = e => { const a = luminance(getComputedStyle(e).color), b = luminance(ground(e));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  const coloured = [...document.querySelectorAll("mark, .look-name, .look-for, .look-against, .look-muted, .look-gap")];
  parent.postMessage({
    name: NAME, wide: innerWidth, scrollWidth: document.documentElement.scrollWidth,
    out: out.slice(0, 5).map(e => e.outerHTML.slice(0, 120)),
    resources: performance.getEntriesByType("resource").map(r => r.name), scripts: document.scripts.length,
    coloured: coloured.length,
    illegible: coloured.filter(e => contrast(e) < 4.5).map(e => `${contrast(e)} ${e.outerHTML.slice(0, 80)}`),
    lines: [...new Set([...document.querySelectorAll("mark")].map(e => getComputedStyle(e).borderBottomStyle))].sort(),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    rtl: [...document.querySelectorAll(".look-text")].map(e => getComputedStyle(e).direction),
  }, "*");
});</script>"""
COLLECT = """<!DOCTYPE html><script>const all = {};
addEventListener("message", e => {
  all[e.data.name] = e.data; document.documentElement.dataset.measured = JSON.stringify(all);
});</script>"""
ENGLISH = "Angela Merkel met the Bank of England’s governor in London on Monday 👩‍👩‍👧. <script>alert(1)</script>"
ARABIC = "التقى محمد علي في القاهرة مع وفد من الأمم المتحدة يوم الاثنين 🇪🇬."


def page() -> str:
    """Everything that is drawn: nested, crossing, right to left, long words, many types, answers, words that moved."""
    spans = [(0, 13, "PER"), (22, 37, "ORG"), (27, 39, "MISC"), (30, 37, "LOC"), (52, 58, "LOC")]
    words = [f"word{i}" for i in range(40)]
    places = [sum(map(len, words[:i])) + i for i in range(40)]
    types = [(place, place + len(word), f"TYPE-{i}") for i, (place, word) in enumerate(zip(places, words, strict=True))]
    long = "Donaudampfschifffahrtsgesellschaft" * 20
    arabic = [
        (ARABIC.index(w), ARABIC.index(w) + len(w), k)
        for w, k in (("محمد علي", "PER"), ("القاهرة", "LOC"), ("🇪🇬", "X"))
    ]
    views = [
        entity_view(ENGLISH, spans, gold=[*spans[:2], (52, 58, "ORG")], heading="Beside each other"),
        entity_view(ARABIC, arabic),
        entity_view(" ".join(words), types),
        entity_view(long, [(10, 400, "A-VERY-LONG-NAME-OF-A-TYPE-THAT-NEVER-ENDS-" * 3)]),
        entity_view(f"{'so it goes. ' * 2_000}Anna{' and on. ' * 2_000}", [(24_000, 24_004, "PER")]),
        answer_view(
            ENGLISH, {"answer": "London", "score": 0.83, "start": 52, "end": 58}, question="Where was it? " * 12
        ),
        explanation_view(explain(KnownPipe(), f"a wonderful film with good ideas, not dull {long} <b>at</b> all")),
    ]
    return render_views(views, title="Marked texts", lead="All that can be drawn.")


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def measured(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("looks")
    frames = [COLLECT]
    text, dropped = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page())
    assert dropped == 1
    for name, width in FRAMES.items():
        script = MEASURE.replace("NAME", json.dumps(name))
        (directory / f"{name}.html").write_text(text.replace("</head>", script + "</head>"), encoding="utf-8")
        frames.append(f'<iframe src="{name}.html" width="{width}" height="844" style="border:0"></iframe>')
    (directory / "all.html").write_text("".join(frames), encoding="utf-8")
    dark = ["--blink-settings=preferredColorScheme=0"] if request.param else ["--blink-settings=preferredColorScheme=1"]
    dom, console = dump(directory / "all.html", directory / "profile", dark)
    found = re.search(r'data-measured="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(html.unescape(found[1])), console, request.param


@pytest.mark.parametrize("name", FRAMES)
def test_nothing_sticks_out_and_everything_is_legible(name, measured):
    frames, console, dark = measured
    seen = frames[name]
    assert (seen["wide"], seen["dark"]) == (FRAMES[name], dark)
    assert seen["out"] == [] and seen["scrollWidth"] <= seen["wide"]
    assert seen["resources"] == [] and seen["scripts"] == 1 and console == []
    assert seen["coloured"] > 100 and seen["illegible"] == []
    assert seen["lines"] == ["dashed", "dotted", "double", "solid"]
    assert seen["rtl"] == ["ltr", "ltr", "rtl", *["ltr"] * 5]


def test_the_page_breaks_none_of_its_own_rules(tmp_path):
    (tmp_path / "page.html").write_text(page(), encoding="utf-8")
    dom, console = dump(tmp_path / "page.html", tmp_path / "profile", [])
    assert console == [] and "<script" not in dom and "&lt;script&gt;" in dom


def dump(path, profile, more):
    """The document after loading, and what the console said."""
    command = [CHROMIUM, *FLAGS.split(), *more, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return run.stdout, [line for line in run.stderr.splitlines() if "CONSOLE" in line]

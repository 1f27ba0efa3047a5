"""The page and its JSON: complete, escaped, self-contained, small, and readable for everybody."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from bothways.errors import InputError
from bothways.evaluation import Interval, Mistake, Predictions, build_report, write_report
from bothways.evaluation.analysis import confident_mistakes, label_scores, length_facts, shortened
from bothways.evaluation.charts import ticks
from bothways.evaluation.confusions import confusion_of, most_confused
from bothways.evaluation.facets import label_facets
from bothways.evaluation.formats import count_text, megabytes_text, seconds_text, share_text
from bothways.evaluation.page import render_page
from bothways.evaluation.row_scores import row_scores
from bothways.evaluation.slices import find_slices
from bothways.metrics import classification_scores
from tests.evaluation.reports import HOSTILE, entity_report, full_report, multi_report, regression_report, single_report

VOID = {"meta", "link", "line", "rect", "circle", "polyline", "wbr", "br"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; refuses tags that are not closed in order."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


REPORTS = {
    "few labels": single_report,
    "entities": entity_report,
    "everything": full_report,
    "everything with 30 labels": lambda: full_report(n_labels=30, n=600),
    "many labels": lambda: single_report(n_labels=60, n=400),
    "too many labels": lambda: single_report(n_labels=700, n=3_000),
    "several": multi_report,
    "numbers": regression_report,
    "bare": lambda: single_report(
        n=1, train_labels=None, token_lengths=None, facts={}, warnings=(), curve=(), settings={}, versions={}
    ),
}


@pytest.fixture(scope="module", params=REPORTS)
def html(request):
    return render_page(REPORTS[request.param]())


def test_page_is_self_contained_and_small(html):
    page = Page(html)
    assert len(html.encode("utf-8")) < 2_000_000
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.elements}
    links = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert links == ["data:,"]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in page.named("meta")[1]["content"]


def test_page_is_accessible(html):
    page = Page(html)
    assert page.named("html") == [{"lang": "en"}]
    for landmark in ("header", "main", "footer", "h1", "title"):
        assert page.named(landmark), landmark
    assert all(th.get("scope") in ("row", "col") for th in page.named("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in page.named("svg"):
        assert svg["role"] == "img" and svg["aria-labelledby"] in ids
    for _, attributes in page.elements:
        assert attributes.get("aria-labelledby", ids[0]) in ids
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))


def test_hostile_content_is_text():
    page = Page(render_page(single_report()))
    text = "".join(page.text)
    assert text.count(HOSTILE) > 20 and "<img src=https://example.com/x.png>" in text
    assert not re.search("[\x00\u202e\ud800]", text)
    assert sum(attributes.get("dir") == "auto" for _, attributes in page.elements) > 20


def test_page_says_everything():
    report = single_report()
    text = " ".join("".join(Page(render_page(report)).text).split())
    assert report.comparison.verdict in text
    for words in (
        "Confusion matrix",
        "Each label",
        "Most confident mistakes",
        "Length of the judged texts",
        "Training loss",
        "12,345",
        "5e-05",
        "ab" * 32,
        "--text-column",
        "is a label that occurs in 3 texts only.",
        f"25 of {report.n_mistakes} wrong answers",
    ):
        assert words in text, words
    assert "x" * 400 not in text  # long texts and settings are shortened


def test_every_section_says_its_numbers():
    report = full_report()
    page = Page(render_page(report))
    text = " ".join("".join(page.text).split())
    headings = re.findall(r"<h[23][^>]*>([^<]*)", render_page(report))
    for words in ("Where it is worse than elsewhere", "Labels that may be wrong", "Would more labels help?"):
        assert words in headings, words
    assert report.learning.answer in text and report.calibration.sentences[0] in text
    assert f"{report.label_errors.count} of 300 labels are suspected" in text
    assert f"of {report.slices.compared} parts of the data" in text or f"None of {report.slices.compared}" in text
    assert "1,000,000 characters" in text  # a text that long is cut, and the page says so
    first = report.slices.slices[0]
    assert first.facet in text and f"{first.score.estimate * 100:.1f} %" in text
    assert len(page.named("svg")) >= 6


def test_sections_that_have_nothing_are_absent():
    text = "".join(Page(render_page(single_report())).text)
    for words in ("may be wrong", "more labels help", "sure it may be", "worse than elsewhere"):
        assert words not in text, words


def test_json_has_every_number_of_every_section(tmp_path):
    report = full_report()
    write_report(tmp_path, report)
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert len(data["slices"]["slices"]) == len(report.slices.slices)
    assert data["slices"]["slices"][0].keys() >= {"facet", "value", "support", "score", "rest", "p_value", "worse"}
    assert len(data["label_errors"]["suspects"]) == min(1_000, report.label_errors.count)
    assert len(data["learning"]["steps"]) == 6 and len(data["learning"]["forecasts"]) == 3
    assert len(data["calibration"]["before"]["bins"]) == 15
    assert data["confused"][0]["examples"]
    assert data["labels"][0]["f1_interval"].keys() == {"estimate", "low", "high", "confidence"}


def test_intervals_of_labels_hold_their_scores():
    for row in full_report().labels:
        for name in ("precision", "recall", "f1"):
            interval = getattr(row, f"{name}_interval")
            assert interval.low <= getattr(row, name) <= interval.high and interval.low < interval.high


def test_f1_of_labels_is_the_metrics():
    gold, answers = ["a", "a", "b", "c", "c"], ["a", "b", "b", "a", "c"]
    rows = {row.label: row for row in label_scores("single", gold, answers, ["a", "b", "c", "never"], ["a", "a"])}
    expected = classification_scores(gold, answers, ["a", "b", "c"])["per_label"]
    for label, values in expected.items():
        assert {name: getattr(rows[label], name) for name in values} == pytest.approx(values)
    assert (rows["never"].support, rows["never"].f1_interval, rows["a"].trained, rows["b"].trained) == (0, None, 2, 0)


def test_thousands_of_labels_stay_small():
    """5,000 labels: nothing is squared, and the page stays below its 2 MB."""
    rng = np.random.default_rng(0)
    gold = [f"label {i}" for i in range(5_000)] * 2
    answers = tuple(g if rng.random() < 0.7 else gold[rng.integers(5_000)] for g in gold)
    predictions = Predictions(labels=answers)
    names = gold[:5_000]
    rows = row_scores("single", gold, answers)
    report = build_report(
        title="many",
        comparison=dataclasses.replace(single_report().comparison, n=10_000),
        texts=[f"text {i}" for i in range(10_000)],
        gold=gold,
        predictions=predictions,
        label_names=names,
        slices=find_slices(rows, label_facets("single", gold)),
    )
    assert len(report.labels) == 5_000 and report.slices.small == 5_000
    assert len(render_page(report).encode()) < 2_000_000


def test_json_has_the_same(tmp_path):
    report = single_report()
    path = write_report(tmp_path / "new" / "directory", report)
    assert path.name == "report.html" and path.read_text(encoding="utf-8") == render_page(report)
    assert sorted(p.name for p in path.parent.iterdir()) == ["report.html", "report.json"]
    data = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert (data["format"], data["format_version"]) == ("bothways-report", 1)
    assert data["comparison"]["verdict"] == report.comparison.verdict
    assert data["comparison"]["rows"][2]["scores"][0]["interval"]["low"] == pytest.approx(
        report.comparison.rows[2].scores[0].interval.low
    )
    assert sum(count for _, _, count in data["confusion"]["cells"]) == 120
    counts = {"support", "predicted", "trained"}
    scores = {name + end for name in ("precision", "recall", "f1") for end in ("", "_interval")}
    assert data["labels"][0].keys() == {"label"} | counts | scores


def test_numbers_that_are_not_finite_become_null(tmp_path):
    row = single_report().comparison.rows[0]
    nothing = Interval(estimate=float("nan"), low=float("-inf"), high=float("inf"))
    score = dataclasses.replace(row.scores[0], interval=nothing)
    report = single_report()
    rows = (*report.comparison.rows[:2], dataclasses.replace(row, scores=(row.scores[0], score)))
    report = dataclasses.replace(report, comparison=dataclasses.replace(report.comparison, rows=rows))
    write_report(tmp_path, report)
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["comparison"]["rows"][2]["scores"][1]["interval"]["low"] is None


def test_mistakes_are_the_confident_ones():
    names = ("a", "b")
    probabilities = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]]
    predictions = Predictions(labels=("a", "b", "b", "a"), probabilities=np.array(probabilities))
    mistakes = confident_mistakes(
        "single", ["w", "x", "y", "z"], None, ["a", "a", "a", "b"], predictions, names, most=2
    )
    assert mistakes == (
        Mistake(number=3, text="y", pair=None, gold="a", predicted="b", probability=0.8),
        Mistake(number=4, text="z", pair=None, gold="b", predicted="a", probability=0.7),
    )


def test_mistakes_of_several_labels_count_missing_and_spurious_ones():
    predictions = Predictions(labels=((), ("a",)), probabilities=np.array([[0.1, 0.4], [0.6, 0.2]]))
    mistakes = confident_mistakes("multi", ["x", "y"], None, [("a",), ()], predictions, ("a", "b"))
    assert [(m.text, m.gold, m.predicted, m.probability) for m in mistakes] == [
        ("x", "a", "(none)", 0.9),
        ("y", "(none)", "a", 0.6),
    ]


def test_confusion():
    gold, answers = ["a", "a", "a", "b"], ["a", "b", "b", "a"]
    confusion = confusion_of(gold, answers, ["never", "b", "a"])
    assert confusion.labels == ("b", "a") and confusion.cells == ((0, 1, 1), (1, 0, 2), (1, 1, 1))
    first, second = most_confused(gold, answers, ["w", "x", "y", "z"])
    assert (first.gold, first.predicted, first.count, first.share) == ("a", "b", 2, pytest.approx(2 / 3))
    assert (second.gold, second.count, second.share) == ("b", 1, 1.0)
    assert first.examples == ("x", "y") and second.examples == ("z",)


def test_lengths():
    lengths = length_facts([10] * 98 + [600, 700], 512)
    assert lengths.share_over_limit == 0.02 and lengths.longest == 700 and lengths.median == 10
    assert sum(lengths.histogram.counts) == 100 and len(lengths.histogram.edges) == len(lengths.histogram.counts) + 1
    assert length_facts([0], None).histogram.counts[0] == 1


def test_shortened_keeps_beginning_and_end():
    assert shortened("a  b\n\tc") == "a b c"
    long = shortened("start " + "x" * 10_000_000 + " end")
    assert long.startswith("start x") and long.endswith("x end") and " … " in long and len(long) <= 300


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.43, 0.97, 4, [0.4, 0.6, 0.8, 1.0]),
        (0, 1_234, 4, [0, 500, 1_000, 1_500]),
        (3, 3, 4, [2.7, 2.8, 2.9, 3.0, 3.1, 3.2, 3.3]),
    ],
)
def test_ticks(low, high, most, expected):
    marks = ticks(low, high, most)
    assert marks[0] <= low and marks[-1] >= high and len(marks) <= most + 3
    if low != high:
        assert marks == pytest.approx(expected)


def test_formats():
    assert [seconds_text(s) for s in (None, 0, 0.0001, 0.031, 4.24, 59.97, 185, 7_440)] == [
        "–",
        "0",
        "< 1 ms",
        "31 ms",
        "4.2 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 04 min",
    ]
    assert [megabytes_text(m) for m in (None, 0, 0.01, 1.94, 90.9, 1_340)] == [
        "–",
        "0",
        "< 0.1 MB",
        "1.9 MB",
        "91 MB",
        "1,340 MB",
    ]
    assert [share_text(s) for s in (0, 0.0004, 0.5, 0.9996, 1)] == ["0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %"]
    assert [count_text(v) for v in (True, 12_345, 5e-5, 1234.5, None, "x")] == [
        "yes",
        "12,345",
        "5e-05",
        "1,234",
        "–",
        "x",
    ]


def test_different_numbers_of_texts_and_answers():
    with pytest.raises(InputError, match="2 texts, 1 right answers, 1 predictions"):
        build_report(
            title="t",
            comparison=single_report().comparison,
            texts=["a", "b"],
            gold=["x"],
            predictions=Predictions(labels=("x",)),
        )


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrast_of_text(theme):
    css = files("bothways.evaluation").joinpath("templates/report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{([^}]*--ink:[^}]*)\}", css)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", blocks[theme]))
    pairs = [(text, back) for text in ("ink", "muted", "model") for back in ("page", "card", "soft")]
    pairs += [(name, f"{name}-soft") for name in ("good", "bad", "even")] + [("ink", "bad-soft")]
    pairs += [("ink", f"h{i}") for i in range(1, 6)] + [("on-dark", f"h{i}") for i in range(6, 10)]
    low = {pair: _contrast(*(colours[name] for name in pair)) for pair in pairs}
    assert {pair: round(value, 2) for pair, value in low.items() if value < 4.5} == {}
    marks = {name: _contrast(colours[name], colours["card"]) for name in ("model", "baseline", "majority")}
    assert min(marks.values()) >= 3  # graphics (WCAG 2.2, 1.4.11)

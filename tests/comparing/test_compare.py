"""The table of models, on models that are known without training."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bothways.comparing.chart import draw, terminal_chart
from bothways.comparing.compare import ComparedModel, ModelTable, compare_models
from bothways.comparing.page import measured_cells, render_table
from bothways.comparing.speed import Speed
from bothways.comparing.told import told
from bothways.errors import BothwaysError, DataError, ModelNotFoundError, UsageError
from bothways.evaluation.intervals import Difference, Interval, wilson_interval
from bothways.evaluation.verdict import Score


@pytest.fixture(scope="module")
def table(contest) -> ModelTable:
    models = [contest / name for name in ("opposite", "first", "large", "tagger", "body")]
    return compare_models(models, contest / "texts.csv", train=contest / "texts.csv", task="text-classification")


def test_scores_are_measured_and_ranked(table):
    assert table.n == 60 and table.items == "texts" and table.kind == "single"
    scores = {row.name: row.scores[0].interval for row in table.rows}
    assert set(scores) == {"first", "opposite", "large", "TF-IDF + logistic regression"}
    assert scores["first"] == wilson_interval(60, 60) and scores["opposite"] == wilson_interval(0, 60)
    assert table.rows[-1].name == "opposite" and table.rows[-1].behind.estimate == 1.0 and table.rows[0].behind is None
    assert [row.name for row in table.rows if row.is_baseline] == ["TF-IDF + logistic regression"]


def test_sizes_are_those_of_the_models(table, contest):
    from bothways import AutoModelForSequenceClassification

    row = next(row for row in table.rows if row.name == "large")
    model = AutoModelForSequenceClassification.from_pretrained(contest / "large")
    assert row.parameters == sum(p.numel() for p in model.parameters())
    assert row.megabytes == pytest.approx((contest / "large" / "model.safetensors").stat().st_size / 1e6)
    assert row.memory_megabytes is None or row.memory_megabytes < 500


def test_speed_goes_from_text_to_answer(table):
    for row in table.rows:
        assert row.texts_per_second > 0
        if row.speed is not None:
            assert row.speed.texts == 60 and 0 < row.speed.p50 <= row.speed.p95
            assert row.speed.slowest <= row.speed.texts_per_second <= row.speed.fastest
            assert row.speed.tokens_per_second > row.speed.texts_per_second


def test_models_of_other_tasks_get_a_sentence(table):
    assert table.left_out == (
        "tagger is left out: it is made for token-classification, and the others answer text-classification.",
        "body is left out: it is made for feature-extraction, and the others answer text-classification.",
    )


def test_a_baseline_trained_on_the_same_texts_is_told(table):
    (said,) = [sentence for sentence in table.sentences if "training data of the baseline" in sentence]
    assert said.startswith("60 of the 60 texts")


def test_a_model_with_other_labels_is_left_out_with_the_reason(contest, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("text,label\ngood book,fine\nbad film,neg\n")
    with pytest.raises(BothwaysError, match="'fine' \\(1\\)"):
        compare_models([contest / "first"], path)


def test_wrong_calls_are_sentences(contest):
    data = contest / "texts.csv"
    with pytest.raises(UsageError, match="no model was given"):
        compare_models([], data)
    with pytest.raises(UsageError, match="first is given more than once"):
        compare_models([contest / "first", contest / "first"], data)
    with pytest.raises(UsageError, match="--precision is 'half'"):
        compare_models([contest / "first"], data, precision="half")
    with pytest.raises(UsageError, match="made for feature-extraction, which no labelled file can judge"):
        compare_models([contest / "body"], data)
    with pytest.raises(ModelNotFoundError):
        compare_models([contest / "nowhere"], data)
    with pytest.raises((UsageError, DataError)):
        compare_models([contest / "first"], contest / "nothing.csv")


def line(name: str, score: float, per_second: float, p: float = 0.001, **more) -> ComparedModel:
    interval = Interval(estimate=score, low=score - 0.02, high=score + 0.02)
    made = Score(name="accuracy", title="accuracy", percent=True, interval=interval)
    behind = Difference(estimate=0.9 - score, low=0.001 if p < 0.05 else -0.01, high=0.2, p_value=p)
    values = {"model": name, "behind": behind, "megabytes": 1.0} | more
    return ComparedModel(name=name, scores=(made,), texts_per_second=per_second, **values)


def test_sentences_name_the_best_the_dominated_and_the_front():
    rows = [
        line("big", 0.9, 10.0, behind=None),
        line("mid", 0.88, 40.0, p=0.3),
        line("slow", 0.8, 5.0, dominated_by="mid"),
        line("near", 0.79, 5.0, dominated_by="mid", below=Difference(estimate=0.09, low=-0.1, high=0.2, p_value=0.4)),
        line("TF-IDF", 0.7, 5000.0, model=""),
    ]
    assert told(rows) == [
        "big has the best accuracy, 90.0 %; not shown to be worse: mid. Of these mid answers 4.0 times as many texts a "
        "second.",
        "slow is dominated by mid, which scores 8.0 points more and is 8.0 times as fast.",
        "near is dominated by mid, which scores 9.0 points more (which may be chance) and is 8.0 times as fast.",
        "On the Pareto front, best score first and fastest last: big, mid, TF-IDF.",
        "big beats the baseline, TF-IDF, by 20.0 points (95 % interval 0.1 to 20.0).",
    ]


def test_a_baseline_that_is_not_beaten_is_the_advice():
    first = [line("TF-IDF", 0.9, 5000.0, model="", behind=None), line("big", 0.8, 10.0)]
    assert told(first)[-1] == "No model scores more than the baseline, TF-IDF: use it."
    even = [line("big", 0.9, 10.0, behind=None), line("TF-IDF", 0.89, 5000.0, p=0.4, model="")]
    assert told(even)[-1].startswith("No model is shown to beat the baseline, TF-IDF: use it")
    alone = [line("big", 0.9, 10.0, behind=None)]
    assert told(alone) == ["big: 90.0 % accuracy; nothing to compare it with."]


def test_the_front_is_drawn_where_the_models_are():
    rows = [line("big", 0.9, 10.0), line("mid", 0.7, 100.0), line("slow", 0.6, 10.0, dominated_by="big")]
    drawing = draw(rows)
    big, mid, slow = drawing.marks
    assert (big.letter, mid.letter, slow.letter) == ("A", "B", "C")
    assert big.x == slow.x < mid.x and big.y < mid.y < slow.y, "y grows downwards"
    assert big.low_y > big.y > big.high_y and not slow.on_front
    assert (big.x, big.y) in drawing.front and (mid.x, mid.y) in drawing.front and (slow.x, slow.y) not in drawing.front
    lines = terminal_chart(rows)
    at = {sign: (i, text.index(sign)) for i, text in enumerate(lines) for sign in "ABC" if sign in text}
    assert at["A"][0] < at["B"][0] < at["C"][0] and at["A"][1] == at["C"][1] < at["B"][1]
    assert len({len(text) for text in lines[:-1]}) == 1


def test_equal_speeds_and_scores_can_be_drawn():
    rows = [line("one", 0.9, 10.0), line("other", 0.9, 10.0)]
    assert len(draw(rows).marks) == 2 and any("+" in text for text in terminal_chart(rows))


def test_the_page_escapes_names_and_needs_nothing_else(table):
    evil = replace(table.rows[-1], name="<script>alert(1)</script>")
    page = render_table(replace(table, rows=(*table.rows[:-1], evil), data="<b>.csv"))
    assert "<script" not in page and "&lt;script&gt;" in page and "&lt;b&gt;.csv" in page
    assert "http://" not in page and "https://" not in page and len(page) < 2_000_000
    assert page.count("<tr>") == 1 + len(table.rows) and page.count("<circle") == len(table.rows)


def test_what_was_not_measured_is_a_dash():
    speed = Speed(
        texts_per_second=123.4,
        tokens_per_second=9_876.5,
        slowest=100.0,
        fastest=130.0,
        p50=0.0042,
        p95=0.5,
        rounds=5,
        texts=256,
        singles=30,
    )
    full = measured_cells(
        line("m", 0.9, 123.4, parameters=22_713_216, memory_megabytes=250.4, megabytes=90.9, speed=speed)
    )
    assert full == ["22.7 M", "91 MB", "250 MB", "123", "9,876", "4.2 ms", "500 ms"]
    assert measured_cells(line("b", 0.9, 1_000.0)) == ["–", "1.0 MB", "–", "1,000", "–", "–", "–"]

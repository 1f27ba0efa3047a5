"""The one sentence: who wins, by how much, at what price; and no winner where none can be shown."""

import io

import pytest
from rich.console import Console

from bothways.errors import InputError
from bothways.evaluation import Contender, Predictions, compare, comparison_table


def _answers(gold, wrong):
    """Right answers but for the positions in ``wrong``."""
    other = {"pos": "neg", "neg": "pos"}
    return Predictions(labels=tuple(other[x] if i in wrong else x for i, x in enumerate(gold)))


def _compare(n, model_wrong, baseline_wrong, seconds=(60.0, 2.0), gold=None, majority="pos"):
    gold = gold or ["pos", "neg"] * (n // 2)
    model = Contender(name="minilm-l6", predictions=_answers(gold, model_wrong), train_seconds=seconds[0])
    baseline = Contender(
        name="TF-IDF + logistic regression", predictions=_answers(gold, baseline_wrong), train_seconds=seconds[1]
    )
    return compare(gold, model, baseline, majority, kind="single", label_names=("neg", "pos"))


def test_the_model_wins():
    result = _compare(1_000, range(80), range(20, 170))
    assert result.outcome == "model" and result.metric == "accuracy" and result.n == 1_000
    low, high = result.difference.low * 100, result.difference.high * 100
    assert result.verdict == (
        "minilm-l6 beats TF-IDF + logistic regression by 7.0 points of accuracy (95 % interval "
        f"{low:.1f} to {high:.1f}) at 30 times the training time: it is worth it if 70 fewer mistakes in 1,000 texts "
        "matter more to you than the computing."
    )
    assert 4.5 < low < 6 and 8 < high < 9.5
    assert result.notes == ()


def test_the_baseline_wins_and_the_sentence_says_so_first():
    result = _compare(1_000, range(20, 170), range(80))
    assert result.outcome == "baseline"
    assert result.verdict.startswith(
        "The baseline wins: TF-IDF + logistic regression beats minilm-l6 by 7.0 points of accuracy (95 % interval "
    )
    assert result.verdict.endswith(" and trains 30 times faster: use it.")
    assert "interval -" not in result.verdict  # the interval is turned round with the difference


def test_no_difference_can_be_shown():
    result = _compare(200, range(20), range(14, 36))
    assert result.outcome == "tie"
    assert result.verdict.startswith(
        "No difference can be shown on 200 texts: minilm-l6 scores 1.0 points of accuracy above "
        "TF-IDF + logistic regression (95 % interval -"
    )
    assert "use the baseline, which is cheaper, or judge on more texts (a difference of this size shows on about " in (
        result.verdict
    )


def test_equal_answers_are_a_tie_without_a_promise():
    result = _compare(200, range(20), range(20), seconds=(None, None))
    assert result.outcome == "tie" and result.difference.p_value == 1.0
    assert result.verdict.endswith(
        "0.0 points of accuracy above TF-IDF + logistic regression (95 % interval 0.0 to 0.0): use whichever "
        "is simpler to run, or judge on more texts."
    )


def test_few_texts_need_more_than_a_lucky_bootstrap():
    """4 of 10 for nothing: every resample has one, McNemar's test is not convinced."""
    result = _compare(10, (), range(4))
    assert result.difference.low > 0 and result.difference.p_value == pytest.approx(0.0625)
    assert result.outcome == "tie"
    assert result.notes == ("Only 10 texts were judged; with fewer than 100 most intervals are too wide to decide.",)


def test_neither_beats_the_majority():
    gold = ["pos"] * 180 + ["neg"] * 20
    result = _compare(200, range(170, 192), range(175, 197), gold=gold)
    assert result.outcome == "neither"
    assert result.verdict == (
        'Neither minilm-l6 nor TF-IDF + logistic regression is shown to beat always answering "pos" on 200 texts '
        "(accuracy 89.0 %, 89.0 % and 90.0 %): check the labels or collect more texts."
    )
    assert result.notes[0].startswith("One label has 90% of the texts, so accuracy says little; compare macro F1: ")


def test_a_model_below_the_majority_is_named():
    gold = ["pos"] * 600 + ["neg"] * 400
    result = _compare(1_000, range(450), range(30), gold=gold)
    assert result.outcome == "baseline"
    assert result.notes == ("minilm-l6 is not shown to beat even the majority answer.",)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((100.0, 40.0), " at 2.5 times the training time: it is worth it if"),
        ((14_200.0, 100.0), " at 140 times the training time: it is worth it if"),
        ((11.0, 10.0), " at about the same training time: use it."),
        ((10.0, 40.0), " at a training time 4.0 times shorter: use it."),
        ((10.0, None), "): it is worth it if"),
        ((10.0, 0.0), "): it is worth it if"),
    ],
)
def test_price(seconds, words):
    assert words in _compare(1_000, range(20), range(150), seconds=seconds).verdict


def test_several_labels_and_numbers():
    gold = [("a",), ("a", "b"), ("b",), ()] * 50
    model = Contender(name="m", predictions=Predictions(labels=tuple(gold)))
    baseline = Contender(name="b", predictions=Predictions(labels=(("a",),) * 200))
    multi = compare(gold, model, baseline, ("a",), kind="multi", label_names=("a", "b"))
    assert multi.outcome == "model" and " points of micro F1 (95 % interval " in multi.verdict
    assert [score.name for score in multi.rows[0].scores] == ["micro_f1", "macro_f1", "subset_accuracy"]

    values = [i / 10 for i in range(100)]
    noisy = Predictions(labels=tuple(v + (-1) ** i * 4 for i, v in enumerate(values)))
    model = Contender(name="m", predictions=Predictions(labels=tuple(values)))
    numbers = compare(values, model, Contender(name="b", predictions=noisy), 4.95, kind="regression")
    assert numbers.outcome == "model" and numbers.rows[0].name == "mean value"
    assert numbers.rows[0].scores[0].interval.estimate == 0.0 and numbers.rows[2].scores[0].interval.estimate == 1.0
    assert f"by {numbers.difference.estimate:.3f} of Spearman correlation (95 % interval " in numbers.verdict


def test_sentences_name_what_was_judged():
    nothing, tags = ("O", "O"), ("B-PER", "O")
    model = Contender(name="m", predictions=Predictions(labels=(nothing,) * 60))
    entities = compare([tags] * 60, model, model, nothing, kind="entities", items="sentences")
    assert "beat always answering no entities on 60 sentences" in entities.verdict
    assert "collect more sentences" in entities.verdict and "Only 60 sentences were judged" in entities.notes[0]
    silent = Contender(name="m", predictions=Predictions(labels=("",) * 60))
    answers = compare([("a",)] * 60, silent, silent, "", kind="answers", items="questions")
    assert "beat always answering no answer on 60 questions" in answers.verdict
    assert comparison_table(answers).title == "60 questions judged"


def test_table_in_the_terminal():
    gold = ["pos", "neg"] * 100
    model = Contender(
        name="[bold]odd[/bold] name",
        predictions=_answers(gold, range(20)),
        train_seconds=185,
        seconds_per_1000=0.031,
        megabytes=90.9,
    )
    baseline = Contender(name="TF-IDF", predictions=_answers(gold, range(60)), train_seconds=None)
    comparison = compare(gold, model, baseline, "pos", kind="single")
    out = io.StringIO()
    Console(file=out, width=160).print(comparison_table(comparison))
    text = out.getvalue()
    assert "[bold]odd[/bold] name" in text  # a name is not markup
    assert (
        "90.0 %" in text and "(85.1 to 93.4)" in text and "3 min 05 s" in text and "31 ms" in text and "91 MB" in text
    )
    assert text.index("majority answer") < text.index("TF-IDF") < text.index("odd")


def test_impossible_arguments():
    few = Contender(name="m", predictions=Predictions(labels=("a",)))
    with pytest.raises(InputError, match="2 right answers and 1, 1, 2 predictions"):
        compare(["a", "b"], few, few, "a", kind="single")
    with pytest.raises(InputError, match="kind is 'other'"):
        compare(["a"], few, few, "a", kind="other")

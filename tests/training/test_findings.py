"""What the report finds for each kind of task, from data and answers alone."""

import json
import random

import numpy as np
import pytest

from bothways.data import TextExample
from bothways.data.examples import text_key
from bothways.data.squad import QuestionExample
from bothways.data.tagged import from_words
from bothways.evaluation.baseline import Predictions
from bothways.training.entity_task import EntityTask
from bothways.training.findings import (
    calibration_of,
    label_errors_of,
    learning_of,
    marked_of,
    slices_of,
    token_lengths,
)
from bothways.training.further_columns import further_columns
from bothways.training.question_task import QuestionTask
from bothways.training.report import leak_warnings
from bothways.training.task import Split
from bothways.training.text_task import TextTask

WORDS = {"a": ["apple", "ant", "arrow"], "b": ["boat", "bear", "bread"], "c": ["cat", "car", "cloud"]}


def split(train, evaluation):
    return Split(train=train, evaluation=evaluation, held_out=True)


def texts(n, seed, kind="single", paired=False):
    rng = random.Random(seed)
    examples = []
    for row in range(1, n + 1):
        chosen = rng.sample("abc", 1 if kind == "single" else rng.randint(0, 2))
        words = [rng.choice(WORDS[label]) for label in chosen for _ in range(2)]
        words += rng.choices("x y z not and or so w v".split(), k=rng.randint(3, 9))  # noqa: SIM905
        label = chosen[0] if kind == "single" else tuple(sorted(chosen))
        examples.append(TextExample(" ".join(words), "y z" if paired else None, label, row))
    return examples


def answers(task, wrong=0.1, seed=0):
    """Mostly right answers with probabilities."""
    rng = np.random.default_rng(seed)
    names = task.label_names
    table = []
    for example in task.split.evaluation:
        own = (example.label,) if task.kind == "single" else example.label
        right = np.array([name in own for name in names], dtype=float)
        noisy = 0.1 + 0.8 * (np.roll(right, 1) if rng.random() < wrong else right) + 0.05 * rng.random(len(names))
        table.append(noisy / noisy.sum() if task.kind == "single" else noisy.clip(0, 1))
    table = np.array(table)
    if task.kind == "single":
        return Predictions(labels=tuple(names[i] for i in table.argmax(1)), probabilities=table)
    chosen = tuple(tuple(name for name, p in zip(names, row, strict=True) if p >= 0.5) for row in table)
    return Predictions(labels=chosen, probabilities=table)


def test_what_the_model_said_while_it_learned_counts_where_words_say_nothing():
    rng = np.random.default_rng(3)
    names, truth = ("a", "b", "c"), rng.integers(0, 3, 300)
    wrong = set(rng.choice(300, 15, replace=False).tolist())
    said = [names[(t + 1) % 3] if i in wrong else names[t] for i, t in enumerate(truth)]
    train = [TextExample(f"w{rng.integers(9)} v{rng.integers(9)}", None, label, i + 1) for i, label in enumerate(said)]
    task = TextTask(split(train, texts(60, 2)), "single", names)
    watched = (0.1 + 0.7 * np.eye(3)[truth] + 0.1 * rng.random((300, 3))).astype(np.float32)
    watched[7] = np.nan  # training never came to it

    def found(watched):
        errors = label_errors_of(task, answers(task), watched=watched)
        first = [s.number - 1 for s in errors.suspects if s.part == "training"][:30]
        return len(wrong.intersection(first)), errors

    blind, seeing = found(None), found(watched)
    assert blind[0] < 8 and seeing[0] >= 14
    assert seeing[1].judged == blind[1].judged == 360
    assert "the mean of two judgements of each text" in seeing[1].methods[0]
    assert "a bag of words judged each text" in blind[1].methods[0]


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("paired", [False, True])
def test_texts_and_pairs(kind, paired):
    task = TextTask(split(texts(240, 1, kind, paired), texts(120, 2, kind, paired)), kind, ("a", "b", "c"))
    predictions = answers(task)
    found = slices_of(task, predictions, [9] * 120, {"source": ["web", "mail"] * 60})
    facets = {s.facet for s in found.slices}
    assert {"column source", "negation", "label" if kind == "single" else "number of labels"} <= facets
    errors = label_errors_of(task, predictions)
    assert errors.judged == 360 and len(errors.methods) == 2
    assert {s.part for s in errors.suspects} <= {"training", "judged"}
    curve = learning_of(task, task.baseline(0))
    assert [step.n for step in curve.steps] == [15, 15, 15, 30, 30, 60, 60, 120, 240]
    assert curve.steps[-1].score.estimate > curve.steps[0].score.estimate and curve.forecasts
    assert calibration_of(task, predictions).count == 120
    assert marked_of(task, predictions) == ()


def test_numbers_have_slices_and_nothing_that_needs_labels():
    examples = [TextExample(f"text {'long ' * (i % 20)}", None, float(i % 5), i + 1) for i in range(80)]
    task = TextTask(split(examples, examples), "regression", ("score",))
    predictions = Predictions(labels=tuple(e.label + 0.5 for e in examples))
    assert slices_of(task, predictions).measure == "mean absolute error"
    assert label_errors_of(task, predictions) is None and learning_of(task, task.baseline(0)) is None
    assert calibration_of(task, predictions) is None


def test_entities():
    rng = random.Random(0)

    def sentences(n):
        rows = []
        for row in range(1, n + 1):
            kind = rng.choice(["PER", "LOC"])
            name = rng.choice([f"{kind}{i}" for i in range(40)])
            rows.append(from_words(["so", name, "is", "here"], ["O", f"B-{kind}", "O", "O"], row))
        return rows

    task = EntityTask(split(sentences(400), sentences(60)), ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
    predictions = Predictions(
        labels=tuple(e.tags if i % 4 else ("O",) * 4 for i, e in enumerate(task.split.evaluation))
    )
    found = slices_of(task, predictions, [6] * 60)
    assert {"entity type", "name"} & {s.facet for s in found.slices} and found.measure == "entity F1"
    marked = marked_of(task, predictions)
    assert len(marked) == 8 and marked[0].found == () and marked[0].right[0][:2] == (3, 3 + len(marked[0].text) - 11)
    curve = learning_of(task, task.baseline(0))
    assert curve.name == "list of training entities" and len(curve.steps) == 9
    assert label_errors_of(task, predictions).judged > 250


def test_questions():
    examples = [
        QuestionExample(
            f"q{i}", "Who came?" if i % 2 else "When?", f"Then Ann{i} came in 199{i % 10}.", ((5, f"Ann{i}"),)
        )
        for i in range(40)
    ]
    task = QuestionTask(split(examples, examples), may_be_impossible=False)
    predictions = Predictions(labels=tuple(f"Ann{i}" if i % 2 else f"199{i % 10}" for i in range(40)))
    found = slices_of(task, predictions, [12] * 40)
    first = found.slices[0]
    assert (first.facet, first.value, first.worse, first.score.estimate) == ("question word", "when", True, 0)
    assert "answer in training" not in {s.facet for s in found.slices}  # all are, which divides nothing
    (marked, *_) = marked_of(task, predictions)
    assert marked.heading == "When?" and marked.right == ((5, 9, "answer"),)
    assert marked.text[marked.found[0][0] : marked.found[0][1]] == "1990"
    assert learning_of(task, task.baseline(0)) is None


def test_columns_are_read_by_row(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    rows = [
        {"text": f"t{i}", "label": "x", "source": "ab"[i % 2], "id": i, "long": "w" * 61, "some": 1} for i in range(30)
    ]
    rows[4].pop("source")
    for path, part in ((first, rows[:10]), (second, rows[10:])):
        path.write_text("".join(json.dumps(row) + "\n" for row in part))
    wanted = list(range(2, 31, 1))
    found = further_columns([first, second], wanted, {"text", None, "label"})
    assert found == {"source": ["ab"[(n - 1) % 2] if n != 5 else None for n in wanted]}


def test_token_lengths_of_what_tasks_encode():
    class Encoded:
        n_tokens = [3, 4]

    class Wrapped:
        encoded = Encoded()

    assert token_lengths(Encoded()) == (3, 4) and token_lengths([Wrapped(), Encoded()]) == (3, 4, 3, 4)
    assert token_lengths(object()) is None


def test_scores_are_repeated_on_what_training_does_not_have():
    train, held = texts(300, 1), texts(90, 2)
    both = Split.of(train, [*held[:60], *train[:30]], text_key, held_out=False)
    task = TextTask(both, "single", ("a", "b", "c"))
    assert task.split.leaks >= 30 and task.split.leaked[-30:] == tuple(range(60, 90))
    labels = [e.label for e in both.evaluation]
    wrong_of_clean = Predictions(labels=("c" if labels[0] != "c" else "a", *labels[1:]))
    (said,) = leak_warnings(task, wrong_of_clean, task.baseline(0))
    clean = 90 - task.split.leaks
    assert f"{90 - clean} of 90 evaluation texts are also in the training data" in said
    share = f"the model {(clean - 1) / clean * 100:.1f} % ("
    assert f"On the other {clean}, accuracy is: {share}" in said and "and the baseline " in said
    (alone,) = leak_warnings(task, wrong_of_clean, None)
    assert share in alone and "the baseline" not in alone


def test_nothing_is_repeated_where_nothing_or_all_leaks():
    train = texts(60, 1)
    clean = TextTask(split(train, texts(20, 9)[:1]), "single", ("a", "b", "c"))
    assert leak_warnings(clean, Predictions(labels=("a",)), None) == ()
    same = TextTask(Split.of(train, train, text_key, held_out=False), "single", ("a", "b", "c"))
    (said,) = leak_warnings(same, Predictions(labels=tuple(e.label for e in train)), None)
    assert said.startswith("60 of 60") and "On the other" not in said

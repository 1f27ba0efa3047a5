"""Reports of every kind with content as hostile as it comes, for the tests of the page."""

import numpy as np

from bothways.data.tagged import from_words
from bothways.evaluation import Contender, CurvePoint, Predictions, build_report, compare
from bothways.evaluation.calibrated import measure_calibration
from bothways.evaluation.facets import column_facets, entity_facets, label_facets, text_facets
from bothways.evaluation.label_errors import from_array, listed, rank_labels, together
from bothways.evaluation.learning_curve import learning_curve
from bothways.evaluation.marked import marked_entities
from bothways.evaluation.row_scores import row_scores
from bothways.evaluation.slices import find_slices

HOSTILE = "<script>alert(1)</script>"
ABOUT = {
    "facts": {"training texts": 12_345, "judged texts": 120, "duplicates": 3, "in both": 0},
    "warnings": (f"{HOSTILE} is a label that occurs in 3 texts only.",),
    "curve": tuple(
        CurvePoint(epoch=e / 2, train_loss=0.7**e, eval_score=1 - 0.5**e if e % 2 == 0 else None) for e in range(1, 7)
    ),
    "settings": {"learning_rate": 5e-5, HOSTILE: HOSTILE, "long": "x" * 5_000, "nothing": None, "flag": True},
    "versions": {"bothways": "0.1.0"},
    "data_hash": "ab" * 32,
    "command": f"bothways train 'a file.csv' --text-column \"{HOSTILE}\" {'--option ' * 30}",
    "created": "2025-03-05",
}


def single_report(n_labels=3, n=120, **changes):
    """One label a text; the labels and texts try to break out of the page."""
    rng = np.random.default_rng(0)
    names = [HOSTILE, "لا إله", "a\"b'c&d", *(f"a_rather_long_label_name_{i}" for i in range(n_labels))][:n_labels]
    gold = [names[i] for i in rng.integers(n_labels, size=n)]
    texts = [f"{HOSTILE} {i} <img src=https://example.com/x.png> {'x' * 400} \u202e\x00\ud800 שלום" for i in range(n)]
    scores = rng.random((n, n_labels)) + 0.3 * np.array([[name == g for name in names] for g in gold])
    scores /= scores.sum(axis=1, keepdims=True)
    predictions = Predictions(labels=tuple(names[i] for i in scores.argmax(axis=1)), probabilities=scores)
    model = Contender(name=HOSTILE, predictions=predictions, train_seconds=75, megabytes=91, seconds_per_1000=2)
    baseline = Contender(name="TF-IDF", predictions=Predictions(labels=tuple(gold[::-1])), train_seconds=1.5)
    comparison = compare(gold, model, baseline, names[0], kind="single", label_names=names)
    arguments = {
        "title": f"A model of {HOSTILE} & {'W' * 60}",
        "comparison": comparison,
        "texts": texts,
        "gold": gold,
        "predictions": predictions,
        "label_names": names,
        "train_labels": gold * 3,
        "token_lengths": rng.integers(5, 200, size=n).tolist(),
        "max_tokens": 128,
        **ABOUT,
        **changes,
    }
    return build_report(**arguments)


def full_report(n_labels=4, n=300):
    """Every section that a report can have, and a text of a million characters."""
    rng = np.random.default_rng(2)
    names = [HOSTILE, "لا إله", "a_rather_long_label_name_with_parts", *(f"label {i}" for i in range(n_labels))][
        :n_labels
    ]
    truth = rng.integers(n_labels, size=n)
    texts = [f"{HOSTILE} it is NOT 😀 שלום {'word ' * int(rng.integers(1, 40))}" for _ in range(n)]
    texts[0] = "word " * 200_000
    scores = rng.random((n, n_labels)) ** 2 + 1.2 * np.eye(n_labels)[truth] * (rng.random((n, 1)) > 0.1)
    scores[0] = np.where(np.arange(n_labels) == (truth[0] + 1) % n_labels, 9.0, 0.1)  # a confident mistake
    scores /= scores.sum(axis=1, keepdims=True)
    gold, answers = ([names[i] for i in numbers] for numbers in (truth, scores.argmax(axis=1)))
    predictions = Predictions(labels=tuple(answers), probabilities=scores)
    rows = row_scores("single", gold, answers)
    columns = {HOSTILE: [HOSTILE if i % 3 else "other" for i in range(n)]}
    facets = [*label_facets("single", gold), *text_facets(texts), *column_facets(columns)]
    ranking = rank_labels(truth, from_array(scores), n_labels)
    suspects = listed(ranking, "judged", texts, None, names, gold, range(1, n + 1))
    sizes = [100, 100, 200, 200, 400, 800]
    told = [[g if rng.random() > 0.05 + 2 * m**-0.5 else names[0] for g in gold] for m in sizes]
    return single_report(
        n_labels=n_labels,
        n=n,
        title="Every section",
        texts=texts,
        gold=gold,
        predictions=predictions,
        label_names=names,
        train_labels=gold,
        comparison=compare(
            gold,
            Contender(name="a model", predictions=predictions, train_seconds=75, megabytes=91, seconds_per_1000=2),
            Contender(name="TF-IDF", predictions=Predictions(labels=tuple(told[1])), train_seconds=1.5),
            names[0],
            kind="single",
            label_names=names,
        ),
        slices=find_slices(rows, facets),
        label_errors=together([(ranking, suspects, "The model judged.", n)]),
        learning=learning_curve("single", gold, sizes, told, name=f"bag of {HOSTILE}", label_names=names),
        calibration=measure_calibration("single", scores, truth),
    )


def entity_report(n=60):
    """Entities in hostile texts from right to left and with emoji, with marked mistakes and slices."""
    rng = np.random.default_rng(3)
    words = [HOSTILE, "😀👩‍👩‍👧", "ירושלים", "went", "to", "القاهرة"]
    examples = [from_words([words[k] for k in rng.integers(6, size=12)], ["O"] * 12) for _ in range(n)]
    kinds = ["O", "O", "B-PER", "B-LOC", f"B-{HOSTILE}"]
    gold = [[kinds[k] for k in rng.integers(5, size=12)] for _ in range(n)]
    answers = [[tag if rng.random() < 0.8 else "O" for tag in tags] for tags in gold]
    predictions = Predictions(labels=tuple(map(tuple, answers)))
    contender = Contender(name="m", predictions=predictions)
    surfaces = [example.surfaces for example in examples]
    return build_report(
        title="Entities",
        comparison=compare(gold, contender, contender, (), kind="entities", items="sentences"),
        texts=[example.text for example in examples],
        gold=gold,
        predictions=predictions,
        marked=marked_entities([e.text for e in examples], [e.words for e in examples], gold, answers),
        slices=find_slices(
            row_scores("entities", gold, answers), [], entity_facets(gold, answers, surfaces, frozenset({"to"}))
        ),
    )


def multi_report(n=60):
    """Any number of labels a text."""
    rng = np.random.default_rng(1)
    names = (HOSTILE, "b", "c")
    probabilities = rng.random((n, 3))
    gold = [tuple(name for name in names if rng.random() < 0.5) for _ in range(n)]
    answers = tuple(tuple(names[i] for i in np.flatnonzero(row > 0.5)) for row in probabilities)
    predictions = Predictions(labels=answers, probabilities=probabilities)
    contender = Contender(name="m", predictions=predictions)
    comparison = compare(gold, contender, contender, (HOSTILE,), kind="multi", label_names=names)
    return build_report(
        title="Several labels",
        comparison=comparison,
        texts=[HOSTILE] * n,
        gold=gold,
        predictions=predictions,
        label_names=names,
        train_labels=gold,
    )


def regression_report(n=1_050):
    """One number for each pair of texts."""
    gold = np.linspace(0, 5, n).tolist()
    predictions = Predictions(labels=tuple(g + np.sin(i) for i, g in enumerate(gold)))
    contender = Contender(name="m", predictions=predictions)
    comparison = compare(gold, contender, contender, 2.5, kind="regression")
    return build_report(
        title="Numbers",
        comparison=comparison,
        texts=["first"] * n,
        pairs=[HOSTILE] * n,
        gold=gold,
        predictions=predictions,
    )

"""Reports of every kind with content as hostile as it comes, for the tests of the page."""

import numpy as np

from bothways.evaluation import Contender, CurvePoint, Predictions, build_report, compare

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

"""What a held-out part promises."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.data import TextExample, holdout_split
from bothways.data.examples import classes_of, text_key
from bothways.errors import DataError, UsageError

FRACTIONS = st.floats(0.02, 0.98)
SEEDS = st.integers(0, 2**32)
CLASSES = st.sampled_from(["a", "b", "c"])
WORDS = st.sampled_from(["x", "X ", "y", "Y\n", "z", "w", "v", "u", "t", "s"])


def split(examples: list[TextExample], fraction: float, seed: int) -> tuple[list[TextExample], list[TextExample]]:
    """A split that may be impossible: then nothing is held out."""
    try:
        return holdout_split(examples, fraction, seed)
    except DataError:
        return examples, []


def numbered(labels: list[str]) -> list[TextExample]:
    return [TextExample(f"text {i}", None, label, i) for i, label in enumerate(labels)]


@settings(deadline=None)
@given(labels=st.lists(CLASSES, min_size=1, max_size=80), fraction=FRACTIONS, seed=SEEDS)
def test_every_class_in_proportion(labels: list[str], fraction: float, seed: int) -> None:
    examples = numbered(labels)
    train, held = split(examples, fraction, seed)
    assert sorted(train + held, key=lambda e: e.row) == examples
    assert [e.row for e in train] == sorted(e.row for e in train)
    kept, out = Counter(e.label for e in train), Counter(e.label for e in held)
    for label, count in Counter(labels).items():
        assert abs(out[label] - fraction * count) <= 1
        assert kept[label] >= 1
    assert split(examples, fraction, seed) == (train, held)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(WORDS, st.none() | WORDS, CLASSES), min_size=1, max_size=60), fraction=FRACTIONS, seed=SEEDS
)
def test_equal_texts_stay_together(rows: list[tuple[str, str | None, str]], fraction: float, seed: int) -> None:
    examples = [TextExample(text, pair, label, i) for i, (text, pair, label) in enumerate(rows)]
    train, held = split(examples, fraction, seed)
    assert sorted(train + held, key=lambda e: e.row) == examples
    assert not {text_key(e) for e in train} & {text_key(e) for e in held}
    assert {e.label for e in train} == {label for _, _, label in rows}


@settings(deadline=None)
@given(labels=st.lists(st.sets(CLASSES).map(lambda s: tuple(sorted(s))), min_size=1, max_size=60), fraction=FRACTIONS)
def test_multi_label_keeps_every_class_in_training(labels: list[tuple[str, ...]], fraction: float) -> None:
    examples = [TextExample(f"text {i}", None, label, i) for i, label in enumerate(labels)]
    train, held = split(examples, fraction, 0)
    assert len(train) + len(held) == len(examples)
    assert {n for e in train for n in classes_of(e)} == {n for e in examples for n in classes_of(e)}


def test_total_and_rare_class() -> None:
    examples = numbered(["common"] * 95 + ["rare"] * 4 + ["single"])
    train, held = holdout_split(examples, 0.1, 7)
    assert len(held) == 10
    assert "single" not in {e.label for e in held}
    many = numbered([str(i % 77) for i in range(770)])
    assert len(holdout_split(many, 0.15, 0)[1]) == 116  # 115.5 in all, from 77 classes of 1.5 each


def test_scores_are_spread_by_size() -> None:
    examples = [TextExample(f"text {i}", None, (i * 37 % 200) / 10, i) for i in range(200)]
    train, held = holdout_split(examples, 0.2, 3)
    assert len(held) == 40
    by_decile = Counter(int(e.label // 2) for e in held)  # type: ignore[operator]
    assert by_decile == dict.fromkeys(range(10), 4)


def test_seed_matters_and_labels_of_equal_texts_may_differ() -> None:
    examples = numbered(["a", "b"] * 50)
    assert len({tuple(e.row for e in holdout_split(examples, 0.1, seed)[1]) for seed in range(5)}) == 5
    same = [TextExample("Same  text", None, "a", 0), TextExample("same text", None, "b", 1)]
    assert text_key(same[0]) == text_key(same[1])
    train, held = holdout_split([*same, *numbered(["a"] * 20)], 0.3, 1)
    assert {e.text for e in same} <= {e.text for e in train}  # the only example of b


def test_impossible_requests() -> None:
    for fraction in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match=f"fraction is {fraction}; expected a number above 0 and below 1"):
            holdout_split(numbered(["a", "b"]), fraction, 0)
    with pytest.raises(DataError, match="nothing can be held out: 2 examples with 2 distinct texts, of which 0.5"):
        holdout_split(numbered(["a", "b"]), 0.5, 0)

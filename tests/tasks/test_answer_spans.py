"""Answers from logits: against a loop over all spans, over windows and words; nothing twice, nothing lost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.data import QuestionExample
from bothways.errors import CheckpointError, InputError
from bothways.tasks.answer_spans import Answers, Span, find_answers, learn_null_threshold, null_threshold_of
from bothways.tasks.question_windows import ContextTokens, QuestionWindows
from bothways.tasks.windows import split


def made(sizes: list[int], *, room: int, overlap: int = 0, question: int = 2) -> QuestionWindows:
    """One question about words of these many tokens; every token has two characters, words have a space between."""
    words = [number for number, size in enumerate(sizes) for _ in range(size)]
    starts = [2 * i + word for i, word in enumerate(words)]
    spans = [(w[0], w[-1] + 1) for w in split([0] * len(words), room, overlap)] if words else [(0, 0)]
    context = ContextTokens(
        ids=np.arange(len(words), dtype=np.int32),
        starts=np.array(starts, dtype=np.int32),
        ends=np.array(starts, dtype=np.int32) + 2,
        words=np.array(words, dtype=np.int32),
    )
    return QuestionWindows(
        input_ids=[np.zeros(0, dtype=np.int32) for _ in spans],
        token_type_ids=None,
        owner=np.zeros(len(spans), dtype=np.int64),
        spans=np.array(spans, dtype=np.int64),
        context_at=np.full(len(spans), 2 + question, dtype=np.int64),
        contexts=[context],
        n_tokens=[0],
        n_windows=[len(spans)],
        truncated=[False],
    )


def random_logits(windows: QuestionWindows, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    lengths = (windows.context_at + windows.spans[:, 1] - windows.spans[:, 0] + 1).tolist()
    return [generator.normal(0, 3, (length, 2)).astype(np.float32) for length in lengths]


def slow_answers(windows: QuestionWindows, logits: list[np.ndarray], longest: int, align: bool) -> tuple[dict, float]:
    """(start, end) -> probability, and the probability of no answer, by a loop over every pair in every window."""
    context = windows.contexts[0]
    units = context.words.tolist() if align else list(range(len(context)))
    middles = [start + stop - 1 for start, stop in windows.spans.tolist()]
    sums: dict[tuple[int, int], float] = {}
    for window, (start, stop) in enumerate(windows.spans.tolist()):
        for i in range(start, stop):
            for j in range(i, min(i + longest, stop)):
                first = units.index(units[i])
                last = len(units) - 1 - units[::-1].index(units[j])
                nearest = min(range(len(middles)), key=lambda w: (abs(middles[w] - first - last), -w))
                if nearest != window:
                    continue
                at = int(windows.context_at[window]) - start
                logit = float(logits[window][at + i][0]) + float(logits[window][at + j][1])
                key = (int(context.starts[first]), int(context.ends[last]))
                sums[key] = sums.get(key, 0.0) + math.exp(logit)
    null = math.exp(min(float(own[0][0]) + float(own[0][1]) for own in logits))
    total = sum(sums.values()) + null
    return {key: value / total for key, value in sums.items()}, null / total


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3), min_size=1, max_size=14),
    room=st.integers(5, 30),
    overlap=st.integers(0, 12),
    longest=st.integers(1, 6),
    align=st.booleans(),
    top_k=st.integers(1, 5),
    seed=st.integers(0, 10_000),
)
def test_like_a_loop_over_all_spans(sizes, room, overlap, longest, align, top_k, seed):
    windows = made(sizes, room=room, overlap=overlap)
    logits = random_logits(windows, seed)
    found = find_answers(windows, logits, top_k=top_k, max_answer_length=longest, align_to_words=align)[0]
    expected, no_answer = slow_answers(windows, logits, longest, align)
    best = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:top_k]
    assert [(s.start, s.end) for s in found.spans] == [key for key, _ in best]
    np.testing.assert_allclose([s.score for s in found.spans], [score for _, score in best], rtol=1e-5)
    assert found.no_answer == pytest.approx(no_answer, rel=1e-5)
    assert found.null_odds == pytest.approx(math.log(no_answer / best[0][1]), abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 3), min_size=8, max_size=20), overlap=st.integers(8, 12), seed=st.integers(0, 99))
def test_every_short_span_is_read_in_exactly_one_window(sizes, overlap, seed):
    """With all logits equal every pair of tokens has the same probability, whether or not windows overlap."""
    windows = made(sizes, room=24, overlap=overlap)
    logits = [np.zeros_like(own) for own in random_logits(windows, seed)]
    n = sum(sizes)
    found = find_answers(windows, logits, top_k=10_000, max_answer_length=4, align_to_words=False)[0]
    pairs = sum(min(4, n - i) for i in range(n))
    assert len(found.spans) == pairs == len({(s.start, s.end) for s in found.spans})
    np.testing.assert_allclose([s.score for s in found.spans], 1 / (pairs + 1))
    assert sum(s.score for s in found.spans) + found.no_answer == pytest.approx(1)


def test_scores_do_not_depend_on_how_many_are_asked():
    windows = made([2, 1, 3] * 10, room=20, overlap=10)
    logits = random_logits(windows, 1)
    all_spans = find_answers(windows, logits, top_k=1000)[0].spans
    for top_k in (1, 2, 7):
        assert find_answers(windows, logits, top_k=top_k)[0].spans == all_spans[:top_k]
    assert sum(s.score for s in all_spans) < 1 + 1e-9
    assert len({(s.start, s.end) for s in all_spans}) == len(all_spans)


def test_words_add_up_their_pieces():
    windows = made([1, 2, 1], room=10)  # "aa bbbb cc"
    logits = [np.zeros((9, 2), dtype=np.float32)]
    found = find_answers(windows, logits, top_k=20, max_answer_length=2)[0]
    # pairs of at most two tokens: a aB B1 B1B2 B2 B2c c; both inside the word and each way out of it
    assert {(s.start, s.end): round(s.score * 8) for s in found.spans} == {
        (0, 2): 1,
        (0, 7): 1,
        (3, 7): 3,
        (3, 10): 1,
        (8, 10): 1,
    }


def test_tokens_that_share_a_character_are_one():
    """A byte-level tokeniser needs three tokens for some characters."""
    windows = made([1, 1, 1], room=10)
    context = ContextTokens(
        ids=np.arange(4, dtype=np.int32),
        starts=np.array([0, 2, 2, 4], dtype=np.int32),
        ends=np.array([1, 3, 3, 4], dtype=np.int32),  # the last has no character: no answer ends there
        words=np.full(4, -1, dtype=np.int32),
    )
    windows = QuestionWindows(**{**vars(windows), "contexts": [context], "spans": np.array([[0, 4]])})
    for align in (True, False):
        found = find_answers(windows, [np.zeros((9, 2), np.float32)], top_k=9, align_to_words=align)[0]
        assert {(s.start, s.end): round(s.score * 7) for s in found.spans} == {(0, 1): 1, (0, 3): 2, (2, 3): 3}


def test_the_threshold_is_taken_from_no_answer():
    windows = made([1, 1], room=10)
    logits = [np.array([[3, 2], [0, 0], [0, 0], [0, 0], [1, 1], [0, 0], [9, 9]], dtype=np.float32)]
    plain = find_answers(windows, logits)[0]
    assert plain.null_odds == pytest.approx(3.0)
    assert plain.best is None
    lenient = find_answers(windows, logits, null_threshold=3.5)[0]
    assert lenient.best == Span(0, 2, lenient.spans[0].score)
    assert lenient.null_odds == plain.null_odds
    assert math.log(lenient.no_answer / lenient.spans[0].score) == pytest.approx(-0.5)


def test_without_tokens_there_is_no_answer():
    windows = made([], room=10)
    found = find_answers(windows, [np.zeros((5, 2), dtype=np.float32)])[0]
    assert found == Answers(spans=(), no_answer=1.0, null_odds=math.inf)
    assert found.best is None


def test_large_logits_stay_probabilities():
    windows = made([1, 1], room=10)
    found = find_answers(windows, [np.full((6, 2), 3e4, dtype=np.float32)], top_k=5)[0]
    assert [s.score for s in found.spans] == pytest.approx([0.25] * 3)


def test_impossible_requests_and_damaged_weights():
    windows = made([1], room=10)
    with pytest.raises(InputError, match="top_k is 0 and max_answer_length 15"):
        find_answers(windows, [np.zeros((6, 2))], top_k=0)
    with pytest.raises(CheckpointError, match="for 1 of 1 windows of question 0"):
        find_answers(windows, [np.full((6, 2), np.nan)])


def test_learned_threshold():
    def example(answers, text="aa bb"):
        return QuestionExample("1", "q", text, answers, not answers)

    def said(odds):
        return Answers(spans=(Span(0, 2, 0.5),), no_answer=0.1, null_odds=odds)

    right, impossible = example(((0, "aa"),)), example(())
    answers = [said(-2.0), said(1.0), said(3.0), said(4.0)]
    assert learn_null_threshold(answers, [right, right, impossible, impossible]) == pytest.approx(2.0)
    assert learn_null_threshold(answers, [right] * 4) is None
    assert learn_null_threshold(answers, [impossible] * 4) == pytest.approx(-3.0)  # below all: never answer

    class Config:
        null_threshold = 2.5

    assert null_threshold_of(Config()) == 2.5
    assert null_threshold_of(object()) == 0.0

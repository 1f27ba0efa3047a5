"""Words that must be written: the state of a row after any tokens, against the reference's."""

from __future__ import annotations

import random
from typing import Any

import pytest
import transformers.generation.beam_constraints as reference

from bothways.errors import InputError
from bothways.generation import constraints as ours
from bothways.generation.configuration import GenerationConfig

WORDS = [
    [[1, 2, 3]],
    [[1], [2, 3]],
    [[1, 2, 3], [1, 4]],
    [[[1, 2], [3]], [4, 5]],
    [[[1, 2, 3], [1, 4], [5]], [[2], [3, 3]], [1, 1, 2]],
]


def _make(module: Any, words: list[Any]) -> list[Any]:
    return [
        module.DisjunctiveConstraint(word) if isinstance(word[0], list) else module.PhrasalConstraint(word)
        for word in words
    ]


@pytest.mark.parametrize("words", WORDS)
def test_a_row_comes_as_far_as_in_the_reference(words: list[Any]) -> None:
    completed = 0
    for round_ in range(80):
        draw = random.Random(f"{words} {round_}")
        mine = ours.ConstraintListState(_make(ours, words))
        theirs = reference.ConstraintListState(_make(reference, words))
        for _ in range(14):
            wanted = mine.advance()
            assert wanted == theirs.advance()
            token = draw.choice(wanted) if wanted and draw.random() < 0.6 else draw.randint(1, 5)
            assert mine.add(token) == theirs.add(token)
            assert (mine.get_bank(), mine.completed) == (theirs.get_bank(), theirs.completed)
            if draw.random() < 0.2:
                mine, theirs = mine.copy(), theirs.copy()
                theirs.completed = mine.completed  # which the reference's copy forgets
        completed += mine.completed
        tokens = [draw.randint(1, 5) for _ in range(draw.randint(0, 9))]
        mine.reset(tokens)
        theirs = reference.ConstraintListState(_make(reference, words))
        theirs.reset(tokens)
        assert (mine.get_bank(), mine.completed, mine.advance()) == (
            theirs.get_bank(),
            theirs.completed,
            theirs.advance(),
        )
    assert completed > 5


def test_copies_go_their_own_ways() -> None:
    state = ours.ConstraintListState(_make(ours, [[[1, 2, 3], [1, 4]]]))
    state.add(1)
    other = state.copy()
    other.add(2)
    assert (state.get_bank(), other.get_bank()) == (1, 2)
    assert state.advance() == [2, 4] and other.advance() == [3]
    phrase = ours.PhrasalConstraint([1, 2])
    phrase.update(1)
    begun, fresh = phrase.copy(stateful=True), phrase.copy()
    phrase.update(2)
    assert (begun.remaining(), fresh.remaining(), phrase.remaining()) == (1, 2, 0)
    assert state.copy(stateful=False).get_bank() == 0


def test_a_phrase_begins_again_at_its_beginning() -> None:
    phrase = ours.PhrasalConstraint([1, 2, 3])
    phrase.update(1)
    assert phrase.update(5) == (False, False, True)
    assert phrase.advance() == 1 and phrase.remaining() == 3
    assert [phrase.update(token) for token in (1, 2, 3)] == [(True, False, False)] * 2 + [(True, True, False)]
    assert phrase.advance() is None and not phrase.does_advance(1)


def test_constraints_of_users_are_tried_once() -> None:
    class Never(ours.PhrasalConstraint):
        def __init__(self, contradicts: bool) -> None:
            super().__init__([1, 2])
            self.contradicts = contradicts
            self.test()

        def does_advance(self, token_id: int) -> bool:
            return not self.contradicts

        def update(self, token_id: int) -> tuple[bool, bool, bool]:
            return True, False, False

    with pytest.raises(InputError, match=r"Never: does_advance\(advance\(\)\) must be true"):
        Never(contradicts=True)
    with pytest.raises(InputError, match="Never is not fulfilled after 10,000 tokens"):
        Never(contradicts=False)
    for constraint in _make(ours, [[1, 2, 3], [[1, 2], [3]]]):
        constraint.test()


def test_constraints_from_settings() -> None:
    given = ours.PhrasalConstraint([7])
    config = GenerationConfig(constraints=[given], force_words_ids=[[1, 2], [[3], [4, 5]]], num_beams=2)
    found = ours.constraints_of(config)
    assert found[0] is given
    assert [(type(one).__name__, one.token_ids) for one in found[1:]] == [  # type: ignore[attr-defined]
        ("PhrasalConstraint", [1, 2]),
        ("DisjunctiveConstraint", [[3], [4, 5]]),
    ]
    assert ours.constraints_of(GenerationConfig()) == []
    for words, said in (
        ([], r"force_words_ids is \[\]"),
        ([[]], r"token_ids is \[\], expected a non-empty list"),
        ([[-1]], r"token_ids is \[-1\]"),
        ([[[1], []]], r"a word of nested_token_ids is \[\]"),
    ):
        with pytest.raises(InputError, match=said):
            ours.constraints_of(GenerationConfig(force_words_ids=words, num_beams=2))
    with pytest.raises(InputError, match="constraints holds a str"):
        ours.constraints_of(GenerationConfig(constraints=["x"], num_beams=2))


def test_impossible_constraints_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[1, 2\] is the beginning of another word"):
        ours.DisjunctiveConstraint([[1, 2], [1, 2, 3]])
    with pytest.raises(InputError, match="is the beginning of another word"):
        ours.DisjunctiveConstraint([[4], [4]])
    with pytest.raises(InputError, match=r"nested_token_ids is \[\]"):
        ours.DisjunctiveConstraint([])
    for constraint in _make(ours, [[1], [[1]]]):
        with pytest.raises(TypeError, match="token_id is '1' of type str"):
            constraint.update("1")

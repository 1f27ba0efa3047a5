"""Programs as people wrote them for version 4 run here with another import, and give what the reference gives."""

from __future__ import annotations

import pytest

from tests.contract.compare import differences
from tests.contract.programs import programs, run_quietly

pytest.importorskip("transformers")

THEIRS = programs("transformers")
OURS = programs("bothways")
V4_SCORES = programs(
    "bothways",
    {
        '"question-answering", ': '"question-answering", compat="v4", ',
        "QuestionAnsweringPipeline(model": 'QuestionAnsweringPipeline(compat="v4", model',
    },
)

NOT_THERE = {
    "classification.zero_shot_by_hand": TypeError,  # truncation_strategy, from the page of a published model
    "training.the_librarys_own_adamw": ImportError,  # AdamW
}
"""Programs that the reference itself does not run any more. They run here."""

IGNORED_THERE = {"tokens.pad_to_max_length_in_the_older_spelling"}
"""The reference drops ``pad_to_max_length`` with a warning, and nothing is padded."""

SCORED_OTHERWISE = [name for name in OURS if "question-answering" in str(OURS[name].__code__.co_consts)]
SCORED_OTHERWISE += ["questions.two_texts"]
"""Answers are ranked by probabilities over all windows here, and as the reference ranks them with ``compat="v4"``."""


@pytest.mark.parametrize("name", [n for n in OURS if n not in {*NOT_THERE, *IGNORED_THERE, *SCORED_OTHERWISE}])
def test_the_same_result(models, name):
    expected = run_quietly(THEIRS[name], models)
    trained = name.startswith("training.")
    assert differences(expected, run_quietly(OURS[name], models), 1e-4 if trained else 1e-5) == []


@pytest.mark.parametrize("name", SCORED_OTHERWISE)
def test_answers_to_questions(models, name):
    expected = run_quietly(THEIRS[name], models)
    assert differences(expected, run_quietly(V4_SCORES[name], models), 1e-5) == []
    assert shape(run_quietly(OURS[name], models)) == shape(expected)


@pytest.mark.parametrize("name", NOT_THERE)
def test_what_the_reference_has_dropped_runs_here(models, name):
    with pytest.raises(NOT_THERE[name]):
        run_quietly(THEIRS[name], models)
    result = run_quietly(OURS[name], models)
    if name == "training.the_librarys_own_adamw":
        assert result is True  # one step makes the loss smaller
    else:
        (entailment,) = result
        assert 0 < entailment < 1


def test_older_spelling_of_padding(models):
    (name,) = IGNORED_THERE
    expected, got = run_quietly(THEIRS[name], models), run_quietly(OURS[name], models)
    assert {key: len(row) for key, row in got.items()} == dict.fromkeys(expected, 40)
    assert {key: row[: len(expected[key])] for key, row in got.items()} == expected


def test_programs_of_every_kind_are_there():
    assert len(THEIRS) == len(OURS) >= 90
    assert len({program.__name__ for program in OURS.values()}) >= 90


def shape(value):
    """Nesting, keys and types."""
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(shape, value)]
    if isinstance(value, dict):
        return {key: shape(v) for key, v in value.items()}
    return type(value).__name__

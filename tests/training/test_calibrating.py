"""Confidences of entities and answers, measured by the tasks themselves."""

from __future__ import annotations

import numpy as np
import pytest

from bothways.data.squad import QuestionExample
from bothways.data.tagged import TaggedText
from bothways.evaluation.baseline import Predictions
from bothways.training.entity_task import EntityTask
from bothways.training.question_task import QuestionTask
from bothways.training.task import Split


def test_an_entity_is_as_sure_as_its_words_on_average() -> None:
    gold = TaggedText("Ada King met Bob", ((0, 3), (4, 8), (9, 12), (13, 16)), ("B-PER", "I-PER", "O", "B-PER"))
    task = EntityTask(Split(train=[], evaluation=[gold, gold], held_out=False), ("O", "B-PER", "I-PER"))
    task.sureness = [[0.9, 0.7, 0.99, 0.6], [0.5, 0.4, 0.8, 0.9]]
    found = Predictions(labels=(("B-PER", "I-PER", "O", "B-LOC"), ("B-PER", "O", "O", "B-PER")))
    items, sure, right = task.confidences(found)
    assert items == "entities"
    assert sure == pytest.approx([0.8, 0.6, 0.5, 0.9])
    assert right == [True, False, False, True]


def test_an_answer_is_right_as_exact_match_has_it() -> None:
    example = QuestionExample(id="a", question="Who?", context="It was the Ada.", answers=((7, "the Ada"),))
    task = QuestionTask.__new__(QuestionTask)
    task.split = Split(train=[], evaluation=[example, example], held_out=False)
    found = Predictions(labels=("Ada", "was"), probabilities=np.array([[0.7], [0.2]]))
    assert task.confidences(found) == ("answers", [0.7, 0.2], [True, False])

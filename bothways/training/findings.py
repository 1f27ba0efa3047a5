"""What the report finds in a task's data and answers: weak slices, suspected labels, the worth of more labels."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.data import TextExample
from bothways.evaluation.baseline import Predictions
from bothways.evaluation.calibrated import FEWEST as FEWEST_SURE
from bothways.evaluation.calibrated import Calibrated, measure_calibration
from bothways.evaluation.facets import column_facets, entity_facets, label_facets, question_facets, text_facets
from bothways.evaluation.label_errors import (
    FEWEST_TEXTS,
    FOLDS,
    Blocks,
    LabelErrors,
    Ranking,
    Suspect,
    cross_fitted,
    encoded_labels,
    from_array,
    listed,
    mean_with,
    rank_labels,
    together,
)
from bothways.evaluation.label_set_errors import cross_fitted_sets, marked_labels, rank_label_sets, several_labels
from bothways.evaluation.learning_curve import FEWEST, MOST_ANSWERS, LearningCurve, learning_curve, no_curve, parts_of
from bothways.evaluation.marked import MarkedText, marked_answers, marked_entities
from bothways.evaluation.name_errors import name_errors
from bothways.evaluation.row_scores import row_scores
from bothways.evaluation.scores import METRICS
from bothways.evaluation.slices import Facet, Slices, find_slices
from bothways.metrics.entities import entity_surfaces
from bothways.training.task import JudgedBaseline, TrainingTask

LEARNS = ("single", "multi", "entities")
"""Kinds of answers whose baseline learns from labels and has a score in percent."""

CrossFitted = tuple[Ranking, list[Suspect], str, int]


def token_lengths(encoded: Any) -> tuple[int, ...] | None:
    """Tokens of each evaluation example before any cut, from what ``encode_evaluation`` gives; None where it is not
    told for each example.
    """
    parts = encoded if isinstance(encoded, list) else [encoded]
    found = [getattr(getattr(part, "encoded", part), "n_tokens", None) for part in parts]
    if not all(isinstance(own, list | tuple) for own in found):
        return None
    return tuple(int(n) for own in found for n in own)  # type: ignore[union-attr]


def slices_of(
    task: TrainingTask,
    predictions: Predictions,
    n_tokens: Sequence[int] | None = None,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> Slices:
    """Scores of parts of the evaluation examples, the worst first.

    Args:
        n_tokens: of each example. columns: further columns of the data, a value for each example.
    """
    gold, answers = task.gold(), predictions.labels
    texts, pairs = task.shown_texts()
    if n_tokens is not None and len(n_tokens) != len(texts):
        n_tokens = None
    counted = []
    if task.kind == "answers":
        contexts = [context or "" for context in pairs or texts]
        known = frozenset(a for e in task.split.train for a in e.answer_texts) if task.split.train else None
        facets = [*question_facets(texts, gold, known), *text_facets(contexts, None, n_tokens)[:1]]
    else:
        facets = [*label_facets(task.kind, gold), *text_facets(texts, pairs, n_tokens)]
    if task.kind == "entities":
        train = task.split.train
        seen = entity_surfaces([e.tags for e in train], [e.surfaces for e in train]) if train else None
        words = [example.surfaces for example in task.split.evaluation]
        counted = entity_facets(gold, answers, words, None if seen is None else frozenset(seen))
        facets.append(
            Facet(name="sentences", values=["with entities" if any(t != "O" for t in g) else None for g in gold])
        )
    return find_slices(row_scores(task.kind, gold, answers), [*facets, *column_facets(columns or {})], counted)


def marked_of(task: TrainingTask, predictions: Predictions) -> tuple[MarkedText, ...]:
    """Some mistakes about places in texts; none for other tasks."""
    if task.kind == "entities":
        examples = task.split.evaluation
        return marked_entities([e.text for e in examples], [e.words for e in examples], task.gold(), predictions.labels)
    if task.kind == "answers":
        questions, contexts = task.shown_texts()
        return marked_answers(questions, [c or "" for c in contexts or ()], task.gold(), predictions.labels)
    return ()


def label_errors_of(
    task: TrainingTask, predictions: Predictions, seed: int = 0, watched: NDArray[np.float32] | None = None
) -> LabelErrors | None:
    """Suspected labels of the training part, by cross-fitted baselines and what the model said while it learned; and of
    the evaluation part, by the model (or, where it gives no probabilities, by cross-fitted baselines too); of entities
    by the same words elsewhere. None for tasks without labels.

    Args:
        watched: of the training examples, see ``label_watch``; None if the training was not watched.
    """
    if task.kind == "entities":
        named = [("training", task.split.train), ("judged", task.split.evaluation)]
        return name_errors(
            [(part, [e.surfaces for e in own], [e.tags for e in own], [e.row for e in own]) for part, own in named]
        )
    if task.kind not in ("single", "multi") or not all(isinstance(e, TextExample) for e in task.split.evaluation[:1]):
        return None
    parts = []
    if len(task.split.train) >= FEWEST_TEXTS:
        parts.append(_by_baselines(as_evaluation(task, task.split.train), "training", seed, watched))
    if predictions.probabilities is not None:
        parts.append(_by_model(task, predictions))
    elif len(task.split.evaluation) >= FEWEST_TEXTS:
        parts.append(_by_baselines(task, "judged", seed))
    return together(parts)


def learning_of(task: TrainingTask, baseline: JudgedBaseline, seed: int = 0) -> LearningCurve | None:
    """The learning curve of the baseline; None for tasks whose baseline learns from no labels."""
    if task.kind not in LEARNS:
        return None
    train, gold = task.split.train, task.gold()
    names = task.label_names
    if len(train) < FEWEST or len(train) * len(names) > MOST_ANSWERS:
        about = {"name": baseline.name, "measure": METRICS[task.kind][0].title, "items": task.items}
        return no_curve(len(train), len(gold), n_labels=len(names), **about)
    sizes, answers = [], []
    for part in parts_of(len(train), seed):
        inner = copy.copy(task)
        inner.split = replace(task.split, train=[train[i] for i in part])
        sizes.append(len(part))
        answers.append(inner.baseline(seed).predictions.labels)
    return learning_curve(
        task.kind,
        gold,
        [*sizes, len(train)],
        [*answers, baseline.predictions.labels],
        name=baseline.name,
        label_names=names,
        items=task.items,
        seed=seed,
    )


def calibration_of(task: TrainingTask, predictions: Predictions, seed: int = 0) -> Calibrated | None:
    """How sure the answers may be, measured on halves; None where there are too few, or no probabilities."""
    if task.kind not in ("single", "multi") or predictions.probabilities is None or len(predictions) < FEWEST_SURE:
        return None
    place = {name: i for i, name in enumerate(task.label_names)}
    if predictions.probabilities.shape[1] != len(place):
        return None
    if task.kind == "single":
        gold = np.array([place[label] for label in task.gold()])
    else:
        gold = np.zeros(predictions.probabilities.shape, dtype=np.int64)
        for row, labels in zip(gold, task.gold(), strict=True):
            row[[place[label] for label in labels]] = 1
    return measure_calibration(task.kind, predictions.probabilities, gold, items=task.items, seed=seed)


def as_evaluation(task: TrainingTask, examples: Sequence[Any]) -> TrainingTask:
    """The task with other examples in the place of its evaluation part."""
    inner = copy.copy(task)
    inner.split = replace(task.split, evaluation=examples, leaked=())
    return inner


def _by_baselines(task: TrainingTask, part: str, seed: int, watched: NDArray[np.float32] | None = None) -> CrossFitted:
    texts, pairs = task.shown_texts()
    item, learned = task.items.removesuffix("s"), f"learned from {FOLDS - 1} of {FOLDS} parts without it"
    sentence = f"In the {part} part a bag of words judged each {item}, having {learned}."
    if watched is not None:
        sentence = (
            f"In the {part} part the mean of two judgements of each {item} counts: of a bag of words that {learned}, "
            "and of the model in its first epochs."
        )
    if task.kind == "multi":
        marks = marked_labels(task.gold(), task.label_names)
        return _sets(task, part, marks, cross_fitted_sets(texts, pairs, marks, seed=seed), sentence)
    labels, n_labels = encoded_labels(task.gold(), task.label_names), len(task.label_names)
    blocks = cross_fitted(texts, pairs, labels, n_labels, seed=seed)
    return _singles(task, part, labels, blocks if watched is None else mean_with(blocks, watched), sentence)


def _by_model(task: TrainingTask, predictions: Predictions) -> CrossFitted:
    sentence = f"In the judged part the model did, which had not seen these {task.items}."
    assert predictions.probabilities is not None
    if task.kind == "multi":
        marks = marked_labels(task.gold(), task.label_names)
        return _sets(task, "judged", marks, predictions.probabilities, sentence)
    labels = encoded_labels(task.gold(), task.label_names)
    return _singles(task, "judged", labels, from_array(predictions.probabilities), sentence)


def _singles(task: TrainingTask, part: str, labels: Any, blocks: Blocks, sentence: str) -> CrossFitted:
    ranking = rank_labels(labels, blocks, len(task.label_names))
    return ranking, listed(ranking, part, *_shown(task)), sentence, len(labels)


def _sets(task: TrainingTask, part: str, marks: Any, probabilities: Any, sentence: str) -> CrossFitted:
    ranking = rank_label_sets(marks, probabilities)
    return ranking, listed(ranking, part, *_shown(task), shown=several_labels), sentence, len(marks)


def _shown(task: TrainingTask) -> tuple[Any, ...]:
    """Texts, pairs, names, labels and rows of the evaluation part."""
    rows = [example.row for example in task.split.evaluation]
    return (*task.shown_texts(), task.label_names, task.gold(), rows)

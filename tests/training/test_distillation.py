"""Distillation against its formula on padded batches; teachers that do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bothways.engine.processes import Processes
from bothways.errors import UsageError
from bothways.training.distillation import Distillation, TeacherAnswers, ask_teacher, soft_loss
from bothways.training.fit import fit
from bothways.training.frozen import freeze_body, frozen_features, vector_logits
from bothways.training.item_table import ItemTable
from bothways.training.objectives import CrossEntropy
from bothways.training.settings import FitSettings
from tests.training.test_fit import tiny_features, tiny_model
from tests.training.test_objectives import padded, token_features, token_model

WEIGHTS = torch.tensor([0.5, 1.0, 3.0])
A, T, B = 0.3, 2.5, 0.7
MAKE = {"texts": (tiny_model, tiny_features), "tokens": (token_model, token_features)}


def answers(features, width: int = 16) -> TeacherAnswers:
    """Numbers for every labelled item, as a teacher could have said them."""
    if isinstance(features.labels, torch.Tensor):
        counts = np.ones(len(features), dtype=np.int64)
    else:
        counts = np.array([(own != -100).sum() for own in features.labels])
    starts = np.concatenate([[0], counts.cumsum()])
    generator = np.random.default_rng(3)
    logits, vectors = (generator.normal(size=(starts[-1], w)).astype(np.float32) * 2 for w in (3, width))
    return TeacherAnswers(
        logits=ItemTable(values=logits, starts=starts), vectors=ItemTable(values=vectors, starts=starts)
    )


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("kind", MAKE)
def test_loss_and_gradients_are_the_formula_s_on_the_padded_rectangle(kind, weights):
    model, features = MAKE[kind][0](), MAKE[kind][1]()
    said = answers(features)
    objective = Distillation(CrossEntropy(weights=weights), said, weight=A, temperature=T, vectors_weight=B)
    indices = [3, 4, 11, 7, 0]
    model.train()
    loss = objective.loss(model, features.batch(indices), indices)
    loss.backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    rectangle = padded(features, indices)
    labels = rectangle.pop("labels")
    out = model(**rectangle, output_hidden_states=True)
    hidden = out.hidden_states[-1][:, 0] if kind == "texts" else out.hidden_states[-1].flatten(0, 1)
    logits, labels = out.logits.flatten(0, -2), labels.flatten()
    counted = labels != -100
    each = torch.ones(int(counted.sum())) if weights is None else weights[labels[counted]]
    teacher = torch.softmax(said.logits.rows(indices) / T, -1)
    student = torch.softmax(logits[counted] / T, -1)
    soft = T**2 * (teacher * (teacher.log() - student.log())).sum(-1)
    apart = ((hidden[counted] - said.vectors.rows(indices)) ** 2).mean(-1)
    plain = (1 - A) * F.cross_entropy(logits, labels, weight=weights)
    plain = plain + (each * (A * soft + B * apart)).sum() / each.sum()
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), abs=1e-5)
    for name, parameter in model.named_parameters():
        wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(ours[name], wanted, atol=2e-6, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("kind", MAKE)
def test_one_update_is_the_same_however_the_step_is_divided(kind):
    found = []
    for max_tokens in (1, 20, 1000):
        model, features = MAKE[kind][0](), MAKE[kind][1]()
        settings = FitSettings(
            epochs=1, batch_size=24, learning_rate=1e-3, max_tokens=max_tokens, precision="float32", head_factor=1.0
        )
        hard = CrossEntropy(weights=WEIGHTS, smoothing=0.1)
        objective = Distillation(hard, answers(features), weight=A, temperature=T, vectors_weight=B)
        fit(model, features, settings, lambda: 0.0, objective=objective)
        found.append(dict(model.named_parameters()))
    for other in found[1:]:
        for name, parameter in found[0].items():
            if "key.bias" not in name:
                torch.testing.assert_close(parameter, other[name], atol=1e-6, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_a_student_that_says_the_same_has_nothing_to_learn():
    logits = torch.randn(5, 3)
    assert soft_loss(logits, logits + 4, 2.0).abs().max() < 1e-6  # logits mean the same up to a number for all
    assert (soft_loss(logits, -logits, 2.0) > 0).all()


def test_a_head_on_a_frozen_encoder_learns_from_a_teacher_too():
    model, features = tiny_model(), tiny_features()
    wanted = answers(features)
    freeze_body(model)
    from bothways.engine.shared_runner import SharedRunner

    vectors = frozen_features(model, features, SharedRunner(model, Processes()))
    objective = Distillation(CrossEntropy(forward=vector_logits), wanted, weight=1.0, temperature=1.0)
    settings = FitSettings(epochs=60, batch_size=8, learning_rate=2e-2, head_factor=1.0, precision="float32")
    losses = [record.train_loss for record in fit(model, vectors, settings, lambda: 0.0, objective=objective).history]
    assert losses[-1] < 0.5 * losses[0]


class Job:
    """What ``ask_teacher`` needs of a task."""

    def __init__(self, model_task: str, features) -> None:
        self.model_task, self.features = model_task, features

    def training_set(self, tokenizer, limit, config):
        return self


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Write a teacher, ask it, with the same features for both."""
    from bothways.training import distillation

    monkeypatch.setattr(distillation.AutoTokenizer, "from_pretrained", lambda source: None)
    monkeypatch.setattr(distillation, "check_tokenizer", lambda model, tokenizer: None)

    def ask(teacher, student, features, *, theirs=None, vectors=True):
        teacher.save_pretrained(tmp_path / "teacher")
        job = Job(type(student).task, features if theirs is None else theirs)
        name = str(tmp_path / "teacher")
        return ask_teacher(name, job, student, features, 20, Processes(), dtype="float32", vectors=vectors)

    return ask


def named(model, *labels: str):
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: i for i, label in enumerate(labels)}
    return model


@pytest.mark.parametrize("kind", MAKE)
def test_labels_in_another_order_are_mapped(kind, asked):
    features = MAKE[kind][1]()
    teacher, student = named(MAKE[kind][0](), "a", "b", "c"), named(MAKE[kind][0](), "c", "a", "b")
    said = asked(teacher, student, features)
    model = teacher.eval()
    with torch.no_grad():
        batch = features.batch([5, 2])
        logits = model(batch).logits[batch.labels != -100]
    torch.testing.assert_close(said.logits.rows([5, 2]), logits[:, [2, 0, 1]], atol=1e-5, rtol=0)
    assert said.vectors.rows([5, 2]).shape == (len(logits), 16)


def test_teachers_that_do_not_fit_say_why(asked):
    features, student = tiny_features(), named(tiny_model(), "a", "b", "c")
    with pytest.raises(UsageError, match=r"has the labels a, b, d; the data has a, b, c\. They must be the same"):
        asked(named(tiny_model(), "a", "b", "d"), student, features)
    with pytest.raises(UsageError, match="is a BertForTokenClassification; a BertForSequenceClassification with"):
        asked(named(token_model(), "a", "b", "c"), student, features)
    narrow = named(tiny_model(), "a", "b", "c")
    narrow.config.hidden_size = 24
    with pytest.raises(UsageError, match=r"the teacher's have 16 numbers, the model's 24\. Drop --teacher-vectors"):
        asked(student, narrow, features)


def test_a_teacher_that_divides_words_otherwise_is_refused(asked):
    features = token_features()
    labels = [own.copy() for own in features.labels]
    labels[0][:] = -100
    student = named(token_model(), "a", "b", "c")
    with pytest.raises(UsageError, match=r"divides the training texts otherwise: 24 windows with \d+ words, the model"):
        asked(student, student, features, theirs=replace(features, labels=labels))

"""Each loss is that of the whole step however it is divided, and the ecosystem's own of the same rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bothways.engine.loop import Progress
from bothways.engine.processes import Processes
from bothways.errors import UsageError
from bothways.objectives import replaced_tokens
from bothways.pretraining import masked_goals
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.goal_table import GOALS
from bothways.pretraining.run import judge
from bothways.pretraining.steps import CorpusSteps, validation_parts
from tests.pretraining.small import (
    NO_DROPOUT,
    documents_with,
    goal_for,
    model_for,
    padded,
    settings_for,
    tokenizer_for,
)

TOLERANCE = 2e-6
"""Losses are computed in float32, whatever the model is."""
LENGTHS = [40, 3, 17, 60, 9, 30, 25, 14, 2, 55]


class Case:
    """A goal, a model in float64 and documents for it."""

    def __init__(self, objective, directory, **more):
        self.settings = settings_for(objective, **more)
        self.tokenizer = tokenizer_for(objective, directory / "tokenizer")
        self.goal = goal_for(self.settings, self.tokenizer)
        self.model = model_for(self.settings, self.tokenizer, directory, **NO_DROPOUT).double().eval()
        self.documents = documents_with(LENGTHS)

    def parts(self, max_tokens=10_000, group=None, rate=None):
        """The exercises of the first step of one process."""
        settings = replace(self.settings, batch_tokens=400, max_tokens=max_tokens)
        source = CorpusSteps(self.documents, self.goal, settings, Progress(), group or Processes(), lambda: 0.0)
        return [batch.inputs for batch in next(source.steps(0, 0))]

    def loss(self, parts):
        return sum(self.goal.loss(self.model, part) for part in parts if not self.goal.is_empty(part))

    def gradients(self, parts):
        for part in parts:
            if not self.goal.is_empty(part):
                self.goal.loss(self.model, part).backward()
        found = {name: p.grad for name, p in self.model.named_parameters()}
        self.model.zero_grad(set_to_none=True)
        return found


@pytest.fixture(autouse=True)
def guessing(monkeypatch):
    """What a generator guesses follows from the scores alone, not from what was drawn before."""

    def best(logits, generator):
        return logits.argmax(dim=-1)

    monkeypatch.setattr(replaced_tokens, "_sampled", best)


@pytest.fixture(params=list(GOALS))
def case(request, tmp_path):
    return Case(request.param, tmp_path)


def test_the_loss_of_a_step_is_the_same_however_it_is_divided(case):
    (whole,) = case.parts()
    assert whole.n_rows > 10 and whole.asked_share == 1.0
    expected = case.loss([whole]).item()
    assert expected > 1
    for max_tokens in (10, 40, 150):
        parts = case.parts(max_tokens)
        assert len(parts) >= min(whole.n_rows - 1, whole.total_tokens // max_tokens)
        assert sum(part.asked_share for part in parts) == pytest.approx(1)
        assert case.loss(parts).item() == pytest.approx(expected, rel=TOLERANCE)


def test_the_parts_of_two_processes_are_the_step_of_one(case):
    (whole,) = case.parts()
    both = [case.parts(60, Processes(rank, 2)) for rank in (0, 1)]
    assert all(len(parts) > 1 for parts in both)
    assert sum(part.n_rows for parts in both for part in parts) == whole.n_rows
    assert sum(case.loss(parts) for parts in both).item() == pytest.approx(case.loss([whole]).item(), rel=TOLERANCE)
    ids = sorted(i for parts in both for part in parts for i in part.batch.input_ids.tolist())
    assert ids == sorted(whole.batch.input_ids.tolist())  # what is hidden is the same too


@pytest.mark.parametrize("objective", ["mlm,nsp", "rtd", "span"])
def test_gradients_add_up_too(objective, tmp_path):
    case = Case(objective, tmp_path)
    whole, divided = case.gradients(case.parts()), case.gradients(case.parts(40))
    assert any(gradient is not None and gradient.abs().max() > 1e-3 for gradient in whole.values())
    for name, gradient in whole.items():
        if gradient is not None:
            torch.testing.assert_close(divided[name], gradient, atol=2e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("objective", ["mlm", "mlm,nsp", "mlm,sop", "rtd"])
def test_a_part_in_which_no_token_is_asked_for_counts_with_all_else(objective, tmp_path):
    """Pairs, and whether tokens were replaced, are asked about there as everywhere."""
    case = Case(objective, tmp_path, mask_rate=(0.01, 0.01))
    (whole,) = case.parts()
    parts = case.parts(10)
    silent = [part for part in parts if not case.goal.items(part)]
    assert len(silent) > 3 and {part.asked_share for part in silent} == {0.0}
    assert case.loss(parts).item() == pytest.approx(case.loss([whole]).item(), rel=TOLERANCE)
    found, expected = counted(case, parts), counted(case, [whole])
    assert found == {name: pytest.approx(pair, rel=1e-5) for name, pair in expected.items()}
    assert case.goal.is_empty(silent[0]) == (objective == "mlm")


@torch.no_grad()
def counted(case, parts):
    sums = {}
    for part in parts:
        if not case.goal.is_empty(part):
            for name, (value, count) in case.goal.counts(case.model, part).items():
                before = sums.get(name, (0, 0))
                sums[name] = (before[0] + value, before[1] + count)
    return sums


# -- the ecosystem ---------------------------------------------------------------------------------------------------


def reference(case, directory, name, model=None):
    """The reference's model with the same weights, in float64."""
    transformers = pytest.importorskip("transformers")
    (model or case.model).save_pretrained(directory)
    return getattr(transformers, name).from_pretrained(directory, dtype=torch.float64).eval()


def test_masked_words_are_the_ecosystems(tmp_path):
    case = Case("mlm", tmp_path)
    (whole,) = case.parts()
    with torch.no_grad():
        theirs = reference(case, tmp_path / "m", "BertForMaskedLM")(**padded(whole.batch))
    assert case.loss([whole]).item() == pytest.approx(theirs.loss.item(), rel=TOLERANCE)
    labels = padded(whole.batch)["labels"]
    right = int((theirs.logits.argmax(-1) == labels)[labels != -100].sum())
    asked = int((labels != -100).sum())
    assert 0.1 < asked / int((padded(whole.batch)["attention_mask"]).sum()) < 0.2
    assert counted(case, [whole]) == {
        "loss": (pytest.approx(theirs.loss.item() * asked, rel=TOLERANCE), asked),
        "accuracy": (right, asked),
    }


@pytest.mark.parametrize(
    ("objective", "name", "label", "logits"),
    [
        ("mlm,nsp", "BertForPreTraining", "next_sentence_label", "seq_relationship_logits"),
        ("mlm,sop", "AlbertForPreTraining", "sentence_order_label", "sop_logits"),
    ],
)
def test_words_and_pairs_are_the_ecosystems(objective, name, label, logits, tmp_path):
    case = Case(objective, tmp_path)
    (whole,) = case.parts()
    assert set(whole.relation.tolist()) == {0, 1}
    with torch.no_grad():
        theirs = reference(case, tmp_path / "m", name)(**padded(whole.batch), **{label: whole.relation})
    assert case.loss([whole]).item() == pytest.approx(theirs.loss.item(), rel=TOLERANCE)
    found = counted(case, [whole])
    right = int((theirs[logits].argmax(-1) == whole.relation).sum())
    assert found["pairs"] == (right, whole.n_rows) and found["loss"][1] == case.goal.items(whole)
    total = found["loss"][0] / found["loss"][1] + found["pairs_loss"][0] / found["pairs_loss"][1]
    assert total == pytest.approx(theirs.loss.item(), rel=TOLERANCE)


def test_replaced_words_are_the_ecosystems(tmp_path):
    case = Case("rtd", tmp_path)
    (whole,) = case.parts()
    generator = reference(case, tmp_path / "g", "ElectraForMaskedLM", case.model.generator)
    finder = reference(case, tmp_path / "d", "ElectraForPreTraining", case.model.discriminator)
    given = padded(whole.batch)
    asked = given["labels"] != -100
    with torch.no_grad():
        guesses = generator(**given)
        said = torch.where(asked, guesses.logits.argmax(-1), given["input_ids"])
        original = torch.where(asked, given["labels"], given["input_ids"])
        replaced = said != original
        found = finder(input_ids=said, attention_mask=given["attention_mask"], labels=replaced.long())
    assert case.loss([whole]).item() == pytest.approx((guesses.loss + 50 * found.loss).item(), rel=TOLERANCE)
    counts = counted(case, [whole])
    real = given["attention_mask"] == 1
    flagged = (found.logits > 0) & real
    assert counts["found"] == (int((flagged & replaced).sum()), int(replaced.sum()))
    assert counts["false_alarms"] == (int((flagged & ~replaced).sum()), int((real & ~replaced).sum()))
    assert counts["found_loss"][1] == whole.total_tokens


def test_next_words_are_the_ecosystems(tmp_path):
    case = Case("clm", tmp_path)
    (whole,) = case.parts()
    with torch.no_grad():
        theirs = reference(case, tmp_path / "m", "GPT2LMHeadModel")(**padded(whole.batch))
    assert case.loss([whole]).item() == pytest.approx(theirs.loss.item(), rel=TOLERANCE)
    count = sum(LENGTHS) + len(LENGTHS)  # of each document all tokens and its end
    assert case.goal.items(whole) == count
    labels = padded(whole.batch)["labels"][:, 1:]
    right = int(((theirs.logits[:, :-1].argmax(-1) == labels) & (labels != -100)).sum())
    assert counted(case, [whole])["accuracy"] == (right, count)


def test_missing_spans_are_the_ecosystems(tmp_path):
    case = Case("span", tmp_path)
    (whole,) = case.parts()
    theirs = reference(case, tmp_path / "m", "T5ForConditionalGeneration")
    given, target = padded(whole.batch), padded(whole.target)
    with torch.no_grad():
        output = theirs(**given, labels=target["labels"])
    assert case.loss([whole]).item() == pytest.approx(output.loss.item(), rel=TOLERANCE)
    right = int((output.logits.argmax(-1) == target["labels"]).sum())
    assert counted(case, [whole])["accuracy"] == (right, whole.target.total_tokens)
    assert case.goal.items(whole) == whole.target.total_tokens


# -- rows ------------------------------------------------------------------------------------------------------------


def rows_of(exercise: Exercise, batch=None):
    batch = batch or exercise.batch
    return [ids.tolist() for ids in batch.input_ids.split(list(batch.seqlens.lengths))]


def test_no_row_is_too_long_and_documents_do_not_mix(case):
    lengths = np.diff(case.documents.starts)
    rows = case.goal.rows(case.documents, np.random.default_rng(0))
    whole = case.goal.exercise(case.documents, rows, range(len(rows)), seed=3, share=0.0)
    assert max(whole.batch.seqlens.lengths) <= case.settings.max_length
    owner = np.searchsorted(case.documents.starts, rows.first, side="right") - 1
    assert (owner[:, 0] == np.searchsorted(case.documents.starts, rows.first[:, 1], side="left") - 1).all()
    if rows.second is not None:
        other = np.searchsorted(case.documents.starts, rows.second[:, 0], side="right") - 1
        if case.settings.objective == "mlm,nsp":
            assert ((other != owner[:, 0]) == (rows.relation == 1)).all()
        else:
            assert (other == owner[:, 0]).all()
            assert ((rows.first[:, 0] > rows.second[:, 0]) == (rows.relation == 1)).all()
    elif case.settings.objective not in ("span", "clm"):
        assert rows.n_tokens.sum() == lengths.sum()
    again = case.goal.exercise(case.documents, rows, range(len(rows)), seed=3, share=0.0)
    assert rows_of(again) == rows_of(whole)


def test_documents_begin_and_end_with_their_tokens_in_next_words(tmp_path):
    case = Case("clm", tmp_path)
    rows = case.goal.rows(case.documents, np.random.default_rng(0))
    whole = case.goal.exercise(case.documents, rows, range(len(rows)), seed=0, share=0.0)
    start, end = case.tokenizer.bos_token_id, case.tokenizer.eos_token_id
    predicted = [i for row in rows_of(whole) for i in row[1:]]
    corpus = case.documents.read(0, 40)
    assert sum(row[0] == start for row in rows_of(whole)) == sum(row[-1] == end for row in rows_of(whole)) == 10
    assert rows_of(whole)[0][0] == start and predicted[:40] == corpus.tolist() and predicted[40] == end


def test_the_rate_of_hiding_follows_the_run(tmp_path):
    case = Case("mlm", tmp_path, mask_rate=(0.6, 0.1), max_length=40)
    documents = documents_with([38] * 200)
    rows = case.goal.rows(documents, np.random.default_rng(0))
    for share, expected in ((0.0, 0.6), (0.5, 0.35), (1.0, 0.1)):
        whole = case.goal.exercise(documents, rows, range(200), seed=5, share=share)
        assert case.goal.items(whole) / documents.n_tokens == pytest.approx(expected, abs=0.025)
    spans = Case("span", tmp_path, mask_rate=(0.6, 0.1), max_length=40)
    rows = spans.goal.rows(documents, np.random.default_rng(0))
    first, last = (spans.goal.exercise(documents, rows, range(9), seed=5, share=s) for s in (0.0, 1.0))
    assert first.target.total_tokens > 2 * last.target.total_tokens
    assert max(last.batch.seqlens.lengths) <= 40


def test_words_are_hidden_as_wholes(tmp_path):
    case = Case("mlm", tmp_path, whole_words=True, mask_rate=(0.3, 0.3), max_length=40)
    pieces = case.tokenizer.convert_tokens_to_ids(["a", "##b", "##c", "x"])
    documents = documents_with([36])
    documents.corpus.ids[:] = pieces * 9
    rows = case.goal.rows(documents, np.random.default_rng(0))
    seen = set()
    for seed in range(20):
        whole = case.goal.exercise(documents, rows, [0], seed=seed, share=0.0)
        chosen = (whole.batch.labels[1:-1] != -100).view(9, 4).int().tolist()
        seen |= {tuple(word[:3]) for word in chosen}
    assert seen == {(0, 0, 0), (1, 1, 1)}


def test_validation_asks_the_same_each_time_and_counts_all(case):
    documents = documents_with([30, 40, 25, 12], seed=4)
    settings = replace(case.settings, max_tokens=60)
    first, second = (validation_parts(documents, case.goal, settings) for _ in range(2))
    assert len(first) > 1
    for one, two in zip(first, second, strict=True):
        assert one.batch.input_ids.tolist() == two.batch.input_ids.tolist()
    whole = validation_parts(documents, case.goal, case.settings)
    assert len(whole) == 1
    found, expected = (judge(case.model, case.goal, parts, settings, Processes()) for parts in (first, whole))
    assert set(expected) >= {"loss", "accuracy", "perplexity"}
    assert found == pytest.approx(expected, rel=1e-5)
    assert expected["perplexity"] == pytest.approx(np.exp(expected["loss"]))


def test_measures_of_nothing_are_left_out(tmp_path, monkeypatch):
    """A generator that is always right replaces nothing: there is no share of found tokens, nor a number for it."""
    case = Case("rtd", tmp_path)
    monkeypatch.setattr(
        masked_goals,
        "replace_tokens",
        lambda batch, logits, generator: replace(
            batch,
            input_ids=torch.where(batch.labels == -100, batch.input_ids, batch.labels),
            labels=torch.zeros_like(batch.labels),
        ),
    )
    parts = validation_parts(documents_with([30, 40]), case.goal, case.settings)
    found = judge(case.model, case.goal, parts, case.settings, Processes())
    assert "found" not in found and set(found) >= {"loss", "found_loss", "false_alarms"}


# -- tokenisers that do not fit --------------------------------------------------------------------------------------


def test_a_tokeniser_without_a_mask_or_marks_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"GPT2Tokenizer\w* has no mask token.*--objective clm"):
        goal_for(settings_for("mlm"), tokenizer_for("clm", tmp_path))
    with pytest.raises(UsageError, match=r"BertTokenizer\w* has no marks for missing spans.*--model-type t5"):
        goal_for(settings_for("span"), tokenizer_for("mlm", tmp_path))


def test_more_spans_than_marks_are_refused_with_both_numbers(tmp_path):
    from bothways import T5TokenizerFast
    from tests.pretraining.small import VOCABULARIES

    few = T5TokenizerFast(vocab_file=str(VOCABULARIES / "t5" / "spiece.model"), extra_ids=5)
    goal_for(settings_for("span", max_length=90, batch_tokens=90), few)
    with pytest.raises(UsageError, match="rows of 120 tokens have up to 7 missing spans.*has 5 marks for them"):
        goal_for(settings_for("span", max_length=120, batch_tokens=120), few)
    with pytest.raises(UsageError, match="rows of 2,048 tokens have up to 114 missing spans.*has 100 marks"):
        goal_for(settings_for("span", max_length=2048, batch_tokens=2048), tokenizer_for("span", tmp_path))

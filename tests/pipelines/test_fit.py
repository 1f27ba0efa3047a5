"""A model without the head, or a tokeniser of another model: said when the pipeline is made, for every family."""

from __future__ import annotations

import logging

import pytest

from bothways import BertTokenizerFast, pipeline
from bothways.errors import InputError
from bothways.models.auto import MODEL_CLASSES
from bothways.models.base import PreTrainedModel
from bothways.pipelines.registry import PIPELINES, TASK_OF_HEAD, find_pipeline
from tests.models.reference import READERS, TINY

from .conftest import VOCAB

TASKS = sorted(set(PIPELINES) - {"feature-extraction"})


def model_of(model_type: str, head: str, **changes):
    cls = MODEL_CLASSES[model_type, head]
    return cls(cls.config_class(**{**TINY[model_type], **changes}))


@pytest.fixture
def no_computation(monkeypatch):
    def forward(*_, **__):
        raise AssertionError("a model was run")

    monkeypatch.setattr(PreTrainedModel, "packed", forward)


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt"))


@pytest.mark.parametrize("held", ["base", "masked-lm", "sequence-classification"])
@pytest.mark.parametrize("model_type", READERS)
def test_a_head_that_is_not_there(model_type, held, tmp_path, tokenizer, no_computation):
    model = model_of(model_type, held)
    model.save_pretrained(tmp_path)
    for task in TASKS:
        name, cls = find_pipeline(task)
        if cls.accepts(held):
            continue
        with pytest.raises(InputError) as told:
            pipeline(task, model=str(tmp_path))
        expected = f"no weights for the {cls.model_task} head that {name} needs: it holds {type(model).__name__}."
        assert expected in str(told.value)
        with pytest.raises(InputError) as told:
            pipeline(task, model=model, tokenizer=tokenizer)
        has = "no head" if held == "base" else f"a head for {held}"
        assert f"needs a model with a head for {cls.model_task}, but {type(model).__name__} has {has}" in str(
            told.value
        )


@pytest.mark.parametrize("model_type", READERS)
def test_a_head_that_the_family_lacks(model_type, tmp_path, no_computation):
    if (model_type, "next-sentence-prediction") in MODEL_CLASSES:
        pytest.skip("has it")
    model = model_of(model_type, "base")
    model.config.architectures = None
    model.save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text().replace(f'"{type(model).__name__}"', '"NobodysModel"')
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=f"{model_type} has no head for 'next-sentence-prediction'. It has: base, "):
        pipeline("next-sentence-prediction", model=str(tmp_path))


@pytest.mark.parametrize(("model_type", "head"), [key for key in sorted(MODEL_CLASSES) if key[0] in READERS])
def test_more_tokens_than_embeddings(model_type, head, tokenizer, no_computation, caplog):
    n, task = len(VOCAB), TASK_OF_HEAD[head]
    if head == "pretraining":
        pytest.skip("read from a directory, with the head of the task alone")
    sizes = {"pad_token_id": 0}
    small = model_of(model_type, head, vocab_size=n - 1, **sizes)
    with pytest.raises(InputError) as told:
        pipeline(task, model=small, tokenizer=tokenizer)
    assert f"the tokeniser has {n} tokens, but the model has embeddings for {n - 1}: " in str(told.value)
    assert f"BertTokenizerFast does not belong to this {type(small).__name__}" in str(told.value)
    assert f"model.resize_token_embeddings({n})" in str(told.value)

    small.resize_token_embeddings(n)
    tokenizer.name_or_path = small.name_or_path = "here"
    with caplog.at_level(logging.WARNING, "bothways"):
        pipeline(task, model=small, tokenizer=tokenizer)
        padded = model_of(model_type, head, vocab_size=n + 27, **sizes)
        padded.name_or_path = "here"
        pipeline(task, model=padded, tokenizer=tokenizer)
    assert not caplog.records


def test_what_is_no_tokeniser(models):
    model = pipeline("fill-mask", models.directory("BertForMaskedLM")).model
    for wrong, name in ((BertTokenizerFast, "type"), ({}, "dict")):
        with pytest.raises(InputError, match=f"tokenizer is a {name}; expected a tokeniser of this library"):
            pipeline("feature-extraction", model=model.base_model, tokenizer=wrong)


def test_tokens_added_without_resizing(models):
    pipe = pipeline("fill-mask", models.directory("BertForMaskedLM"))
    n = len(pipe.tokenizer)
    pipe.tokenizer.add_tokens(["blockchain", "covid"])
    with pytest.raises(InputError, match=f"has {n + 2} tokens, but the model has embeddings for {n}: Bert.* of /"):
        pipeline("fill-mask", model=pipe.model, tokenizer=pipe.tokenizer)
    pipe.model.resize_token_embeddings(n + 2)
    assert pipeline("fill-mask", model=pipe.model, tokenizer=pipe.tokenizer)("the blockchain [MASK]")


@pytest.mark.parametrize("model_type", READERS)
def test_a_tokeniser_of_another_kind(model_type, tokenizer, caplog):
    model = model_of(model_type, "masked-lm")
    tokenizer.name_or_path, model.name_or_path = "one", "other"
    with caplog.at_level(logging.WARNING, "bothways"):
        pipeline("fill-mask", model=model, tokenizer=tokenizer)
    if model_type in ("bert", "distilbert", "electra", "modernbert"):  # the last says nothing about its tokeniser
        assert not caplog.records
    else:
        (said,) = caplog.messages
        assert f"BertTokenizerFast of one does not belong to {type(model).__name__} of other" in said
        assert f"({len(VOCAB)} tokens, embeddings for 97)" in said and said.startswith(f"{model_type} models usually")
    caplog.clear()
    model.name_or_path = "one"
    pipeline("fill-mask", model=model, tokenizer=tokenizer)
    assert not caplog.records

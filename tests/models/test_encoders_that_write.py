"""Encoders whose tokens see no later ones: what is theirs alone; numbers, steps and generation are tested with all."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from bothways import AutoModelForCausalLM
from bothways.engine.processes import Processes
from bothways.errors import InputError, UsageError
from bothways.models.auto import MODEL_CLASSES
from bothways.models.causal_models import EncoderLMModel
from bothways.pretraining.goals import NextWords
from bothways.pretraining.models import new_model
from bothways.training.learner import load_learner
from tests.models.reference import READERS, TINY, tiny_inputs, tiny_pair

WRITERS = sorted(family for (family, _), cls in MODEL_CLASSES.items() if issubclass(cls, EncoderLMModel))


def test_these_families_can():
    assert WRITERS == ["bert", "camembert", "electra", "roberta", "xlm-roberta"]
    assert set(WRITERS) < set(READERS)


@torch.no_grad()
@pytest.mark.parametrize("model_type", WRITERS)
def test_without_is_decoder_it_reads_both_ways_and_writes_nothing(model_type):
    theirs, _ = tiny_pair(model_type, "causal-lm")
    cls = MODEL_CLASSES[model_type, "causal-lm"]
    theirs.config.is_decoder = False
    theirs = type(theirs)(theirs.config).eval()
    ours = cls(cls.config_class(**TINY[model_type])).eval()
    ours.load_state_dict(theirs.state_dict())
    inputs = tiny_inputs(model_type)
    got, expected = ours(**inputs), theirs(**inputs)
    kept = inputs["attention_mask"] != 0
    torch.testing.assert_close(got.logits[kept], expected.logits[kept], atol=1e-5, rtol=0)
    assert got.past_key_values is None
    for call in (
        lambda: ours.generate(inputs["input_ids"], max_new_tokens=2),
        lambda: ours(inputs["input_ids"], past_key_values=()),
    ):
        with pytest.raises(InputError, match=rf'^{model_type} reads in both directions .*"is_decoder": true'):
            call()


@torch.no_grad()
@pytest.mark.parametrize("model_type", WRITERS)
def test_the_body_and_the_other_heads_see_no_later_tokens_either(model_type):
    for task in ("base", "sequence-classification", "masked-lm"):
        theirs, ours = tiny_pair(model_type, task, is_decoder=True)
        inputs = tiny_inputs(model_type)
        got, expected = ours(**inputs)[0], theirs(**inputs)[0]
        kept = inputs["attention_mask"] != 0 if got.ndim == 3 else slice(None)
        torch.testing.assert_close(got[kept], expected[kept], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_published_masked_model_begins_to_write(tmp_path):
    _, masked = tiny_pair("bert", "masked-lm")
    masked.save_pretrained(tmp_path)
    writer, info = AutoModelForCausalLM.from_pretrained(tmp_path, is_decoder=True, output_loading_info=True)
    assert type(writer).__name__ == "BertLMHeadModel" and info["missing_keys"] == []
    ids = tiny_inputs()["input_ids"][:, :4]
    assert writer.generate(ids, max_new_tokens=5, do_sample=False, eos_token_id=None).shape == (5, 9)
    writer.save_pretrained(tmp_path / "writer")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "writer")  # the file says is_decoder
    torch.testing.assert_close(again(ids).logits, writer(ids).logits)


def test_an_encoded_source_is_refused():
    _, ours = tiny_pair("bert", "causal-lm")
    with pytest.raises(InputError, match="encoder_hidden_states"):
        ours(tiny_inputs()["input_ids"], encoder_hidden_states=torch.zeros(5, 3, 24))


def test_training_says_what_is_missing(tiny_model):
    _, masked = tiny_pair("bert", "masked-lm")
    with pytest.raises(InputError, match="bert reads in both directions"):
        load_learner(
            tiny_model, SimpleNamespace(configuration=dict, model_task="causal-lm"), 0, Processes(), merge=True
        )
    with pytest.raises(UsageError, match="bert reads in both directions"):
        new_model(masked.config, NextWords, 0)


def test_the_command_says_what_is_missing(command, tiny_model, tmp_path):
    _, masked = tiny_pair("bert", "masked-lm")
    MODEL_CLASSES["bert", "causal-lm"](masked.config).save_pretrained(tmp_path)
    for file in tiny_model.glob("*tok*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    code, _, err = command("generate", tmp_path, "good film")
    assert code != 0 and "bert reads in both directions" in err, err

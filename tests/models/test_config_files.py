"""``config.json`` both ways, for every family: no field is lost, None included."""

from __future__ import annotations

import json

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import AutoConfig
from bothways.families import FAMILIES
from tests.models.reference import TINY

NOT_OURS = {"reference_compile"}  # of the machine: neither library writes it
NUMBER = st.integers(0, 60)
FIELDS = {
    "bos_token_id": st.none() | NUMBER,
    "eos_token_id": st.none() | NUMBER,
    "sep_token_id": st.none() | NUMBER,
    "classifier_dropout": st.none() | st.floats(0, 0.9),
    "classifier_dropout_prob": st.none() | st.floats(0, 0.9),
    "initializer_range": st.floats(0.001, 1),
    "tie_word_embeddings": st.booleans(),
    "output_hidden_states": st.booleans(),
    "return_dict": st.booleans(),
    "problem_type": st.none() | st.just("regression"),
    "num_labels": st.integers(1, 4),
    "local_rope_theta": st.none() | st.floats(1, 1e6),
    "summary_activation": st.none() | st.just("gelu"),
    "use_cache": st.booleans(),
    "sinusoidal_pos_embds": st.booleans(),
    "finetuning_task": st.none() | st.text(max_size=5),
    "my_own": st.none() | st.integers() | st.lists(st.booleans(), max_size=3),
}
COMMON = ("tie_word_embeddings", "output_hidden_states", "return_dict", "problem_type", "num_labels", "my_own")
COMMON += ("finetuning_task", "bos_token_id", "eos_token_id", "sep_token_id")


def drawn(model_type):
    own = FAMILIES[model_type].config_class.own_fields()
    possible = {name: values for name, values in FIELDS.items() if name in own or name in COMMON}
    return st.fixed_dictionaries({}, optional=possible)


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_what_is_saved_is_read(model_type, tmp_path_factory):
    ours_class = FAMILIES[model_type].config_class
    theirs_class = type(transformers.AutoConfig.for_model(model_type))
    directory = tmp_path_factory.mktemp(model_type)

    @settings(max_examples=25, deadline=None)
    @given(drawn(model_type))
    def check(changes):
        ours = ours_class(**{**TINY[model_type], **changes})
        ours.save_pretrained(directory)
        assert ours_class.from_pretrained(directory) == ours == AutoConfig.from_pretrained(directory)
        theirs = theirs_class.from_pretrained(directory)
        for name in {*ours_class.own_fields(), *changes} - NOT_OURS:
            assert getattr(theirs, name) == getattr(ours, name), name

        theirs = theirs_class(**{**TINY[model_type], **changes})
        theirs.save_pretrained(directory)  # only what differs from the reference's defaults
        back = ours_class.from_pretrained(directory)
        for name in {*ours_class.own_fields(), *changes} - NOT_OURS:
            assert getattr(back, name) == getattr(theirs, name), name
        assert back.id2label == theirs.id2label and back.label2id == theirs.label2id

    check()


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_defaults_are_those_of_the_reference(model_type):
    ours = FAMILIES[model_type].config_class()
    theirs = type(transformers.AutoConfig.for_model(model_type))()
    for name in ours.own_fields():
        if name not in NOT_OURS:
            assert getattr(ours, name) == getattr(theirs, name), name


@pytest.mark.parametrize("model_type", ["albert", "camembert", "modernbert", "roberta", "xlm-roberta"])
def test_no_token_stays_no_token(model_type, tmp_path):
    cls = FAMILIES[model_type].config_class
    cls(bos_token_id=None, eos_token_id=None).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    again = cls.from_pretrained(tmp_path)
    for name in ("bos_token_id", "eos_token_id"):
        assert cls.own_fields()[name] is not None and written[name] is None and getattr(again, name) is None

"""``model.config.max_length = 11``, as programs steer summaries: beside the reference, with files of both."""

from __future__ import annotations

import warnings

import pytest
import torch
import transformers

import bothways
from bothways.errors import ConfigError, InputError
from tests.models.reference import TINY

IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 6, 5]])
BEAMS = {"max_length": 11, "min_length": 8, "num_beams": 4}


def set_fields(model, **values):
    for name, value in values.items():
        setattr(model.config, name, value)


def plainly(library, cls, files):
    return cls.from_pretrained(files)


def set_once(library, cls, files):
    model = cls.from_pretrained(files)
    set_fields(model, **BEAMS)
    return model


def set_twice(library, cls, files):
    model = set_once(library, cls, files)
    model.generate(IDS)
    set_fields(model, max_length=9, min_length=6, num_beams=1)
    return model


def in_a_config(library, cls, files):
    return cls.from_pretrained(files, config=cls.config_class.from_pretrained(files, **BEAMS))


def as_arguments(library, cls, files):
    return cls.from_pretrained(files, max_length=9, min_length=6)


def both_set(library, cls, files):
    model = cls.from_pretrained(files)
    model.generation_config.max_length = 7
    set_fields(model, max_length=12, min_length=6)
    return model


def saved_and_set(library, cls, files):
    model = cls.from_pretrained(files)
    model.save_pretrained(files.parent / f"{library.__name__}-{cls.__name__}")
    model = cls.from_pretrained(files.parent / f"{library.__name__}-{cls.__name__}")
    set_fields(model, max_length=12, min_length=11)
    return model


def somebodys_file(library, cls, files):
    model = cls.from_pretrained(files)
    model.generation_config = library.GenerationConfig(
        max_length=10, min_length=9, decoder_start_token_id=2, pad_token_id=1, eos_token_id=2
    )
    model.save_pretrained(files.parent / f"{library.__name__}-own-{cls.__name__}")
    model = cls.from_pretrained(files.parent / f"{library.__name__}-own-{cls.__name__}")
    set_fields(model, max_length=14)
    return model


WAYS = [plainly, set_once, set_twice, in_a_config, as_arguments, both_set, saved_and_set, somebodys_file]


@pytest.fixture(scope="module", params=[("bart", "BartForConditionalGeneration"), ("gpt2", "GPT2LMHeadModel")])
def saved(request, tmp_path_factory):
    """A directory as the reference writes it: its generation_config.json says that it came from the configuration."""
    model_type, name = request.param
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    files = tmp_path_factory.mktemp(model_type) / "files"
    cls(cls.config_class(**TINY[model_type])).save_pretrained(files)
    return name, files


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.filterwarnings("ignore")
def test_settings_of_the_configuration_are_those_of_the_reference(saved, way):
    name, files = saved
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = way(transformers, getattr(transformers, name), files).generate(IDS)
    got = way(bothways, getattr(bothways, name), files).generate(IDS)
    assert got.tolist() == expected.tolist()


def test_fields_that_every_configuration_had_can_be_read():
    ours, theirs = bothways.BertConfig(), transformers.BertConfig()
    for name in ("max_length", "min_length", "num_beams", "early_stopping", "top_k", "torchscript", "prefix"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.chunk_size_feed_forward == 0 and ours.decoder_start_token_id is None
    assert "max_length" not in ours.to_dict()
    ours.max_length = 33
    assert ours.to_dict()["max_length"] == 33 and bothways.BertConfig(num_beams=3).num_beams == 3
    with pytest.raises(AttributeError, match="BertConfig has no attribute 'max_lenght'"):
        ours.max_lenght  # noqa: B018


def test_torchscript_gives_tuples(saved):
    name, files = saved
    model = getattr(bothways, name).from_pretrained(files, torchscript=True)
    given = {"decoder_input_ids": IDS} if name.startswith("Bart") else {}
    assert isinstance(model(IDS, **given), tuple) and model(IDS, **given, return_dict=True).logits is not None


@pytest.mark.parametrize("name", ["validate", "own_fields", "further_sizes", "to_dict"])
def test_a_file_cannot_take_the_place_of_a_method(name):
    with pytest.raises(ConfigError, match=rf"'{name}' is .*, but no field has that name: leave it out of config.json"):
        bothways.BertConfig.from_dict({"model_type": "bert", name: {"a": 1}})
    assert bothways.BertConfig(**bothways.BertConfig(num_beams=2).to_dict()).num_beams == 2


@pytest.mark.parametrize("name", ["validate", "from_model", "to_dict"])
def test_nor_can_a_file_of_settings(name):
    with pytest.raises(InputError, match=rf"'{name}' is .*, but no setting has that name: leave it out"):
        bothways.GenerationConfig.from_dict({"max_length": 3, name: {"a": 1}})

"""Settings of generation: the ecosystem's names, values, file; what is refused and what is said to do nothing."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import ConfigError, InputError, ModelNotFoundError
from bothways.generation.configuration import GenerationConfig, GenerationMode
from bothways.generation.settings import DEFAULTS
from bothways.generation.settings_checks import idle_settings, unreachable_minimum

OURS_ALONE = {"seed"}


def test_names_and_defaults_are_those_of_the_reference() -> None:
    theirs = transformers.GenerationConfig().to_dict()
    theirs = {k: v for k, v in theirs.items() if not k.startswith("_") and k != "transformers_version"}
    ours = {k: v for k, v in GenerationConfig().to_dict().items() if k not in OURS_ALONE}
    ours.pop("compile_config")  # which the reference does not write
    assert ours == theirs


def test_a_file_of_the_ecosystem_is_read_and_one_of_ours_is_read_by_it(tmp_path: Path) -> None:
    values = {
        "do_sample": True,
        "temperature": 0.7,
        "top_k": None,
        "eos_token_id": [2, 3],
        "bad_words_ids": [[5, 6], [7]],
        "sequence_bias": [[[5, 6], -2.0]],
        "exponential_decay_length_penalty": [3, 1.5],
        "some_key_of_a_model": {"a": [1]},
    }
    transformers.GenerationConfig(**values).save_pretrained(tmp_path)
    config = GenerationConfig.from_pretrained(tmp_path)
    assert config.to_diff_dict() == values
    config.save_pretrained(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "generation_config.json").read_text()) == values
    assert transformers.GenerationConfig.from_pretrained(tmp_path / "ours").to_diff_dict().items() >= values.items()
    assert GenerationConfig.from_pretrained(str(tmp_path / "ours" / "generation_config.json")) == config


def test_reading_can_replace_values_and_give_back_the_rest(tmp_path: Path) -> None:
    GenerationConfig(num_beams=4, seed=[1, 2]).save_pretrained(tmp_path, "other.json")
    config, rest = GenerationConfig.from_pretrained(
        tmp_path, "other.json", num_return_sequences=2, foo=1, return_unused_kwargs=True, local_files_only=True
    )
    assert (config.num_beams, config.num_return_sequences, config.seed, rest) == (4, 2, [1, 2], {"foo": 1})
    assert not hasattr(config, "foo")
    assert GenerationConfig.from_dict({"top_k": 3}, foo=1).foo == 1


def test_files_that_are_not_there_or_no_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelNotFoundError, match=r"has no generation_config\.json.*from_model_config"):
        GenerationConfig.from_pretrained(tmp_path / "model")
    for content, said in (
        ("[1]", "holds a list, expected an object"),
        ("{", "is not JSON"),
        ('{"top_k": 1, "top_k": 2}', "the key 'top_k' twice"),
    ):
        (tmp_path / "generation_config.json").write_text(content)
        with pytest.raises(ConfigError, match=said):
            GenerationConfig.from_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"top_p": 1.5}')
    with pytest.raises(InputError, match=r"top_p is 1\.5"):
        GenerationConfig.from_pretrained(tmp_path)


def test_what_json_has_not_is_not_written(tmp_path: Path) -> None:
    config = GenerationConfig(sequence_bias={(5, 6): -2.0})
    assert json.loads(config.to_json_string()) == {"sequence_bias": [[[5, 6], -2.0]]}
    with pytest.raises(InputError, match="cannot be written as JSON"):
        GenerationConfig(sequence_bias={(5,): -math.inf}).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="cannot be written as JSON"):
        GenerationConfig(constraints=[object()], num_beams=2).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="sends nothing"):
        config.save_pretrained(tmp_path, push_to_hub=True)
    assert list(tmp_path.iterdir()) == []


def test_settings_of_older_models_come_from_their_configuration() -> None:
    class Old(PretrainedConfig):
        model_type = "old"
        hidden_size: int = 8
        decoder_start_token_id: int = 2
        forced_eos_token_id: int = 2

    old = Old(
        num_beams=4, max_length=142, bad_words_ids=[[58]], eos_token_id=2, output_attentions=True, early_stopping=None
    )
    config = GenerationConfig.from_model_config(old)
    assert config.to_diff_dict() == {
        "num_beams": 4,
        "max_length": 142,
        "bad_words_ids": [[58]],
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": 2,
        "output_attentions": True,
        "return_dict_in_generate": True,
    }
    assert config._from_model_config and not hasattr(config, "hidden_size")


def test_update_changes_all_or_nothing() -> None:
    config = GenerationConfig(model_key=1)
    assert config.update(num_beams=3, model_key=2, foo=4) == {"foo": 4}
    assert (config.num_beams, config.model_key) == (3, 2)
    before = copy.deepcopy(config)
    with pytest.raises(InputError, match="top_k is -1"):
        config.update(num_beams=5, top_k=-1)
    assert config == before and config != GenerationConfig() and config != "config"
    config.update(num_beams=None, num_return_sequences=None)
    assert (config.num_beams, config.num_return_sequences) == (1, 1)


def test_none_switches_off_or_says_nothing() -> None:
    config = GenerationConfig(top_k=None, temperature=None, num_beams=None, do_sample=None, early_stopping=None)
    assert (config.top_k, config.temperature) == (None, None)
    assert (config.num_beams, config.do_sample, config.early_stopping) == (1, False, False)
    assert repr(config) == "GenerationConfig(temperature=None, top_k=None)"
    with pytest.raises(AttributeError, match="GenerationConfig has no setting 'temprature'"):
        config.temprature  # noqa: B018


def test_lists_of_a_config_are_its_own() -> None:
    first = GenerationConfig(eos_token_id=[1])
    first.to_dict()["eos_token_id"].append(2)
    assert first.eos_token_id == [1]


IMPOSSIBLE = [
    ({"temperature": 0.0, "do_sample": True}, r"temperature is 0\.0, expected a number above 0.*do_sample=False"),
    ({"temperature": -0.5}, r"temperature is -0\.5"),
    ({"temperature": math.inf, "do_sample": True}, r"temperature is inf"),
    ({"temperature": "hot"}, r"temperature is 'hot'"),
    ({"top_p": 0.0}, r"top_p is 0\.0, expected a number above 0 and at most 1\. 1\.0 keeps all"),
    ({"top_p": 1.01}, r"top_p is 1\.01"),
    ({"top_p": math.nan}, r"top_p is nan"),
    ({"top_k": -1}, r"top_k is -1, expected a whole number at least 0\. 0 keeps all"),
    ({"top_k": 2.5}, r"top_k is 2\.5"),
    ({"top_k": True}, r"top_k is True"),
    ({"min_p": 2}, r"min_p is 2"),
    ({"typical_p": 0}, r"typical_p is 0"),
    ({"epsilon_cutoff": 1.0}, r"epsilon_cutoff is 1\.0, expected a number at least 0 and below 1"),
    ({"eta_cutoff": -0.1}, r"eta_cutoff is -0\.1"),
    ({"repetition_penalty": 0}, r"repetition_penalty is 0.*1\.0 changes nothing"),
    ({"no_repeat_ngram_size": -1}, r"no_repeat_ngram_size is -1"),
    ({"num_beams": 0}, r"num_beams is 0, expected a whole number at least 1"),
    ({"num_return_sequences": 0}, r"num_return_sequences is 0"),
    ({"num_return_sequences": 3}, r"num_return_sequences \(3\) would be equal\. Set do_sample=True, or num_beams=3"),
    ({"num_return_sequences": 3, "num_beams": 2}, r"num_return_sequences \(3\) is above num_beams \(2\)"),
    (
        {"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 1.0},
        r"num_beams \(4\) must be divisible by .* \(3\)",
    ),
    ({"num_beams": 4, "num_beam_groups": 2}, r"num_beam_groups \(2\) needs diversity_penalty above 0\.0"),
    (
        {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": True},
        r"num_beam_groups \(2\) excludes do_sample=True",
    ),
    ({"max_new_tokens": 0}, r"max_new_tokens is 0, expected a whole number at least 1"),
    ({"max_new_tokens": -3}, r"max_new_tokens is -3"),
    ({"max_length": 0}, r"max_length is 0"),
    ({"max_time": 0}, r"max_time is 0, expected a number above 0\. It is a time in seconds"),
    ({"early_stopping": "sometimes"}, r"early_stopping is 'sometimes', expected True, False or 'never'"),
    ({"early_stopping": 1}, r"early_stopping is 1"),
    ({"do_sample": "yes"}, r"do_sample is 'yes', expected True or False"),
    ({"penalty_alpha": 0.6, "top_k": None}, r"penalty_alpha \(0\.6\) needs top_k of at least 2.*got None"),
    ({"penalty_alpha": 0.6, "top_k": 1}, r"needs top_k of at least 2 to choose from, got 1"),
    ({"penalty_alpha": 1.5}, r"penalty_alpha is 1\.5"),
    ({"force_words_ids": [[1]]}, r"need beam search: set num_beams above 1"),
    ({"force_words_ids": [[1]], "num_beams": 2, "do_sample": True}, r"exclude do_sample=True"),
    ({"stop_strings": []}, r"stop_strings is \[\], expected a text"),
    ({"stop_strings": ["a", ""]}, r"stop_strings is \['a', ''\]"),
    ({"suppress_tokens": [-1]}, r"suppress_tokens is \[-1\]"),
    ({"forced_eos_token_id": "2"}, r"forced_eos_token_id is '2'"),
    ({"forced_bos_token_id": -4}, r"forced_bos_token_id is -4"),
    ({"eos_token_id": "</s>"}, r"eos_token_id is '</s>', expected a token id, or a list"),
    ({"seed": -1}, r"seed is -1, expected a whole number from 0"),
    ({"seed": []}, r"seed is \[\]"),
    ({"prompt_lookup_num_tokens": 0}, r"prompt_lookup_num_tokens is 0"),
    ({"streamer": None, "assistant_model": 1}, r"assistant_model and streamer: pass to generate\(\)"),
]


@pytest.mark.parametrize(("values", "said"), IMPOSSIBLE, ids=[" ".join(map(str, v)) for v, _ in IMPOSSIBLE])
def test_impossible_settings_are_refused_with_advice(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        GenerationConfig(**values)
    assert isinstance(caught.value, InputError)


def test_a_least_length_that_cannot_be_reached_is_said_and_no_error() -> None:
    """Published models have a ``min_length`` of their own, and programs ask them for shorter texts."""
    settings = GenerationConfig(min_length=56, max_length=50)
    assert unreachable_minimum(settings) == (
        "min_length (56) is above max_length (50): texts will be cut at 50. Raise max_length."
    )
    assert unreachable_minimum(GenerationConfig(min_length=56, max_length=50, max_new_tokens=9)) is None
    assert unreachable_minimum(GenerationConfig(min_new_tokens=9, max_new_tokens=8)).startswith("min_new_tokens (9)")


def test_all_problems_are_named_together() -> None:
    with pytest.raises(InputError, match=r"max_new_tokens is 0.*num_beams is 0.*top_p is 7"):
        GenerationConfig(num_beams=0, top_p=7, max_new_tokens=0)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0.0},
        {"early_stopping": "never", "num_beams": 2},
        {"top_k": 0, "do_sample": True},
        {"pad_token_id": -1},
        {"eos_token_id": [1, np.int64(2)]},
        {"max_length": None},
        {"min_length": 30, "max_new_tokens": 50},
        {"suppress_tokens": []},
        {"num_beams": np.int64(2), "top_p": np.float32(0.5)},
        {"seed": [1, 2, 3], "do_sample": True},
    ],
)
def test_settings_of_published_files_and_numpy_are_taken(values: dict[str, Any]) -> None:
    config = GenerationConfig(**values)
    assert all(getattr(config, name) is value for name, value in values.items())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, None),
        ({"do_sample": True, "temperature": 0.5, "top_p": 0.9, "seed": 3}, None),
        ({"num_beams": 4, "length_penalty": 2.0, "early_stopping": True}, None),
        ({"temperature": 0.5}, "temperature (0.5) does nothing without do_sample=True."),
        (
            {"temperature": 0.5, "top_p": 0.9, "length_penalty": 2.0, "num_beams": 1},
            "temperature (0.5) and top_p (0.9) do nothing without do_sample=True; "
            "length_penalty (2.0) does nothing with num_beams=1.",
        ),
        ({"penalty_alpha": 0.6, "top_k": 4}, None),
        (
            {"penalty_alpha": 0.6, "top_k": 4, "num_beams": 2},
            "top_k (4) does nothing without do_sample=True; penalty_alpha (0.6) does nothing with sampling or beams.",
        ),
        ({"diversity_penalty": 1.0, "num_beams": 2}, "diversity_penalty (1.0) does nothing with num_beam_groups=1."),
        (
            {"output_scores": True, "output_logits": True},
            "output_scores (True) and output_logits (True) do nothing without return_dict_in_generate=True.",
        ),
        ({"output_scores": True, "return_dict_in_generate": True}, None),
        ({"temperature": None, "top_k": None}, None),
    ],
)
def test_settings_that_do_nothing_are_named_in_one_sentence(values: dict[str, Any], said: str | None) -> None:
    config = GenerationConfig(**values)
    assert idle_settings(config) == said
    if said is None:
        config.validate(strict=True)
    else:
        with pytest.raises(InputError, match=re.escape(said)):
            config.validate(strict=True)


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ({}, GenerationMode.GREEDY_SEARCH),
        ({"do_sample": True}, GenerationMode.SAMPLE),
        ({"num_beams": 2}, GenerationMode.BEAM_SEARCH),
        ({"num_beams": 2, "do_sample": True}, GenerationMode.BEAM_SAMPLE),
        ({"num_beams": 2, "num_beam_groups": 2, "diversity_penalty": 1.0}, GenerationMode.GROUP_BEAM_SEARCH),
        ({"num_beams": 2, "force_words_ids": [[1]]}, GenerationMode.CONSTRAINED_BEAM_SEARCH),
        ({"penalty_alpha": 0.6, "top_k": 4}, GenerationMode.CONTRASTIVE_SEARCH),
        ({"prompt_lookup_num_tokens": 3}, GenerationMode.ASSISTED_GENERATION),
    ],
)
def test_the_way_to_write_follows_from_the_settings(values: dict[str, Any], mode: GenerationMode) -> None:
    assert GenerationConfig(**values).get_generation_mode() is mode
    assert transformers.GenerationConfig(**values).get_generation_mode().value == mode.value


def test_an_assistant_changes_the_way() -> None:
    assert GenerationConfig().get_generation_mode(object()) is GenerationMode.ASSISTED_GENERATION


def test_every_default_is_possible() -> None:
    GenerationConfig(**DEFAULTS).validate()
    assert GenerationConfig(**DEFAULTS) == GenerationConfig()

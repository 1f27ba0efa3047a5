"""Strategies that only older versions of the reference have: ids as transformers 4.49.0 wrote them."""

from __future__ import annotations

import functools
import json

import pytest
import torch

from bothways.models.auto import MODEL_CLASSES
from tests.generation.golden import FILE, SETTINGS, reference_model

CASES = json.loads(FILE.read_text(encoding="utf-8"))


@functools.cache
def our_model(model_type, seed):
    model_class = MODEL_CLASSES[model_type, "causal-lm" if model_type == "gpt2" else "seq2seq-lm"]
    model = model_class(model_class.config_class(**SETTINGS[model_type])).eval()
    model.load_state_dict(reference_model(model_type, seed).state_dict())
    return model


@pytest.mark.parametrize("number", range(len(CASES)))
def test_ids_are_those_of_version_4_49(number):
    case = CASES[number]
    written = our_model(case["model"], case["seed"]).generate(torch.tensor(case["prompts"]), **case["settings"])
    assert written.tolist() == case["ids"]


def test_there_are_cases_of_every_strategy():
    for name in ("num_beam_groups", "force_words_ids", "penalty_alpha"):
        assert sum(name in case["settings"] for case in CASES) >= 15

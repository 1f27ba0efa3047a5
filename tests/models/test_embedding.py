"""Texts to vectors: pooling against the definition, files of sentence-transformers, long texts, copies."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
import torch

from bothways.errors import ConfigError, InputError
from bothways.models.auto import AutoModel
from bothways.models.embedding import Embedder, embedding_settings
from bothways.tokenizers import AutoTokenizer


@pytest.fixture(scope="module")
def model(tiny_model):
    return AutoModel.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


TEXTS = ["the book is late", "a", "the book is late", "where is the room for the group and the long table"]


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling_is_its_definition(model, tokenizer, pooling):
    got = model.encode(TEXTS, pooling=pooling)
    assert got.dtype == np.float32 and got.shape == (4, model.config.hidden_size)
    for text, vector in zip(TEXTS, got, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[pooling]
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(model.encode(TEXTS[3], pooling=pooling), got[3], atol=1e-5)


def test_normalised_vectors_have_length_one(model):
    np.testing.assert_allclose(np.linalg.norm(model.encode(TEXTS, normalize=True), axis=1), 1, atol=1e-6)
    assert not np.allclose(np.linalg.norm(model.encode(TEXTS), axis=1), 1)
    assert model.encode([]).shape == (0, model.config.hidden_size)


def test_a_long_text_is_the_mean_of_its_windows_by_tokens(model, tokenizer):
    text = "a " * 100 + "b " * 100
    vectors, encoded = Embedder(model, tokenizer).embed([text])
    assert encoded.n_windows[0] > 1 and not encoded.truncated[0]
    with torch.no_grad():
        windows = [model(torch.tensor([ids])).last_hidden_state[0].mean(0).numpy() for ids in encoded.input_ids]
    expected = np.average(windows, axis=0, weights=[len(ids) for ids in encoded.input_ids])
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)
    cut, account = Embedder(model, tokenizer).embed([text], long_input="truncate")
    assert account.truncated == [True] and not np.allclose(cut, vectors)
    with pytest.raises(InputError, match=rf"has {encoded.n_tokens[0]} tokens, but the limit is"):
        model.encode(text, long_input="error")


def test_the_directory_says_how_to_pool(tmp_path):
    assert embedding_settings(tmp_path).pooling == "mean"
    (tmp_path / "1_Pooling").mkdir()
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Normalize"}]))
    settings = embedding_settings(tmp_path)
    assert (settings.pooling, settings.normalize) == ("cls", True)
    pooling.write_text(json.dumps({"pooling_mode_lasttoken": True}))
    with pytest.raises(ConfigError, match="asks for pooling_mode_lasttoken; known are"):
        embedding_settings(tmp_path)


def test_mistakes_are_named(model):
    for wrong in (None, 5, b"text", {"text": "a"}):
        with pytest.raises(InputError, match=r"texts is .*; expected a text or a list of texts"):
            model.encode(wrong)
    with pytest.raises(InputError, match="pooling is 'sum'; expected one of 'mean', 'cls', 'max'"):
        model.encode("a", pooling="sum")
    nameless = copy.deepcopy(model)
    nameless.__dict__.pop("_embedder", None)
    nameless.name_or_path = ""
    with pytest.raises(InputError, match="the tokeniser of this BertModel is not known"):
        nameless.encode("a")


def test_a_model_that_has_embedded_can_be_copied_and_pickled(model):
    expected = model.encode("the book")
    np.testing.assert_array_equal(copy.deepcopy(model).encode("the book"), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).encode("the book"), expected)

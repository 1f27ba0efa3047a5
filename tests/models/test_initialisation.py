"""First weights: the spread and the mean of every parameter, as the reference draws them."""

from __future__ import annotations

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from bothways import AutoConfig, AutoModelForSequenceClassification, DistilBertConfig, DistilBertModel
from tests.models.reference import ALL_CLASSES, TINY, WITH_TARGET, by_our_names

LARGER = {"vocab_size": 211, "initializer_range": 0.05}


EVERY = [*ALL_CLASSES, *WITH_TARGET]


@pytest.mark.parametrize(("key", "cls"), EVERY, ids=[cls.__name__ for _, cls in EVERY])
def test_spread_of_every_parameter(key, cls):
    settings = {**TINY[key[0]], **LARGER, "num_labels": 2}
    theirs_class = getattr(transformers, cls.__name__)
    torch.manual_seed(0)
    ours, theirs = cls(cls.config_class(**settings)), theirs_class(theirs_class.config_class(**settings))
    expected = by_our_names(ours, theirs.state_dict())
    got = by_our_names(ours, ours.state_dict())
    assert set(got) == set(expected)
    for name, tensor in got.items():
        other = expected[name]
        few = 4 / tensor.numel() ** 0.5  # four deviations of what is compared, for either
        if float(other.std(correction=0)) == 0 or "position" in name and torch.allclose(tensor, other, atol=1e-6):
            assert torch.allclose(tensor, other, atol=1e-6), name  # constants, and positions that are computed
        else:
            assert float(tensor.std()) == pytest.approx(float(other.std()), rel=max(few, 0.03)), name
            assert abs(float(tensor.mean())) < few * float(other.std()), name


def test_modernbert_is_cut_off():
    settings = {**TINY["modernbert"], "hidden_size": 64, "initializer_cutoff_factor": 1.5}
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("modernbert", **settings))
    spread = {
        "model.embeddings.word_embeddings.weight": 0.02,
        "model.encoder.layer.2.attention.self.query.weight": 0.02,
        "model.encoder.layer.2.intermediate.dense.weight": 0.02,
        "model.encoder.layer.2.attention.output.dense.weight": 0.02 / 10**0.5,
        "model.encoder.layer.2.output.dense.weight": 0.02 / 10**0.5,
        "transform.dense.weight": 0.02 / 10**0.5,
        "classifier.weight": 1 / 8,
    }
    for name, deviation in spread.items():
        largest = float(model.state_dict()[name].abs().max())
        assert 1.3 * deviation < largest <= 1.5 * deviation, name


def test_sinusoidal_positions(tmp_path):
    settings = {**TINY["distilbert"], "sinusoidal_pos_embds": True}
    ours = DistilBertModel(DistilBertConfig(**settings))
    theirs = transformers.DistilBertModel(transformers.DistilBertConfig(**settings))
    waves, expected = ours.embeddings.position_embeddings.weight, theirs.embeddings.position_embeddings.weight
    torch.testing.assert_close(waves.detach(), expected.detach(), atol=1e-7, rtol=0)
    assert not waves.requires_grad and not expected.requires_grad
    assert DistilBertModel(DistilBertConfig(**TINY["distilbert"])).embeddings.position_embeddings.weight.requires_grad
    ours.save_pretrained(tmp_path)
    again = DistilBertModel.from_pretrained(tmp_path)
    assert torch.equal(again.embeddings.position_embeddings.weight, waves)


def test_positions_that_a_file_lacks_begin_as_waves(tmp_path):
    ours = DistilBertModel(DistilBertConfig(**TINY["distilbert"], sinusoidal_pos_embds=True))
    ours.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    del tensors["embeddings.position_embeddings.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    again = DistilBertModel.from_pretrained(tmp_path)
    assert again.load_report.missing == ("embeddings.position_embeddings.weight",)
    assert torch.equal(again.embeddings.position_embeddings.weight, ours.embeddings.position_embeddings.weight)

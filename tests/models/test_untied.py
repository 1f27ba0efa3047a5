"""``tie_word_embeddings=False``: two matrices that train, save, load both ways and grow, each on its own."""

from __future__ import annotations

import pytest
import torch
import transformers
from safetensors.torch import load_file

from bothways.errors import CheckpointError, InputError
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import ALL_CLASSES, tiny_inputs, tiny_pair

WITH_VOCABULARY = [
    (key, cls)
    for key, cls in ALL_CLASSES
    if key[1] in ("masked-lm", "causal-lm") or key in (("bert", "pretraining"), ("albert", "pretraining"))
]
IDS = [cls.__name__ for _, cls in WITH_VOCABULARY]


def same_scores(theirs, ours) -> None:
    inputs = tiny_inputs(ours.config.model_type, vocab=80, mask="none")
    with torch.no_grad():
        expected, got = theirs(**inputs)[0], ours(**inputs)[0]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("key", "cls"), WITH_VOCABULARY, ids=IDS)
def test_both_matrices_train_and_travel_both_ways(key, cls, tmp_path):
    theirs, ours = tiny_pair(*key, tie_word_embeddings=False)
    words, scores = ours.get_input_embeddings().weight, ours.get_output_embeddings().weight
    assert words is not scores and not torch.equal(words, scores)
    before = words.detach().clone(), scores.detach().clone()
    optimizer = torch.optim.SGD(ours.parameters(), lr=1.0)
    ours(**tiny_inputs(key[0], mask="none"))[0].square().mean().backward()
    optimizer.step()
    assert not torch.equal(words, before[0]) and not torch.equal(scores, before[1])

    ours.save_pretrained(tmp_path / "ours")
    back, info = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert not back.config.tie_word_embeddings
    same_scores(back.eval(), ours)
    again = cls.from_pretrained(tmp_path / "ours")
    assert again.load_report.sentence() == ""
    for (name, a), b in zip(ours.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name

    theirs.save_pretrained(tmp_path / "theirs")
    loaded = cls.from_pretrained(tmp_path / "theirs")
    assert loaded.load_report.sentence() == "" and not loaded.config.tie_word_embeddings
    same_scores(theirs, loaded)
    stored = load_file(tmp_path / "theirs" / "model.safetensors"), load_file(tmp_path / "ours" / "model.safetensors")
    two = [sum(t.shape[0] == 97 and t.ndim == 2 for t in tensors.values()) for tensors in stored]
    assert two == [2, 2]


@pytest.mark.parametrize("count", [103, 90])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("key", "cls"), WITH_VOCABULARY, ids=IDS)
def test_resizing(key, cls, tied, count, tmp_path):
    theirs, ours = tiny_pair(*key, tie_word_embeddings=tied)
    inputs = tiny_inputs(key[0], vocab=80, mask="none")
    with torch.no_grad():
        before = ours(**inputs)[0]
        for model in (theirs, ours):
            model.resize_token_embeddings(count)
        after = ours(**inputs)[0]
        expected = theirs(**inputs)[0]
    kept = min(97, count)
    torch.testing.assert_close(after[..., :kept], before[..., :kept])
    torch.testing.assert_close(after[..., :kept], expected[..., :kept], atol=1e-5, rtol=0)
    assert after.shape[-1] == count
    assert (ours.get_output_embeddings().weight is ours.get_input_embeddings().weight) == tied
    ours.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path)
    assert again.config.vocab_size == count
    torch.testing.assert_close(again(**inputs)[0], after)
    same_scores(type(theirs).from_pretrained(tmp_path).eval(), ours)


@pytest.mark.parametrize(("key", "cls"), WITH_VOCABULARY, ids=IDS)
def test_matrices_that_are_still_one_are_both_saved(key, cls, tmp_path):
    _, ours = tiny_pair(*key, tie_word_embeddings=True)
    ours.config.tie_word_embeddings = False  # after building: both names still mean the same memory
    ours.save_pretrained(tmp_path)
    again, info = getattr(transformers, cls.__name__).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    same_scores(again.eval(), ours)
    same_scores(ours, cls.from_pretrained(tmp_path))


def test_a_tied_file_in_an_untied_model_says_what_is_missing(tmp_path):
    _, ours = tiny_pair("distilbert", "masked-lm")
    ours.save_pretrained(tmp_path)
    again = type(ours).from_pretrained(tmp_path, tie_word_embeddings=False)
    assert again.load_report.missing == ("cls.predictions.decoder.weight",)
    assert again.get_output_embeddings().weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_a_tied_model_with_two_values_is_not_saved_in_silence(tmp_path):
    _, ours = tiny_pair("bert", "masked-lm")
    ours.cls.predictions.decoder.weight = torch.nn.Parameter(torch.zeros(97, 24))
    with pytest.raises(CheckpointError, match=r"tie_weights\(\), or set config.tie_word_embeddings=False"):
        ours.save_pretrained(tmp_path)


def test_a_new_vocabulary_projection():
    for model_type in ("bert", "roberta", "modernbert"):
        ours = MODEL_CLASSES[model_type, "masked-lm"](tiny_pair(model_type, "masked-lm")[1].config)
        new = torch.nn.Linear(24, 97)
        ours.set_output_embeddings(new)
        assert ours.get_output_embeddings() is new
        assert ours.state_dict()[f"{ours.family.output_embeddings}.bias"].data_ptr() == new.bias.data_ptr()
    body = tiny_pair("bert", "base")[1]
    with pytest.raises(InputError, match="BertModel has no vocabulary projection"):
        body.set_output_embeddings(new)

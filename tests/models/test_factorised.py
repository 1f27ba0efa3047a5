"""Narrow embeddings through training, resizing and lower precision, for every family that has them."""

from __future__ import annotations

import pytest
import torch

from bothways.engine.compact_vocabulary import CompactVocabulary
from bothways.models.auto import MODEL_CLASSES
from bothways.training.features import Features
from bothways.training.fit import fit
from bothways.training.settings import FitSettings
from tests.models.reference import tiny_inputs, tiny_pair

FAMILIES = ["albert", "electra"]


def tiny_features() -> Features:
    ids = [[5 + (7 * i + j) % 30 for j in range(3 + i % 5)] for i in range(12)]
    return Features(ids, None, torch.tensor([i % 5 for i in range(12)]))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_training_moves_the_words_that_occur(model_type, monkeypatch):
    """A compact vocabulary trains them exactly as the whole one does, and leaves the others alone."""
    settings = FitSettings(epochs=2, batch_size=4, learning_rate=1e-2, weight_decay=0.0, precision="float32")
    features = tiny_features()
    used = sorted({i for ids in features.input_ids for i in ids})
    _, start = tiny_pair(model_type, "sequence-classification")
    before = start.get_input_embeddings().weight.detach().clone()
    sizes = []
    enter = CompactVocabulary.enter
    monkeypatch.setattr(CompactVocabulary, "enter", lambda self: (sizes.append(self.compact.weight.shape), enter(self)))
    trained = []
    for compact in (True, False):
        sizes.clear()
        _, model = tiny_pair(model_type, "sequence-classification")
        if not compact:  # as for a model whose vocabulary is tied to its head
            monkeypatch.setattr(model, "get_output_embeddings", lambda: object())
        scores = iter([0.0, 1.0])
        fit(model, features, settings, lambda scores=scores: next(scores), show_progress=False)
        assert set(sizes) == ({(len(used), 14)} if compact else set())
        assert model.get_input_embeddings().weight.shape == (97, 14)
        trained.append(dict(model.named_parameters()))
    words = next(name for name in trained[0] if name.endswith("word_embeddings.weight"))
    moved = (trained[0][words] != before).any(1).nonzero().flatten().tolist()
    assert moved == used
    for name, parameter in trained[0].items():
        torch.testing.assert_close(parameter, trained[1][name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("key", sorted(k for k in MODEL_CLASSES if k[0] in FAMILIES), ids="-".join)
def test_one_step_reaches_the_words(key):
    """Every head, in training mode: the gradient passes the projection and the shared layers."""
    _, model = tiny_pair(*key)
    model.train()
    inputs = tiny_inputs(key[0], mask="none")
    if key[1] == "multiple-choice":
        inputs = {name: tensor[None] for name, tensor in inputs.items()}
    words = model.get_input_embeddings().weight
    before = words.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sum(tensor.square().sum() for tensor in model(**inputs).to_tuple()).backward()
    optimizer.step()
    moved = (words != before).any(1)
    assert moved[inputs["input_ids"].unique()].all()


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("task", ["masked-lm", "sequence-classification"])
def test_resizing(model_type, task, tmp_path):
    theirs, ours = tiny_pair(model_type, task)
    inputs = tiny_inputs(model_type, mask="none")
    before = ours(**inputs).logits
    new = ours.resize_token_embeddings(103)
    assert new.weight.shape == (103, 14) and ours.config.vocab_size == 103
    after = ours(**inputs).logits
    if task == "masked-lm":
        assert after.shape[-1] == 103 and ours.get_output_embeddings().weight is new.weight
        after = after[..., :97]
    torch.testing.assert_close(after, before)
    ours.save_pretrained(tmp_path)
    back, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    torch.testing.assert_close(back.eval()(**inputs).logits, ours(**inputs).logits, atol=1e-5, rtol=0)
    ours.resize_token_embeddings(90)
    assert type(ours).from_pretrained(tmp_path).config.vocab_size == 103
    assert ours.get_input_embeddings().weight.shape == (90, 14)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_residual_sums_stay_in_full_precision_under_autocast(model_type):
    _, ours = tiny_pair(model_type, "base")
    with torch.autocast("cpu", torch.bfloat16):
        output = ours(**tiny_inputs(model_type), output_hidden_states=True)
    assert output.hidden_states[0].dtype == torch.float32


@pytest.mark.parametrize("model_type", FAMILIES)
def test_embeddings_given_are_of_the_narrow_width(model_type):
    theirs, ours = tiny_pair(model_type, "base")
    embeds = torch.randn(2, 4, 14, generator=torch.Generator().manual_seed(0))
    expected, got = theirs(inputs_embeds=embeds), ours(inputs_embeds=embeds)
    torch.testing.assert_close(got.last_hidden_state, expected.last_hidden_state, atol=1e-5, rtol=0)

"""What only ModernBERT has, against the reference: windows, rotary positions, gates, absent biases, pooling."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from bothways import AutoModel, ModernBertConfig, ModernBertForMaskedLM
from bothways.batching import collate
from bothways.errors import ConfigError, InputError
from tests.models.reference import TINY, by_our_names, tiny_inputs, tiny_pair

MASKS = ["none", "right", "left", "holes"]
BIASES = ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias", "decoder_bias")


def pair(task: str = "base", **changes):
    return tiny_pair("modernbert", task, **changes)


def inputs_with(mask: str, **sizes) -> dict:
    return tiny_inputs("modernbert", mask=mask, **sizes)


def assert_same(theirs, ours, inputs: dict) -> None:
    with torch.no_grad():
        expected, got = theirs(**inputs)[0], ours(**inputs)[0]
    if expected.shape[:2] == inputs["input_ids"].shape:
        kept = inputs["attention_mask"] != 0
        expected, got = expected[kept], got[kept]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("task", ["sequence-classification", "multiple-choice"])
def test_mean_pooling(task, mask):
    theirs, ours = pair(task, classifier_pooling="mean")
    inputs = inputs_with(mask, batch=6)
    if task == "multiple-choice":
        inputs = {name: tensor.view(2, 3, -1) for name, tensor in inputs.items()}
    labels = torch.tensor([0, 2]) if task == "multiple-choice" else torch.arange(6) % 5
    expected, got = theirs(**inputs, labels=labels), ours(**inputs, labels=labels)
    torch.testing.assert_close(got.logits, expected.logits, atol=1e-5, rtol=0)
    for output in (expected, got):
        output.loss.backward()
    wanted = by_our_names(ours, {name: p.grad for name, p in theirs.named_parameters()})
    for name, p in ours.named_parameters():
        torch.testing.assert_close(p.grad, wanted[name], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("on", [True, False])
def test_every_bias_as_configured(on, tmp_path):
    theirs, ours = pair("masked-lm", **dict.fromkeys(BIASES, on))
    assert_same(theirs, ours, inputs_with("right"))
    assert any(name.endswith("bias") for name, _ in ours.named_parameters()) is on
    ours.save_pretrained(tmp_path)
    back, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert_same(back.eval(), ours, inputs_with("none"))
    again = ModernBertForMaskedLM.from_pretrained(tmp_path)
    again.resize_token_embeddings(101)
    assert again.decoder.weight is again.model.embeddings.word_embeddings.weight
    assert again(**inputs_with("none")).logits.shape[-1] == 101


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "changes",
    [
        {"local_attention": 0},
        {"local_attention": 1},
        {"local_attention": 7},
        {"global_attn_every_n_layers": 1},
        {"global_attn_every_n_layers": 9},
        {"local_rope_theta": None},
        {"num_hidden_layers": 1},
    ],
    ids=str,
)
def test_patterns_of_layers(changes, mask):
    assert_same(*pair(**changes), inputs_with(mask))


@pytest.mark.parametrize("mask", MASKS)
def test_sequences_of_many_blocks(mask):
    assert_same(*pair(local_attention=20), inputs_with(mask, batch=3, seq=400))


def test_positions_of_the_caller_turn_but_do_not_move_the_window():
    theirs, ours = pair()
    for mask in MASKS:
        inputs = inputs_with(mask)
        positions = torch.randint(0, 50, (5, 17), generator=torch.Generator().manual_seed(0))
        assert_same(theirs, ours, {**inputs, "position_ids": positions})


@pytest.mark.parametrize("layers", [3, 4])  # the last one sees a window, or all
def test_reading_few_rows_is_exact(layers):
    theirs, ours = pair("masked-lm", num_hidden_layers=layers)
    rows = [[5, 6, 7] * n for n in (1, 4, 9)]
    batch = collate(rows)
    labels = torch.full_like(batch.input_ids, -100)
    labels[[1, 10, 30, 33]] = torch.tensor([3, 4, 5, 6])
    with torch.no_grad():
        few = ours(batch, labels=labels)
        everything = torch.cat([ours(torch.tensor([row])).logits[0] for row in rows])
    torch.testing.assert_close(few.logits, everything, atol=1e-5, rtol=0)
    with torch.no_grad():
        few = ours(replace(batch, labels=labels)).logits
    torch.testing.assert_close(few, everything[[1, 10, 30, 33]], atol=1e-5, rtol=0)
    theirs, ours = pair("sequence-classification", num_hidden_layers=layers)
    assert_same(theirs, ours, inputs_with("holes"))


def test_prepared_form_and_training_again():
    _, ours = pair("sequence-classification")
    inputs = inputs_with("right")
    expected = ours(**inputs).logits.detach()
    with torch.no_grad():
        ours.prepare_for_inference()
        assert ours.model.encoder.layer[0].attention.self.prepared is not None
        torch.testing.assert_close(ours(**inputs).logits, expected, atol=1e-5, rtol=0)
        ours.prepare_for_inference("bfloat16")
        assert 0 < (ours(**inputs).logits - expected).abs().max() < 0.1
    assert not ours.train().model.encoder.is_prepared
    torch.testing.assert_close(ours.eval()(**inputs).logits, expected, atol=0, rtol=0)
    assert ours.bfloat16()(**inputs).logits.dtype == torch.bfloat16


def test_gradient_checkpointing_and_dropout():
    settings = dict.fromkeys(("embedding_dropout", "attention_dropout", "mlp_dropout", "classifier_dropout"), 0.3)
    theirs, ours = pair("sequence-classification", **settings)
    assert sum(m.p == 0.3 for m in ours.modules() if isinstance(m, torch.nn.Dropout)) == 5 * 3 + 2
    gradients = []
    for on in (False, True):
        ours.train().zero_grad()
        ours.gradient_checkpointing_enable() if on else ours.gradient_checkpointing_disable()
        torch.manual_seed(3)
        ours(**inputs_with("right"), labels=torch.zeros(5, dtype=torch.int64)).loss.backward()
        gradients.append([p.grad.clone() for p in ours.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    assert_same(theirs, ours.eval(), inputs_with("none"))


def test_rows_without_any_token_stay_finite():
    _, ours = pair()
    inputs = inputs_with("right")
    inputs["attention_mask"][2] = 0
    assert ours(**inputs).last_hidden_state.isfinite().all()


def test_ids_outside_the_vocabulary_are_named():
    _, ours = pair()
    with pytest.raises(InputError, match="input_ids from 5 to 200 do not fit the vocabulary of 97"):
        ours(torch.tensor([[5, 200]]))


def test_configurations_of_version_5_are_read(tmp_path):
    _, ours = pair(global_rope_theta=500.0, local_rope_theta=50.0)
    ours.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    assert "reference_compile" not in values
    del values["global_rope_theta"], values["local_rope_theta"]
    values["rope_parameters"] = {
        "full_attention": {"rope_type": "default", "rope_theta": 500.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
    }
    values["layer_types"] = ["full_attention" if i % 3 == 0 else "sliding_attention" for i in range(5)]
    path.write_text(json.dumps(values))
    again = AutoModel.from_pretrained(tmp_path)
    assert again.config == ours.config and again.config.rope_theta == 500.0
    inputs = inputs_with("right")
    torch.testing.assert_close(again(**inputs)[0], ours(**inputs)[0], atol=0, rtol=0)
    path.write_text(json.dumps({**values, "layer_types": ["full_attention"] * 5}))
    with pytest.raises(ConfigError, match=r"global_attn_every_n_layers 3 and num_hidden_layers 5 mean"):
        AutoModel.from_pretrained(tmp_path)


REFUSED = {
    "local_attention": (-1, "local_attention is -1, expected a whole number from 0 to 1,048,576"),
    "global_attn_every_n_layers": (0, "global_attn_every_n_layers is 0, expected a whole number from 1"),
    "norm_eps": (float("nan"), "norm_eps is nan, expected a number above 0"),
    "global_rope_theta": ("big", "global_rope_theta is 'big', expected a number above 0"),
    "local_rope_theta": (0, "local_rope_theta is 0, expected a number above 0"),
    "classifier_pooling": ("max", "classifier_pooling is 'max', expected 'cls' or 'mean'"),
    "num_attention_heads": (8, "3 values of each head cannot be paired"),
    "rope_scaling": ({"rope_type": "yarn"}, "rope_scaling is .*'yarn'.*; only the type 'default' is implemented"),
    "rope_parameters": (
        {"full_attention": {"rope_type": "linear"}, "sliding_attention": {}},
        "rope_parameters of full",
    ),
    "mlp_dropout": (1.5, "mlp_dropout is 1.5, expected a number from 0 to below 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_configurations_are_refused(name):
    value, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message):
        ModernBertConfig(**{**TINY["modernbert"], name: value})

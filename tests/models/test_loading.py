"""Checkpoints both ways: what the reference saves we load, what we save it loads; hostile directories are refused."""

from __future__ import annotations

import json
import logging

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import bothways
from bothways import AutoConfig, AutoModel, AutoModelForSequenceClassification, BertConfig, BertForMaskedLM, BertModel
from bothways.errors import CheckpointError, ConfigError, InputError
from tests.models.reference import ALL_CLASSES, TINY, tiny_inputs, tiny_pair

IDS = [cls.__name__ for _, cls in ALL_CLASSES]


def same_logits(theirs, ours, task: str) -> None:
    inputs = tiny_inputs(ours.config.model_type, mask="none")
    if task in ("multiple-choice", "double-heads"):
        inputs = {name: tensor[None] for name, tensor in inputs.items() if name != "attention_mask"}
    if task == "sequence-classification" and ours.head.reads == "eos":
        inputs["input_ids"][:, -1] = ours.config.eos_token_id
    with torch.no_grad():
        expected, got = theirs(**inputs), ours(**inputs)
    for name in (name for name in expected if name != "past_key_values"):  # see test_past.py
        torch.testing.assert_close(got[name], expected[name], atol=1e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=IDS)
@pytest.mark.parametrize("shard_size", ["5GB", "20KB"])
def test_reference_to_ours_and_back(key, cls, shard_size, tmp_path, caplog):
    theirs, _ = tiny_pair(*key)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size=shard_size)
    with caplog.at_level(logging.WARNING, "bothways"):
        ours = cls.from_pretrained(tmp_path / "theirs")
    assert not caplog.records and not ours.training
    assert ours.load_report.missing == () and ours.load_report.unexpected == ()
    same_logits(theirs, ours, key[1])

    ours.save_pretrained(tmp_path / "ours", max_shard_size=shard_size)
    assert shard_size == "5GB" or len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    back, info = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    same_logits(back.eval(), ours, key[1])
    auto = getattr(transformers, type(theirs).__name__).config_class.from_pretrained(tmp_path / "ours")
    assert auto.architectures == [cls.__name__]


@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=IDS)
def test_save_and_load_are_bitwise(key, cls, tmp_path):
    _, ours = tiny_pair(*key)
    ours.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path)
    for (name, a), b in zip(ours.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert again.config == ours.config


def test_base_checkpoint_into_a_task_model_and_back(tmp_path, caplog):
    theirs, body = tiny_pair("bert", "base")
    theirs.save_pretrained(tmp_path / "base")
    with caplog.at_level(logging.WARNING, "bothways"):
        task = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=3)
    assert caplog.messages == [
        "2 parameters are newly initialised: classifier.weight, classifier.bias. Train the head before using it."
    ]
    assert torch.equal(task.bert.pooler.dense.weight, body.pooler.dense.weight)
    task.save_pretrained(tmp_path / "task")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "bothways"):
        again = BertModel.from_pretrained(tmp_path / "task")
    assert again.load_report.missing == ()
    assert set(again.load_report.unexpected) == {"classifier.weight", "classifier.bias"}
    same_logits(theirs, again, "base")


@pytest.mark.parametrize("untied", [False, True])
def test_an_encoder_out_of_a_whole_model_is_no_news(untied, tmp_path, caplog):
    config = transformers.T5Config(**TINY["t5"], tie_word_embeddings=not untied)
    whole = transformers.T5ForConditionalGeneration(config).eval()
    whole.save_pretrained(tmp_path / "whole")
    with caplog.at_level(logging.WARNING, "bothways"):
        ours = bothways.T5EncoderModel.from_pretrained(tmp_path / "whole")
    assert not caplog.records and ours.load_report.unexpected == ()
    inputs = tiny_inputs("t5", mask="none")
    inputs = {name: inputs[name] for name in ("input_ids",)}
    with torch.no_grad():
        expected = whole.encoder(**inputs).last_hidden_state
        torch.testing.assert_close(ours(**inputs).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_old_names_of_norms(tmp_path):
    theirs, _ = tiny_pair("bert", "masked-lm")
    theirs.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in load_file(path).items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(50)[None]
    save_file(old, path, metadata={"format": "pt"})
    ours = BertForMaskedLM.from_pretrained(tmp_path)
    assert ours.load_report.missing == () and ours.load_report.unexpected == ()
    same_logits(theirs, ours, "masked-lm")


def test_ties_hold_after_loading_and_resizing(tmp_path):
    _, ours = tiny_pair("bert", "masked-lm")
    ours.save_pretrained(tmp_path)
    assert "cls.predictions.decoder.weight" not in load_file(tmp_path / "model.safetensors")
    again = BertForMaskedLM.from_pretrained(tmp_path)
    assert again.cls.predictions.decoder.weight is again.bert.embeddings.word_embeddings.weight
    before = again(**tiny_inputs()).logits
    again.resize_token_embeddings(101)
    assert again.config.vocab_size == 101
    after = again(**tiny_inputs()).logits
    assert after.shape[-1] == 101
    torch.testing.assert_close(after[..., :97], before)
    assert again.cls.predictions.decoder.weight is again.bert.embeddings.word_embeddings.weight


def test_sizes_are_right_to_the_unit():
    with torch.device("meta"):
        body = BertModel(BertConfig())
        classifier = bothways.BertForSequenceClassification(BertConfig(num_labels=2))
    assert body.num_parameters() == 109_482_240
    assert classifier.num_parameters() == 109_483_778
    for parameter in classifier.bert.parameters():
        parameter.requires_grad = False
    assert classifier.num_parameters(only_trainable=True) == 1_538


def test_frozen_body_gets_no_gradient():
    _, ours = tiny_pair("bert", "sequence-classification")
    for parameter in ours.bert.parameters():
        parameter.requires_grad = False
    ours(**tiny_inputs(), labels=torch.tensor([0, 1, 2, 3, 4])).loss.backward()
    assert {name for name, p in ours.named_parameters() if p.grad is not None} == {
        "classifier.weight",
        "classifier.bias",
    }


def test_dtype_and_overrides(tmp_path):
    _, ours = tiny_pair("bert", "base")
    ours.to(torch.bfloat16).save_pretrained(tmp_path)
    assert AutoModel.from_pretrained(tmp_path).dtype == torch.float32
    assert AutoModel.from_pretrained(tmp_path, dtype="auto").dtype == torch.bfloat16
    assert AutoModel.from_pretrained(tmp_path, torch_dtype=torch.float16).dtype == torch.float16
    labelled = AutoConfig.from_pretrained(tmp_path, id2label={0: "no", 1: "yes", 2: "perhaps"})
    assert labelled.num_labels == 3 and labelled.label2id["perhaps"] == 2
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'num_label'. Did you mean 'num_labels'\?"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_label=3)


def test_other_sizes_are_named_with_both_shapes(tmp_path):
    _, ours = tiny_pair("bert", "sequence-classification")
    ours.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"classifier.weight: 5x24 in the file, 3x24 in the model"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    replaced = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3, ignore_mismatched_sizes=True)
    assert replaced.classifier.out_features == 3


def test_prepared_form_equals_the_parameters_and_is_dropped_by_training():
    _, ours = tiny_pair("bert", "sequence-classification")
    inputs = tiny_inputs()
    expected = ours(**inputs).logits.detach()
    with torch.no_grad():
        ours.prepare_for_inference()
        torch.testing.assert_close(ours(**inputs).logits, expected, atol=1e-5, rtol=0)
        ours.prepare_for_inference("bfloat16")
        assert 0 < (ours(**inputs).logits - expected).abs().max() < 0.1
    ours.train()
    assert not ours.bert.encoder.is_prepared
    torch.testing.assert_close(ours.eval()(**inputs).logits, expected, atol=0, rtol=0)


@torch.no_grad()
def test_prepared_copies_never_outlive_the_parameters():
    _, ours = tiny_pair("bert", "sequence-classification")
    inputs = tiny_inputs()
    ours.prepare_for_inference()
    before = ours(**inputs).logits
    ours.bert.encoder.layer[0].attention.self.query.weight.mul_(0.3)
    changed = ours(**inputs).logits
    assert not torch.allclose(changed, before)
    ours.prepare_for_inference()
    torch.testing.assert_close(ours(**inputs).logits, changed)
    assert ours.bfloat16()(**inputs).logits.dtype == torch.bfloat16
    with torch.enable_grad():
        ours.float().prepare_for_inference()
        ours(**inputs, labels=torch.zeros(5, dtype=torch.int64)).loss.backward()
    assert all(p.grad is not None for p in ours.parameters())


def test_adapters_around_a_projection_are_called():
    class Adapter(torch.nn.Module):
        """As LoRA libraries write it: shows the weight of what it wraps, and adds to its output."""

        def __init__(self, base):
            super().__init__()
            self.base = base
            self.down = torch.nn.Parameter(torch.full((2, base.in_features), 0.3))
            self.up = torch.nn.Parameter(torch.full((base.out_features, 2), 0.3))
            self.weight, self.bias = base.weight, base.bias

        def forward(self, x):
            return self.base(x) + x @ self.down.T @ self.up.T

    theirs, ours = tiny_pair("bert", "sequence-classification")
    for model in (theirs, ours):
        for layer in model.bert.encoder.layer:
            layer.attention.self.query = Adapter(layer.attention.self.query)
            layer.attention.self.value = Adapter(layer.attention.self.value)
    inputs = tiny_inputs()
    torch.testing.assert_close(ours(**inputs).logits, theirs(**inputs).logits, atol=1e-5, rtol=0)
    ours(**inputs).logits.sum().backward()
    assert ours.bert.encoder.layer[0].attention.self.query.up.grad.abs().max() > 0
    with torch.no_grad():
        torch.testing.assert_close(
            ours.prepare_for_inference()(**inputs).logits, theirs(**inputs).logits, atol=1e-5, rtol=0
        )


def test_dropout_modules_are_found_and_obeyed():
    theirs, ours = tiny_pair("bert", "sequence-classification", hidden_dropout_prob=0.5)
    names = {name for name, m in theirs.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert {name for name, m in ours.named_modules() if isinstance(m, torch.nn.Dropout)} == names
    inputs = tiny_inputs()
    for module in ours.modules():
        if isinstance(module, torch.nn.Dropout):
            module.train()
    assert not torch.equal(ours(**inputs).logits, ours(**inputs).logits)
    ours.train()
    for module in ours.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.testing.assert_close(ours(**inputs).logits, theirs.eval()(**inputs).logits, atol=1e-5, rtol=0)


def test_gradient_checkpointing_changes_no_gradient():
    _, ours = tiny_pair("bert", "sequence-classification", hidden_dropout_prob=0.3)
    gradients = []
    for on in (False, True):
        ours.train().zero_grad()
        ours.gradient_checkpointing_enable() if on else ours.gradient_checkpointing_disable()
        assert ours.is_gradient_checkpointing is on
        torch.manual_seed(3)
        ours(**tiny_inputs(), labels=torch.zeros(5, dtype=torch.int64)).loss.backward()
        gradients.append([p.grad.clone() for p in ours.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_inputs_can_take_part_in_gradients():
    _, ours = tiny_pair("bert", "base")
    ours.requires_grad_(False)
    ours.enable_input_require_grads()
    assert ours(**tiny_inputs()).last_hidden_state.requires_grad
    ours.disable_input_require_grads()
    assert not ours(**tiny_inputs()).last_hidden_state.requires_grad


def test_a_configuration_has_its_origin_by_both_names(tmp_path):
    BertConfig(_name_or_path="elsewhere").save_pretrained(tmp_path)
    config = BertConfig.from_pretrained(tmp_path)
    assert config._name_or_path == config.name_or_path == str(tmp_path)


def test_what_would_give_other_numbers_is_refused():
    with pytest.raises(ConfigError, match="position_embedding_type is 'relative_key'; only 'absolute'"):
        BertConfig(position_embedding_type="relative_key")
    with pytest.raises(ConfigError, match="add_cross_attention is not supported for bert"):
        BertConfig(is_decoder=True, add_cross_attention=True)


def test_outputs_are_dictionaries_too():
    _, ours = tiny_pair("bert", "sequence-classification")
    output = ours(**tiny_inputs())
    assert isinstance(output, dict) and list(output) == ["logits"] and output.loss is None
    output["loss"] = torch.tensor(1.0)
    assert output.loss == 1 and output[0] is output.logits  # as in the reference: late items come last
    output.logits = output.logits * 2
    assert output["logits"] is output.logits
    with pytest.raises(KeyError, match="has no 'start_logits' here. Present: logits, loss"):
        output["start_logits"]
    body = BertModel(BertConfig(**TINY["bert"]), add_pooling_layer=False)
    assert body(**tiny_inputs()).pooler_output is None
    hidden, pooled = body(**tiny_inputs(), return_dict=False)
    assert pooled is None


def test_weights_given_to_save_are_what_is_saved(tmp_path):
    _, ours = tiny_pair("bert", "sequence-classification")
    zeros = {name: tensor * 0 for name, tensor in ours.state_dict().items()}
    ours.save_pretrained(tmp_path, state_dict=zeros, safe_serialization=True)
    assert not load_file(tmp_path / "model.safetensors")["classifier.weight"].any()
    with pytest.raises(InputError, match="only safetensors are written"):
        ours.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(TypeError, match="max_shard_sise"):
        ours.save_pretrained(tmp_path, max_shard_sise="1GB")


def test_weights_given_to_load_need_no_directory():
    _, ours = tiny_pair("bert", "base")
    again = BertModel.from_pretrained(None, config=ours.config, state_dict=ours.state_dict())
    same_logits(ours, again, "base")
    half = AutoModel.from_config(ours.config, torch_dtype=torch.float16)
    assert half.dtype == torch.float16


HOSTILE = {
    "hidden_size": (2**40, "hidden_size is 1099511627776, expected a whole number from 1 to 32,768"),
    "num_hidden_layers": (10_000_000, "num_hidden_layers is 10000000, expected a whole number from 0 to 512"),
    "num_attention_heads": (-4, "num_attention_heads is -4, expected"),
    "layer_norm_eps": (float("nan"), "layer_norm_eps is nan"),
    "vocab_size": ("many", "vocab_size is 'many', expected"),
    "hidden_act": ("os.system", "unknown activation 'os.system'"),
    "hidden_dropout_prob": (1.5, "hidden_dropout_prob is 1.5, expected a number from 0 to below 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_impossible_configurations_are_refused(name, tmp_path):
    value, message = HOSTILE[name]
    settings = {**TINY["bert"], "model_type": "bert", name: value}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigError, match=message):
        AutoModel.from_pretrained(tmp_path)


def test_ten_terabytes_are_refused_before_any_memory_is_asked_for(tmp_path):
    sizes = {"hidden_size": 32_768, "num_attention_heads": 8, "num_hidden_layers": 500, "intermediate_size": 131_072}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **sizes}))
    with pytest.raises(ConfigError, match=r"ask for about 6,\d{3},\d{3},\d{3},\d{3} parameters \(25\.\d TB in fp32\)"):
        AutoModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("value", ["martian", None, ["bert"], {"a": 1}])
def test_unknown_architectures_name_the_known_ones(value, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": value}))
    with pytest.raises(ConfigError, match="Known architectures: .*bert"):
        AutoModel.from_pretrained(tmp_path)


def test_keys_that_name_code_have_no_effect(tmp_path):
    _, ours = tiny_pair("bert", "base")
    ours.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text()) | {
        "auto_map": {"AutoModel": "evil.Evil"},
        "_attn_implementation_internal": "somebody/kernel",
        "trust_remote_code": True,
    }
    path.write_text(json.dumps(values))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    loaded = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert not {"auto_map", "trust_remote_code", "_attn_implementation_internal"} & set(vars(loaded.config))


def test_a_directory_without_weights_or_configuration(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(ConfigError, match=r"has no config.json: it is not a model directory. It holds: readme.txt"):
        AutoModel.from_pretrained(tmp_path)
    BertConfig(**TINY["bert"]).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="model.safetensors"):
        AutoModel.from_pretrained(tmp_path)


def test_a_pickle_needs_consent(tmp_path):
    _, ours = tiny_pair("bert", "base")
    ours.config.save_pretrained(tmp_path)
    torch.save(ours.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="use_safetensors=False"):
        BertModel.from_pretrained(tmp_path)
    same_logits(ours, BertModel.from_pretrained(tmp_path, use_safetensors=False), "base")


def test_inputs_that_cannot_be(tmp_path):
    _, ours = tiny_pair("bert", "base")
    with pytest.raises(InputError, match=r"sequence 0 has 60 tokens but the model has 50 positions"):
        ours(torch.ones(1, 60, dtype=torch.int64))
    with pytest.raises(InputError, match=r"input_ids from 5 to 200 do not fit the vocabulary of 97"):
        ours(torch.tensor([[5, 200]]))
    with pytest.raises(InputError, match=r"shape \(3,\), expected \(batch, sequence\)"):
        ours(torch.tensor([1, 2, 3]))
    with pytest.raises(InputError, match="either input_ids or inputs_embeds"):
        ours()
    with pytest.raises(InputError, match="BertModel needs a BertConfig, got str"):
        BertModel("bert-base-uncased")


def test_models_that_people_build_around_the_body(tmp_path, caplog):
    class WithMeanPooling(bothways.BertPreTrainedModel):
        def __init__(self, config, width: int = 7):
            super().__init__(config)
            self.bert = BertModel(config, add_pooling_layer=False)
            self.scorer = torch.nn.Linear(config.hidden_size, width)
            self.post_init()

        def forward(self, **inputs):
            return self.scorer(self.bert(**inputs).last_hidden_state.mean(1))

    _, body = tiny_pair("bert", "base")
    body.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING, "bothways"):
        model = WithMeanPooling.from_pretrained(tmp_path, width=3)
    assert model(**tiny_inputs(mask="none")).shape == (5, 3)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, body.embeddings.word_embeddings.weight)
    assert "scorer.weight, scorer.bias" in caplog.text
    without = BertModel.from_pretrained(tmp_path, add_pooling_layer=False)
    assert "pooler_output" not in without(**tiny_inputs())

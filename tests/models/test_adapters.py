"""LoRA on models of every family, and adapter directories: ours in peft, peft's here, and what is refused."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from bothways import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    add_lora,
    pipeline,
    save_adapter,
)
from bothways.checkpoints.weights import open_safetensors, sha256_of
from bothways.cli import run
from bothways.errors import CheckpointError, InputError, ModelNotFoundError
from bothways.models.auto import MODEL_CLASSES
from bothways.models.runner import PackedRunner
from bothways.nn.lora import lora_layers
from tests.models.reference import READERS, TINY, tiny_inputs, tiny_pair

FAMILIES = READERS
TASKS = sorted(
    pair
    for pair in MODEL_CLASSES
    if pair[0] in ("bert", "distilbert", "modernbert") or (pair[1] == "base" and pair[0] in READERS)
)
TASKS = [pair for pair in TASKS if pair[1] not in ("pretraining", "next-sentence-prediction")]
SEQUENCES = "sequence-classification"


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("BOTHWAYS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BOTHWAYS_OFFLINE", "1")


def changed(model: torch.nn.Module, seed: int = 1) -> None:
    """What training would change has other values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)


def inputs_for(model_type: str, task: str) -> dict:
    inputs = tiny_inputs(model_type)
    if task == "multiple-choice":
        return {name: value[:, None].expand(-1, 2, -1).contiguous() for name, value in inputs.items()}
    return inputs


def answers(model: torch.nn.Module, inputs: dict) -> torch.Tensor:
    """Logits (start logits, hidden vectors); of real tokens if there is a number for each."""
    with torch.no_grad():
        first = model(**inputs)[0]
    return first[inputs["attention_mask"].bool()] if first.shape[:2] == inputs["attention_mask"].shape else first


def saved(tmp_path: Path, model_type: str = "bert", task: str = SEQUENCES, **options):
    """(reference, ours with LoRA and other values, directory of the adapter); the encoder lies beside it."""
    theirs, ours = tiny_pair(model_type, task)
    (ours if task == "masked-lm" else ours.base_model).save_pretrained(tmp_path / "encoder")
    add_lora(ours, **{"r": 3, **options})
    changed(ours)
    save_adapter(ours, tmp_path / "adapter", base_name="../encoder")
    return theirs, ours, tmp_path / "adapter"


def edited(directory: Path, **changes) -> None:
    path = directory / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


# --- add_lora


@pytest.mark.parametrize("model_type", FAMILIES)
def test_it_begins_where_the_model_was(model_type):
    _, ours = tiny_pair(model_type, SEQUENCES)
    inputs = tiny_inputs(model_type)
    before = answers(ours, inputs)
    add_lora(ours)
    close(answers(ours, inputs), before)
    layers = dict(lora_layers(ours))
    blocks = {id(m) for m in ours.base_model.encoder.modules() if type(m).__name__ == "SelfAttention"}
    assert len(layers) == 2 * len(blocks)
    assert {path.rpartition(".")[2] for path in layers} == {"query", "value"}
    assert all((layer.r, layer.scaling) == (8, 2.0) for layer in layers.values())
    trained = {name for name, p in ours.named_parameters() if p.requires_grad and "lora_" not in name}
    body = f"{ours.family.base_prefix}."
    assert trained == {
        n for n, _ in ours.named_parameters() if not n.startswith(body) or n.startswith(f"{body}pooler.")
    }


@pytest.mark.parametrize(
    ("model_type", "targets", "ends"),
    [
        ("bert", "key", {"self.key"}),
        ("bert", ["attention.output.dense", "query"], {"attention.output.dense", "self.query"}),
        ("bert", ["dense"], {"attention.output.dense", "intermediate.dense", "output.dense"}),
        ("distilbert", ["q_lin", "lin1"], {"self.query", "intermediate.dense"}),
        ("modernbert", ["Wqkv"], {"self.query", "self.key", "self.value"}),
        ("modernbert", ["Wo"], {"attention.output.dense", "output.dense"}),
        ("albert", ["ffn"], {"intermediate.dense"}),
    ],
)
def test_targets_by_either_name(model_type, targets, ends):
    _, ours = tiny_pair(model_type, SEQUENCES)
    add_lora(ours, r=2, targets=targets)
    found = [path for path, _ in lora_layers(ours)]
    assert {end for end in ends if any(path.endswith(end) for path in found)} == ends
    assert all(any(path.endswith(end) for end in ends) for path in found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["query", "q_proj"]}, r"is called 'q_proj'\. Known: dense, key, query, value\."),
        ({"targets": []}, "is called nothing"),
        ({"targets": ["y"]}, "is called 'y'"),
        (
            {"r": 25},
            "r is 25, expected a whole number from 1 to 24: bert.encoder.layer.0.attention.self.query is 24x24",
        ),
        ({"r": 0}, "r is 0"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"dropout": 1.0}, r"dropout is 1\.0, expected a number from 0 to below 1"),
    ],
)
def test_impossible_lora(options, message):
    _, ours = tiny_pair("bert", SEQUENCES)
    with pytest.raises(InputError, match=message):
        add_lora(ours, **options)
    assert not list(lora_layers(ours))


def test_lora_once():
    _, ours = tiny_pair("bert", SEQUENCES)
    add_lora(ours)
    with pytest.raises(InputError, match="6 layers of this BertForSequenceClassification have LoRA already"):
        add_lora(ours)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-3), (torch.bfloat16, 2e-2)])
def test_half_the_bytes(tmp_path, dtype, tolerance):
    _, ours, adapter = saved(tmp_path, targets=("query", "key", "value", "dense"))
    size = (adapter / "adapter_model.safetensors").stat().st_size
    save_adapter(ours, tmp_path / "half", base_name="../encoder", dtype=dtype)
    half = AutoModelForSequenceClassification.from_pretrained(tmp_path / "half")
    assert (tmp_path / "half/adapter_model.safetensors").stat().st_size < 0.7 * size
    assert half.dtype == torch.float32 and ours.dtype == torch.float32
    with open_safetensors(tmp_path / "half/adapter_model.safetensors") as weights:
        assert {weights.dtype(name) for name in weights.names()} == {torch.float16 if dtype == "float16" else dtype}
    expected = answers(ours.eval(), tiny_inputs())
    torch.testing.assert_close(answers(half, tiny_inputs()), expected, atol=tolerance * 10, rtol=tolerance)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_eight_bits_for_the_products(model_type, tmp_path):
    """A and B take a byte each, all else two; small ones are not lost; peft reads the same numbers."""
    theirs, ours, whole = saved(tmp_path, model_type, r=4)
    layers = [layer for _, layer in lora_layers(ours)]
    with torch.no_grad():
        for factor in {id(layer.lora_A): layer.lora_A for layer in layers}.values():
            factor.mul_(1e3)
        for layer in layers:
            layer.lora_B.mul_(1e-3)  # below 2**-10, the last that 8 bits tell from 0
        layers[0].lora_B.zero_()  # never learned
    expected = {path: (layer.lora_B @ layer.lora_A).detach() for path, layer in lora_layers(ours)}
    save_adapter(ours, tmp_path / "small", base_name="../encoder", dtype="float8_e4m3fn")
    with open_safetensors(tmp_path / "small/adapter_model.safetensors") as weights:
        stored = {name: weights.dtype(name) for name in weights.names()}
    assert {d for name, d in stored.items() if "lora_" in name} == {torch.float8_e4m3fn}
    assert {d for name, d in stored.items() if "lora_" not in name} == {torch.float16}
    read = AutoModelForSequenceClassification.from_pretrained(tmp_path / "small", merge=False)
    found = {path: layer for path, layer in lora_layers(read) if not path.endswith(".key")}  # ModernBERT's fused matrix
    assert found.keys() == expected.keys()
    for path, layer in found.items():
        assert layer.lora_A.dtype == torch.float32
        lost = (layer.lora_B @ layer.lora_A).detach() - expected[path]
        assert float(lost.norm()) <= 0.06 * float(expected[path].norm())
    inputs = tiny_inputs(model_type)
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "small")
    close(answers(merged, inputs), answers(read, inputs))
    reference = peft.PeftModel.from_pretrained(theirs, tmp_path / "small").eval()
    close(answers(reference.base_model, inputs), answers(read, inputs))


def test_a_whole_model_in_eight_bits_is_refused(tmp_path):
    """Its scales, which every maker stores in another way, would be lost."""
    _, ours = tiny_pair("bert", SEQUENCES)
    ours.save_pretrained(tmp_path / "model")
    file = tmp_path / "model/model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("query.weight"))
    save_file(tensors | {name: tensors[name].to(torch.float8_e4m3fn)}, file)
    with pytest.raises(CheckpointError, match=rf"{name}' is torch.float8_e4m3fn, an 8-bit float.*to bfloat16"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")


def test_numbers_that_half_cannot_hold(tmp_path):
    _, ours, _ = saved(tmp_path)
    with torch.no_grad():
        ours.classifier.bias[0] = 7e4
    with pytest.raises(InputError, match=r"values up to 7e\+04 do not fit into torch.float16. Pass bfloat16"):
        save_adapter(ours, tmp_path / "half", base_name="../encoder", dtype="float16")
    assert not (tmp_path / "half" / "adapter_model.safetensors").exists()


# --- training


@pytest.mark.parametrize("model_type", ["bert", "albert", "modernbert"])
def test_gradients_are_those_of_the_merged_weights(model_type):
    """dL/dA and dL/dB from dL/dW of an ordinary model: summed over the parts that share A."""
    _, ours = tiny_pair(model_type, SEQUENCES)
    add_lora(ours, r=3, alpha=4.5)
    changed(ours)
    ours.double()
    plain = type(ours)(ours.config).double().eval()
    state = {n: t for n, t in ours.state_dict().items() if "lora_" not in n}
    layers = dict(lora_layers(ours))
    plain.load_state_dict(state | {f"{path}.weight": layer.inference_weight() for path, layer in layers.items()})
    batch = {**tiny_inputs(model_type), "labels": torch.arange(5) % 5}
    for model in (ours, plain):
        model(**batch).loss.backward()
    for parameter in {id(layer.lora_A): layer.lora_A for layer in layers.values()}.values():
        expected = torch.zeros_like(parameter)
        for path, layer in layers.items():
            if layer.lora_A is parameter:
                gradient = plain.get_parameter(f"{path}.weight").grad
                assert gradient is not None
                expected += 1.5 * layer.lora_B.detach().T @ gradient
                torch.testing.assert_close(layer.lora_B.grad, 1.5 * gradient @ parameter.detach().T)
        assert expected.abs().max() > 0
        torch.testing.assert_close(parameter.grad, expected)


def test_training_changes_what_is_trained_and_nothing_else():
    _, ours = tiny_pair("bert", SEQUENCES)
    add_lora(ours, dropout=0.1)
    before = {name: p.detach().clone() for name, p in ours.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in ours.parameters() if p.requires_grad], lr=0.02)
    batch = {**tiny_inputs(), "labels": torch.tensor([0, 1, 2, 3, 4])}
    losses = []
    ours.train()
    torch.manual_seed(0)
    for _ in range(30):
        loss = ours(**batch).loss
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.5 * losses[0]
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
        assert parameter.requires_grad or parameter.grad is None


def test_frozen_weights_cost_no_gradient():
    """A linear layer's backward is two products, by its input and by its weight; LoRA leaves out the second."""

    def backward_flops(lora: bool) -> int:
        _, ours = tiny_pair("bert", SEQUENCES)
        if lora:
            add_lora(ours, r=1)
        loss = ours.train()(**tiny_inputs(mask="none"), labels=torch.zeros(5, dtype=torch.int64)).loss
        with FlopCounterMode(display=False) as counter:
            loss.backward()
        return counter.get_total_flops()

    assert backward_flops(True) < 0.65 * backward_flops(False)


# --- directories


@pytest.mark.parametrize(("model_type", "task"), sorted({*TASKS, *((family, SEQUENCES) for family in FAMILIES)}))
def test_a_directory_gives_the_same_answers_here_and_in_peft(model_type, task, tmp_path):
    theirs, ours, directory = saved(tmp_path, model_type, task)
    inputs = inputs_for(model_type, task)
    expected = answers(ours, inputs)
    assert sorted(p.name for p in directory.iterdir()) == [
        *("adapter_config.json", "adapter_model.safetensors", "config.json")
    ]
    cls = MODEL_CLASSES[model_type, task]
    merged = cls.from_pretrained(directory)
    assert type(merged) is cls and not list(lora_layers(merged)) and not merged.training
    assert merged.load_report.sentence() == ""
    close(answers(merged, inputs), expected)
    apart = cls.from_pretrained(directory, merge=False)
    assert torch.equal(answers(apart, inputs), expected)
    assert {n for n, p in apart.named_parameters() if p.requires_grad} == {
        n for n, p in ours.named_parameters() if p.requires_grad
    } | {n for n, _ in apart.named_parameters() if n.endswith("self.key.lora_B")}  # ModernBERT's fused matrix
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # unknown settings, missing tensors
        reference = peft.PeftModel.from_pretrained(theirs, directory).eval()
    # through base_model: the wrapper for questions loses token_type_ids on the way
    close(answers(reference.base_model, inputs), expected)


PEFT_TARGETS = {
    "distilbert": ["q_lin", "v_lin", "lin2"],
    "modernbert": ["Wqkv", "Wi"],
    "albert": ["query", "ffn"],
}


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("rslora", [False, True])
def test_a_directory_of_peft(model_type, rslora, tmp_path, caplog):
    theirs, ours = tiny_pair(model_type, SEQUENCES, num_labels=4)
    ours.base_model.save_pretrained(tmp_path / "encoder")
    theirs.name_or_path = str(tmp_path / "encoder")
    targets = PEFT_TARGETS.get(model_type, ["query", "value", "intermediate.dense"])
    settings = peft.LoraConfig(
        task_type="SEQ_CLS", r=4, lora_alpha=6, lora_dropout=0.1, target_modules=targets, use_rslora=rslora,
        modules_to_save=["pooler", "classifier", "pre_classifier", "head"],
        rank_pattern={targets[0]: 2}, alpha_pattern={targets[1]: 5},
    )  # fmt: skip
    reference = peft.get_peft_model(theirs, settings).eval()
    changed(reference)
    reference.save_pretrained(tmp_path / "adapter")
    inputs = tiny_inputs(model_type)
    expected = answers(reference, inputs)
    config = AutoConfig.from_pretrained(tmp_path / "adapter")
    assert config.num_labels == 4 and config.architectures == [type(ours).__name__]
    close(answers(AutoModelForSequenceClassification.from_pretrained(tmp_path / "adapter"), inputs), expected)
    assert "does not record the hash of its encoder" in caplog.text
    apart = AutoModelForSequenceClassification.from_pretrained(tmp_path / "adapter", merge=False)
    close(answers(apart, inputs), expected)
    assert {layer.lora_dropout.p for _, layer in lora_layers(apart)} == {0.1}
    save_adapter(apart, tmp_path / "again")  # ranks and scales differ between layers
    close(answers(AutoModelForSequenceClassification.from_pretrained(tmp_path / "again"), inputs), expected)
    again = peft.PeftModel.from_pretrained(tiny_pair(model_type, SEQUENCES, num_labels=4)[0], tmp_path / "again")
    close(answers(again.eval(), inputs), expected)


def test_peft_on_every_dense_layer(tmp_path):
    """The pooler is frozen and has LoRA; it is no layer of the encoder."""
    theirs, ours = tiny_pair("bert", SEQUENCES)
    ours.base_model.save_pretrained(tmp_path / "encoder")
    theirs.name_or_path = str(tmp_path / "encoder")
    reference = peft.get_peft_model(theirs, peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["dense"])).eval()
    changed(reference)
    reference.save_pretrained(tmp_path / "adapter")
    for merge in (True, False):
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "adapter", merge=merge)
        close(answers(model, tiny_inputs()), answers(reference, tiny_inputs()))


def test_what_the_files_say(tmp_path):
    _, ours = tiny_pair("bert", SEQUENCES, num_labels=2)
    ours.base_model.save_pretrained(tmp_path / "encoder")
    ours.config.id2label, ours.config.label2id = {0: "ham", 1: "spam"}, {"ham": 0, "spam": 1}
    ours.config.problem_type = "single_label_classification"
    add_lora(ours, r=4, alpha=10, dropout=0.1, targets=["query", "value"])
    digest = sha256_of(tmp_path / "encoder" / "model.safetensors")
    save_adapter(ours, tmp_path / "adapter", base_name="some/encoder", base_sha256=digest)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["auto_mapping"].pop("base_model_sha256") == digest
    assert settings == {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS",
        "base_model_name_or_path": "some/encoder",
        "auto_mapping": {
            "base_model_class": "BertForSequenceClassification",
            "parent_library": "transformers.models.bert.modeling_bert",
        },
        "inference_mode": True,
        "r": 4,
        "lora_alpha": 10,
        "rank_pattern": {},
        "alpha_pattern": {},
        "lora_dropout": 0.1,
        "target_modules": ["query", "value"],
        "modules_to_save": ["bert.pooler", "classifier"],
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
    }
    config = json.loads((tmp_path / "adapter" / "config.json").read_text())
    assert config["id2label"] == {"0": "ham", "1": "spam"}
    assert config["problem_type"] == "single_label_classification"
    assert config["architectures"] == ["BertForSequenceClassification"]
    with open_safetensors(tmp_path / "adapter" / "adapter_model.safetensors") as weights:
        names = weights.names()
    assert "base_model.model.bert.encoder.layer.2.attention.self.value.lora_B.weight" in names
    assert len(names) == 3 * 2 * 2 + 4


def test_the_size_of_an_adapter_for_the_default_encoder(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    model = BertForSequenceClassification(BertConfig(vocab_size=30, num_labels=2, **sizes))
    add_lora(model, r=8)
    assert model.num_parameters(only_trainable=True) == 6 * 2 * 8 * (384 + 384) + 384 * 385 + 2 * 385
    save_adapter(model, tmp_path / "adapter", base_name="minilm-l6", base_sha256="0" * 64)
    total = sum(path.stat().st_size for path in (tmp_path / "adapter").iterdir())
    assert 880_000 < total < 910_000


def test_save_pretrained_writes_an_ordinary_model(tmp_path):
    theirs, ours, _ = saved(tmp_path)
    ours.save_pretrained(tmp_path / "whole")
    expected = answers(ours, tiny_inputs())
    close(answers(AutoModelForSequenceClassification.from_pretrained(tmp_path / "whole"), tiny_inputs()), expected)
    close(answers(type(theirs).from_pretrained(tmp_path / "whole"), tiny_inputs()), expected)
    assert list(lora_layers(ours))  # which goes on as it was
    state = {name: tensor * 2 for name, tensor in ours.state_dict().items()}
    ours.save_pretrained(tmp_path / "other", state_dict=state)
    with open_safetensors(tmp_path / "other" / "model.safetensors") as weights:
        assert not [name for name in weights.names() if "lora" in name]
        first = weights.load("bert.encoder.layer.0.attention.self.query.weight")
    layer = ours.bert.encoder.layer[0].attention.self.query
    close(first, 2 * layer.weight + 4 * layer.scaling * layer.lora_B @ layer.lora_A)


def test_training_goes_on(tmp_path):
    _, ours, directory = saved(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(directory, merge=False)
    changed(model, seed=7)
    save_adapter(model, tmp_path / "further")  # encoder and hash are known
    first, second = (json.loads((d / "adapter_config.json").read_text()) for d in (directory, tmp_path / "further"))
    assert first == second
    close(
        answers(AutoModelForSequenceClassification.from_pretrained(tmp_path / "further"), tiny_inputs()),
        answers(model, tiny_inputs()),
    )
    resumed = AutoModelForSequenceClassification.from_pretrained(directory, merge=False)
    resumed.load_state_dict(model.state_dict())
    assert torch.equal(answers(resumed, tiny_inputs()), answers(model, tiny_inputs()))


def test_all_that_was_trained_is_saved(tmp_path):
    """A norm that the user thawed, and a head that the user froze."""
    theirs, ours = tiny_pair("distilbert", SEQUENCES)
    ours.base_model.save_pretrained(tmp_path / "encoder")
    add_lora(ours, r=2, targets=["query"])
    ours.base_model.encoder.layer[1].output.LayerNorm.requires_grad_(True)
    changed(ours)
    ours.classifier.requires_grad_(False)
    save_adapter(ours, tmp_path / "adapter", base_name="../encoder")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert sorted(settings["modules_to_save"]) == [
        *("classifier", "distilbert.transformer.layer.1.output_layer_norm", "pre_classifier")
    ]
    expected = answers(ours, tiny_inputs("distilbert"))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "adapter")
    close(answers(model, tiny_inputs("distilbert")), expected)
    close(
        answers(peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval(), tiny_inputs("distilbert")),
        expected,
    )


def test_some_layers_only(tmp_path):
    """The short name would mean the other layers too."""
    theirs, ours = tiny_pair("bert", SEQUENCES)
    ours.base_model.save_pretrained(tmp_path / "encoder")
    add_lora(ours, r=2, targets=["layer.0.attention.self.query", "layer.2.attention.self.query"])
    changed(ours)
    save_adapter(ours, tmp_path / "adapter", base_name="../encoder")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["target_modules"] == [f"bert.encoder.layer.{i}.attention.self.query" for i in (0, 2)]
    reference = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    close(answers(reference, tiny_inputs()), answers(ours, tiny_inputs()))


def test_the_body_alone_and_other_dtypes(tmp_path):
    _, ours, directory = saved(tmp_path)
    body = AutoModel.from_pretrained(directory)
    close(answers(body, tiny_inputs()), answers(ours.bert, tiny_inputs()))
    assert list(body.load_report.unexpected) == ["classifier.bias", "classifier.weight"]
    half = AutoModelForSequenceClassification.from_pretrained(directory, dtype="bfloat16")
    weight = ours.bert.encoder.layer[0].attention.self.value.inference_weight()
    # added in fp32 and rounded once
    assert torch.equal(half.bert.encoder.layer[0].attention.self.value.weight, weight.bfloat16())


def test_another_number_of_labels(tmp_path):
    _, _, directory = saved(tmp_path)
    with pytest.raises(CheckpointError, match="5 in the file, 3 in the model"):
        AutoModelForSequenceClassification.from_pretrained(directory, num_labels=3)
    model = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=3, ignore_mismatched_sizes=True)
    assert model.classifier.weight.shape == (3, 24)


def test_an_encoder_with_a_head_of_its_own(tmp_path):
    """Of another size: it does not matter, and nobody is told."""
    _, ours, directory = saved(tmp_path)
    whole = BertForSequenceClassification(BertConfig(**{**TINY["bert"], "num_labels": 9}))
    whole.bert.load_state_dict({n: t for n, t in ours.bert.state_dict().items() if "lora_" not in n})
    whole.save_pretrained(tmp_path / "with-head")
    edited(directory, base_model_name_or_path=str(tmp_path / "with-head"), auto_mapping=None)
    model = AutoModelForSequenceClassification.from_pretrained(directory)
    assert model.load_report.sentence() == ""
    close(answers(model, tiny_inputs()), answers(ours, tiny_inputs()))


# --- prediction


def test_the_fast_path_with_and_without_merging(tmp_path):
    _, ours, directory = saved(tmp_path)
    expected = answers(ours, tiny_inputs(mask="none"))
    inputs = tiny_inputs(mask="none")
    ids, types = inputs["input_ids"].tolist(), inputs["token_type_ids"].tolist()
    for merge in (True, False):
        model = AutoModelForSequenceClassification.from_pretrained(directory, merge=merge)
        found = PackedRunner(model).sequence_logits(ids, types)
        assert model.bert.encoder.is_prepared
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
        changed(model)
        close(torch.from_numpy(PackedRunner(model).sequence_logits(ids, types)), answers(model, inputs))


@pytest.fixture
def sentiment(tiny_model, tmp_path) -> Path:
    """An adapter beside a copy of its encoder, which has the tokeniser."""
    shutil.copytree(tiny_model, tmp_path / "encoder")
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "encoder", id2label={0: "neg", 1: "pos"}
    )
    add_lora(model, r=4)
    changed(model)
    save_adapter(model, tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        tmp_path / "encoder"
    )
    return tmp_path / "adapter"


def test_pipelines_take_the_tokeniser_of_the_encoder(sentiment):
    texts = ["a good film", "the plot was awful", "it"]
    assert AutoTokenizer.from_pretrained(sentiment).tokenize("a good film") == ["a", "good", "film"]
    merged = pipeline(model=str(sentiment))  # the task, too, is known
    assert {answer["label"] for answer in merged(texts, top_k=None)[0]} == {"neg", "pos"}
    apart = pipeline("text-classification", model=sentiment, model_kwargs={"merge": False})
    assert list(lora_layers(apart.model))
    model = AutoModelForSequenceClassification.from_pretrained(sentiment, merge=False)
    tokenizer = AutoTokenizer.from_pretrained(sentiment.parent / "encoder")
    with torch.no_grad():
        expected = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
    for pipe in (merged, apart):
        scores = [[a["score"] for a in sorted(row, key=lambda a: a["label"])] for row in pipe(texts, top_k=None)]
        close(torch.tensor(scores), expected)
    assert model.encode(["a good film"]).shape == (1, 32)


def test_vectors_are_pooled_as_the_encoder_says(sentiment):
    encoder = sentiment.parent / "encoder"
    (encoder / "1_Pooling").mkdir()
    (encoder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (encoder / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    vectors = AutoModelForSequenceClassification.from_pretrained(sentiment).encode(["a good film", "it"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_tokeniser_beside_the_adapter_comes_first(sentiment):
    tokenizer = AutoTokenizer.from_pretrained(sentiment)
    tokenizer.add_tokens(["goodness"])
    tokenizer.save_pretrained(sentiment)
    assert AutoTokenizer.from_pretrained(sentiment).tokenize("goodness") == ["goodness"]


def test_the_command_line(sentiment, tmp_path, capsys):
    texts = ["a good film", "the plot was awful"]
    (tmp_path / "texts.csv").write_text("\n".join(["text", *texts]))
    assert run(["predict", str(sentiment), str(tmp_path / "texts.csv")]) == 0
    found = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    assert found == [answer["label"] for answer in pipeline(model=sentiment)(texts)]


# --- the encoder


def test_an_encoder_by_its_name(tmp_path):
    _, ours, directory = saved(tmp_path)
    store = tmp_path / "home" / "models"
    store.mkdir(parents=True, exist_ok=True)
    (tmp_path / "encoder").rename(store / "my-encoder")
    edited(directory, base_model_name_or_path="my-encoder")
    close(
        answers(BertForSequenceClassification.from_pretrained(directory), tiny_inputs()), answers(ours, tiny_inputs())
    )
    save_adapter(ours, tmp_path / "named", base_name="my-encoder")
    one, other = (json.loads((d / "adapter_config.json").read_text()) for d in (directory, tmp_path / "named"))
    assert one == other


def test_another_encoder_under_the_name(tmp_path):
    _, ours, directory = saved(tmp_path)
    weights = tmp_path / "encoder" / "model.safetensors"
    right = sha256_of(weights)
    other = tiny_pair("bert", "base", seed=5)[1]
    other.save_pretrained(tmp_path / "encoder")
    with pytest.raises(CheckpointError) as caught:
        AutoModelForSequenceClassification.from_pretrained(directory)
    assert right in str(caught.value) and sha256_of(weights) in str(caught.value) and right != sha256_of(weights)
    weights.unlink()
    with pytest.raises(CheckpointError, match="holds no model.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(directory)


def test_no_encoder(tmp_path):
    _, _, directory = saved(tmp_path)
    shutil.rmtree(tmp_path / "encoder")
    with pytest.raises(ModelNotFoundError, match=r"is an adapter for the encoder '\.\./encoder'"):
        AutoModelForSequenceClassification.from_pretrained(directory)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../../encoder", "which leads out of"),
        ("x/../../../../etc", "which leads out of"),
        ("~/encoder", "expected a model name, an absolute path"),
        ("//host/share", "expected a model name, an absolute path"),
        ("\\\\host\\share", "expected a model name, an absolute path"),
        ("a\0b", "expected the name or the directory"),
        ("x" * 5000, "expected the name or the directory"),
        ("", "expected the name or the directory"),
        (None, "expected the name or the directory"),
        (["../encoder"], "expected the name or the directory"),
        (".", "which is an adapter itself"),
        ("../adapter", "which is an adapter itself"),
    ],
)
def test_impossible_names(name, message, tmp_path):
    _, _, directory = saved(tmp_path)
    edited(directory, base_model_name_or_path=name)
    for load in (AutoModelForSequenceClassification.from_pretrained, AutoTokenizer.from_pretrained):
        with pytest.raises(CheckpointError, match=message):
            load(directory)


@pytest.mark.parametrize("digest", ["abc", 5, "g" * 64, "0" * 63 + "\n"])
def test_a_hash_that_is_none(digest, tmp_path):
    _, _, directory = saved(tmp_path)
    edited(directory, auto_mapping={"base_model_sha256": digest})
    with pytest.raises(CheckpointError, match="expected 64 hexadecimal digits"):
        AutoModelForSequenceClassification.from_pretrained(directory)


# --- hostile and damaged directories


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 10**9}, "r is 1000000000, expected a whole number from 1 to 4,096"),
        ({"r": 4}, r"are \(3, 24\) and \(24, 3\); with r=4"),
        ({"r": True}, "r is True"),
        ({"rank_pattern": {"query": 2.5}}, "r is 2.5"),
        ({"rank_pattern": {"(a+)+$": 3}}, "rank_pattern is .*, expected an object of plain paths"),
        ({"alpha_pattern": ["query"]}, "alpha_pattern is .*, expected an object of plain paths"),
        ({"lora_alpha": 1e300}, "lora_alpha is 1e"),
        ({"lora_alpha": "16"}, "lora_alpha is '16'"),
        ({"lora_dropout": 1}, "lora_dropout is 1, expected"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3', expected 'LORA'"),
        ({"use_dora": True, "bias": "all"}, "use_dora is True, which is not supported; bias is 'all'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa': the encoder's weights were changed"),
    ],
)
def test_impossible_settings(changes, message, merge, tmp_path):
    _, _, directory = saved(tmp_path)
    edited(directory, **changes)
    with pytest.raises(CheckpointError, match=message):
        AutoModelForSequenceClassification.from_pretrained(directory, merge=merge)


def rewritten(directory: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    path = directory / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


HUGE = {"A.weight": (3, 10**6), "B.weight": (10**6, 3)}  # 24 MB of files, whose product has 4 TB
QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(f"{QUERY}.lora_B.weight"), "has lora_A only"),
        (lambda t: [t.pop(n) for n in list(t) if "lora_" in n], "has 4 tensors and no matrices of LoRA"),
        (
            lambda t: t.update({n.replace("layer.2", "layer.9"): t.pop(n) for n in list(t) if "layer.2" in n}),
            "2 of 6 LoRA matrices belong to no layer of this model",
        ),
        (
            lambda t: t.update({f"{QUERY}.lora_{k}": torch.ones(s) for k, s in HUGE.items()}),
            "is 1000000x1000000, the model's matrix is 24x24",
        ),
        (lambda t: t.update({f"{QUERY}.lora_A.weight": torch.ones(3)}), r"are \(3,\) and \(24, 3\)"),
        (lambda t: t.update({f"{QUERY}.weight": torch.ones(24, 24)}), "has LoRA and a whole weight"),
        (lambda t: t.update({f"{QUERY}.lora_magnitude_vector": torch.ones(24)}), "is no matrix of LoRA"),
    ],
)  # fmt: skip
def test_impossible_tensors(change, message, merge, tmp_path):
    _, _, directory = saved(tmp_path)
    rewritten(directory, change)
    with pytest.raises(CheckpointError, match=message):
        AutoModelForSequenceClassification.from_pretrained(directory, merge=merge)


def test_a_pickle_is_not_opened(tmp_path):
    _, _, directory = saved(tmp_path)
    (directory / "adapter_model.safetensors").rename(directory / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="adapter_model.safetensors is not a file"):
        AutoModelForSequenceClassification.from_pretrained(directory, use_safetensors=False)


def test_where_no_adapter_is_written(tmp_path):
    _, ours = tiny_pair("bert", SEQUENCES)
    with pytest.raises(InputError, match="has no LoRA: call add_lora first"):
        save_adapter(ours, tmp_path / "adapter", base_name="x", base_sha256="0" * 64)
    ours.save_pretrained(tmp_path / "whole")
    add_lora(ours)
    with pytest.raises(InputError, match=r"holds a whole model \(model.safetensors\)"):
        save_adapter(ours, tmp_path / "whole", base_name="x", base_sha256="0" * 64)
    with pytest.raises(InputError, match=r"is not known. Pass base_name="):
        save_adapter(ours, tmp_path / "adapter")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        save_adapter(ours, tmp_path / "file", base_name="x", base_sha256="0" * 64)


def test_an_adapter_is_no_encoder(tmp_path):
    _, _, directory = saved(tmp_path)
    merged = AutoModelForSequenceClassification.from_pretrained(directory)
    add_lora(merged, r=2)
    for name in (None, "../encoder"):  # the products that were merged are in no encoder
        with pytest.raises(InputError, match=rf"loaded from the adapter {directory}, which is merged.*merge=False"):
            save_adapter(merged, tmp_path / "second", base_name=name)
    assert not (tmp_path / "second").exists()
    merged.save_pretrained(tmp_path / "merged")
    close(
        answers(AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged"), tiny_inputs()),
        answers(merged, tiny_inputs()),
    )
    _, ours = tiny_pair("bert", SEQUENCES)
    add_lora(ours, r=2)
    with pytest.raises(CheckpointError, match="which is an adapter itself"):
        save_adapter(ours, tmp_path / "second", base_name=str(directory))

"""BERTs that were published under other names and by old programs load as they are."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import bothways
from bothways import AutoModel, AutoModelForMaskedLM, AutoModelForTokenClassification, BertModel
from bothways.errors import ConfigError
from tests.models.reference import tiny_inputs, tiny_pair

OLD_EXTRAS = {
    "_num_labels": 2,
    "directionality": "bidi",
    "do_sample": False,
    "eos_token_ids": 0,
    "gradient_checkpointing": False,
    "output_past": True,
    "pooler_fc_size": 768,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
    "pruned_heads": {},
    "torchscript": False,
    "use_bfloat16": False,
    "transformers_version": "2.4.0",
}
"""What old programs wrote beside the sizes."""


def publish(directory, theirs, *, without=(), extras=OLD_EXTRAS, rename=lambda name: name, drop=()) -> None:
    """The reference's directory, changed to what an older or another program would have written."""
    theirs.save_pretrained(directory)
    path = directory / "config.json"
    values = json.loads(path.read_text()) | extras
    path.write_text(json.dumps({k: v for k, v in values.items() if k not in without}))
    path = directory / "model.safetensors"
    tensors = {rename(name): t for name, t in load_file(path).items() if not name.startswith(tuple(drop))}
    save_file(tensors, path, metadata={"format": "pt"})


def gamma_and_beta(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@torch.no_grad()
def assert_same_body(theirs, ours) -> None:
    inputs = tiny_inputs(mask="right")
    kept = inputs["attention_mask"] != 0
    expected = theirs.base_model(**inputs).last_hidden_state[kept]
    torch.testing.assert_close(ours.base_model(**inputs).last_hidden_state[kept], expected, atol=1e-5, rtol=0)


def test_minilm_has_no_prefix_no_architectures_and_a_buffer(tmp_path):
    theirs, _ = tiny_pair("bert", "base")
    publish(tmp_path, theirs, without=("architectures",))
    path = tmp_path / "model.safetensors"
    save_file(load_file(path) | {"embeddings.position_ids": torch.arange(50)[None]}, path, metadata={"format": "pt"})
    ours = AutoModel.from_pretrained(tmp_path)
    assert isinstance(ours, BertModel)
    assert ours.load_report.missing == ours.load_report.unexpected == ()
    assert_same_body(theirs, ours)


@pytest.mark.parametrize("name", ["biobert_v1.1", "legal-bert-base"])
def test_norms_under_their_old_names_and_a_head_that_is_there(name, tmp_path):
    theirs, _ = tiny_pair("bert", "pretraining")
    publish(tmp_path / name, theirs, rename=gamma_and_beta)
    names = load_file(tmp_path / name / "model.safetensors")
    assert any(n.endswith("LayerNorm.gamma") for n in names) and not any(n.endswith("LayerNorm.weight") for n in names)
    ours = AutoModelForMaskedLM.from_pretrained(tmp_path / name)
    assert ours.load_report.missing == ()
    assert set(ours.load_report.unexpected) >= {"cls.seq_relationship.weight", "cls.seq_relationship.bias"}
    assert_same_body(theirs, ours)
    inputs = tiny_inputs(mask="none")
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs).logits, theirs(**inputs).prediction_logits, atol=1e-5, rtol=0)


def test_spanbert_has_neither_pooler_nor_heads_nor_a_model_type(tmp_path):
    theirs, _ = tiny_pair("bert", "pretraining")
    directory = tmp_path / "spanbert-base-cased"
    publish(
        directory,
        theirs,
        without=("architectures", "model_type"),
        rename=gamma_and_beta,
        drop=("bert.pooler", "cls."),
    )
    body = AutoModel.from_pretrained(directory)
    assert set(body.load_report.missing) == {"pooler.dense.weight", "pooler.dense.bias"}
    tagger = AutoModelForTokenClassification.from_pretrained(directory, num_labels=3)
    assert set(tagger.load_report.missing) == {"classifier.weight", "classifier.bias"}
    filler = AutoModelForMaskedLM.from_pretrained(directory)
    assert all(name.startswith("cls.predictions.") for name in filler.load_report.missing)
    for ours in (body, tagger, filler):
        assert ours.load_report.unexpected == ()
        assert_same_body(theirs, ours)


@pytest.mark.parametrize(
    ("family", "task", "name"),
    [("roberta", "masked-lm", "anything"), ("roberta", "base", "my-roberta-2"), ("distilbert", "base", "DistilBERT")],
)
def test_a_file_without_model_type_is_read_by_its_class_or_its_name(family, task, name, tmp_path):
    theirs, _ = tiny_pair(family, task)
    kept = () if name == "anything" else ("architectures",)
    publish(tmp_path / name, theirs, without=("model_type", *kept), extras={})
    assert AutoModel.from_pretrained(tmp_path / name).config.model_type == family


def test_neither_class_nor_name(tmp_path):
    theirs, _ = tiny_pair("bert", "base")
    publish(tmp_path / "robert" / "model", theirs, without=("model_type",), extras={"architectures": ["OurModel", 7]})
    with pytest.raises(ConfigError, match="model_type is None. Known architectures: .*bert"):
        AutoModel.from_pretrained(tmp_path / "robert" / "model")
    assert_same_body(theirs, BertModel.from_pretrained(tmp_path / "robert" / "model"))


def test_unknown_settings_are_kept_and_written_again(tmp_path):
    theirs, _ = tiny_pair("bert", "base")
    publish(tmp_path / "old", theirs)
    bothways.AutoModel.from_pretrained(tmp_path / "old").save_pretrained(tmp_path / "new")
    written = json.loads((tmp_path / "new" / "config.json").read_text())
    kept = {k: v for k, v in OLD_EXTRAS.items() if not k.startswith("_") and k != "transformers_version"}
    assert written | kept == written
    back = transformers.AutoModel.from_pretrained(tmp_path / "new", attn_implementation="eager").eval()
    assert_same_body(back, AutoModel.from_pretrained(tmp_path / "new"))

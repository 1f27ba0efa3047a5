"""The reference library's tiny random BERTs through our files and back: same names, same bits, no complaints."""

import pytest
import torch

from bothways.checkpoints.key_map import Ignore, KeyMap, Legacy, Tie
from bothways.checkpoints.load_report import load_tensors
from bothways.checkpoints.weights import open_weights
from bothways.checkpoints.weights_writer import write_weights

transformers = pytest.importorskip("transformers")

CONFIG = transformers.BertConfig(
    vocab_size=31, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, num_labels=3
)
BERT = KeyMap(
    Legacy("LayerNorm.gamma", "LayerNorm.weight"),
    Legacy("LayerNorm.beta", "LayerNorm.bias"),
    Ignore("embeddings.position_ids"),
    Tie("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    Tie("cls.predictions.decoder.bias", "cls.predictions.bias"),
    base_prefix="bert",
)
MODELS = [transformers.BertModel, transformers.BertForSequenceClassification, transformers.BertForMaskedLM]


def model_of(kind, seed=0):
    torch.manual_seed(seed)
    return kind(CONFIG).eval()


def read(directory, model, **options):
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    with open_weights(directory, **options) as weights:
        return load_tensors(weights, BERT, wanted, base_prefix="bert", source=str(directory))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("shard_size", ["5GB", "2KB"])
def test_the_reference_reads_what_we_write(kind, shard_size, tmp_path):
    model = model_of(kind)
    CONFIG.save_pretrained(tmp_path)
    write_weights(tmp_path, BERT.to_theirs(model.state_dict()), max_shard_size=shard_size)
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard_size == "2KB")

    loaded, info = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("safe", [True, False])
def test_we_read_what_the_reference_writes(kind, safe, tmp_path):
    model = model_of(kind)
    model.save_pretrained(tmp_path, safe_serialization=safe, max_shard_size="2KB")
    tensors, report = read(tmp_path, model, allow_pickle=not safe)
    assert report.sentence() == ""
    assert tensors.keys() == model.state_dict().keys()
    other = model_of(kind, seed=1)
    other.load_state_dict(tensors)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_heads_come_and_go_as_in_the_reference(tmp_path):
    masked_lm = model_of(transformers.BertForMaskedLM)
    masked_lm.save_pretrained(tmp_path)
    classifier = model_of(transformers.BertForSequenceClassification, seed=1)
    tensors, report = read(tmp_path, classifier)
    _, info = type(classifier).from_pretrained(tmp_path, output_loading_info=True)
    assert set(report.missing) == set(info["missing_keys"])
    assert set(report.unexpected) == set(info["unexpected_keys"])
    assert report.n_loaded + len(report.unexpected) == report.n_tensors
    assert torch.equal(tensors["bert.embeddings.word_embeddings.weight"], masked_lm.get_input_embeddings().weight)

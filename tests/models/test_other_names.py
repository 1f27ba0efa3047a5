"""Attributes of the ecosystem's classes: what programs read, replace and freeze."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bothways import AlbertPreTrainedModel, AutoModelForSequenceClassification
from bothways.families import FAMILIES
from bothways.families.albert import AlbertConfig
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import ALL_CLASSES, TINY, tiny_inputs, tiny_pair

DIFFERENT = {
    # the reference's attribute names a module of another make: see OtherNames
    ("modernbert", "head"),
    ("albert", "pooler"),
    ("albert", "pooler_activation"),
    ("distilbert", "activation"),
    ("distilbert", "mlm_loss_fct"),
    ("modernbert", "drop"),
    ("llama", "rotary_emb"),  # angles are no module here
    ("mistral", "rotary_emb"),
}
CLASSIFIERS = sorted(name for name, task in MODEL_CLASSES if task == "sequence-classification")


def head_name(model: nn.Module) -> str:
    """What the family calls the layers behind its body."""
    return next(name for name in ("classifier", "score", "classification_head") if name in model._modules)


@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=[cls.__name__ for _, cls in ALL_CLASSES])
def test_every_module_of_the_reference_has_an_attribute_here(key, cls):
    theirs, ours = tiny_pair(*key)
    for model, other in ((theirs, ours), (theirs.base_model, ours.base_model)):
        for name, module in model.named_children():
            if (key[0], name) in DIFFERENT:
                continue
            mine = getattr(other, name)
            assert isinstance(mine, nn.Module), name
            if isinstance(module, nn.Linear):
                assert torch.equal(mine.weight, module.weight), name
    assert ours.base_model is getattr(ours, ours.base_model_prefix, ours)


@pytest.mark.parametrize(
    ("model_type", "task", "names"),
    [
        ("bert", "masked-lm", ["cls.predictions.transform.dense", "cls.predictions.decoder", "bert.embeddings"]),
        ("roberta", "masked-lm", ["lm_head.dense", "lm_head.layer_norm", "lm_head.decoder"]),
        ("roberta", "sequence-classification", ["classifier.dense", "classifier.dropout", "classifier.out_proj"]),
        ("electra", "sequence-classification", ["classifier.dense", "classifier.dropout", "classifier.out_proj"]),
        ("electra", "masked-lm", ["generator_predictions.dense", "generator_predictions.LayerNorm"]),
        ("electra", "pretraining", ["discriminator_predictions.dense", "discriminator_predictions.dense_prediction"]),
        ("albert", "masked-lm", ["predictions.decoder"]),
        ("albert", "pretraining", ["sop_classifier.classifier"]),
        ("distilbert", "masked-lm", ["vocab_transform", "vocab_layer_norm", "vocab_projector"]),
        ("distilbert", "sequence-classification", ["pre_classifier", "classifier", "distilbert.transformer.layer"]),
        ("modernbert", "masked-lm", ["decoder", "model.layers", "model.final_norm"]),
    ],
)
def test_paths_that_programs_write(model_type, task, names):
    theirs, ours = tiny_pair(model_type, task)
    for path in names:
        mine, other = ours, theirs
        for name in path.split("."):
            mine, other = getattr(mine, name), getattr(other, name)
        if isinstance(getattr(other, "weight", None), torch.Tensor):
            assert torch.equal(mine.weight, other.weight), path


@pytest.mark.parametrize("model_type", [name for name, family in FAMILIES.items() if family.other_names])
def test_replacing_under_the_other_name_takes_effect(model_type):
    for name, path in FAMILIES[model_type].other_names.items():
        for (found, _), cls in ALL_CLASSES:
            model = cls(cls.config_class(**TINY[found])) if found == model_type else None
            if model is None or not hasattr(model, name):
                continue
            n_parameters = len(model.state_dict())
            new = type("Other", (type(getattr(model, name)),), {"__init__": lambda self: nn.Module.__init__(self)})()
            setattr(model, name, new)
            assert getattr(model, name) is new and model.get_submodule(path) is new
            assert name not in model._modules
            assert len(model.state_dict()) < n_parameters or path.endswith("dropout")


def test_a_new_head_on_a_replaced_projection():
    _, ours = tiny_pair("distilbert", "masked-lm", tie_word_embeddings=False)
    ours.vocab_projector = nn.Linear(24, 7)
    assert ours(**tiny_inputs("distilbert")).logits.shape[-1] == 7


def test_names_that_a_model_lacks():
    _, ours = tiny_pair("distilbert", "sequence-classification")
    assert not hasattr(ours, "vocab_projector")
    with pytest.raises(AttributeError, match="no attribute 'vocab_projector'"):
        _ = ours.vocab_projector


def test_a_class_of_the_users_own_keeps_its_names():
    class Mine(AlbertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.predictions = nn.Linear(config.hidden_size, 3)
            self.post_init()

    mine = Mine(AlbertConfig(**TINY["albert"]))
    assert isinstance(mine.predictions, nn.Linear) and set(mine.state_dict()) == {
        "predictions.weight",
        "predictions.bias",
    }


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_surgery_on_the_classifier(model_type, tmp_path):
    config = MODEL_CLASSES[model_type, "base"].config_class(**TINY[model_type])
    model = AutoModelForSequenceClassification.from_config(config)
    name = head_name(model)
    head = getattr(model, name)
    if isinstance(head, nn.Linear):
        setattr(model, name, nn.Linear(head.in_features, 7, bias=head.bias is not None))
    else:
        head.out_proj = nn.Linear(24, 7)
    model.config.num_labels = 7
    inputs = tiny_inputs(model_type, mask="none")
    if model.head.reads == "eos":
        inputs["input_ids"][:, -1] = config.eos_token_id
    assert model(**inputs).logits.shape == (5, 7)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    again = AutoModelForSequenceClassification.from_config(model.config)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.config.num_labels == 7 and loaded.load_report.sentence() == ""
    for other in (again, loaded):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_names_for_freezing(model_type):
    model = AutoModelForSequenceClassification.from_config(
        MODEL_CLASSES[model_type, "base"].config_class(**TINY[model_type])
    )
    names = [name for name, _ in model.named_parameters()]
    base = model.base_model
    sides = [base.embeddings, *([base.decoder_embeddings] if hasattr(base, "decoder_embeddings") else [])]
    embeddings = {id(p) for side in sides for p in side.parameters()}
    first = {id(p) for p in model.base_model.encoder.layer[0].parameters()}
    by_name = {id(p) for n, p in model.named_parameters() if "embeddings" in n}
    assert by_name == embeddings
    assert {id(p) for n, p in model.named_parameters() if "encoder.layer.0." in n} == first
    assert any(name.startswith(f"{model.base_model_prefix}.encoder.layer.0.") for name in names)
    assert any(name.startswith(head_name(model)) for name in names)
    head = [n for n in names if not n.startswith(f"{model.base_model_prefix}.")]
    assert 0 < len(head) <= 4


@pytest.mark.parametrize(("key", "cls"), ALL_CLASSES, ids=[cls.__name__ for _, cls in ALL_CLASSES])
def test_state_dictionaries(key, cls, tmp_path):
    theirs, ours = tiny_pair(*key)
    torch.save(ours.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = cls(ours.config)
    again.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), again.parameters(), strict=True))
    if key[0] in ("bert", "camembert", "roberta", "xlm-roberta"):
        assert list(theirs.load_state_dict(state)) == [[], []]  # nothing missing, nothing unexpected

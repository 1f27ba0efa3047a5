"""Classes of a program's own around our models: what they put into themselves stays, what files hold is found."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bothways import AutoConfig, AutoModel, BertConfig, BertForSequenceClassification, BertModel, BertPreTrainedModel
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import TINY, tiny_inputs, tiny_pair


class Around(BertPreTrainedModel):
    """What people build: a body, layers of all kinds, a weighted loss, buffers, tensors, fixed parameters."""

    def __init__(self, config):
        super().__init__(config)
        self.bert = BertModel(config)
        self.rnn = nn.LSTM(config.hidden_size, 5)
        self.norm = nn.BatchNorm1d(4)
        self.classifier = nn.Linear(config.hidden_size, 3)
        self.loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
        self.register_buffer("places", torch.arange(3))
        self.register_buffer("unsaved", torch.tensor([4, 5]), persistent=False)
        self.fixed = nn.Parameter(torch.full((3,), 7.0), requires_grad=False)
        self.plain = torch.tensor([1.0, 2.0])
        self.post_init()


@pytest.fixture
def body(tmp_path):
    _, ours = tiny_pair("bert", "base")
    ours.save_pretrained(tmp_path / "body")
    return tmp_path / "body"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_of_a_constructor_stay(body, tmp_path, dtype):
    for directory in (body, tmp_path / "again"):
        model = Around.from_pretrained(directory, dtype=dtype)
        assert model.loss.weight.tolist() == [1, 2, 3] and model.loss.weight.dtype is dtype
        assert model.places.tolist() == [0, 1, 2] and model.unsaved.tolist() == [4, 5]
        assert model.fixed.tolist() == [7, 7, 7] and not model.fixed.requires_grad
        assert model.plain.tolist() == [1, 2] and model.norm.running_var.tolist() == [1] * 4
        assert all(p.dtype is dtype for p in model.parameters())
        bound = 5**-0.5
        assert all(p.abs().max() <= bound and p.std() > 0.1 for p in model.rnn.parameters())  # torch's own first values
        assert model.classifier.bias.tolist() == [0, 0, 0] and 0.01 < model.classifier.weight.std() < 0.03
        if directory == body:
            model.save_pretrained(tmp_path / "again")
        else:
            assert model.load_report.missing == ()


class Own(Around):
    """Says itself how its layers begin."""

    def _init_weights(self, module):
        super()._init_weights(module)
        if module is self.classifier:
            module.bias.data.fill_(5)


def test_first_weights_by_the_programs_own_rule(body):
    assert Own.from_pretrained(body).classifier.bias.tolist() == [5, 5, 5]
    new = Own(BertConfig(**TINY["bert"]))
    assert new.classifier.bias.tolist() == [5, 5, 5]
    assert new.bert.encoder.layer[0].output.dense.bias.eq(0).all()


def test_layers_are_drawn_anew():
    model = BertForSequenceClassification(BertConfig(**TINY["bert"]))
    for parameter in model.parameters():
        parameter.data.fill_(9)
    model.bert.encoder.layer[-1].apply(model._init_weights)
    last = model.bert.encoder.layer[-1]
    assert 0.01 < last.output.dense.weight.std() < 0.03 and last.output.LayerNorm.weight.eq(1).all()
    assert model.bert.encoder.layer[0].output.dense.weight.eq(9).all()


class Wrapper(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.head = nn.Linear(3, 2)


@pytest.mark.parametrize(
    "key",
    [("distilbert", "base"), ("albert", "base"), ("gpt2", "causal-lm"), ("electra", "masked-lm"), ("t5", "encoder")],
)
def test_state_dictionaries_of_wrappers(key):
    theirs, ours = tiny_pair(*key)
    wrapped = Wrapper(MODEL_CLASSES[key](ours.config).eval())
    wrapped.load_state_dict(Wrapper(theirs).state_dict())  # the reference's names, below another module's
    inputs = tiny_inputs(key[0], mask="none")
    with torch.no_grad():
        torch.testing.assert_close(wrapped.model(**inputs)[0], theirs(**inputs)[0], atol=1e-5, rtol=0)
    again = Wrapper(MODEL_CLASSES[key](ours.config))
    again.load_state_dict(wrapped.state_dict())  # ours
    with pytest.raises(RuntimeError, match=r"Missing key.*model\."):
        again.load_state_dict({name: value for name, value in wrapped.state_dict().items() if "model" not in name})


def test_longer_position_tables_and_more_segments():
    theirs, ours = tiny_pair("bert", "base")
    for model in (theirs, ours):
        torch.manual_seed(3)
        model.embeddings.position_embeddings = nn.Embedding(80, 24)
        model.embeddings.token_type_embeddings = nn.Embedding(4, 24)
        model.config.max_position_embeddings, model.config.type_vocab_size = 80, 4
    theirs.embeddings.position_ids = torch.arange(80)[None]
    inputs = tiny_inputs(seq=70, mask="none") | {"token_type_ids": torch.arange(70).expand(5, 70) % 4}
    with torch.no_grad():
        torch.testing.assert_close(ours(**inputs)[0], theirs(**inputs)[0], atol=1e-5, rtol=0)


def test_a_head_that_is_called_with_all_tokens():
    theirs, ours = tiny_pair("roberta", "sequence-classification")
    hidden = torch.randn(2, 6, 24)
    torch.testing.assert_close(ours.classifier(hidden), theirs.classifier(hidden), atol=1e-5, rtol=0)


def test_subfolders(body):
    assert AutoConfig.from_pretrained(body.parent, subfolder="body").hidden_size == 24
    for cls in (AutoModel, BertModel):
        assert cls.from_pretrained(body.parent, subfolder="body").config.hidden_size == 24


def test_saving_as_programs_with_accelerate_do(tmp_path):
    _, ours = tiny_pair("bert", "base")
    ours.save_pretrained(tmp_path, is_main_process=True, save_function=torch.save, state_dict=ours.state_dict())
    assert (tmp_path / "model.safetensors").is_file()


@torch.no_grad()
def test_settings_of_generation_follow_the_configuration():
    _, ours = tiny_pair("gpt2", "causal-lm")
    ids = torch.tensor([[5, 6]])
    for length in (7, 5):
        ours.config.max_length = length
        assert ours.generate(ids, eos_token_id=None).shape == (1, length)
    ours.generation_config.max_length = 9
    ours.config.max_length = 4
    assert ours.generate(ids, eos_token_id=None).shape == (1, 9)  # said here, so here it stays

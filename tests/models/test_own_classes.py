"""Classes of a program's own around our models: what they put into themselves stays, what files hold is found."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

import bothways
from bothways import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertPreTrainedModel,
)
from bothways.errors import InputError
from bothways.families import FAMILIES
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


def own_kind(library):
    """A kind of model of a program's own, as the guide of the ecosystem writes it, over one library or the other."""

    class MineConfig(library.PretrainedConfig):
        model_type = "mine"

        def __init__(self, width=8, depth=2, **kwargs):
            self.width = width
            self.depth = depth
            super().__init__(**kwargs)

    class MinePreTrainedModel(library.PreTrainedModel):
        config_class = MineConfig
        base_model_prefix = "body"

        def _init_weights(self, module):
            if isinstance(module, nn.Linear):
                module.weight.data.fill_(0.5)
                module.bias.data.zero_()

    class MineModel(MinePreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.depth))
            self.post_init()

        def forward(self, x):
            for layer in self.layers:
                x = torch.tanh(layer(x))
            return x

    class MineForSequenceClassification(MinePreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.body = MineModel(config)
            self.head = nn.Linear(config.width, config.num_labels)
            self.post_init()

        def forward(self, x):
            return self.head(self.body(x))

    return MineConfig, MineModel, MineForSequenceClassification


def test_a_kind_of_model_of_its_own_is_written_and_read_by_both(tmp_path):
    x = torch.randn(3, 4)
    ours, theirs = own_kind(bothways), own_kind(transformers)
    for writer, reader in ((ours, theirs), (theirs, ours), (ours, ours)):
        torch.manual_seed(1)
        model = writer[2](writer[0](width=4, num_labels=3))
        assert torch.equal(model.head.weight, torch.full((3, 4), 0.5))
        for parameter in model.parameters():
            parameter.data.normal_()
        model.save_pretrained(tmp_path / "model")
        config = reader[0].from_pretrained(tmp_path / "model")
        assert (config.width, config.depth, config.num_labels) == (4, 2, 3)
        again = reader[2].from_pretrained(tmp_path / "model")
        torch.testing.assert_close(again(x), model(x))
        body = reader[1].from_pretrained(tmp_path / "model")  # out of the larger model
        torch.testing.assert_close(body(x), model.body(x))
        body.save_pretrained(tmp_path / "body")
        headed = writer[2].from_pretrained(tmp_path / "body", num_labels=2)  # and into one
        torch.testing.assert_close(headed.body(x), model.body(x))
        assert headed(x).shape == (3, 2) and headed.config.num_labels == 2


@pytest.fixture
def tables_stay():
    """What is registered is gone after the test."""
    tables = [(table, dict(table)) for table in (FAMILIES, MODEL_CLASSES)]
    yield
    for table, before in tables:
        table.clear()
        table.update(before)


def test_a_kind_of_model_of_its_own_is_found_by_auto_classes(tmp_path, tables_stay):
    config_class, body_class, headed_class = own_kind(bothways)
    AutoConfig.register("mine", config_class)
    AutoModel.register(config_class, body_class)
    AutoModelForSequenceClassification.register(config_class, headed_class)
    headed_class(config_class(width=4)).save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), config_class)
    assert type(AutoModel.from_pretrained(tmp_path)) is body_class
    assert type(AutoModelForSequenceClassification.from_pretrained(tmp_path)) is headed_class
    assert type(AutoModel.from_config(config_class(depth=1))) is body_class
    with pytest.raises(ValueError, match="'mine' is already used"):
        AutoConfig.register("mine", config_class)
    with pytest.raises(ValueError, match="has the model_type 'mine' and was registered as 'other'"):
        AutoConfig.register("other", config_class)
    with pytest.raises(ValueError, match="MineModel has the config_class MineConfig and was registered for BertC"):
        AutoModel.register(BertConfig, body_class)
    with pytest.raises(InputError, match="MineModel needs a MineConfig, got BertConfig"):
        body_class(BertConfig())


def test_a_configuration_that_adds_to_one_of_ours_keeps_what_it_adds(tmp_path):
    class WiderConfig(BertConfig):
        def __init__(self, extra=1, **kwargs):
            super().__init__(**kwargs)
            self.extra = extra

    class Wider(BertPreTrainedModel):
        config_class = WiderConfig

        def __init__(self, config):
            super().__init__(config)
            self.bert = BertModel(config)
            self.more = nn.Linear(config.hidden_size, config.extra)
            self.post_init()

    sizes = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Wider(WiderConfig(extra=3, intermediate_size=8, **sizes))
    model.save_pretrained(tmp_path)
    again = Wider.from_pretrained(tmp_path)
    assert type(again.config) is WiderConfig and again.config.extra == 3
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))

"""Models that programs put together from parts of BERT and RoBERTa, beside the same program with the reference."""

from __future__ import annotations

import importlib

import pytest
import torch
from torch import nn

import bothways
from tests.models.reference import TINY, tiny_inputs

BUFFERS = (".position_ids", ".token_type_ids")
FAMILIES = {"bert": "Bert", "roberta": "Roberta"}


def parts(library: str, family: str):
    return importlib.import_module(f"{library}.models.{family}.modeling_{family}")


def two_streams(library: str, family: str, config):
    """As in models of pictures and texts: a body by hand, a further layer, and a head."""
    place, name = parts(library, family), FAMILIES[family]

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.embeddings = getattr(place, f"{name}Embeddings")(config)
            self.encoder = getattr(place, f"{name}Encoder")(config)
            self.further = getattr(place, f"{name}Layer")(config)
            self.pooler = getattr(place, f"{name}Pooler")(config)
            if family == "bert":
                self.cls = place.BertPreTrainingHeads(config)
                self.words = place.BertOnlyMLMHead(config)
                self.follows = place.BertOnlyNSPHead(config)
            else:
                self.cls = place.RobertaLMHead(config)
                self.labels = place.RobertaClassificationHead(config)

        def forward(self, input_ids, token_type_ids, mask):
            hidden = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
            hidden = self.encoder(hidden, attention_mask=mask).last_hidden_state
            further = self.further(hidden, mask)
            hidden = further[0] if isinstance(further, tuple) else further  # version 5 has no tuple
            pooled = self.pooler(hidden)
            if family == "roberta":
                return pooled, self.cls(hidden), self.labels(hidden)
            return pooled, *self.cls(hidden, pooled), self.words(hidden), self.follows(pooled)

    torch.manual_seed(0)
    return Own().eval()


@pytest.mark.parametrize("mask", ["none", "right", "holes"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_from_parts_is_the_same_with_the_reference(family, mask):
    transformers = pytest.importorskip("transformers")
    settings = TINY[family]
    name = FAMILIES[family]
    theirs = two_streams(
        "transformers", family, getattr(transformers, f"{name}Config")(**settings, attn_implementation="eager")
    )
    ours = two_streams("bothways", family, getattr(bothways, f"{name}Config")(**settings))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    # buffers of positions are parameters of nobody here
    ours.load_state_dict({name: v for name, v in theirs.state_dict().items() if not name.endswith(BUFFERS)})
    inputs = tiny_inputs(family, mask=mask)
    kept = inputs["attention_mask"]
    added = (1.0 - kept[:, None, None].float()) * torch.finfo(torch.float32).min
    types = inputs["token_type_ids"]
    with torch.no_grad():
        expected = theirs(inputs["input_ids"], types, added)
        got = ours(inputs["input_ids"], types, added)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape
        shown = slice(None) if one.ndim == 2 else kept != 0
        torch.testing.assert_close(one[shown], other[shown], atol=2e-5, rtol=0)


def test_the_head_of_a_model_is_called_as_it_is_named():
    ours = bothways.BertForMaskedLM(bothways.BertForMaskedLM.config_class(**TINY["bert"])).eval()
    inputs = tiny_inputs("bert", mask="none")
    output = ours(**inputs, output_hidden_states=True)
    torch.testing.assert_close(ours.cls(output.hidden_states[-1]), output.logits, atol=1e-5, rtol=0)
    both = bothways.BertForPreTraining(ours.config).eval()
    output = both(**inputs, output_hidden_states=True)
    words, follows = both.cls(output.hidden_states[-1], both.bert.pooler(output.hidden_states[-1]))
    torch.testing.assert_close(words, output.prediction_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(follows, output.seq_relationship_logits, atol=1e-5, rtol=0)

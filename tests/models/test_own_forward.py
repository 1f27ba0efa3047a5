"""``generate`` of a subclass with a ``forward`` of its own asks it; the house's own path says what has to come out."""

from __future__ import annotations

import types

import pytest
import torch

import bothways
from bothways import LogitsProcessor
from bothways.errors import InputError
from bothways.models.causal_models import RowsDecoder
from bothways.models.own_forward import has_own_forward
from tests.models.reference import TINY, tiny_inputs

FAMILIES = {
    "gpt2": "GPT2LMHeadModel",
    "llama": "LlamaForCausalLM",
    "t5": "T5ForConditionalGeneration",
    "bart": "BartForConditionalGeneration",
}
WAYS = [
    {},
    {"num_beams": 3},
    {"do_sample": True, "seed": 5, "top_k": 20},
    {"prompt_lookup_num_tokens": 3},
    {"num_beams": 2, "num_return_sequences": 2},
]


class Biased(LogitsProcessor):
    def __call__(self, input_ids, scores):
        return scores + bias(scores.shape[-1])


def bias(size: int) -> torch.Tensor:
    return 3 * torch.randn(size, generator=torch.Generator().manual_seed(3))


def models(name: str):
    """The house's model, and a program's own with another forward and the same weights."""
    cls = getattr(bothways, FAMILIES[name])

    class Own(cls):
        seen: list

        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            self.seen.append(kwargs)
            output.logits = output.logits + bias(output.logits.shape[-1])
            return output

    torch.manual_seed(0)
    model = cls(cls.config_class(**TINY[name])).eval()
    own = Own(cls.config_class(**TINY[name])).eval()
    own.load_state_dict(model.state_dict())
    own.seen = []
    return model, own


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way) or "greedy")
@pytest.mark.parametrize("name", FAMILIES)
def test_generate_asks_the_forward_of_a_subclass(name, way):
    model, own = models(name)
    inputs = tiny_inputs(name, batch=3, seq=7, mask="left")
    inputs.pop("token_type_ids", None)
    settings = {"max_new_tokens": 6, "eos_token_id": 3, "pad_token_id": 0, **way}
    expected = model.generate(**inputs, **settings, logits_processor=[Biased()], renormalize_logits=True)
    assert torch.equal(own.generate(**inputs, **settings), expected)
    assert len(own.seen) > 1 and not torch.equal(model.generate(**inputs, **settings), expected)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_generate_asks_prepare_inputs_of_a_subclass(name):
    model, _ = models(name)
    calls = []

    class Own(type(model)):
        def prepare_inputs_for_generation(self, input_ids, **kwargs):
            calls.append(tuple(input_ids.shape))
            return super().prepare_inputs_for_generation(input_ids, **kwargs)

    own = Own(model.config).eval()
    own.load_state_dict(model.state_dict())
    ids = tiny_inputs(name, batch=2, seq=5, mask="none")["input_ids"]
    settings = {"max_new_tokens": 4, "eos_token_id": None}
    assert torch.equal(own.generate(ids, **settings), model.generate(ids, **settings))
    begins = 5 if name == "gpt2" else 1
    assert calls == [(2, begins + i) for i in range(4)]


def test_a_forward_put_on_one_model_is_asked():
    model, own = models("gpt2")
    ids = tiny_inputs("gpt2", batch=2, seq=5, mask="none")["input_ids"]
    expected = own.generate(ids, max_new_tokens=4, eos_token_id=None)
    plain = model.forward
    assert not has_own_forward(model)

    def forward(self, *args, **kwargs):
        output = plain(*args, **kwargs)
        output.logits = output.logits + bias(97)
        return output

    model.forward = types.MethodType(forward, model)
    assert torch.equal(model.generate(ids, max_new_tokens=4, eos_token_id=None), expected)


def test_a_subclass_that_changes_nothing_writes_as_fast_as_the_house():
    model, _ = models("gpt2")

    class Own(type(model)):
        pass

    assert isinstance(Own(model.config).start_decoding(rows=1, capacity=3), RowsDecoder)


def test_a_loop_of_ones_own_with_prepare_inputs():
    model, _ = models("gpt2")
    ids = tiny_inputs("gpt2", batch=2, seq=5, mask="none")["input_ids"]
    expected = model.generate(ids, max_new_tokens=5, eos_token_id=None)
    past = None
    for _ in range(5):
        given = model.prepare_inputs_for_generation(ids, past_key_values=past, use_cache=True)
        output = model(**given)
        past = output.past_key_values
        ids = torch.cat([ids, output.logits[:, -1].argmax(-1, keepdim=True)], 1)
    assert torch.equal(ids, expected) and given["input_ids"].shape == (2, 1)


def test_what_an_own_forward_cannot_do_is_said():
    model, own = models("gpt2")
    ids = tiny_inputs("gpt2", batch=2, seq=5, mask="none")["input_ids"]
    with pytest.raises(InputError, match="contrastive search reads hidden vectors, which Own"):
        own.generate(ids, penalty_alpha=0.6, top_k=4, max_new_tokens=3)

    class Last(type(model)):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = output.logits[:, -1:]
            return output

    with pytest.raises(InputError, match=r"Last.forward gave logits \(2, 1, 97\) for ids of shape \(2, 5\)"):
        Last(model.config).eval().generate(ids, max_new_tokens=3)

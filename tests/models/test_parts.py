"""Parts of a body called by themselves, as published programs do, beside the reference's whole forward."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from bothways import BertModel
from bothways.errors import InputError
from tests.models.reference import READERS, TINY, WITH_TARGET, tiny_inputs, tiny_pair

ENCODERS = [name for name in READERS if name != "modernbert"]  # whose layers need the angles of its stack
SEQ2SEQ = sorted({model_type for (model_type, _), _ in WITH_TARGET})


def close(got: torch.Tensor, expected: torch.Tensor, kept: torch.Tensor | None = None) -> None:
    assert got.shape == expected.shape
    if kept is not None:
        assert not got[kept == 0].any()  # zeros at padding
        got, expected = got[kept != 0], expected[kept != 0]
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", ["none", "right", "left", "holes"])
@pytest.mark.parametrize("name", ENCODERS)
def test_embeddings_layers_and_encoder_are_those_of_the_whole(name, mask):
    theirs, ours = tiny_pair(name, "base")
    inputs = tiny_inputs(name, mask=mask)
    whole = theirs(**inputs, output_hidden_states=True, output_attentions=True)
    kept = inputs.pop("attention_mask")
    extended = ours.get_extended_attention_mask(kept, kept.shape, kept.device)
    hidden = ours.embeddings(**inputs)
    close(hidden, whole.hidden_states[0])  # of padding, too
    layers = [block for blocks in ours.encoder.sequence() for block in blocks]
    each = len(layers) // (len(whole.hidden_states) - 1)
    for number, expected in enumerate(whole.hidden_states[1:]):
        for block in layers[number * each : (number + 1) * each]:
            hidden, weights = block(hidden, extended, None, output_attentions=True)
        close(hidden, expected, kept)
        if each == 1:
            close(weights * kept[:, None, :, None], whole.attentions[number] * kept[:, None, :, None])
    begins = ours.embeddings(**inputs)
    masks = ours.get_head_mask(None, len(layers))
    for given in (extended, kept, (1.0 - kept[:, None, None].float()) * -10_000.0):
        encoded = ours.encoder(begins, attention_mask=given, head_mask=masks, output_hidden_states=True)
        close(encoded.last_hidden_state, whole.last_hidden_state, kept)
        assert len(encoded.hidden_states) == len(whole.hidden_states)
    assert torch.equal(ours.encoder(begins, extended, return_dict=False)[0], encoded[0])


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_the_encoder_of_a_writer_reads_ids(name):
    theirs, ours = tiny_pair(name, "seq2seq-lm")
    inputs = tiny_inputs(name)
    expected = theirs.get_encoder()(**inputs, output_hidden_states=True)
    for encoder in (
        ours.get_encoder(),
        copy.deepcopy(ours).get_encoder(),
        pickle.loads(pickle.dumps(ours)).get_encoder(),
    ):
        got = encoder(**inputs, output_hidden_states=True)
        close(got.last_hidden_state, expected.last_hidden_state, inputs["attention_mask"])
        assert len(got.hidden_states) == len(expected.hidden_states)
    vectors = ours.get_input_embeddings()(inputs["input_ids"])
    if not getattr(ours.config, "scale_embedding", False):
        got = ours.get_encoder()(inputs_embeds=vectors, attention_mask=inputs["attention_mask"])
        close(got[0], expected.last_hidden_state, inputs["attention_mask"])
    for parameter in ours.get_encoder().parameters():
        parameter.requires_grad = False
    assert 0 < sum(p.requires_grad for p in ours.parameters()) < len(list(ours.parameters()))


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_modules_of_encoder_and_decoder_under_their_published_names(name):
    """As ``freeze_embeds`` of many scripts reads them."""
    theirs, ours = tiny_pair(name, "seq2seq-lm")
    names = ["embed_tokens"] + (["block", "final_layer_norm"] if name == "t5" else ["layers", "embed_positions"])
    for copied in (ours, copy.deepcopy(ours)):
        before = [name for name, p in copied.named_parameters() if not p.requires_grad]
        for side in ("get_encoder", "get_decoder"):
            one, other = getattr(copied, side)(), getattr(theirs, side)()
            for attribute in names:
                mine, expected = getattr(one, attribute), getattr(other, attribute)
                if attribute != "block":  # the reference keeps the scores by distance in the first one
                    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in expected.parameters())
                else:
                    assert len(mine) == len(expected)
            for parameter in one.embed_tokens.parameters():
                parameter.requires_grad = False
        frozen = [name for name, p in copied.named_parameters() if not p.requires_grad and name not in before]
        assert frozen and all("word_embeddings" in name for name in frozen)
    assert set(ours.state_dict()) == set(copy.deepcopy(ours).state_dict())
    assert not hasattr(ours.get_encoder(), "nothing")


def test_t5_moves_labels_to_the_right():
    theirs, ours = tiny_pair("t5", "base")
    labels = torch.tensor([[5, 6, 7, -100], [8, 1, -100, -100]])
    assert torch.equal(ours._shift_right(labels), theirs._shift_right(labels))


def test_t5_encoder_alone_reads_ids():
    theirs, ours = tiny_pair("t5", "encoder")
    inputs = tiny_inputs("t5")
    close(ours.encoder(**inputs)[0], theirs.encoder(**inputs)[0], inputs["attention_mask"])


def test_a_program_that_mixes_texts_between_layers_has_gradients():
    """As in MixText (Chen et al. 2020): the first layers run on two texts, the others on their mean."""
    ours = tiny_pair("bert", "base")[1].train()
    inputs = tiny_inputs("bert", mask="none")
    hidden = ours.embeddings(inputs["input_ids"])
    for i, layer in enumerate(ours.encoder.layer):
        if i == 1:
            hidden = 0.5 * hidden + 0.5 * hidden.flip(0)
        hidden = layer(hidden, None)[0]
    ours.pooler(hidden).sum().backward()
    assert all(p.grad is not None for name, p in ours.named_parameters() if "token_type" not in name)


def test_what_a_part_cannot_do_is_said():
    ours = BertModel(BertModel.config_class(**TINY["bert"]))
    hidden = torch.zeros(2, 7, 24)
    with pytest.raises(InputError, match=r"shape \(2, 1, 7, 7\), expected \(batch, 7\), or \(batch, 1, 1, 7\)"):
        ours.encoder.layer[0](hidden, torch.zeros(2, 1, 7, 7))
    with pytest.raises(InputError, match="head_mask is not supported"):
        ours.encoder.layer[0](hidden, None, torch.zeros(4))
    with pytest.raises(InputError, match=r"shape \(2, 3, 7\), expected \(batch, sequence\)"):
        ours.get_extended_attention_mask(torch.ones(2, 3, 7))
    for part in (ours.encoder, ours.encoder.layer[0]):
        with pytest.raises(InputError, match=r"shape \(7, 24\), expected \(batch, sequence, hidden_size\)"):
            part(hidden[0])
    modern = tiny_pair("modernbert", "base")[1]
    with pytest.raises(InputError, match="rotary positions"):
        modern.encoder.layer[0](hidden)


class Twice(torch.nn.Module):
    """A program's own around a layer, which passes on what it is given."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, hidden_states, *args, **kwargs):
        output = self.layer(hidden_states, *args, **kwargs)
        return (2 * output[0], *output[1:])


@pytest.mark.parametrize("name", ["bert", "modernbert", "gpt2"])
def test_a_projection_that_is_hooked_or_wrapped_after_a_pipeline_prepared_the_model(name):
    model = tiny_pair(name, "base")[1]
    inputs = tiny_inputs(name)
    plain = model(**inputs)[0]
    model.prepare_for_inference(torch.bfloat16)
    attention = next(m for m in model.modules() if hasattr(m, "query") and hasattr(m, "key"))
    seen = []
    handle = attention.query.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs)[0], plain, atol=1e-5, rtol=0)
        assert seen == [torch.float32]
        handle.remove()
        model.prepare_for_inference(torch.bfloat16)
        attention.key = torch.nn.Sequential(attention.key)
        torch.testing.assert_close(model(**inputs)[0], plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bert", "modernbert", "gpt2"])
def test_a_layer_that_a_program_wraps_or_hooks(name):
    model = tiny_pair(name, "base")[1]
    inputs = tiny_inputs(name)
    plain = model(**inputs)[0]
    hooks = (
        lambda module, given, output: (2 * output[0], *output[1:]),
        lambda module, given, output: (2 * output[0],),
        lambda module, given, output: 2 * output[0],
    )
    found = []
    for hook in hooks:
        handle = model.encoder.layer[1].register_forward_hook(hook)
        found.append(model(**inputs)[0])
        handle.remove()
    assert torch.equal(model(**inputs)[0], plain)
    model.encoder.layer[1] = Twice(model.encoder.layer[1])
    for prepared in (False, True):
        if prepared:
            model.prepare_for_inference()
        changed = model(**inputs)[0]
        assert not torch.allclose(changed, plain, atol=1e-3)
        assert all(torch.equal(changed, one) for one in found)
    if name == "gpt2":
        whole = model(inputs["input_ids"][:, :9])[0]
        past = model(inputs["input_ids"][:, :8], use_cache=True).past_key_values
        last = model(inputs["input_ids"][:, 8:9], past_key_values=past)[0]
        torch.testing.assert_close(last, whole[:, 8:], atol=1e-5, rtol=0)
    model.encoder.layer[1] = torch.nn.Linear(24, 24)
    with pytest.raises(InputError, match="Linear stands in the place of a layer, and holds none of this library"):
        model(**inputs)

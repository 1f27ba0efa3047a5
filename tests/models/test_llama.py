"""Llama, Mistral and the first GPT: positions for long texts, windows, both notations of files, older names."""

from __future__ import annotations

import importlib
import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import bothways
from bothways.errors import ConfigError
from bothways.models.auto import MODEL_CLASSES
from tests.models.reference import TINY, tiny_inputs, tiny_pair

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
SCALINGS = [
    {"rope_type": "default"},
    {"rope_type": "linear", "factor": 4.0},
    {"type": "linear", "factor": 2.5},
    {"rope_type": "dynamic", "factor": 3.0},
    {"type": "dynamic", "factor": 2.0},
    LLAMA3,
]


def long_ids(rows: int, columns: int) -> torch.Tensor:
    return torch.randint(5, 97, (rows, columns), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("scaling", SCALINGS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("model_type", ["llama", "mistral"])
@torch.no_grad()
def test_scaled_angles(model_type, scaling):
    head = {"head_dim": 10, "max_position_embeddings": 20, "rope_theta": 500.0}
    theirs, ours = tiny_pair(model_type, "base", rope_scaling=dict(scaling), **head)
    _, plain = tiny_pair(model_type, "base", **head)
    for columns in (15, 20, 21, 64, 31):
        ids = long_ids(2, columns)
        got = ours(ids).last_hidden_state
        theirs.rotary_emb.max_seq_len_cached = 20  # the reference keeps the angles of the longest text it has read
        theirs.rotary_emb.inv_freq = theirs.rotary_emb.original_inv_freq
        torch.testing.assert_close(got, theirs(ids).last_hidden_state, atol=1e-5, rtol=0)
        kind = scaling.get("type", scaling.get("rope_type"))
        if kind == "default" or (kind == "dynamic" and columns <= 20):
            assert torch.equal(got, plain(ids).last_hidden_state)
        else:
            assert not torch.allclose(got, plain(ids).last_hidden_state, atol=1e-4)


@torch.no_grad()
def test_growing_angles_do_not_depend_on_the_batch():
    changes = {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}, "max_position_embeddings": 16}
    _, ours = tiny_pair("llama", "base", **changes)
    ids = long_ids(3, 40)
    mask = (torch.arange(40) < torch.tensor([[40], [12], [25]])).long()
    together = ours(ids, attention_mask=mask).last_hidden_state
    for row, length in enumerate((40, 12, 25)):
        alone = ours(ids[row : row + 1, :length]).last_hidden_state[0]
        torch.testing.assert_close(together[row, :length], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("columns", [12, 20])
@torch.no_grad()
def test_growing_angles_while_writing(columns):
    """As in the reference, what was read keeps the angles that it was given."""
    changes = {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}, "max_position_embeddings": 16}
    theirs, ours = tiny_pair("llama", "causal-lm", eos_token_id=None, **changes)
    assert ours.config.longest_sequence == 64
    ids = long_ids(1, columns)
    options = {"max_new_tokens": 20, "do_sample": False}
    assert ours.generate(ids, **options).tolist() == theirs.generate(ids, **options).tolist()


@pytest.mark.parametrize("window", [1, 2, 5, 16, 17, None])
@torch.no_grad()
def test_windows(window):
    theirs, ours = tiny_pair("mistral", "causal-lm", sliding_window=window, eos_token_id=None)
    inputs = tiny_inputs("mistral", mask="holes")
    kept = inputs["attention_mask"] != 0
    torch.testing.assert_close(ours(**inputs).logits[kept], theirs(**inputs).logits[kept], atol=1e-5, rtol=0)
    options = {"max_new_tokens": 12, "do_sample": False}
    ids = long_ids(3, 17)
    whole = {"use_cache": window != 1}  # a cache of one token keeps all in the reference
    assert ours.generate(ids, **options).tolist() == theirs.generate(ids, **options, **whole).tolist()


def test_a_window_of_one_sees_the_token_itself_only():
    _, ours = tiny_pair("mistral", "base", sliding_window=1)
    ids = long_ids(1, 9)
    alone = torch.cat([ours(ids[:, i : i + 1]).last_hidden_state for i in range(9)], 1)
    torch.testing.assert_close(ours(ids).last_hidden_state, alone, atol=1e-5, rtol=0)


NESTED = [
    ({"rope_type": "default", "rope_theta": 777.0}, None),
    ({**LLAMA3, "rope_theta": 777.0}, LLAMA3),
    ({"rope_theta": 777.0}, None),
]


@pytest.mark.parametrize(("nested", "scaling"), NESTED, ids=["default", "llama3", "no type"])
@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_files_of_version_5(model_type, nested, scaling, tmp_path):
    values = {**TINY[model_type], "model_type": model_type, "rope_parameters": nested}
    (tmp_path / "config.json").write_text(json.dumps(values))
    config = bothways.AutoConfig.from_pretrained(tmp_path)
    assert config.rope_theta == 777.0 and getattr(config, "rope_scaling", None) == scaling
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert "rope_parameters" not in written and written["rope_theta"] == 777.0
    theirs = transformers.AutoConfig.from_pretrained(tmp_path)
    assert theirs.rope_theta == 777.0 and getattr(theirs, "rope_scaling", None) == scaling
    assert bothways.AutoConfig.from_pretrained(tmp_path) == config


REFUSED = {
    "yarn": ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "the type 'yarn'; only default, linear, dynamic"),
    "longrope": ({"rope_scaling": {"type": "longrope"}}, "the type 'longrope'; only default, linear, dynamic, llama3"),
    "no factor": ({"rope_scaling": {"rope_type": "linear"}}, "the type 'linear' lacks factor"),
    "small factor": ({"rope_scaling": {"rope_type": "linear", "factor": 0.5}}, "is 0.5, expected a number from 1"),
    "no object": ({"rope_scaling": "linear"}, "rope_scaling is 'linear', expected an object"),
    "low above high": (
        {"rope_scaling": {**LLAMA3, "low_freq_factor": 4}},
        "low_freq_factor is 4 and high_freq_factor 4",
    ),
    "part": ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5, .* expected 1"),
    "nested part": ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is 0.5"),
    "layers": ({"rope_parameters": {"full_attention": {"rope_theta": 1}}}, "one set of settings for all layers"),
    "theta": ({"rope_theta": 0}, "rope_theta is 0, expected a number above 0"),
    "odd": ({"head_dim": 7}, "7 values of each head cannot be paired"),
    "head": ({"head_dim": 10**6}, "head_dim is 1000000, expected a whole number from 1 to 4,096"),
    "groups": ({"num_key_value_heads": 3}, r"num_attention_heads \(4\) must be divisible by num_key_value_heads \(3\)"),
    "width": (
        {"hidden_size": 26, "head_dim": None},
        r"hidden_size \(26\) must be divisible by num_attention_heads \(4\)",
    ),
    "eps": ({"rms_norm_eps": -1}, "rms_norm_eps is -1, expected a small positive number"),
    "padding": ({"pad_token_id": 97}, r"pad_token_id is 97, expected a number below vocab_size \(97\)"),
    "act": ({"hidden_act": "os.system"}, "unknown activation 'os.system'"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_what_would_give_other_numbers_is_refused(model_type, name, tmp_path):
    changes, message = REFUSED[name]
    (tmp_path / "config.json").write_text(json.dumps({**TINY[model_type], "model_type": model_type, **changes}))
    with pytest.raises(ConfigError, match=message):
        bothways.AutoModel.from_pretrained(tmp_path)


def test_what_other_families_refuse():
    config = bothways.MistralConfig
    with pytest.raises(ConfigError, match="sliding_window is 0, expected a whole number from 1"):
        config(sliding_window=0)
    with pytest.raises(
        ConfigError, match="layer_types has full_attention, sliding_attention, but with sliding_window 5"
    ):
        config(sliding_window=5, layer_types=["full_attention", "sliding_attention"])
    assert config(sliding_window=5, layer_types=["sliding_attention"] * 2).sliding_window == 5
    with pytest.raises(ConfigError, match="afn is 'gelu_new', expected one of gelu, relu, silu, swish"):
        bothways.OpenAIGPTConfig(afn="gelu_new")


def test_biases_where_the_configuration_says_so(tmp_path):
    theirs, ours = tiny_pair("llama", "causal-lm", attention_bias=True, mlp_bias=True)
    inputs = tiny_inputs("llama", mask="none")
    torch.testing.assert_close(ours(**inputs).logits, theirs(**inputs).logits, atol=1e-5, rtol=0)
    ours.save_pretrained(tmp_path)
    again, info = transformers.LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    torch.testing.assert_close(again(**inputs).logits, ours(**inputs).logits, atol=1e-5, rtol=0)


def test_the_two_prefixes_of_llama(tmp_path):
    """Question answering is stored below ``transformer``, everything else below ``model``; both read both."""
    inputs = tiny_inputs("llama", mask="none")
    writer = tiny_pair("llama", "causal-lm")[0]
    writer.save_pretrained(tmp_path / "writer")
    reader = bothways.LlamaForQuestionAnswering.from_pretrained(tmp_path / "writer")
    assert reader.load_report.missing == ("qa_outputs.weight", "qa_outputs.bias")
    hidden = reader.transformer(**inputs).last_hidden_state
    torch.testing.assert_close(hidden, writer.model(**inputs).last_hidden_state, atol=1e-5, rtol=0)
    reader.save_pretrained(tmp_path / "reader")
    assert all(name.startswith(("transformer.", "qa_")) for name in load_file(tmp_path / "reader/model.safetensors"))
    body = bothways.LlamaModel.from_pretrained(tmp_path / "reader")
    assert body.load_report.missing == ()
    torch.testing.assert_close(body(**inputs).last_hidden_state, hidden, atol=0, rtol=0)


def test_old_names_of_the_first_gpt(tmp_path):
    theirs, _ = tiny_pair("openai-gpt", "causal-lm")
    theirs.save_pretrained(tmp_path)
    path, short = tmp_path / "model.safetensors", {"ln": "g", "c_": "w"}
    old = {}
    for name, tensor in load_file(path).items():
        parent, _, last = name.removeprefix("transformer.").rpartition(".")
        kind = parent.rpartition(".")[2][:2]
        ending = "b" if last == "bias" and kind in short else short.get(kind, last)
        old[f"{parent}.{ending}"] = tensor
    assert {name.rpartition(".")[2] for name in old} == {"weight", "g", "w", "b"}
    old["h.0.attn.bias"] = torch.ones(1, 1, 50, 50)
    old["lm_head.decoder.weight"] = old["tokens_embed.weight"].clone()
    save_file(old, path, metadata={"format": "pt"})
    ours = bothways.OpenAIGPTLMHeadModel.from_pretrained(tmp_path)
    assert ours.load_report.missing == () and ours.load_report.unexpected == ()
    inputs = tiny_inputs("openai-gpt", mask="none")
    torch.testing.assert_close(ours(**inputs).logits, theirs(**inputs).logits, atol=1e-5, rtol=0)


def test_the_first_gpt_keeps_no_past_unless_asked():
    _, ours = tiny_pair("openai-gpt", "causal-lm")
    ids = long_ids(2, 5)
    assert ours(ids).past_key_values is None and len(ours(ids, return_dict=False)) == 1
    assert ours(ids, use_cache=True).past_key_values.get_seq_length() == 5


@pytest.mark.parametrize("afn", ["gelu", "relu", "silu", "swish"])
def test_activations_of_the_first_gpt(afn):
    theirs, ours = tiny_pair("openai-gpt", "base", afn=afn)
    inputs = tiny_inputs("openai-gpt", mask="none")
    got, expected = ours(**inputs).last_hidden_state, theirs(**inputs).last_hidden_state
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("model_type", ["gpt2", "llama", "mistral", "openai-gpt"])
@torch.no_grad()
def test_the_form_for_inference_in_half_precision(model_type):
    """Norms whose weights stay in fp32 hand on what the blocks compute in."""
    _, ours = tiny_pair(model_type, "causal-lm")
    ids = long_ids(2, 17)
    expected = ours(ids).logits
    got = ours.prepare_for_inference("bfloat16")(ids).logits
    assert 1e-4 < (got - expected).abs().max() < 0.1
    assert ours.generate(ids, max_new_tokens=3, eos_token_id=None).shape == (2, 20)


@pytest.mark.parametrize("module", ["gpt2", "llama", "mistral", "openai"])
def test_every_model_class_of_the_reference_is_public(module):
    theirs = importlib.import_module(f"transformers.models.{module}.modeling_{module}")
    named = [getattr(theirs, name) for name in theirs.__all__]
    models = {item.__name__ for item in named if isinstance(item, type)}
    assert models and models <= set(dir(bothways))


WRITERS = sorted(model_type for model_type, task in MODEL_CLASSES if task == "causal-lm")


@pytest.mark.parametrize("model_type", WRITERS)
@torch.no_grad()
def test_greedy_ids_of_prompts_of_mixed_length(model_type):
    theirs, ours = tiny_pair(model_type, "causal-lm")
    end = theirs.generate(long_ids(1, 6), max_new_tokens=4, do_sample=False, pad_token_id=0)[0, -1].item()
    lengths = [13, 2, 7, 1, 9]
    ids = long_ids(5, 13)
    mask = (torch.arange(13) >= 13 - torch.tensor(lengths)[:, None]).long()
    options = {"max_new_tokens": 14, "do_sample": False, "pad_token_id": 0, "eos_token_id": end}
    if ours.config.first_position:
        options["suppress_tokens"] = [ours.config.pad_token_id]  # which is no token to count
        # the reference's generate() numbers positions from 0, its forward from this one
        theirs.prepare_inputs_for_generation = lambda input_ids, attention_mask=None, **_: {
            "input_ids": input_ids,
            "use_cache": False,
        }
    got = ours.generate(ids.masked_fill(mask == 0, 0), attention_mask=mask, **options)[:, 13:]
    for row, length in enumerate(lengths):
        prompt = ids[row : row + 1, 13 - length :]
        alone = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, length:].tolist()
        assert got[row].tolist() == alone + [0] * (got.shape[1] - len(alone)), row
    if model_type != "openai-gpt" and not ours.config.first_position:  # these count padding, in the reference
        batch = theirs.generate(ids.masked_fill(mask == 0, 0), attention_mask=mask, **options)[:, 13:]
        assert got.tolist() == batch.tolist()

"""Models that read a source and write a target against the reference library: outputs, losses, gradients, all masks,
what was read before, and files both ways."""

from __future__ import annotations

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

from bothways.batching import PackedBatch, pack
from bothways.errors import ConfigError, InputError
from tests.models.reference import MODEL_CLASSES, TINY, WITH_TARGET, by_our_names, tiny_inputs, tiny_pair

MASKS = ["none", "right", "left", "holes"]
TOLERANCE = 1e-5  # fp32, as absolute error of outputs of size about one
GRADIENT_TOLERANCE = 1e-4  # relative to the largest gradient of the tensor
LENGTHS = (9, 6, 1, 7, 3)

VARIANTS = {
    "t5": {},
    "t5-gated-untied": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "t5-gated": {"feed_forward_proj": "gated-gelu"},
    "bart": {},
    "bart-untied": {"tie_word_embeddings": False, "scale_embedding": True},
    "mbart": {},
    "pegasus": {},
    "marian": {},
    "marian-two-vocabularies": {"share_encoder_decoder_embeddings": False},
    "marian-untied": {"share_encoder_decoder_embeddings": False, "tie_word_embeddings": False},
}
CASES = [(name, task) for name in VARIANTS for task in ("base", "seq2seq-lm")]
WRITERS = [(name, "seq2seq-lm") for name in VARIANTS]
each_case = pytest.mark.parametrize(("name", "task"), CASES, ids=["-".join(case) for case in CASES])
each_writer = pytest.mark.parametrize(("name", "task"), WRITERS, ids=list(VARIANTS))


def pair(name: str, task: str, seed: int = 0):
    """(reference, ours) with a bias of the scores that matters."""
    model_type = name.split("-")[0]
    theirs, ours = tiny_pair(model_type, task, seed=seed, **VARIANTS[name])
    if model_type == "marian":  # its files leave the positions out, so that others than the computed ones are lost
        for side in (theirs.get_encoder(), theirs.get_decoder()):
            side.embed_positions._init_weight()
        ours.load_state_dict(theirs.state_dict())
    if hasattr(theirs, "final_logits_bias"):
        theirs.final_logits_bias.copy_(torch.randn(theirs.final_logits_bias.shape))
        ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def inputs_for(name: str, mask: str) -> dict:
    return tiny_inputs(name.split("-")[0], mask=mask)


def targets(seed: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels (5, 9) with -100 behind each row's end, and where they are kept."""
    drawn = torch.randint(5, 90, (5, 9), generator=torch.Generator().manual_seed(seed))
    kept = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
    return drawn.masked_fill(~kept, -100), kept


def close(got: torch.Tensor, expected: torch.Tensor, name: str) -> None:
    assert got.shape == expected.shape, name
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(got, expected, atol=TOLERANCE * largest, rtol=0, msg=lambda m: f"{name}: {m}")


def compare(theirs, ours, target: torch.Tensor, source: torch.Tensor) -> None:
    """All tensors of two outputs where both masks, bool (B, L) and (B, S), keep them."""
    for name, expected in theirs.items():
        if name == "past_key_values":
            continue
        of_source = name.startswith("encoder_")
        kept = source if of_source else target
        many = expected if isinstance(expected, tuple) else (expected,)
        found = ours[name] if isinstance(expected, tuple) else (ours[name],)
        assert len(many) == len(found), name
        for e, g in zip(many, found, strict=True):
            assert e.shape == g.shape, name
            if name.endswith("attentions"):
                both = kept[:, None, :, None] & (target if name.startswith("decoder") else source)[:, None, None, :]
                e, g = e.masked_fill(~both, 0), g.masked_fill(~both, 0)
            elif e.ndim:
                e, g = e[kept], g[kept]
            close(g, e, name)


def test_every_class_is_here():
    assert {cls.family.model_type for _, cls in WITH_TARGET} == {name.split("-")[0] for name in VARIANTS}
    assert {key for key, _ in WITH_TARGET} == {(name.split("-")[0], task) for name, task in CASES}


@pytest.mark.parametrize("mask", MASKS)
@each_case
def test_outputs(name, task, mask):
    theirs, ours = pair(name, task)
    inputs = inputs_for(name, mask)
    kept = targets()[1]
    target = {"decoder_input_ids": targets()[0].clamp(min=4), "decoder_attention_mask": kept.long()}
    wants = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        expected, got = theirs(**inputs, **target, **wants), ours(**inputs, **target, **wants)
        short = ours(**inputs, **target)
    assert list(got) == list(expected)
    compare(expected, got, kept, inputs["attention_mask"] != 0)
    for value in ("last_hidden_state", "logits"):
        if value in got:
            torch.testing.assert_close(short[value], got[value], atol=TOLERANCE, rtol=1e-5)


@pytest.mark.parametrize("mask", MASKS)
@each_writer
def test_losses(name, task, mask):
    theirs, ours = pair(name, task)
    inputs, (labels, kept) = inputs_for(name, mask), targets()
    with torch.no_grad():
        expected, got = theirs(**inputs, labels=labels), ours(**inputs, labels=labels)
    compare(expected, got, kept, inputs["attention_mask"] != 0)
    assert not got.logits[~kept].any()  # what is ignored at the end of a row is not computed
    assert torch.equal(
        ours.prepare_decoder_input_ids_from_labels(labels), theirs.prepare_decoder_input_ids_from_labels(labels)
    )


@each_writer
def test_labels_that_are_ignored_inside(name, task):
    theirs, ours = pair(name, task)
    inputs, (labels, kept) = inputs_for(name, "right"), targets()
    labels[0, 2:5] = labels[3, 0] = -100
    with torch.no_grad():
        expected, got = theirs(**inputs, labels=labels), ours(**inputs, labels=labels)
    compare(expected, got, kept, inputs["attention_mask"] != 0)


@pytest.mark.parametrize("mask", ["right", "holes"])
@each_case
def test_gradients(name, task, mask):
    theirs, ours = pair(name, task)
    inputs, (labels, kept) = inputs_for(name, mask), targets()
    for model in (theirs, ours):
        if task == "base":
            output = model(**inputs, decoder_input_ids=labels.clamp(min=4), decoder_attention_mask=kept.long())
            (output.last_hidden_state * kept[..., None]).square().sum().backward()
        else:
            model(**inputs, labels=labels).loss.backward()
    expected = by_our_names(ours, {name: p.grad for name, p in theirs.named_parameters()})
    got = by_our_names(ours, {name: p.grad for name, p in ours.named_parameters()})
    assert set(got) == set(expected)
    for parameter, gradient in expected.items():
        if gradient is None:
            assert got[parameter] is None, parameter
            continue
        least = 1e-2 if parameter.endswith("key.bias") else 1e-3  # softmax does not see a bias of keys: rounding only
        error = (got[parameter] - gradient).abs().max() / gradient.abs().max().clamp(min=least)
        assert error < GRADIENT_TOLERANCE, f"{parameter}: {error:.1e}"


@each_case
def test_a_packed_source_and_target(name, task):
    _, ours = pair(name, task)
    inputs, (labels, kept) = inputs_for(name, "right"), targets()
    decoder = {"decoder_input_ids": labels.clamp(min=4), "decoder_attention_mask": kept.long()}
    source = pack(inputs["input_ids"], inputs["attention_mask"])[0]
    target, layout = pack(*decoder.values())
    with torch.no_grad():
        expected, got = ours(**inputs, **decoder)[0], ours(source, decoder_input_ids=target)[0]
    torch.testing.assert_close(layout.unpack(got)[kept], expected[kept], atol=TOLERANCE, rtol=1e-5)
    if task == "seq2seq-lm":
        learnt = PackedBatch(target.input_ids, target.position_ids, target.seqlens, labels=labels[kept])
        loss = ours(source, decoder_input_ids=learnt).loss
        torch.testing.assert_close(loss, ours(**inputs, **decoder, labels=labels).loss, atol=TOLERANCE, rtol=1e-5)


@each_case
def test_vectors_in_place_of_ids(name, task):
    theirs, ours = pair(name, task)
    inputs, (labels, _) = inputs_for(name, "right"), targets()
    generator = torch.Generator().manual_seed(5)
    inputs["inputs_embeds"] = torch.randn(*inputs.pop("input_ids").shape, 24, generator=generator)
    embeds = torch.randn(*labels.shape, 24, generator=generator)
    with torch.no_grad():
        expected, got = (model(**inputs, decoder_inputs_embeds=embeds) for model in (theirs, ours))
    compare(expected, got, torch.ones(5, 9, dtype=torch.bool), inputs["attention_mask"] != 0)
    ids = tiny_inputs(name.split("-")[0])["input_ids"]
    looked_up = theirs.get_input_embeddings()(ids)
    torch.testing.assert_close(ours.get_input_embeddings()(ids), looked_up, atol=TOLERANCE, rtol=0)


@each_case
def test_a_source_that_is_encoded_once(name, task):
    theirs, ours = pair(name, task)
    inputs, target = inputs_for(name, "right"), {"decoder_input_ids": targets()[0].clamp(min=4)}
    wants = {"output_hidden_states": True, "output_attentions": True}
    mask = inputs["attention_mask"]
    with torch.no_grad():
        whole = ours(**inputs, **target, **wants)
        encoded = ours.get_encoder()(**inputs, **wants)
        expected = theirs(
            encoder_outputs=theirs.get_encoder()(**inputs, **wants), attention_mask=mask, **target, **wants
        )
        for given in (encoded, encoded.to_tuple()):
            got = ours(encoder_outputs=given, attention_mask=mask, **target, **wants)
            assert list(got) == list(expected)
            compare(expected, got, torch.ones(5, 9, dtype=torch.bool), mask != 0)
            compare(whole, got, torch.ones(5, 9, dtype=torch.bool), mask != 0)


@pytest.mark.parametrize("steps", [(1,) * 9, (4, 1, 4), (8, 1)])
@each_writer
def test_step_by_step(name, task, steps):
    _, ours = pair(name, task)
    inputs, ids = inputs_for(name, "right"), targets()[0].clamp(min=4)
    with torch.no_grad():
        whole = ours(**inputs, decoder_input_ids=ids).logits
        encoded = ours.get_encoder()(**inputs)
        past, seen, parts = None, 0, []
        for step in steps:
            output = ours(
                encoder_outputs=encoded,
                attention_mask=inputs["attention_mask"],
                decoder_input_ids=ids[:, seen : seen + step],
                past_key_values=past,
                use_cache=True,
            )
            past, seen = output.past_key_values, seen + step
            parts.append(output.logits)
    assert past.get_seq_length() == 9
    close(torch.cat(parts, 1), whole, "logits")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_past_as_tuples(name):
    theirs, ours = pair(name, "seq2seq-lm")
    inputs, ids = inputs_for(name, "none"), targets()[0].clamp(min=4)
    with torch.no_grad():
        first = theirs(**inputs, decoder_input_ids=ids[:, :5], use_cache=True)
        expected = theirs(**inputs, decoder_input_ids=ids).logits[:, 5:]
        own = ours(**inputs, decoder_input_ids=ids[:, :5], use_cache=True).past_key_values
        for mine, layer in zip(own, first.past_key_values.to_legacy_cache(), strict=True):
            for g, e in zip(mine, layer, strict=True):
                torch.testing.assert_close(g, e, atol=2e-5, rtol=1e-5)
        got = ours(
            **inputs, decoder_input_ids=ids[:, 5:], past_key_values=first.past_key_values.to_legacy_cache()
        ).logits
    close(got, expected, "logits")


@pytest.mark.parametrize("size", ["5GB", "20KB"])
@each_case
def test_files_both_ways(name, task, size, tmp_path, caplog):
    theirs, ours = pair(name, task)
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size=size)
    with caplog.at_level(logging.WARNING, "bothways"):
        loaded = type(ours).from_pretrained(tmp_path / "theirs")
    assert not caplog.records and not loaded.training
    assert loaded.load_report.missing == () and loaded.load_report.unexpected == ()
    same_outputs(theirs, loaded, name)

    loaded.save_pretrained(tmp_path / "ours", max_shard_size=size)
    assert size == "5GB" or len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    back, info = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    same_outputs(back.eval(), ours, name)
    again = type(ours).from_pretrained(tmp_path / "ours")
    assert again.config == loaded.config
    for (parameter, a), b in zip(loaded.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b), parameter


def same_outputs(theirs, ours, name: str) -> None:
    inputs = inputs_for(name, "right")
    target = {"decoder_input_ids": targets()[0].clamp(min=4)}
    with torch.no_grad():
        expected, got = theirs(**inputs, **target), ours(**inputs, **target)
    compare(expected, got, torch.ones(5, 9, dtype=torch.bool), inputs["attention_mask"] != 0)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_body_from_the_file_of_a_writer_and_back(name, tmp_path):
    theirs, ours = pair(name, "seq2seq-lm")
    theirs.save_pretrained(tmp_path / "writer")
    body = MODEL_CLASSES[name.split("-")[0], "base"].from_pretrained(tmp_path / "writer")
    assert body.load_report.missing == ()
    assert set(body.load_report.unexpected) <= {"final_logits_bias", "lm_head.weight"}
    inputs, ids = inputs_for(name, "right"), targets()[0].clamp(min=4)
    with torch.no_grad():
        output = body(**inputs, decoder_input_ids=ids).last_hidden_state
        close(ours.score_hidden(output), ours(**inputs, decoder_input_ids=ids).logits, "logits")
    body.save_pretrained(tmp_path / "body")
    writer = type(ours).from_pretrained(tmp_path / "body")
    assert set(writer.load_report.missing) <= {"lm_head.weight"}  # and no bias is one of zeros
    if hasattr(writer, "final_logits_bias"):
        assert torch.equal(writer.final_logits_bias, torch.zeros(1, 97))


def test_the_reference_leaves_out_computed_positions(tmp_path):
    theirs, _ = pair("marian", "seq2seq-lm")
    theirs.save_pretrained(tmp_path)
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "embed_positions" in name]


@pytest.mark.parametrize("model_type", ["pegasus", "marian"])
def test_computed_positions(model_type, tmp_path):
    cls = MODEL_CLASSES[model_type, "base"]
    for width in (24, 12):
        sizes = {"d_model": width, "decoder_attention_heads": 4}
        ours = cls(cls.config_class(**{**TINY[model_type], **sizes}))
        theirs = type(tiny_pair(model_type, "base", **sizes)[0])
        reference = theirs(theirs.config_class(**{**TINY[model_type], **sizes}))
        for side, place in (("encoder", "embeddings"), ("decoder", "decoder_embeddings")):
            expected = getattr(reference, side).embed_positions.weight
            got = getattr(ours, place).position_embeddings.weight
            torch.testing.assert_close(got.data, expected.data, atol=1e-6, rtol=0)
            assert not got.requires_grad and not expected.requires_grad
    ours.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file({n: t for n, t in tensors.items() if "embed_positions" not in n}, path, metadata={"format": "pt"})
    again = cls.from_pretrained(tmp_path)
    assert again.load_report.sentence() == ""
    assert torch.equal(again.embeddings.position_embeddings.weight, ours.embeddings.position_embeddings.weight)
    assert not again.decoder_embeddings.position_embeddings.weight.requires_grad


def test_nothing_for_the_decoder_to_read():
    for model_type in ("t5", "pegasus", "marian"):
        _, ours = tiny_pair(model_type, "base")
        with pytest.raises(InputError, match="decoder has nothing to read: pass decoder_input_ids"):
            ours(**tiny_inputs(model_type))


@pytest.mark.parametrize("model_type", ["bart", "mbart"])
@pytest.mark.parametrize("task", ["base", "seq2seq-lm"])
def test_a_source_that_is_read_twice(model_type, task):
    theirs, ours = tiny_pair(model_type, task)
    inputs = tiny_inputs(model_type)
    padding = inputs["attention_mask"] == 0
    inputs["input_ids"] = inputs["input_ids"].masked_fill(padding, ours.config.pad_token_id)
    with torch.no_grad():
        expected, got = theirs(**inputs), ours(**inputs)
        packed = ours(pack(inputs["input_ids"], inputs["attention_mask"])[0])
    compare(expected, got, ~padding, ~padding)
    torch.testing.assert_close(packed[0], got[0][~padding], atol=TOLERANCE, rtol=1e-5)
    with pytest.raises(InputError, match="without input_ids there is no default"):
        ours(inputs_embeds=torch.zeros(1, 2, 24))


def test_the_decoder_of_a_head_may_be_given_something_else():
    for key in (
        ("bart", "sequence-classification"),
        ("t5", "sequence-classification"),
        ("mbart", "question-answering"),
    ):
        theirs, ours = tiny_pair(*key)
        inputs = tiny_inputs(key[0], mask="none")
        inputs["input_ids"][:, -1] = ours.config.eos_token_id
        inputs["decoder_input_ids"] = inputs["input_ids"].roll(3, 1)
        with torch.no_grad():
            expected, got = theirs(**inputs), ours(**inputs)
            encoded = ours.get_encoder()(inputs["input_ids"]) if hasattr(ours, "get_encoder") else None
        first = "logits" if "logits" in got else "start_logits"
        close(got[first], expected[first], first)
        encoded = ours.base_model.get_encoder()(inputs["input_ids"])
        close(ours(**inputs, encoder_outputs=encoded)[first], expected[first], first)


@pytest.mark.parametrize("count", [103, 90])
@each_writer
def test_resizing(name, task, count, tmp_path):
    theirs, ours = pair(name, task)
    inputs = inputs_for(name, "none")
    inputs["input_ids"] = inputs["input_ids"].clamp(max=80)
    target = {"decoder_input_ids": targets()[0].clamp(min=4, max=80)}
    with torch.no_grad():
        before = ours(**inputs, **target).logits
        for model in (theirs, ours):
            model.resize_token_embeddings(count)
            if name in ("marian-two-vocabularies", "marian-untied"):
                model.resize_decoder_token_embeddings(count)
        expected, after = theirs(**inputs, **target).logits, ours(**inputs, **target).logits
    kept = min(97, count)
    assert after.shape[-1] == expected.shape[-1] == count
    close(after[..., :kept], before[..., :kept], "logits")
    close(after[..., :kept], expected[..., :kept], "logits")
    assert (ours.lm_head.weight is ours.tied_embeddings().weight) == ours.config.tie_word_embeddings
    ours.save_pretrained(tmp_path)
    back, info = type(theirs).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        close(back(**inputs, **target).logits, after, "logits")
        close(type(ours).from_pretrained(tmp_path)(**inputs, **target).logits, after, "logits")


def test_two_vocabularies_of_different_sizes(tmp_path):
    cls = MODEL_CLASSES["marian", "seq2seq-lm"]
    sizes = {**TINY["marian"], "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 61, "pad_token_id": 60}
    ours = cls(cls.config_class(**{**sizes, "decoder_start_token_id": 60})).eval()
    assert ours.lm_head.weight is ours.model.decoder_embeddings.word_embeddings.weight
    assert ours.lm_head.weight.shape == (61, 24) and ours.get_input_embeddings().weight.shape == (97, 24)
    ids = tiny_inputs("marian", mask="none")["input_ids"]
    assert int(ids.max()) > 61
    written = ours.generate(ids, max_new_tokens=6)
    assert written.max() < 61
    with pytest.raises(
        InputError, match="from 5 to 96 do not fit the vocabulary of 61|do not fit the vocabulary of 61"
    ):
        ours(input_ids=ids, decoder_input_ids=ids)
    ours.save_pretrained(tmp_path)
    again = cls.from_pretrained(tmp_path)
    assert again.load_report.sentence() == "" and torch.equal(again.generate(ids, max_new_tokens=6), written)
    with pytest.raises(InputError, match="share_encoder_decoder_embeddings is True"):
        pair("marian", "seq2seq-lm")[1].resize_decoder_token_embeddings(50)


def test_impossible_sizes():
    config = MODEL_CLASSES["bart", "base"].config_class
    with pytest.raises(ConfigError, match=r"d_model \(24\) must be divisible by decoder_attention_heads \(5\)"):
        config(**{**TINY["bart"], "decoder_attention_heads": 5})
    with pytest.raises(ConfigError, match="decoder_layers is 1000000, expected a whole number from 0 to 512"):
        config(**{**TINY["bart"], "decoder_layers": 1_000_000})
    with pytest.raises(ConfigError, match="parameters"):
        config(**{**TINY["bart"], "d_model": 32_768, "decoder_attention_heads": 8, "decoder_layers": 512})


def test_old_configurations(tmp_path):
    """Keys of the first files, which the reference keeps and does not read either."""
    config = MODEL_CLASSES["bart", "base"].config_class
    old = dict.fromkeys(("normalize_before", "add_final_layer_norm", "static_position_embeddings"), False)
    old |= {"normalize_embedding": True, "force_bos_token_to_be_generated": True}
    old |= {"num_hidden_layers": 12, "extra_pos_embeddings": 2}
    read = config(**TINY["bart"], **old)
    assert read.forced_bos_token_id == read.bos_token_id == 0
    assert read.num_hidden_layers == read.encoder_layers == 3
    read.save_pretrained(tmp_path)
    again = config.from_pretrained(tmp_path)
    assert again.normalize_embedding is True and again == read
    assert config().num_labels == 3 and config(num_labels=2).num_labels == 2
    config(num_labels=2).save_pretrained(tmp_path)
    assert config.from_pretrained(tmp_path).num_labels == 2

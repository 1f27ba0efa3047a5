"""What each position may see."""

from __future__ import annotations

import numpy as np
import pytest

from bothways import explore
from bothways.errors import InputError
from bothways.explore.sight import _measured


def test_the_definitions_need_no_model():
    bert, gpt2 = explore.order("The bank of the [MASK]").sights
    assert bert.tokens == ("[CLS]", "The", "bank", "of", "the", "[MASK]", "[SEP]") and bert.gap == 5
    assert np.array(bert.sees).all() and bert.n_seen == 49 and not bert.measured
    assert gpt2.tokens == ("The", "bank", "of", "the", "_") and gpt2.gap == 4
    assert (np.array(gpt2.sees) == np.tril(np.ones((5, 5), dtype=bool))).all() and gpt2.n_seen == 15
    assert bert.guesses is None and gpt2.guesses is None


def test_sentences_count_what_is_seen():
    said = explore.order("a b [MASK] c").sentences
    assert said[0] == (
        "BERT reads in both directions: of 36 pairs of positions, the first sees the second in 36 (by definition)."
    )
    assert "of 16 pairs of positions, the first sees the second in 10" in said[1]
    assert said[2].startswith("For the gap BERT uses 3 tokens before it and 2 after it; GPT-2 has only the 2 before it")


def test_models_are_measured(tiny_masked, tiny_gpt2):
    report = explore.order("the film", bidirectional=tiny_masked, causal=tiny_gpt2)
    bert, gpt2 = (np.array(sight.sees) for sight in report.sights)
    assert bert.all() and bert.shape == (4, 4)
    assert (gpt2 == np.tril(np.ones((8, 8), dtype=bool))).all()
    assert all(sight.measured and sight.guesses is None for sight in report.sights)


def test_a_window_reaches_further_with_every_layer():
    near = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) <= 1
    weights = np.where(near, 0.3, 0.0)[None, None].repeat(2, axis=0)
    assert (_measured(weights) == (np.abs(np.subtract.outer(np.arange(6), np.arange(6))) <= 2)).all()


def test_guesses_are_those_of_the_reference(tiny_masked, tiny_gpt2):
    import torch
    import transformers

    text = "the film was [MASK] and bad"
    bert, gpt2 = explore.order(text, bidirectional=tiny_masked, causal=tiny_gpt2, top_k=3).sights
    model = transformers.BertForMaskedLM.from_pretrained(tiny_masked).eval()
    encoded = transformers.BertTokenizerFast.from_pretrained(tiny_masked)(text, return_tensors="pt")
    with torch.no_grad():
        expected = model(**encoded).logits[0, bert.gap].softmax(-1).topk(3)
    assert encoded.tokens()[bert.gap] == "[MASK]"
    assert [g.token for g in bert.guesses] == expected.indices.tolist()
    assert [g.probability for g in bert.guesses] == pytest.approx(expected.values.tolist(), abs=1e-6)
    model = transformers.GPT2LMHeadModel.from_pretrained(tiny_gpt2).eval()
    encoded = transformers.GPT2TokenizerFast.from_pretrained(tiny_gpt2)("the film was", return_tensors="pt")
    with torch.no_grad():
        expected = model(**encoded).logits[0, -1].softmax(-1).topk(3)
    assert [g.token for g in gpt2.guesses] == expected.indices.tolist()
    assert [g.probability for g in gpt2.guesses] == pytest.approx(expected.values.tolist(), abs=1e-6)
    assert gpt2.tokens[gpt2.gap] == "_"


def test_a_causal_model_does_not_know_what_follows(tiny_gpt2):
    one, other = (explore.order(f"abc [MASK] {end}", causal=tiny_gpt2).sights[1] for end in ("x", "y z"))
    assert one.guesses == other.guesses
    first = explore.order("[MASK] abc", causal=tiny_gpt2).sights[1]
    assert first.gap == 0 and len(first.guesses) == 5  # from the token that begins a text


def test_a_model_in_the_wrong_place_is_a_sentence(tiny_masked, tiny_gpt2, tiny_model):
    for options, expected in (
        ({"bidirectional": tiny_gpt2}, "reads to the left only; pass it as causal"),
        ({"causal": tiny_masked, "text": "no gap"}, "reads in both directions; pass it as bidirectional"),
        ({"causal": tiny_masked}, "reads in both directions; pass it as bidirectional"),
        ({"bidirectional": tiny_model}, "has no weights for a masked-language head"),
        ({"text": " "}, "text is blank"),
        ({"text": "\u200b"}, "has no word"),
        ({"text": "word " * 513}, "has 513 words; matrices of up to 512 are made"),
        ({"top_k": True}, "top_k is True"),
    ):
        with pytest.raises(InputError, match=expected):
            explore.order(**{"text": "a [MASK] b", **options})

"""Gaps from both sides and from one."""

from __future__ import annotations

import numpy as np
import pytest

from bothways import explore
from bothways.errors import InputError

TEXT = "the film was [MASK] and the plot bad"


def test_probabilities_are_the_reference_s_with_the_other_side_masked_out(tiny_masked):
    import torch
    import transformers

    report = explore.mask(TEXT, model=tiny_masked, top_k=4)
    reference = transformers.BertForMaskedLM.from_pretrained(tiny_masked).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(tiny_masked)
    encoded = tokenizer(TEXT, return_tensors="pt")
    place = encoded.tokens().index("[MASK]")
    n = encoded.input_ids.shape[1]
    seen = torch.ones(3, n, dtype=torch.long)
    seen[1, place + 1 : n - 1] = 0
    seen[2, 1:place] = 0
    with torch.no_grad():
        logits = reference(encoded.input_ids.expand(3, -1), attention_mask=seen).logits[:, place]
    expected = logits.softmax(-1).numpy()
    (gap,) = report.gaps
    for view, row in zip(gap.views, expected, strict=True):
        assert [guess.token for guess in view.guesses] == np.argsort(-row, kind="stable")[:4].tolist()
        np.testing.assert_allclose([guess.probability for guess in view.guesses], np.sort(row)[::-1][:4], atol=1e-6)
        assert view.bits == pytest.approx(-(row * np.log2(row)).sum(), abs=1e-4)
    for candidate in gap.candidates:
        for side, row in zip(("both", "left", "right"), expected, strict=True):
            assert candidate.probabilities[side] == pytest.approx(row[candidate.token], abs=1e-6)
            assert candidate.ranks[side] == (row > row[candidate.token]).sum() + 1


def test_the_views_say_what_they_show(tiny_masked):
    gap = explore.mask(TEXT, model=tiny_masked).gaps[0]
    assert [view.side for view in gap.views] == ["both", "left", "right"]
    assert gap.views[1].shown == "the film was [MASK] …" and gap.views[2].shown == "… [MASK] and the plot bad"


def test_one_sided_views_do_not_hang_on_the_other_side(tiny_masked):
    one = explore.mask("the film was [MASK] and bad", model=tiny_masked).gaps[0].views
    # as many tokens, so that the closing [SEP] keeps its position
    other = explore.mask("the film was [MASK] not good", model=tiny_masked).gaps[0].views
    assert one[1].guesses == other[1].guesses and one[1].bits == other[1].bits
    assert one[0].bits != other[0].bits and one[2].bits != other[2].bits


def test_several_gaps_and_words_that_were_asked_for(tiny_masked):
    report = explore.mask("[MASK] film was [MASK]", model=tiny_masked, words=["awful"], top_k=2)
    assert [gap.number for gap in report.gaps] == [1, 2]
    for gap in report.gaps:
        assert gap.candidates[0].word == "awful" and gap.candidates[0].asked
        assert [c.asked for c in gap.candidates[1:]].count(True) == 0
    assert len(report.sentences) == 2 and report.sentences[1].startswith("Gap 2: reading both sides")


def test_what_cannot_be_filled_is_a_sentence(tiny_masked, tiny_model, tiny_gpt2):
    for options, expected in (
        ({"text": "no gap", "model": tiny_masked}, r"the text has no \[MASK\]"),
        (
            {"text": TEXT, "model": tiny_model},
            "has no weights for a masked-language head: it holds BertModel.*BertForMaskedLM",
        ),
        ({"text": TEXT, "model": tiny_gpt2}, "is a gpt2 model, which has no masked-language head"),
        ({"text": TEXT, "model": tiny_masked, "top_k": 0}, "top_k is 0"),
        ({"text": TEXT, "model": tiny_masked, "words": ["plays"]}, r"play \+ .* is not one token"),
        ({"text": "[MASK] " * 40, "model": tiny_masked}, "text has 42 tokens but .* reads 32"),
        ({"text": 3, "model": tiny_masked}, r"text is 3 \(int\)"),
        ({"text": TEXT, "model": 7}, r"model is 7 \(int\)"),
    ):
        with pytest.raises(InputError, match=expected):
            explore.mask(**options)


def test_without_a_name_the_model_in_the_box_is_taken(tiny_masked, tmp_path, monkeypatch):
    from bothways.resolver import box

    monkeypatch.setattr(box, "BOX_DIRECTORY", tmp_path)
    monkeypatch.setenv("BOTHWAYS_HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match="the box of this installation has none"):
        explore.mask(TEXT)
    monkeypatch.setattr("bothways.explore.masks.default_masked", lambda: str(tiny_masked))
    assert explore.mask(TEXT).model == str(tiny_masked)


def test_another_writing_of_the_mask_is_understood(tiny_masked):
    from bothways import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_masked, mask_token="k")  # a token of the vocabulary
    model = AutoModelForMaskedLM.from_pretrained(tiny_masked)
    assert explore.mask("the film was [MASK]", model=model, tokenizer=tokenizer).text == "the film was k"

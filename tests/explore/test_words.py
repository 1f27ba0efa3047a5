"""One word in several sentences."""

from __future__ import annotations

import numpy as np
import pytest

from bothways import explore
from bothways.errors import InputError

FIRST, SECOND = "The play was good.", "a very bad play, not the fine play"


def test_similarities_are_those_of_the_reference(tiny_model):
    import torch
    import transformers

    report = explore.word("play", [FIRST, SECOND], model=tiny_model)
    reference = transformers.BertModel.from_pretrained(tiny_model).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(tiny_model)
    vectors = []
    for text, starts in ((FIRST, [4]), (SECOND, [11, 30])):
        encoded = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = torch.stack(reference(**encoded, output_hidden_states=True).hidden_states)[:, 0]
        vectors += [hidden[:, encoded.char_to_token(start)].numpy() for start in starts]
    table = np.stack(vectors, axis=1)  # (L + 1, n, N)
    table /= np.linalg.norm(table, axis=2, keepdims=True)
    expected = table @ table.transpose(0, 2, 1)
    assert [layer.name for layer in report.layers] == ["static", "embeddings", "layer 1", "layer 2"]
    np.testing.assert_allclose([layer.similarity for layer in report.layers[1:]], expected, atol=1e-5)
    np.testing.assert_allclose(report.layers[0].similarity, np.ones((3, 3)), atol=1e-6)
    static = reference.get_input_embeddings().weight[tokenizer.convert_tokens_to_ids("play")].detach().numpy()
    static /= np.linalg.norm(static)
    np.testing.assert_allclose([x.to_static for x in report.layers[1:]], (table @ static).mean(axis=1), atol=1e-5)
    assert report.layers[-1].mean == pytest.approx(expected[-1][np.triu_indices(3, 1)].mean(), abs=1e-5)


def test_each_occurrence_counts_and_is_named(tiny_model):
    report = explore.word("PLAY", [FIRST, SECOND], model=tiny_model)
    assert [(o.sentence, o.surface, o.start) for o in report.occurrences] == [
        (1, "play", 4),
        (2, "play", 11),
        (2, "play", 30),
    ]
    assert report.occurrences[0].context == "The [play] was good."
    assert "similarity 1.00" in report.sentences[0] and "layer (of 2)" in report.sentences[1]
    assert report.sentences[2].startswith("Most alike there are occurrences")


def test_a_word_of_several_pieces_is_their_mean(tiny_model):
    import torch

    from bothways import AutoModel, AutoTokenizer

    texts = ["the plays", "good plays was"]
    report = explore.word("plays", texts, model=tiny_model)
    assert [o.pieces for o in report.occurrences] == [("play", "##s")] * 2
    model, tokenizer = AutoModel.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    with torch.no_grad():
        hidden = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 2:4].mean(0) for text in texts]
    expected = torch.cosine_similarity(*hidden, dim=0).item()
    assert report.layers[-1].similarity[0][1] == pytest.approx(expected, abs=1e-5)


def test_other_words_are_pairs_of_different_words_outside_the_word(tiny_model):
    report = explore.word("play", ["play good good", "play good"], model=tiny_model)
    assert all(layer.other_words is None for layer in report.layers)  # the only other word is always the same
    report = explore.word("play", ["play good", "play bad"], model=tiny_model)
    static = np.array([explore.word("good", ["good good"], model=tiny_model).layers[0].mean])
    assert static == pytest.approx(1.0)
    assert -1 <= report.layers[0].other_words < 0.9


def test_one_sentence_with_the_word_twice_is_enough(tiny_model):
    report = explore.word("play", "play the play", model=tiny_model)
    assert len(report.occurrences) == 2 and len(report.sentences_read) == 1


def test_a_word_is_found_as_a_whole_and_in_scripts_without_spaces():
    from bothways.explore.words import _spans

    assert _spans("art", "Art, arty, part: art", 1) == [(0, 3), (17, 20)]
    assert _spans("New York", "in new  york", 1) == [(3, 12)]
    assert _spans("银行", "我去银行取钱", 1) == [(2, 4)]
    assert _spans("c++", "c++ and C++x", 1) == [(0, 3)]
    with pytest.raises(InputError, match="not in sentence 1"):
        _spans("cafe", "cafe\u0301", 1)


def test_what_cannot_be_compared_is_a_sentence(tiny_model):
    with pytest.raises(
        InputError, match=r"'plot' is not in sentence 2, which has the words: the, plots\. Did you mean 'plots'"
    ):
        explore.word("plot", ["the plot", "the plots"], model=tiny_model)
    with pytest.raises(InputError, match="'plot' occurs 1 time in 1 sentence; comparing needs 2"):
        explore.word("plot", ["the plot"], model=tiny_model)
    with pytest.raises(InputError, match="sentence 2 is blank"):
        explore.word("plot", ["the plot", " "], model=tiny_model)
    with pytest.raises(InputError, match="word is blank"):
        explore.word(" ", ["the plot"], model=tiny_model)
    with pytest.raises(InputError, match="sentence 1 has 43 tokens but .* reads 32 at once"):
        explore.word("plot", ["plot " * 41], model=tiny_model)


def test_many_words_are_listed_in_part():
    from bothways.explore.words import _spans

    with pytest.raises(InputError, match=r"w0, w1, .*w11 and 8 more\."):
        _spans("zzz", " ".join(f"w{i}" for i in range(20)), 1)


def test_models_with_two_parts_are_refused_and_causal_ones_read(tiny_gpt2, tmp_path):
    report = explore.word("ab", ["ab cd", "cd ab"], model=tiny_gpt2)
    assert len(report.layers) == 4
    from bothways import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 20}
    T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has an encoder and a decoder"):
        explore.word("ab", ["ab ab"], model=tmp_path)


def test_a_factorised_embedding_has_no_cosine_with_the_static_vector(tiny_model, tmp_path):
    from bothways import AlbertConfig, AlbertModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    sizes = {"hidden_size": 16, "embedding_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = AlbertModel(AlbertConfig(vocab_size=len(tokenizer), intermediate_size=16, **sizes))
    report = explore.word("play", [FIRST, SECOND], model=model, tokenizer=tokenizer)
    assert [layer.to_static is None for layer in report.layers] == [False, True, True, True]
    assert report.model == "AlbertModel"
    with pytest.raises(InputError, match="the tokeniser of this AlbertModel is not known"):
        explore.word("play", [FIRST, SECOND], model=model)

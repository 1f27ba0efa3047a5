"""A new tokeniser from texts alone has the conventions of its family."""

import pytest
from test_training_kinds import TEXTS

from bothways.errors import TokenizerError, UsageError
from bothways.tokenizers import AutoTokenizer
from bothways.tokenizers.new_tokenizer import MODEL_TYPES, measure_tokenizer, train_tokenizer

FIRST = {
    "bert": ("BertTokenizerFast", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<doc>"], 512),
    "distilbert": ("DistilBertTokenizerFast", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<doc>"], 512),
    "electra": ("ElectraTokenizerFast", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<doc>"], 512),
    "roberta": ("RobertaTokenizerFast", ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<doc>"], 512),
    "bart": ("BartTokenizerFast", ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<doc>"], 1024),
    "gpt2": ("GPT2TokenizerFast", ["<|endoftext|>", "<doc>"], 1024),
    "llama": ("LlamaTokenizerFast", ["<unk>", "<s>", "</s>", "<doc>", "<0x00>"], 2048),
    "albert": ("AlbertTokenizerFast", ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "<doc>"], 512),
    "t5": ("T5TokenizerFast", ["<pad>", "</s>", "<unk>", "<doc>"], 512),
}
KIND_OF = {model_type: kind for kind, types in MODEL_TYPES.items() for model_type in types}


def new(model_type, **options):
    options = {"vocab_size": 400, "special_tokens": ["<doc>"], **options}
    return train_tokenizer(TEXTS, kind=KIND_OF[model_type], model_type=model_type, **options)


@pytest.mark.parametrize("model_type", FIRST)
def test_families(model_type, transformers, tmp_path):
    tokenizer = new(model_type)
    name, first, longest = FIRST[model_type]
    assert type(tokenizer).__name__ == name and tokenizer.model_max_length == longest
    assert tokenizer.convert_ids_to_tokens(list(range(len(first)))) == first
    tokenizer.save_pretrained(tmp_path)
    texts = [*TEXTS[:5], "a <doc> b <mask> [MASK] ``x'' <extra_id_0>", "ＡＢＣ\u2028x\ty"]
    ours, theirs = AutoTokenizer.from_pretrained(tmp_path), transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert type(theirs).__name__ == name and theirs.model_max_length == longest
    assert ours.all_special_tokens == theirs.all_special_tokens
    rows = tokenizer(texts)["input_ids"]
    assert ours(texts)["input_ids"] == rows == theirs(texts)["input_ids"]
    assert ours(texts, texts[::-1])["input_ids"] == theirs(texts, texts[::-1])["input_ids"]
    assert ours.batch_decode(rows) == theirs.batch_decode(rows)
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer))) and len(tokenizer) <= 400


def test_sentinels_count_downwards_from_the_end():
    tokenizer = new("t5")
    assert tokenizer.get_sentinel_token_ids() == [len(tokenizer) - 1 - n for n in range(100)]


@pytest.mark.parametrize("model_type", ["bert", "albert"])
def test_case(model_type):
    assert new(model_type).tokenize("SLOW Café") == new(model_type).tokenize("slow cafe")
    cased = new(model_type, lowercase=False)
    assert cased.tokenize("SLOW") != cased.tokenize("slow") and "é" in "".join(cased.tokenize("Café"))
    with pytest.raises(UsageError, match="the tokeniser of roberta keeps case"):
        new("roberta", lowercase=True)


def test_options():
    assert len(new("bert", min_frequency=1000)) < len(new("bert"))
    assert new("bert", limit_alphabet=5).unk_token in new("bert", limit_alphabet=5).tokenize("quark")
    assert new("bert", model_max_length=77).model_max_length == 77


def test_mistakes_are_sentences():
    for options, message in (
        ({"kind": "wordpeice"}, "unknown type 'wordpeice'. Did you mean 'wordpiece'"),
        ({"kind": "x"}, "unknown type 'x'. Known types: wordpiece, bpe, unigram."),
        ({"model_type": "robertta"}, "unknown model type 'robertta'. Did you mean 'roberta'"),
        (
            {"model_type": "gpt2"},
            "models of type 'gpt2' have a bpe vocabulary, not wordpiece. Known for wordpiece: bert",
        ),
        ({"kind": "unigram", "min_frequency": 3}, "min_frequency has no meaning for a unigram vocabulary"),
    ):
        with pytest.raises(UsageError) as problem:
            train_tokenizer(TEXTS, vocab_size=300, **options)
        assert message in str(problem.value)
    with pytest.raises(TokenizerError, match="vocab_size is -1; a whole number"):
        train_tokenizer(TEXTS, vocab_size=-1)
    with pytest.raises(TokenizerError, match="vocab_size is 100, but 103 special tokens and the letters"):
        train_tokenizer(TEXTS, kind="unigram", model_type="t5", vocab_size=100)


def test_quality_counts_words_tokens_and_what_is_unknown():
    tokenizer = new("bert")
    quality = measure_tokenizer(tokenizer, ["slow slow ΩΩ", "ΩΩ, low  ΩxΩ-ΩΩ slow"])
    assert (quality.n_words, quality.n_unknown) == (7, 3)
    assert quality.n_tokens == sum(len(tokenizer.tokenize(t)) for t in ["slow slow ΩΩ", "ΩΩ, low  ΩxΩ-ΩΩ slow"])
    assert quality.unknown_share == 3 / 7 and quality.tokens_per_word == quality.n_tokens / 7
    assert measure_tokenizer(tokenizer, []).tokens_per_word == 0

"""Token classification against the reference, and what is better here: whole words, long texts, exact places."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bothways
import bothways.tokenizers
from bothways import pipeline
from bothways.data import word_spans
from bothways.errors import InputError, TokenizerError
from tests.pipelines.conftest import TEXTS, VOCAB, WORDS, same

pytestmark = pytest.mark.filterwarnings("ignore:`grouped|`ignore_sub|Tokenizer does not support:UserWarning")

HEAD = "BertForTokenClassification"
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
LABELS = {"id2label": dict(enumerate(NAMES)), "label2id": {name: i for i, name in enumerate(NAMES)}}
STRATEGIES = ["none", "simple", "first", "average", "max"]
PARTS = [*WORDS, "cats", "dogs", "ranly", "Trees.", "film!", "zzz", "it's", "unknownword", "x,", "Bigs"]


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choice(PARTS) for _ in range(rng.randint(1, 9))) for _ in range(count)]


def plain(result):
    """The reference's numbers as Python's."""
    if isinstance(result, list):
        return [plain(row) for row in result]
    return {key: value.item() if hasattr(value, "item") else value for key, value in result.items()}


@pytest.fixture(scope="module")
def both(models):
    return models.pair("token-classification", HEAD, config=LABELS)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("compat", [None, "v4"])
def test_equal_to_the_reference(both, strategy, compat):
    theirs, ours = both
    texts = [text for text in (*TEXTS, *sentences(40)) if "'" not in text]
    expected = plain(theirs(texts, aggregation_strategy=strategy))
    got = ours(texts, aggregation_strategy=strategy, compat=compat)
    same(expected, got)
    assert sum(map(len, got)) > 100
    same(expected[0], ours(texts[0], aggregation_strategy=strategy, compat=compat))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_units_are_the_words_of_the_reference(both, strategy):
    theirs, ours = both
    texts = ["it's a U.S. film, AT&T's big-cat bank.", *sentences(20, 1)]
    expected = plain(theirs(texts, aggregation_strategy=strategy))
    same(expected, ours(texts, aggregation_strategy=strategy, word_rule="units"))
    same(expected, ours(texts, aggregation_strategy=strategy, compat="v4"))


def test_joined_words_are_never_cut(both):
    _, ours = both
    text = "the big-cat's film, not-bad dog, and tree-bank-mat."
    edges = {edge for span in word_spans(text) for edge in span}
    for strategy in ("first", "average", "max"):
        found = ours(text, aggregation_strategy=strategy, ignore_labels=[])
        assert {e[side] for e in found for side in ("start", "end")} <= edges


@pytest.mark.parametrize(
    "options",
    [
        {"grouped_entities": True},
        {"grouped_entities": True, "ignore_subwords": True},
        {"grouped_entities": False},
        {"ignore_subwords": True},
        {"aggregation_strategy": "SIMPLE"},
        {"aggregation_strategy": "none", "ignore_labels": ["O", "B-PER"]},
        {"aggregation_strategy": "simple", "ignore_labels": ["PER"]},
        {"aggregation_strategy": "first", "ignore_labels": []},
    ],
    ids=str,
)
def test_options_at_construction_and_in_the_call(models, both, options):
    theirs, ours = both
    text = "the big cats saw unknownword and a good film"
    expected = plain(theirs(text, **options))
    same(expected, ours(text, **options))
    made = models.pair("ner", HEAD, config=LABELS, **options)[1]
    assert made.task == "ner"
    same(expected, made(text))
    same([expected], made([text]))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("delimiter", [None, " ", "", " - ", "\n"])
def test_words_given(both, strategy, delimiter):
    theirs, ours = both
    words = [["the", "cats", "saw", "unknownword", "film!"], ["ranly", "bank"]]
    how = {"aggregation_strategy": strategy, "is_split_into_words": True, "delimiter": delimiter}
    # the reference knows no word but the tokeniser's, so "film!" is left to compat
    same(plain(theirs(words, **how)), ours(words, **how, compat="v4"))
    whole = [["the", "cats", "saw", "unknownword"], ["ranly", "bank"]]
    same(plain(theirs(whole, **how)), ours(whole, **how))
    same(plain(theirs(whole[0], **how)), ours(whole[0], **how))


def test_given_words_stay_whole(both):
    _, ours = both
    words = ["the", "U.S.", "it's", "A B", ""]
    found = ours(words, is_split_into_words=True, aggregation_strategy="first", ignore_labels=[])
    text, edges = " ".join(words), {0, 3, 4, 8, 9, 13, 14, 17}
    assert len(found) == 1 and {e[side] for e in found[0] for side in ("start", "end")} <= edges
    assert text[found[0][0]["start"] :].startswith("the")


def test_offset_mapping(both):
    theirs, ours = both
    text = "the cats saw a film"
    shifted = [(0, 0), (4, 7), (8, 11), (11, 12), (13, 16), (17, 18), (19, 23), (0, 0)]
    longer = ">>> " + text
    for strategy in STRATEGIES[:2]:
        how = {"aggregation_strategy": strategy, "offset_mapping": shifted}
        assert plain(theirs(text, **how))[0]["start"] == ours(text, **how, compat="v4")[0]["start"]
    own = [(0, 0), (0, 3), (4, 7), (7, 8), (9, 12), (13, 14), (15, 19), (0, 0)]
    expected = ours(text, aggregation_strategy="first")
    same(expected, ours(text, aggregation_strategy="first", offset_mapping=own))
    same([expected] * 2, ours([text] * 2, aggregation_strategy="first", offset_mapping=[own, own]))
    with pytest.raises(InputError, match="offset_mapping has 1 entries for 2 inputs"):
        ours([text, text], offset_mapping=own)
    with pytest.raises(InputError, match="offset_mapping of input 0 has 3 entries, but the text has 8 tokens"):
        ours(text, offset_mapping=own[:3])
    with pytest.raises(InputError, match="input 0 goes from 0 to 23, but the text has 19"):
        ours(text, offset_mapping=shifted)
    assert ours(longer, offset_mapping=None)


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
@pytest.mark.parametrize("stride", [0, 3, 10])
def test_windows_of_the_reference(both, strategy, stride):
    theirs, ours = both
    text = " ".join(sentences(20, 2))
    for pipe in both:
        pipe.tokenizer.model_max_length = 40
    try:
        expected = plain(theirs(text, aggregation_strategy=strategy, stride=stride))
        same(expected, ours(text, aggregation_strategy=strategy, stride=stride, compat="v4"))
        cut = plain(theirs(text, aggregation_strategy=strategy))
        same(cut, ours(text, aggregation_strategy=strategy, compat="v4"))
        details = ours(text, aggregation_strategy=strategy, stride=stride, compat="v4", details=True)
        tokens = len(ours.tokenizer(text)["input_ids"])
        assert (details["n_tokens"], details["truncated"]) == (tokens, False)
        assert details["n_windows"] > 1
        assert ours(text, aggregation_strategy=strategy, compat="v4", details=True)["truncated"]
    finally:
        for pipe in both:
            pipe.tokenizer.model_max_length = 10**30


VOCABULARIES = Path(__file__).parents[1] / "tokenizers" / "vocabularies"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["byte-level", "byte-level-untrimmed", "unigram"])
def test_v4_with_tokenisers_that_mark_no_pieces(models, kind, strategy):
    """The reference's heuristic of blanks, over one engine for both; a token's offsets may begin with a blank."""
    import transformers

    directory = models.directory(HEAD, **LABELS, vocab_size=500)
    if kind == "unigram":
        engine = bothways.tokenizers.XLMRobertaTokenizerFast(
            vocab_file=str(VOCABULARIES / "sentencepiece.bpe.model")
        ).backend_tokenizer
    else:
        names = {"vocab_file": str(VOCABULARIES / "vocab.json"), "merges_file": str(VOCABULARIES / "merges.txt")}
        engine = bothways.tokenizers.RobertaTokenizerFast(**names, trim_offsets=kind == "byte-level").backend_tokenizer
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "cls_token": "<s>", "sep_token": "</s>"}
    theirs = transformers.TokenClassificationPipeline(
        model=transformers.AutoModelForTokenClassification.from_pretrained(directory),
        tokenizer=transformers.PreTrainedTokenizerFast(tokenizer_object=engine, **special),
        device=-1,
    )
    ours = bothways.TokenClassificationPipeline(
        model=bothways.AutoModelForTokenClassification.from_pretrained(directory),
        tokenizer=bothways.PreTrainedTokenizerFast(tokenizer_object=engine, **special),
        device=-1,
    )
    texts = ["The cat's mat, it was  good.", "(U.S.) café  東京 😀!", *sentences(8, 6)]
    for text in texts:
        same(plain(theirs(text, aggregation_strategy=strategy)), ours(text, aggregation_strategy=strategy, compat="v4"))
        for entity in ours(text, aggregation_strategy=strategy, ignore_labels=[]):
            shown = text[entity["start"] : entity["end"]]
            assert shown == shown.strip()


def test_long_texts_are_read_whole(both):
    _, ours = both
    text = " ".join(sentences(20, 2))
    tokens = len(ours.tokenizer(text)["input_ids"])
    every = ours(text, ignore_labels=[], details=True)
    assert [e["index"] for e in every["entities"]] == list(range(1, tokens - 1))
    assert (every["n_tokens"], every["truncated"]) == (tokens, False)
    assert every["n_windows"] > 3
    cut = ours(text, ignore_labels=[], truncation=True, details=True)
    assert [e["index"] for e in cut["entities"]] == list(range(1, 39))
    assert (cut["n_tokens"], cut["n_windows"], cut["truncated"]) == (tokens, 1, True)
    with pytest.raises(InputError, match=f"input 1 has {tokens} tokens, but the limit is 40"):
        ours(["the", text], long_input="error")
    for overlap in (0, 5, 30):
        found = ours(text, aggregation_strategy="first", window_overlap=overlap, ignore_labels=[])
        assert all(a["end"] <= b["start"] for a, b in zip(found, found[1:], strict=False))
        assert (found[0]["start"], found[-1]["end"]) == (0, len(text))


class ByToken:
    """Stands for a model that knows each token alone."""

    def __init__(self, labels: dict[int, int]) -> None:
        self.labels = labels

    def token_logits(self, input_ids, token_type_ids=None):
        rows = []
        for ids in input_ids:
            logits = np.full((len(ids), len(NAMES)), -4.0, dtype=np.float32)
            for i, token in enumerate(ids):
                logits[i, self.labels.get(int(token), 0)] = 4.0
            rows.append(logits)
        return rows


@pytest.fixture(scope="module")
def finder(models):
    """Finds "red blue" (PER) and "trees" (LOC), and calls a continuing piece something else."""
    pipe = pipeline("ner", model=models.directory(HEAD, **LABELS), device=-1, aggregation_strategy="first")
    pipe.runner = ByToken(
        {VOCAB.index("red"): 1, VOCAB.index("blue"): 2, VOCAB.index("tree"): 3, VOCAB.index("##s"): 1}
    )
    return pipe


@settings(deadline=None, max_examples=12)
@given(place=st.integers(0, 9_990), overlap=st.integers(0, 18))
def test_an_entity_anywhere_in_a_long_text_is_found_at_its_place(finder, place, overlap):
    words = ["good", "film,", "cat", "and", "dogly"] * 2_000  # 10,000 words, 14,000 tokens
    words[place : place + 1] = ["(Red", "blue)", "trees."]
    text = "  ".join(words)
    found = finder(text, window_overlap=overlap)
    start = len("  ".join(words[:place])) + (2 if place else 0)
    assert [(e["entity_group"], text[e["start"] : e["end"]]) for e in found] == [("PER", "Red  blue"), ("LOC", "trees")]
    assert found[0]["start"] == start + 1
    assert found[1]["start"] == start + len("(Red  blue)  ")


def test_an_entity_in_fifty_thousand_tokens(finder):
    words = ["cat"] * 50_000
    places = [0, 36, 37, 38, 12_345, 49_998]
    for place in places:
        words[place : place + 2] = ["red", "blue"] if place != 37 else ["blue", "cat"]
    words[38:40] = ["trees", "cat"]
    text = " ".join(words)
    result = finder(text, details=True)
    assert result["n_tokens"] == 50_002 + 1
    assert [e["start"] for e in result["entities"] if e["entity_group"] == "PER"] == [
        len(" ".join(words[:p])) + (p > 0) for p in (0, 36, 12_345, 49_998)
    ]
    assert all(text[e["start"] : e["end"]] in ("red blue", "trees") for e in result["entities"])


def test_alone_and_in_a_batch(both):
    _, ours = both
    texts = [*sentences(15, 3), " ".join(sentences(9, 4)), ""]
    for strategy in STRATEGIES:
        same([ours(text, aggregation_strategy=strategy) for text in texts], ours(texts, aggregation_strategy=strategy))


def test_streams_and_plain_numbers(both):
    _, ours = both
    texts = sentences(30, 5)
    listed = ours(texts, aggregation_strategy="max")
    same(listed, list(ours((text for text in texts), aggregation_strategy="max")))
    rows = list(ours(iter([text.split() for text in texts]), is_split_into_words=True))
    assert len(rows) == 30
    for entity in [e for found in listed for e in found]:
        assert (type(entity["score"]), type(entity["start"]), type(entity["end"])) == (float, int, int)
    for token in ours(texts[0]):
        assert (type(token["score"]), type(token["index"]), type(token["start"])) == (float, int, int)


def test_word_rule_of_the_model(both):
    _, ours = both
    text = "big-cat film not-bad dog"
    ours.model.config.word_rule = "units"
    try:
        same(ours(text, aggregation_strategy="first"), ours(text, aggregation_strategy="first", word_rule="units"))
    finally:
        del ours.model.config.word_rule
    with pytest.raises(InputError, match="word_rule is 'blanks'; expected one of 'joined', 'units'"):
        ours(text, word_rule="blanks")


@pytest.mark.parametrize(
    "inputs, options, said",
    [
        ([], {}, "at least one input is required"),
        ((), {}, "at least one input is required"),
        (None, {}, "the input is None"),
        ({"text": "a"}, {}, "dictionary with the keys"),
        (["a", 3], {}, r"input 1 is 3 \(int\)"),
        ("a", {"aggregation_strategy": "best"}, "'best'; expected one of 'none', 'simple', 'first', 'average', 'max'"),
        ("a", {"compat": "v3"}, "compat is 'v3'; expected one of 'v4'"),
        ("a b", {"is_split_into_words": True}, r"input 0 is 'a b' \(str\); .* list of words"),
        ([["a"], ["b", 4]], {"is_split_into_words": True}, "input 1: word 1 is 4"),
        ([["a"], "b"], {"is_split_into_words": True}, "input 1 is 'b'"),
        ("a", {"stride": -1}, "stride is -1"),
        ("a", {"stride": 5, "compat": "v4"}, "stride is 5, but .* aggregation_strategy"),
        ("a", {"stride": 40, "compat": "v4", "aggregation_strategy": "first"}, "stride is 40, but a window has 40"),
        ("a", {"ignore_labels": 3}, r"ignore_labels is 3 .int.; expected a list of labels"),
        ("a", {"delimiter": 3}, "a text for delimiter"),
        ("a", {"offset_mapping": "x"}, "offset_mapping is 'x'"),
    ],
)
def test_errors(both, inputs, options, said):
    with pytest.raises((InputError, TokenizerError), match=said):
        both[1](inputs, **options)


def test_unknown_options_are_refused(both):
    with pytest.raises(TypeError, match="'aggregation_stratgy'. Did you mean 'aggregation_strategy'"):
        both[1]("a", aggregation_stratgy="first")


def test_other_models_are_refused(models):
    with pytest.raises(InputError, match="token-classification"):
        pipeline("ner", model=models.directory("BertForMaskedLM"), device=-1)


def test_the_task_follows_from_the_model(models):
    pipe = pipeline(model=models.directory(HEAD, **LABELS), device=-1)
    assert isinstance(pipe, bothways.TokenClassificationPipeline) and pipe.task == "token-classification"
    assert bothways.NerPipeline is bothways.TokenClassificationPipeline
    assert bothways.AggregationStrategy["FIRST"] == "first"

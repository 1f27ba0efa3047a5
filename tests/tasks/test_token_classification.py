"""Labels of words to tokens and logits back to words and entities, for every kind of tokeniser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways import tokenizers
from bothways.data.tagged import from_words
from bothways.data.words import word_spans
from bothways.errors import CheckpointError, InputError
from bothways.tasks.entity_groups import AggregationStrategy, Labels, entity_groups, labelled_tokens
from bothways.tasks.token_classification import (
    IGNORED,
    align,
    decode_words,
    encode_words,
    token_labels,
    token_scores,
    word_scores,
)

FILES = Path(__file__).parents[1] / "tokenizers" / "vocabularies"
VOCAB = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "u",
    "s",
    "anna",
    "smith",
    "##s",
    "##y",
    "in",
    ".",
    "-",
    "'",
    "w",
]
VOCAB += ["rome", "##ville", "bank"]
ODD_WORDS = st.text(st.sampled_from("abeé.,'-&1東😀U"), min_size=1, max_size=6)
NAMES = dict(enumerate(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]))


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    return tokenizers.BertTokenizerFast(vocab_file=str(path))


@pytest.fixture(scope="module")
def kinds(wordpiece):
    return {
        "wordpiece": wordpiece,
        "byte-level": tokenizers.RobertaTokenizerFast(
            vocab_file=str(FILES / "vocab.json"), merges_file=str(FILES / "merges.txt")
        ),
        "unigram": tokenizers.XLMRobertaTokenizerFast(vocab_file=str(FILES / "sentencepiece.bpe.model")),
        "unigram-albert": tokenizers.AlbertTokenizerFast(vocab_file=str(FILES / "spiece.model")),
    }


KINDS = ["wordpiece", "byte-level", "unigram", "unigram-albert"]


def logits_for(tokens, labels, size=5):
    """Logits that say of every first token of a word its label, and of all others something else."""
    rows = token_labels(tokens, labels)
    found = []
    for row in rows:
        logits = np.full((len(row), size), -3.0, dtype=np.float32)
        for i, label in enumerate(row):
            logits[i, (i % size) if label == IGNORED else label] = 3.0
        found.append(logits)
    return found


def test_align():
    assert align([None, 0, 0, 1, 2, 2, None], [7, 8, 9]) == [-100, 7, -100, 8, 9, -100, -100]
    assert align(np.array([-1, 0, -1, 0, 2]), [7, 8, 9]) == [-100, 7, -100, -100, 9]
    assert align([None, None], []) == [-100, -100]


def test_labels_stand_on_first_tokens(wordpiece):
    example = from_words(["U.S.", "Annas", "", "Romeville"], ["B-LOC", "B-PER", "O", "B-LOC"])
    tokens = encode_words(wordpiece, [example.text], [example.words], max_length=None)
    assert " ".join(wordpiece.convert_ids_to_tokens(tokens.texts[0].ids)[1:-1]) == "u . s . anna ##s rome ##ville"
    assert token_labels(tokens, [[1, 2, 3, 4]]) == [[-100, 1, -100, -100, -100, 2, -100, 4, -100, -100]]
    with pytest.raises(InputError, match="text 0 has 4 words and 3 labels"):
        token_labels(tokens, [[1, 2, 3]])


def test_labels_of_windows_stand_once_and_where_prediction_looks(wordpiece):
    words = ["anna", "romeville"] * 20
    example = from_words(words, ["O"] * 40)
    tokens = encode_words(wordpiece, ["bank", example.text], [[(0, 4)], example.words], max_length=14, window_overlap=4)
    labels = list(range(40))
    rows = token_labels(tokens, [[0], labels])
    assert len(rows) == len(tokens.encoded.input_ids) > 4
    assert sorted(label for row in rows[1:] for label in row if label != IGNORED) == labels
    assert all(len(row) == len(ids) for row, ids in zip(rows, tokens.encoded.input_ids, strict=True))
    whole = encode_words(wordpiece, [example.text], [example.words], max_length=None)
    assert sum(map(len, token_labels(whole, [labels]))) == 62
    # a label that only the window of its best context knows is found again
    logits = [np.full((len(row), 40), -3.0, dtype=np.float32) for row in rows]
    for row, own in zip(rows, logits, strict=True):
        for i, label in enumerate(row):
            own[i, 39 if label == IGNORED else label] = 3.0
    names = {i: str(i) for i in range(40)}
    assert decode_words(logits, tokens, names) == [["0"], [str(i) for i in labels]]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(KINDS), st.lists(st.tuples(ODD_WORDS, st.integers(0, 4)), min_size=1, max_size=9))
def test_round_trip_of_words(kinds, kind, pairs):
    words, labels = [word for word, _ in pairs], [label for _, label in pairs]
    example = from_words(words, ["O"] * len(words))
    tokens = encode_words(kinds[kind], [example.text], [example.words], max_length=8, window_overlap=2)
    found = decode_words(logits_for(tokens, [labels]), tokens, NAMES)[0]
    with_tokens = set(tokens.texts[0].words.tolist())
    assert [found[i] for i in range(len(words)) if i in with_tokens] == [
        NAMES[label] for i, label in enumerate(labels) if i in with_tokens
    ]
    if kind != "wordpiece":  # there a word of signs that BERT's cleaning removes has no token
        assert with_tokens >= set(range(len(words)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
def test_entities_have_exact_characters(kinds, kind, strategy):
    tokenizer = kinds[kind]
    text = "  Anna Smith's\u00a0 bank,\n(Romeville) in  the U.S.  "
    spans = word_spans(text)
    wanted = {"Anna": 1, "Smith": 2, "Romeville": 3, "U.S.": 3}
    tokens = encode_words(tokenizer, [text], [spans], max_length=None)
    located = tokens.texts[0]
    logits = np.full((len(located.ids), len(NAMES)), -3.0, dtype=np.float32)
    for i, word in enumerate(located.words.tolist()):
        label = wanted.get(text[slice(*spans[word])], 0) if word >= 0 else 0
        continues = word >= 0 and i > 0 and located.words[i - 1] == word
        logits[i, label + 1 if label in (1, 3) and continues else label] = 3.0
    scores = token_scores([logits], tokens)[0]
    found = entity_groups(located, scores, Labels.of(NAMES), AggregationStrategy(strategy), {"O"}, tokenizer)
    assert [(text[e["start"] : e["end"]], e["entity_group"]) for e in found] == [
        ("Anna Smith", "PER"), ("Romeville", "LOC"), ("U.S.", "LOC"),
    ]  # fmt: skip
    assert all(type(e["score"]) is float and type(e["start"]) is int for e in found)
    for token in labelled_tokens(located, scores, Labels.of(NAMES), {"O"}, tokenizer):
        shown = text[token["start"] : token["end"]]
        assert shown and shown == shown.strip()


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(KINDS), st.text(st.sampled_from("aabUS .'-\n\u00a0é東e\u0301😀1,"), max_size=30), st.integers(0, 99)
)
def test_any_text_and_any_scores(kinds, kind, text, seed):
    tokens = encode_words(kinds[kind], [text], [word_spans(text)], max_length=None)
    located = tokens.texts[0]
    shape = (len(located.ids), len(NAMES))
    logits = np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)
    scores = token_scores([logits], tokens)[0]
    for strategy in ("simple", "first", "average", "max"):
        found = entity_groups(located, scores, Labels.of(NAMES), AggregationStrategy(strategy), {"O"}, kinds[kind])
        for e in found:
            shown = text[e["start"] : e["end"]]
            assert shown and shown == shown.strip() and 0 < e["score"] <= 1
        assert all(a["end"] <= b["start"] for a, b in zip(found, found[1:], strict=False))


def test_scores_of_words(wordpiece):
    tokens = encode_words(wordpiece, ["annas in smith"], [[(0, 5), (6, 8), (9, 14)]], max_length=None)
    scores = np.array([[9, 9], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7], [1, 0], [9, 9]], dtype=np.float32)
    for strategy, first_word in (("first", [0.6, 0.4]), ("average", [0.35, 0.65]), ("max", [0.1, 0.9])):
        words, own = word_scores(scores, tokens.texts[0], strategy)
        assert words.tolist() == [0, 1, 2]
        np.testing.assert_allclose(own, [first_word, [0.3, 0.7], [1, 0]], atol=1e-6)
    nothing = encode_words(wordpiece, [""], [[]], max_length=None)
    assert decode_words([np.zeros((2, 5), dtype=np.float32)], nothing, NAMES) == [[]]


@pytest.mark.parametrize(
    "names, tags, expected",
    [
        ("O B-P I-P", "B-P I-P O I-P B-P", ["P 0-2", "P 3-4", "P 4-5"]),
        ("O B-P I-P E-P S-P", "B-P I-P E-P I-P S-P S-P O E-P", ["P 0-3", "P 3-4", "P 4-5", "P 5-6", "P 7-8"]),
        ("O B-P I-P L-P U-P", "U-P B-P L-P O U-P", ["P 0-1", "P 1-3", "P 4-5"]),
        ("O creative-work P", "P P creative-work creative-work O P", ["P 0-2", "creative-work 2-4", "P 5-6"]),
        ("O S-Bahn U-Bahn tram", "S-Bahn S-Bahn U-Bahn tram", ["S-Bahn 0-2", "U-Bahn 2-3", "tram 3-4"]),
        ("LABEL_0 LABEL_1", "LABEL_1 LABEL_0 LABEL_0", ["LABEL_1 0-1", "LABEL_0 1-3"]),
    ],
)
def test_grouping_of_every_scheme(wordpiece, names, tags, expected):
    id2label = dict(enumerate(names.split()))
    label = {name: i for i, name in id2label.items()}
    words = ["anna"] * len(tags.split())
    example = from_words(words, tags.split())
    tokens = encode_words(wordpiece, [example.text], [example.words], max_length=None)
    logits = np.full((len(words) + 2, len(label)), -9.0, dtype=np.float32)
    for i, tag in enumerate(tags.split(), 1):
        logits[i, label[tag]] = 9.0
    scores = token_scores([logits], tokens)[0]
    for strategy in ("simple", "first"):
        found = entity_groups(
            tokens.texts[0], scores, Labels.of(id2label), AggregationStrategy(strategy), {"O"}, wordpiece
        )
        assert [f"{e['entity_group']} {e['start'] // 5}-{e['end'] // 5 + 1}" for e in found] == expected


def test_pieces_beyond_a_word_stay_whole(wordpiece):
    """The tokeniser makes one unknown token of a sign and the number after it, which are two words here."""
    text = "anna €20 in"
    tokens = encode_words(wordpiece, [text], [word_spans(text)], max_length=None)
    located = tokens.texts[0]
    assert located.words.tolist() == [-1, 0, 1, 3, -1]
    scores = np.tile(np.array([[0.1, 0.9, 0, 0, 0]], dtype=np.float32), (5, 1))
    found = entity_groups(located, scores, Labels.of(NAMES), AggregationStrategy.FIRST, {"O"}, wordpiece)
    assert [text[e["start"] : e["end"]] for e in found] == ["anna", "€20", "in"]
    assert [e["word"] for e in found] == ["anna", "€20", "in"]


def test_numbers_that_are_none_are_refused(wordpiece):
    tokens = encode_words(wordpiece, ["anna"], [[(0, 4)]], max_length=None)
    with pytest.raises(CheckpointError, match="NaN or infinite.* for text 0"):
        token_scores([np.full((3, 5), np.nan, dtype=np.float32)], tokens)


def test_truncated_words_have_no_label(wordpiece):
    example = from_words(["anna", "in", "rome"], ["O"] * 3)
    tokens = encode_words(wordpiece, [example.text], [example.words], max_length=4, long_input="truncate")
    assert (tokens.encoded.truncated, tokens.texts[0].words.tolist()) == ([True], [-1, 0, 1, -1])
    logits = np.zeros((4, 5), dtype=np.float32)
    logits[:, 1] = 1
    assert decode_words([logits], tokens, NAMES) == [["B-PER", "B-PER", "O"]]
    assert token_labels(tokens, [[1, 2, 3]]) == [[-100, 1, 2, -100]]


def test_strategies_by_name():
    assert AggregationStrategy.of("MAX") is AggregationStrategy.MAX == "max"
    with pytest.raises(InputError, match="'best'; expected one of 'none', 'simple', 'first', 'average', 'max'"):
        AggregationStrategy.of("best")

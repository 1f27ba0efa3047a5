"""Zero-shot classification against the reference pipeline; windows, labels of each text, streams, errors."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from bothways import PreTrainedTokenizerFast, pipeline
from bothways.errors import InputError, TokenizerError
from bothways.tasks.crossed import crossed_logits, encode_crossed
from bothways.tasks.pair_frame import pair_frame
from bothways.tasks.zero_shot import TEMPLATE, hypotheses
from tests.pipelines.conftest import CLASSIFIER, TEXTS, same

TASK = "zero-shot-classification"
LABELS = ["cat", "big tree", "dogs"]
SEQUENCES = [text for text in TEXTS if text]
LONG = "the cat saw a big dog and " * 12  # 84 tokens for a model that reads 40


def nli(*names: str) -> dict:
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
        "num_hidden_layers": 1 + len(names) % 3,  # so that each has a directory of its own
        "hidden_size": 24 + 4 * (names[0].lower().startswith("e")),
    }


NLI = nli("contradiction", "neutral", "ENTAILMENT")


@pytest.fixture(scope="module")
def both(models):
    return models.pair(TASK, CLASSIFIER, config=NLI)


@pytest.mark.parametrize("inputs", [SEQUENCES[0], [SEQUENCES[0]], SEQUENCES], ids=["one", "list of one", "list"])
@pytest.mark.parametrize(
    "labels", [LABELS, tuple(LABELS), "cat, big tree,dogs,", ["cat"], "cat", ["cat", "cat"]], ids=str
)
@pytest.mark.parametrize(
    "options", [{}, {"multi_label": True}, {"hypothesis_template": "{0}! very {0} [SEP] not"}], ids=str
)
def test_forms(both, inputs, labels, options):
    theirs, ours = both
    same(theirs(inputs, labels, **options), ours(inputs, labels, **options))


@pytest.mark.parametrize("names", [("entailment", "not_entailment"), ("no", "Entails it", "yes", "so")], ids=str)
@pytest.mark.parametrize("multi", [False, True])
def test_where_entailment_is(models, names, multi):
    theirs, ours = models.pair(TASK, CLASSIFIER, config=nli(*names))
    same(theirs(SEQUENCES, LABELS, multi_label=multi), ours(SEQUENCES, LABELS, multi_label=multi))


def test_no_entailment_among_the_labels(models, caplog):
    with caplog.at_level(logging.WARNING, logger="bothways"):
        theirs, ours = models.pair(TASK, CLASSIFIER, config=nli("no", "yes"))
    assert "no label of this model begins with 'entail' (labels: no, yes)" in caplog.text
    assert ours.entailment_id == theirs.entailment_id == -1
    for multi in (False, True):
        same(theirs(SEQUENCES, LABELS, multi_label=multi), ours(SEQUENCES, LABELS, multi_label=multi))


def test_options_at_construction_and_older_names(models, caplog):
    theirs, ours = models.pair(TASK, CLASSIFIER, config=NLI, candidate_labels=LABELS, multi_class=True)
    same(theirs(SEQUENCES), ours(SEQUENCES))
    same(theirs(SEQUENCES, candidate_labels="a, b"), ours(SEQUENCES, candidate_labels="a, b"))
    same(theirs(SEQUENCES, multi_label=False), ours(SEQUENCES, multi_label=False))


def test_where_nothing_differs_from_version_4_it_may_be_asked_for(both):
    _, ours = both
    assert ours("a cat", LABELS, compat="v4") == ours("a cat", LABELS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'compat'"):
        ours("a cat", LABELS, compat="v3")


def test_labels_of_each_text(both):
    _, ours = both
    labels = [["cat", "dog"], ["tree"], ["good", "bad", "very"]]
    one_by_one = [ours(text, own) for text, own in zip(SEQUENCES[:3], labels, strict=True)]
    same(one_by_one, ours(SEQUENCES[:3], labels))
    same(one_by_one, list(ours((text for text in SEQUENCES[:3]), labels)))
    rows = [{"sequence": text, "candidate_labels": own} for text, own in zip(SEQUENCES, labels, strict=False)]
    same(one_by_one, ours(rows))
    same(one_by_one, list(ours(row for row in rows)))
    same(one_by_one[0], ours(rows[0]))
    same(one_by_one[1], ours({"text": SEQUENCES[1]}, candidate_labels="tree"))


def test_truncation_cuts_the_text_alone(both):
    theirs, ours = both
    theirs.tokenizer.model_max_length = 40
    texts = [LONG, SEQUENCES[0]]
    got = ours(texts, LABELS, truncation=True)
    same(theirs(texts, LABELS), got)
    same(theirs(texts, LABELS, multi_label=True), ours(texts, LABELS, multi_label=True, long_input="truncate"))
    detailed = ours(texts, LABELS, truncation="only_first", details=True)
    assert [(r["n_tokens"], r["n_windows"], r["truncated"]) for r in detailed] == [(93, 1, True), (16, 1, False)]


def test_windows_are_the_mean_of_their_scores(both):
    _, ours = both
    ours.tokenizer.model_max_length = 10**30
    got = ours(LONG, LABELS, details=True)
    assert (got["n_tokens"], got["n_windows"], got["truncated"]) == (93, 5, False)
    assert sum(got["scores"]) == pytest.approx(1)
    seconds = [hypotheses(LABELS, TEMPLATE)]
    (text,) = encode_crossed(ours.tokenizer, [LONG], seconds, max_length=40, window_overlap=64)
    words = [ours.tokenizer.decode(part) for part in text.parts]
    scores = [dict(zip(*(ours(part, LABELS)[key] for key in ("labels", "scores")), strict=True)) for part in words]
    shares = [len(part.split()) / sum(len(p.split()) for p in words) for part in words]
    for label, score in zip(got["labels"], got["scores"], strict=True):
        assert score == pytest.approx(sum(n * s[label] for n, s in zip(shares, scores, strict=True)), abs=1e-5)


def test_a_tie_between_parts_of_the_queue(both):
    """However the queue is cut, every text gets its own logits."""
    _, ours = both
    texts = [*SEQUENCES, LONG]
    seconds = [hypotheses(LABELS[: 1 + i % 3], TEMPLATE) for i in range(len(texts))]
    crossed = encode_crossed(ours.tokenizer, texts, seconds, max_length=40)
    whole = list(crossed_logits(crossed, ours.runner.sequence_logits))
    assert [text for text, _ in whole] == crossed
    assert whole[-1][1].shape == (crossed[-1].n_windows, len(seconds[-1]), 3)
    for most in (1, 50, 300):
        for (_, expected), (_, got) in zip(
            whole, crossed_logits(crossed, ours.runner.sequence_logits, most), strict=True
        ):
            np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("special", [True, False])
def test_joined_rows_are_the_rows_of_pairs(both, special):
    _, ours = both
    texts = ["", " ", "The [SEP] cat!", "dogs", *TEXTS, LONG]
    seconds = [["", "[MASK] a", "unknownword's"]] * len(texts)
    crossed = encode_crossed(ours.tokenizer, texts, seconds, max_length=None, add_special_tokens=special)
    got = [row for text in crossed for row in text.rows()]
    pairs = [(text, second) for text, own in zip(texts, seconds, strict=True) for second in own]
    expected = ours.tokenizer.encode_texts(pairs, add_special_tokens=special)
    assert got == [(e.ids, e.type_ids) for e in expected]
    assert pair_frame(ours.tokenizer, [""], [""], special) == crossed[0].frame


@pytest.mark.parametrize("families_types", [True, False])
def test_joined_rows_of_another_template(families_types):
    """Two separators between the texts, as RoBERTa has them; and token types that no family uses."""
    vocabulary = {word: i for i, word in enumerate(["<s>", "</s>", "[UNK]", "a", "cat", "dog"])}
    engine = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    engine.pre_tokenizer = Whitespace()
    engine.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s>:0 $A:0 </s>:1 </s>:0 $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    names = ["input_ids", *["token_type_ids"] * families_types]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=engine, model_input_names=names)
    texts, seconds = ["a cat", "", "dog"], ["a dog", "cat"]
    got = [row for text in encode_crossed(tokenizer, texts, [seconds] * 3, max_length=None) for row in text.rows()]
    expected = tokenizer.encode_texts([(text, second) for text in texts for second in seconds])
    assert got == [(e.ids, e.type_ids if families_types else None) for e in expected]
    assert got[0] == ([0, 3, 4, 1, 1, 3, 5, 1], [0, 0, 0, 1, 0, 1, 1, 1] if families_types else None)


def test_a_template_that_mixes_the_texts():
    engine = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    engine.post_processor = TemplateProcessing(single="$A", pair="$B $A", special_tokens=[])
    with pytest.raises(TokenizerError, match="expected the tokens of the first followed by those of the second"):
        encode_crossed(PreTrainedTokenizerFast(tokenizer_object=engine), ["a"], [["b"]], max_length=None)


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.sampled_from(["cat", "dog", "big", "[SEP]", "é", "trees"]), max_size=60).map(" ".join),
    seconds=st.lists(st.text("cat dog.", max_size=12), min_size=1, max_size=3),
    limit=st.integers(20, 45),
    overlap=st.integers(0, 30),
)
def test_no_token_of_a_text_is_lost(both, text, seconds, limit, overlap):
    """Every token is in a window, each second text is whole in each, no row is too long."""
    tokenizer = both[1].tokenizer
    (crossed,) = encode_crossed(tokenizer, [text], [seconds], max_length=limit, window_overlap=overlap)
    rows = [ids for ids, _ in crossed.rows()]
    assert len(rows) == crossed.n_rows == crossed.n_windows * len(seconds)
    assert max(map(len, rows)) <= limit
    whole = tokenizer.encode_texts([text], add_special_tokens=False)[0].ids
    at = 0  # parts are pieces of the text, in order, without gaps
    for part in crossed.parts:
        places = [i for i in range(at + 1) if whole[i : i + len(part)] == part]
        assert places
        at = max(at, places[-1] + len(part))
    assert at == len(whole)
    ends = [tokenizer.encode_texts([second], add_special_tokens=False)[0].ids for second in seconds]
    for i, ids in enumerate(rows):
        end = ends[i % len(seconds)]
        assert ids[len(ids) - len(end) - 2 : -1] == [tokenizer.sep_token_id, *end]
    assert crossed.weights.sum() == pytest.approx(1)


def test_equal_pairs_are_computed_once(both):
    _, ours = both
    before = ours.runner.computed_sequences
    ours([SEQUENCES[0]] * 5, ["cat", "dog", "cat"])
    assert ours.runner.computed_sequences - before == 2


def test_streams_read_no_further_than_needed(both):
    _, ours = both
    taken = []

    def source():
        for i in range(10_000):
            taken.append(i)
            yield "the cat"

    answers = ours(source(), LABELS)
    assert next(answers)["sequence"] == "the cat"
    assert len(taken) <= 16


def test_many_labels_wait_in_a_short_queue(both, monkeypatch):
    _, ours = both
    sizes = []
    compute = ours.runner.sequence_logits

    def watched(ids, types):
        sizes.append(sum(map(len, ids)))
        return compute(ids, types)

    monkeypatch.setattr(ours.runner, "sequence_logits", watched)
    monkeypatch.setattr(crossed_logits, "__defaults__", (500,))
    labels = [f"{word} {i}" for word in ("cat", "dog", "tree") for i in range(20)]
    got = ours(["the cat sat", "a dog ran"] * 5, labels)
    assert len(got) == 10
    assert len(sizes) > 10
    assert max(sizes) < 540  # 500 and the row that reached it


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ("a cat", {}, "input 0 has no candidate_labels"),
        ("a cat", {"candidate_labels": []}, "at least one label and at least one sequence"),
        ("a cat", {"candidate_labels": " , "}, "at least one label"),
        ("", {"candidate_labels": "a"}, "input 0 is empty"),
        (["a cat", ""], {"candidate_labels": "a"}, "input 1 is empty"),
        (["a cat", 3], {"candidate_labels": "a"}, r"input 1 is 3 \(int\)"),
        ("a cat", {"candidate_labels": 7}, r"candidate_labels is 7 \(int\)"),
        ("a cat", {"candidate_labels": ["a", None]}, "label None is a NoneType"),
        (["a", "cat"], {"candidate_labels": [["a"], ["b"], ["c"]]}, "has 3 lists, but there are 2 texts"),
        ("a cat", {"candidate_labels": [["a"], ["b"]]}, "has 2 lists, but there are 1 texts"),
        ("a cat", {"candidate_labels": "a", "hypothesis_template": "it is"}, r"template 'it is' has no place"),
        ("a cat", {"candidate_labels": "a", "hypothesis_template": "{label}"}, r"'\{label\}' cannot be filled"),
        ("a cat", {"candidate_labels": "a", "hypothesis_template": "{} {"}, "cannot be filled"),
        ("a cat", {"candidate_labels": "a", "hypothesis_template": 4}, "hypothesis_template is 4"),
        ([{"sequence": "a", "labels": "b"}], {}, r"input 0 has the keys \['labels', 'sequence'\]"),
        (["a", LONG], {"candidate_labels": "a", "long_input": "error"}, "input 1 has 92 tokens .* limit is 40"),
        (
            ["a", "b"],
            {"candidate_labels": LONG},
            r"input 0: hypothesis 0 has 88 tokens and there are 3 special .* 40\.",
        ),
    ],
)
def test_errors(both, inputs, options, message):
    _, ours = both
    with pytest.raises(InputError, match=message):
        ours(inputs, **options)


def test_stray_arguments(both):
    _, ours = both
    with pytest.raises(ValueError, match="extra arguments"):
        ours("a cat", "a", "b")
    with pytest.raises(TypeError, match="Did you mean 'multi_label'"):
        ours("a cat", "a", multilabel=True)
    with pytest.raises(ValueError, match="has 1 lists, but there is an input 1"):
        list(ours(iter(["a", "b"]), [["x"]]))


def test_a_model_of_one_output(models):
    _, ours = models.pair(TASK, CLASSIFIER, config=nli("score"))
    assert len(ours("a cat", "a, b")["scores"]) == 2
    with pytest.raises(InputError, match="1 output"):
        ours("a cat", "a")


def test_the_task_has_no_default_model_without_the_box(monkeypatch, tmp_path):
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "empty box")
    with pytest.raises(ValueError, match="zero-shot-classification has no default model"):
        pipeline(TASK)

"""Question answering: exactly the reference's answers on request, its forms and errors always, and our own promises."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bothways import pipeline
from bothways.errors import InputError
from bothways.pipelines.question_answering import MissingKeyError
from tests.pipelines.conftest import WORDS, same

HEAD = "BertForQuestionAnswering"
QUESTION = "what sat on the mat?"
CONTEXT = "The big red cat sat on the mat. A small dog ran under the blue tree, and it was not very good."
LONG = " ".join(random.Random(0).choices([*WORDS, "cats", "dogs,", "treeing.", "unknown"], k=150))


@pytest.fixture(scope="module")
def both(models):
    return models.pair("question-answering", HEAD)


@pytest.fixture(scope="module")
def ours(both):
    return both[1]


def short(**options):
    """The tiny models have 40 positions."""
    return {"max_seq_len": 32, "doc_stride": 8, **options}


@pytest.mark.parametrize("context", [CONTEXT, LONG, "cat", "The cat's  mat !!"], ids=["short", "long", "word", "odd"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": 3},
        {"top_k": 20, "max_answer_len": 3},
        {"handle_impossible_answer": True},
        {"handle_impossible_answer": True, "top_k": 4},
        {"align_to_words": False},
        {"align_to_words": False, "top_k": 6, "max_answer_len": 1},
        {"max_seq_len": 24, "doc_stride": 3, "top_k": 5},
        {"topk": 2},
    ],
    ids=str,
)
def test_compat_is_the_reference(both, context, options):
    theirs, mine = both
    for question in (QUESTION, "dog?", "a film under the tree and the cat"):
        asked = {"question": question, "context": context, **short(**options)}
        same(theirs(**asked), mine(**asked, compat="v4"), tolerance=1e-6)


def test_compat_for_many_questions_and_at_construction(models):
    theirs, mine = models.pair("question-answering", HEAD)
    strict = pipeline("question-answering", model=models.directory(HEAD), device=-1, compat="v4", top_k=2)
    generator = random.Random(1)
    asked = [
        {"question": " ".join(generator.choices(WORDS, k=4)), "context": " ".join(generator.choices(WORDS, k=n))}
        for n in generator.choices(range(1, 90), k=40)
    ]
    expected = theirs(asked, **short(top_k=2))
    same(expected, strict(asked, **short()), tolerance=1e-6)
    same(expected, mine(asked, **short(top_k=2, compat="v4")), tolerance=1e-6)
    assert strict(asked, **short(compat=None)) == mine(asked, **short(top_k=2))


def test_compat_reads_the_context_first_for_padding_on_the_left(models):
    theirs, mine = models.pair("question-answering", HEAD)
    for tokenizer in (theirs.tokenizer, mine.tokenizer):
        tokenizer.padding_side = "left"
    asked = {"question": QUESTION, "context": LONG, **short(top_k=3, max_seq_len=28)}
    same(theirs(**asked), mine(**asked, compat="v4"), tolerance=1e-6)


def shape(value):
    if isinstance(value, list):
        return [shape(v) for v in value]
    return {key: type(v) for key, v in value.items()}


ONE = {"question": QUESTION, "context": CONTEXT}
TWO = {"question": "dog?", "context": "A cat, and a dog."}


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize(
    ("args", "named"),
    [
        ((), ONE),
        ((QUESTION, CONTEXT), {}),
        ((ONE,), {}),
        (([ONE],), {}),
        (([ONE, TWO],), {}),
        ((ONE, TWO), {}),
        ((), {"question": [QUESTION], "context": CONTEXT}),
        ((), {"question": [QUESTION, "dog?"], "context": CONTEXT}),
        ((), {"question": [QUESTION, "dog?"], "context": [CONTEXT, "A cat, and a dog."]}),
        ((), {"X": [ONE, TWO]}),
        ((), {"data": ONE}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_forms_of_a_call(both, args, named, top_k):
    theirs, mine = both
    options = short(top_k=top_k)
    expected = theirs(*args, **named, **options)
    same(expected, mine(*args, **named, **options, compat="v4"), tolerance=1e-6)
    assert shape(mine(*args, **named, **options)) == shape(expected)


def test_more_forms(ours):
    example = SimpleNamespace(question_text=QUESTION, context_text=CONTEXT)
    expected = ours(**ONE)
    assert ours(example) == ours([example]) == ours(ours.create_sample(QUESTION, CONTEXT)) == expected
    assert ours(ours.create_sample([QUESTION], [CONTEXT])) == expected
    assert ours(question=QUESTION, context=[CONTEXT, CONTEXT]) == [expected, expected]
    assert ours(question=(QUESTION,), context=np.array([CONTEXT], dtype=object)) == expected
    assert ours({**ONE, "id": 7, "answers": []}) == expected
    assert ours([]) == []


def test_streams_are_answered_as_they_are_read(ours):
    read = []

    def source():
        for number in range(200):
            read.append(number)
            yield {"question": WORDS[number % 20], "context": CONTEXT}

    answers = ours(source())
    assert read == []
    first = next(answers)
    assert 1 <= len(read) <= 16
    assert [first, *answers] == ours([{"question": WORDS[n % 20], "context": CONTEXT} for n in range(200)])


@pytest.mark.parametrize(
    ("args", "named", "error", "message"),
    [
        ((), {"question": "", "context": CONTEXT}, ValueError, "`question` cannot be empty"),
        ((), {"question": QUESTION, "context": ""}, ValueError, "`context` cannot be empty"),
        (({"question": None, "context": CONTEXT},), {}, ValueError, "`question` cannot be None"),
        (({"question": QUESTION, "context": None},), {}, ValueError, "`context` cannot be None"),
        (
            ({"context": CONTEXT},),
            {},
            KeyError,
            "You need to provide a dictionary with keys {question:..., context:...}",
        ),
        (
            ({"question": QUESTION},),
            {},
            KeyError,
            "You need to provide a dictionary with keys {question:..., context:...}",
        ),
        ((), {**ONE, "top_k": 0}, ValueError, "top_k parameter should be >= 1 (got 0)"),
        ((), {**ONE, "topk": -1}, ValueError, "top_k parameter should be >= 1 (got -1)"),
        ((), {**ONE, "max_answer_len": 0}, ValueError, "max_answer_len parameter should be >= 1 (got 0"),
        (
            (),
            {**ONE, "doc_stride": 33, "max_seq_len": 32},
            ValueError,
            "`doc_stride` (33) is larger than `max_seq_len` (32)",
        ),
        (
            (),
            {"question": ["a", "b"], "context": ["c"]},
            ValueError,
            "Questions and contexts don't have the same lengths",
        ),
        ((), {"question": 3, "context": CONTEXT}, ValueError, "Arguments can't be understood"),
        ((), {"question": QUESTION}, ValueError, "Unknown arguments"),
        (([QUESTION],), {}, ValueError, "argument needs to be of type (SquadExample, dict)"),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_errors_are_the_references(both, args, named, error, message):
    for pipe in both:
        with pytest.raises(error) as caught:
            pipe(*args, **named)
        assert message in str(caught.value)


def test_errors_say_which_input(ours):
    with pytest.raises(InputError, match=r"`context` cannot be empty \(input 1\)"):
        ours([ONE, {**ONE, "context": ""}])
    with pytest.raises(MissingKeyError, match=r"\(input 1\)$"):
        list(ours(iter([ONE, {}])))
    with pytest.raises(InputError, match="compat is 'v3'; expected 'v4'"):
        ours(**ONE, compat="v3")
    with pytest.raises(InputError, match="details=True is not part of compat='v4'"):
        ours(**ONE, compat="v4", details=True)
    with pytest.raises(InputError, match="top_k is 'all'; expected a number"):
        ours(**ONE, top_k="all")
    with pytest.raises(
        TypeError, match="unexpected keyword argument 'max_answer_length'. Did you mean 'max_answer_len'"
    ):
        ours(**ONE, max_answer_length=3)
    with pytest.raises(InputError, match=r"input 1 has 192 tokens, but the limit is 32"):
        ours(question="cat", context=[CONTEXT, LONG], max_seq_len=32, long_input="error")


@pytest.mark.parametrize("align", [True, False])
def test_scores_are_probabilities_over_all_windows(ours, align):
    found = ours(question=QUESTION, context=LONG, top_k=10_000, align_to_words=align, handle_impossible_answer=True)
    scores = [answer["score"] for answer in found]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1.0, abs=1e-6)
    spans = [(answer["start"], answer["end"]) for answer in found]
    assert len(set(spans)) == len(spans)
    assert all(LONG[a["start"] : a["end"]] == a["answer"] for a in found)
    assert all(type(a["score"]) is float and type(a["start"]) is int and type(a["end"]) is int for a in found)
    assert ours(question=QUESTION, context=LONG, align_to_words=align, handle_impossible_answer=True) == found[0]
    if align:
        cuts = [at for a in found for at in (a["start"], a["end"]) if 0 < at < len(LONG)]
        inside = [LONG[at - 1].isalpha() and LONG[at].isalpha() for at in cuts]
        assert not any(inside)


def test_one_by_one_as_together(ours):
    generator = random.Random(2)
    asked = [
        {"question": " ".join(generator.choices(WORDS, k=3)), "context": " ".join(generator.choices(WORDS, k=n))}
        for n in (3, 80, 20, 20, 3, 150)
    ]
    for alone, together in zip([ours(one) for one in asked], ours(asked), strict=True):
        same(alone, together, tolerance=1e-5)


def test_no_answer_and_its_threshold(ours):
    found = ours(**ONE, top_k=10_000, handle_impossible_answer=True)
    empty = next(answer for answer in found if answer["answer"] == "")
    assert (empty["start"], empty["end"]) == (0, 0)
    ours.model.config.null_threshold = 4.0
    try:
        lenient = ours(**ONE, top_k=10_000, handle_impossible_answer=True)
    finally:
        del ours.model.config.null_threshold
    less = next(answer for answer in lenient if answer["answer"] == "")
    odds = [a["score"] / (1 - a["score"]) for a in (empty, less)]
    assert odds[0] / odds[1] == pytest.approx(np.exp(4.0), rel=1e-4)
    assert ours(question="cat", context=" \n ") == {"score": 1.0, "start": 0, "end": 0, "answer": ""}


def test_details_and_long_inputs(ours):
    whole = ours(question="cat", context=LONG, max_seq_len=32, doc_stride=8, details=True)
    tokens = len(ours.tokenizer("cat", LONG)["input_ids"])
    assert (whole["n_tokens"], whole["truncated"]) == (tokens, False)
    assert whole["n_windows"] == -(-(tokens - 4 - 8) // (28 - 8))
    cut = ours(question="cat", context=LONG, max_seq_len=32, long_input="truncate", details=True, top_k=5)
    assert {(a["n_windows"], a["truncated"], a["n_tokens"]) for a in cut} == {(1, True, tokens)}
    assert all(a["end"] < 28 * 9 for a in cut)
    question = " ".join(WORDS)
    assert ours(question=question, context=CONTEXT, max_question_len=5, details=True)["truncated"] is True
    assert ours(question=question, context="A cat.", details=True)["truncated"] is False


def test_a_context_is_encoded_once_in_a_call(ours, monkeypatch):
    seen = []
    original = type(ours.tokenizer).encode_texts

    def counted(self, texts, *args, **named):
        seen.extend(texts)
        return original(self, texts, *args, **named)

    monkeypatch.setattr(type(ours.tokenizer), "encode_texts", counted)
    monkeypatch.setattr(type(ours), "chunk_items", 4)
    ours(question=WORDS[:15], context=LONG)
    assert seen.count(LONG) == 1


class PlantedRunner:
    """High logits wherever the two tokens of the answer stand; lower ones where only one of them does."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def token_logits(self, input_ids, token_type_ids=None):
        ids = [np.asarray(row) for row in input_ids]
        return [np.stack([(row == self.first) * 12.0, (row == self.last) * 12.0], axis=1) - 4.0 for row in ids]


@settings(max_examples=4, deadline=None)
@example(place=0, length=384, overlap=128)
@example(place=49_999, length=40, overlap=12)
@given(place=st.integers(0, 49_999), length=st.sampled_from([24, 40, 384]), overlap=st.sampled_from([0, 5, 12, 128]))
def test_an_answer_is_found_wherever_it_stands(planted, place, length, overlap):
    pipe, words, text, offsets = planted
    start = int(offsets[place])
    context = text[:start] + "film bank " + text[start:]
    found = pipe(question="cat", context=context, max_seq_len=length, doc_stride=min(overlap, length // 2), top_k=2)
    if overlap:  # two tokens may be parted where windows share none
        assert found[0]["answer"] == "film bank"
        assert (found[0]["start"], found[0]["end"]) == (start, start + 9)
        assert found[0]["score"] > 0.5
    assert all(context[a["start"] : a["end"]] == a["answer"] for a in found)


@pytest.fixture(scope="module")
def planted(models):
    pipe = pipeline("question-answering", model=models.directory(HEAD), device=-1)
    pipe.model.config.max_position_embeddings = 512
    vocabulary = pipe.tokenizer.get_vocab()
    pipe.runner = PlantedRunner(vocabulary["film"], vocabulary["bank"])
    words = random.Random(3).choices([w for w in WORDS if w not in ("film", "bank")], k=50_000)
    text = " ".join(words)
    offsets = np.cumsum([0, *(len(word) + 1 for word in words)])[:-1]
    return pipe, words, text, offsets

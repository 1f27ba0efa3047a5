"""Multiple choice and next sentence: parity with the reference models' logits, forms of a call, windows, errors."""

from __future__ import annotations

import pytest
import torch

from bothways import pipeline
from bothways.errors import InputError
from bothways.pipelines import MultipleChoicePipeline, NextSentencePipeline
from tests.pipelines.conftest import same

QUESTIONS = [
    {"question": "the cat saw", "choices": ["a dog", "the big red tree", "it"]},
    {"text": "the dogs", "choices": ["ran on the mat.", "sat"]},
    {"context": "it was a very good film!", "question": "was it bad", "choices": ["not bad", "bad"]},
    {"sent1": "a cat sat.", "sent2": "the dog", "ending0": "ran", "ending1": "sat", "label": 1},
]
LONG = "the cat saw a big dog and " * 12
PAIRS = [("the cat sat.", "it was good."), ("a dog", ""), ("small cat big", "bad"), ("the cat sat.", "it was good.")]


def reference(models, head, rows, **options):
    """Logits of the reference model, one row at a time."""
    import transformers

    path = models.directory(head)
    model = getattr(transformers, head).from_pretrained(path).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(path)
    for firsts, seconds in rows:
        encoded = tokenizer(firsts, seconds, return_tensors="pt", padding=True, **options)
        if head == "BertForMultipleChoice":
            encoded = {name: value[None] for name, value in encoded.items()}
        with torch.no_grad():
            yield model(**encoded).logits[0].softmax(-1).tolist()


@pytest.fixture(scope="module")
def choose(models):
    return pipeline("multiple-choice", models.directory("BertForMultipleChoice"), device=-1)


@pytest.fixture(scope="module")
def follows(models):
    return pipeline("next-sentence-prediction", models.directory("BertForNextSentencePrediction"), device=-1)


def test_choices_agree_with_the_reference_model(models, choose):
    read = [
        ("the cat saw", ["a dog", "the big red tree", "it"]),
        ("the dogs", ["ran on the mat.", "sat"]),
        ("it was a very good film!", ["was it bad not bad", "was it bad bad"]),
        ("a cat sat.", ["the dog ran", "the dog sat"]),
    ]
    expected = reference(models, "BertForMultipleChoice", [([text] * len(own), own) for text, own in read])
    answers = choose(QUESTIONS)
    for scores, answer, row in zip(expected, answers, QUESTIONS, strict=True):
        same(scores, answer["scores"])
        assert answer["choice"] == max(range(len(scores)), key=scores.__getitem__)
        choices = row.get("choices") or [row["ending0"], row["ending1"]]
        assert answer["answer"] == choices[answer["choice"]]
        assert list(answer) == ["choice", "answer", "scores"]
    assert len({round(answer["scores"][0], 3) for answer in answers}) == 4  # the models are not all of one opinion


def test_forms_of_a_choice(choose):
    expected = [choose(row) for row in QUESTIONS]
    same(expected, choose(QUESTIONS))
    same(expected, list(choose(row for row in QUESTIONS)))
    same(expected[0], choose(**QUESTIONS[0]))
    same(expected[1], choose(**QUESTIONS[1]))
    same(expected[2], choose(**QUESTIONS[2], batch_size=4))
    same(expected[:1], choose(QUESTIONS[:1]))


def test_all_choices_in_one_queue(choose, monkeypatch):
    calls = []
    compute = choose.runner.sequence_logits
    monkeypatch.setattr(choose.runner, "sequence_logits", lambda *rows: calls.append(rows) or compute(*rows))
    choose(QUESTIONS)
    assert len(calls) == 1
    assert len(calls[0][0]) == 9


def test_long_context_of_choices(models, choose):
    row = {"context": LONG, "question": "the dog was", "choices": ["big", "not very small"]}
    answer = choose(row, details=True)
    assert (answer["n_tokens"], answer["n_windows"], answer["truncated"]) == (93, 5, False)
    assert sum(answer["scores"]) == pytest.approx(1)
    cut = choose(row, details=True, truncation=True, max_length=20)
    assert (cut["n_windows"], cut["truncated"]) == (1, True)
    seconds = [f"the dog was {choice}" for choice in row["choices"]]
    options = {"truncation": "only_first", "max_length": 20}
    (expected,) = reference(models, "BertForMultipleChoice", [([LONG] * 2, seconds)], **options)
    same(expected, cut["scores"])
    with pytest.raises(InputError, match="input 0 has 93 tokens with its longest choice, but the limit is 40"):
        choose(row, long_input="error")
    with pytest.raises(InputError, match="input 1: choice 1 has 84 tokens"):
        choose([QUESTIONS[0], {"text": "a", "choices": ["b", LONG]}])


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (None, {}, "nothing to choose from"),
        (QUESTIONS[0], {"choices": ["a", "b"]}, "given twice: as an input and as choices"),
        (["a"], {}, r"input 0 is 'a' \(str\)"),
        (
            [QUESTIONS[0], {"question": "a", "choices": ["b"]}],
            {},
            "input 1: a question needs 2 choices or more, but has 1",
        ),
        ([{"question": "a", "choices": ["b", 4]}], {}, r"input 0: choice 1 is 4 \(int\)"),
        ([{"choices": ["b", "c"]}], {}, "input 0: no question"),
    ],
)
def test_errors_of_choices(choose, inputs, options, message):
    with pytest.raises(InputError, match=message):
        choose(inputs, **options)


def test_unknown_options(choose, follows):
    with pytest.raises(TypeError, match="Did you mean 'details'"):
        choose(QUESTIONS, detail=True)
    with pytest.raises(TypeError, match="Did you mean 'details'"):
        follows("a", "b", detail=True)


def test_next_sentence_agrees_with_the_reference_model(models, follows):
    expected = reference(models, "BertForNextSentencePrediction", [([a], [b]) for a, b in PAIRS])
    for scores, answer in zip(expected, follows(PAIRS), strict=True):
        same({"label": ["IsNext", "NotNext"][scores[1] > scores[0]], "score": max(scores)}, answer)


def test_forms_of_a_pair(follows):
    expected = [follows(a, b) for a, b in PAIRS]
    assert {answer["label"] for answer in expected} == {"IsNext", "NotNext"}
    same(expected, follows(PAIRS))
    same(expected, follows([a for a, _ in PAIRS], [b for _, b in PAIRS]))
    rows = [{"text": a, "text_pair": b} for a, b in PAIRS]
    same(expected, follows(rows))
    same(expected, list(follows(row for row in rows)))
    same(expected[0], follows(rows[0]))
    same(expected[:1], follows(rows[:1]))


def test_long_pairs(follows):
    answer = follows(LONG, "it was good.", details=True)
    assert (answer["n_tokens"], answer["n_windows"], answer["truncated"]) == (91, 4, False)
    assert follows("a", "b", details=True)["n_windows"] == 1
    assert follows(LONG, "it was good.", details=True, truncation="only_first")["truncated"]
    with pytest.raises(InputError, match="input 0 has 91 tokens, but the limit is 40"):
        follows(LONG, "it was good.", long_input="error")


@pytest.mark.parametrize(
    ("inputs", "second", "message"),
    [
        ("a", None, r"input 0 is 'a' \(str\); expected a dictionary"),
        (["a", "b"], None, r"input 0 is 'a' \(str\)"),
        ([("a", "b"), ("a", "b", "c")], None, r"input 1 is 3 parts \(tuple\)"),
        ([("a", "b"), ("a", 3)], None, r"input 1 is 3 \(int\)"),
        ({"text": "a"}, None, r"input 0 has the keys \['text'\]"),
        (["a", "b"], ["c"], "2 first and 1 second texts"),
        (["a"], "c", "first texts are a list and the second ones a str"),
    ],
)
def test_errors_of_pairs(follows, inputs, second, message):
    with pytest.raises(InputError, match=message):
        follows(inputs, second)


@pytest.mark.parametrize(
    ("head", "cls"),
    [("BertForMultipleChoice", MultipleChoicePipeline), ("BertForNextSentencePrediction", NextSentencePipeline)],
)
def test_the_task_follows_from_the_model(models, head, cls):
    pipe = pipeline(model=models.directory(head))
    assert type(pipe) is cls
    assert pipe.task == cls.default_task


def test_pretraining_weights_know_what_follows(models):
    import transformers

    path = models.directory("BertForPreTraining")
    model = transformers.BertForPreTraining.from_pretrained(path).eval()
    tokenizer = transformers.BertTokenizerFast.from_pretrained(path)
    with torch.no_grad():
        scores = model(**tokenizer(*PAIRS[0], return_tensors="pt")).seq_relationship_logits[0].softmax(-1).tolist()
    got = pipeline("next-sentence-prediction", path)(*PAIRS[0])
    same({"label": ["IsNext", "NotNext"][scores[1] > scores[0]], "score": max(scores)}, got)

"""Where people fall when they change libraries: the shape of results, defaults, overlap, dtypes, errors.

Each test is a line of the contract. What one pipeline alone promises is tested with it, in ``tests/pipelines``.
"""

from __future__ import annotations

import inspect
import json
import socket

import pytest
import torch

import bothways
from bothways import pipeline
from bothways.errors import InputError, UsageError
from tests.contract.compare import differences
from tests.contract.models import NER, make
from tests.contract.test_long_texts import floats

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def made(models):
    """Pipelines by task and directory, made once."""
    cache: dict = {}

    def get(task: str, name: str, **options):
        key = (task, name, str(options))
        if key not in cache:
            cache[key] = pipeline(task, model=f"{models}/{name}", device=-1, **options)
        return cache[key]

    return get


def nesting(value):
    """A result as brackets: lists as lists, a dictionary by the sign {}."""
    return [nesting(part) for part in value] if isinstance(value, list) else "{}"


SHAPES = [
    ("text-classification", "distilbert-sst-2", ("x",), {}, ["{}"]),
    ("text-classification", "distilbert-sst-2", ("x",), {"top_k": 1}, ["{}"]),
    ("text-classification", "distilbert-sst-2", (["x"],), {}, ["{}"]),
    ("text-classification", "distilbert-sst-2", (["x"],), {"top_k": 1}, [["{}"]]),
    ("text-classification", "distilbert-sst-2", (["x", "y"],), {"top_k": None}, [["{}", "{}"], ["{}", "{}"]]),
    ("text-classification", "distilbert-sst-2", ({"text": "x", "text_pair": "y"},), {}, "{}"),
    ("fill-mask", "bert-base-uncased", ("a [MASK]",), {"top_k": 2}, ["{}", "{}"]),
    ("fill-mask", "bert-base-uncased", (["a [MASK]"],), {"top_k": 2}, ["{}", "{}"]),
    ("fill-mask", "bert-base-uncased", ("[MASK] a [MASK]",), {"top_k": 1}, [["{}"], ["{}"]]),
    ("fill-mask", "bert-base-uncased", (["a [MASK]"] * 2,), {"top_k": 1}, [["{}"], ["{}"]]),
    ("question-answering", "distilbert-squad", ({"question": "x", "context": "a b"},), {}, "{}"),
    ("question-answering", "distilbert-squad", ([{"question": "x", "context": "a b"}],), {}, "{}"),
    ("question-answering", "distilbert-squad", ([{"question": "x", "context": "a b"}] * 2,), {}, ["{}", "{}"]),
    ("question-answering", "distilbert-squad", ({"question": "x", "context": "a b"},), {"top_k": 2}, ["{}", "{}"]),
    ("zero-shot-classification", "roberta-large-mnli", ("x", "a, b"), {}, "{}"),
    ("zero-shot-classification", "roberta-large-mnli", (["x"], "a, b"), {}, ["{}"]),
    ("token-classification", "bert-large-ner", ("cat",), {"ignore_labels": []}, ["{}"]),
    ("token-classification", "bert-large-ner", (["cat"],), {"ignore_labels": []}, [["{}"]]),
]


@pytest.mark.parametrize(("task", "name", "inputs", "options", "expected"), SHAPES, ids=str)
def test_nesting_of_results(made, models, task, name, inputs, options, expected):
    assert nesting(made(task, name)(*inputs, **options)) == expected
    theirs = transformers.pipeline(task, model=f"{models}/{name}", device=-1)
    assert nesting(theirs(*inputs, **options)) == expected


def test_top_k_at_construction_nests_once_more(made):
    assert nesting(made("text-classification", "distilbert-sst-2", top_k=1)("x")) == [["{}"]]


def test_every_number_is_pythons_and_every_result_is_json(made):
    results = [made(task, name)(*inputs, **options) for task, name, inputs, options, _ in SHAPES]
    results.append(made("multiple-choice", "bert-base-swag")(question="x", choices=["a", "b"], details=True))
    results.append(made("next-sentence-prediction", "bert-base-uncased")("x", "y", details=True))
    results.append(made("feature-extraction", "all-minilm")("x"))
    for strategy in ("simple", "first", "average", "max"):
        results.append(made("ner", "bert-large-ner", aggregation_strategy=strategy)("Anna lives", ignore_labels=[]))
    assert json.loads(json.dumps(results)) == results
    assert all(type(number) is float for number in floats(results))


def test_options_of_the_call_win_for_this_call_only(made):
    pipe = made("text-classification", "bert-emotions", top_k=3, function_to_apply="none")
    before = pipe("we love it")
    assert len(pipe("we love it", top_k=2)) == 2
    assert pipe("we love it", function_to_apply="softmax") != before
    assert pipe("we love it") == before
    tags = made("ner", "bert-large-ner", aggregation_strategy="max")
    grouped = tags("Anna lives in Paris")
    assert all("entity" in token for token in tags("Anna lives in Paris", aggregation_strategy="none"))
    assert tags("Anna lives in Paris") == grouped


def test_stride_is_the_overlap_of_windows(models, made):
    """And not the step, as in the original SQuAD scripts."""
    tokenizer = bothways.AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    words = "the cat eats an apple in paris because anna wrote music for a team".split()  # noqa: SIM905
    rows = tokenizer(" ".join(words), max_length=8, stride=2, truncation=True, return_overflowing_tokens=True).input_ids
    assert [row[1:-1][-2:] for row in rows[:-1]] == [row[1:-1][:2] for row in rows[1:]]
    text = " ".join(words * 10)
    pipe = made("ner", "bert-large-ner")
    every = {"aggregation_strategy": "simple", "details": True}
    assert pipe(text, stride=5, **every) == pipe(text, window_overlap=5, **every)
    assert pipe(text, stride=30, **every)["n_windows"] > pipe(text, stride=5, **every)["n_windows"]
    answers = made("question-answering", "distilbert-squad")
    counts = [
        answers(question="who?", context=text, max_seq_len=40, details=True, **{name: n})["n_windows"]
        for name in ("doc_stride", "window_overlap")
        for n in (4, 18)
    ]
    assert counts[0] == counts[2] < counts[1] == counts[3]


def test_no_model_means_no_download(monkeypatch, tmp_path):
    monkeypatch.setattr("bothways.resolver.box.BOX_DIRECTORY", tmp_path / "empty box")

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for task in ("ner", "sentiment-analysis", "question-answering", "fill-mask", "zero-shot-classification"):
        with pytest.raises(UsageError, match="has no default model, and nothing is downloaded unasked"):
            pipeline(task)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_files_compute_in_single_precision_on_a_cpu(models, tmp_path, dtype):
    path = tmp_path / "half"
    reference = transformers.AutoModelForSequenceClassification.from_pretrained(
        f"{models}/distilbert-sst-2", dtype=dtype
    )
    reference.save_pretrained(path)
    transformers.AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2").save_pretrained(path)
    assert json.loads((path / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    pipe = pipeline("sentiment-analysis", model=str(path), device=-1)
    assert (pipe.dtype, pipe.model.dtype) == (torch.float32, torch.float32)
    reference = transformers.pipeline("sentiment-analysis", model=reference.float(), tokenizer=str(path), device=-1)
    assert differences(reference("good", top_k=None), pipe("good", top_k=None), 1e-5) == []


@pytest.mark.parametrize(("problem", "function"), [(None, "sigmoid"), ("regression", "none")])
def test_one_output_is_a_probability_unless_the_file_says_regression(tmp_path, problem, function):
    path = str(make(tmp_path / "score", "bert", "sequence-classification", ["score"]))
    config = bothways.AutoConfig.from_pretrained(path, problem_type=problem)
    config.save_pretrained(path)
    ours = pipeline("text-classification", model=path, device=-1)
    theirs = transformers.pipeline("text-classification", model=path, device=-1)
    assert ours("good") == ours("good", function_to_apply=function)
    assert differences(theirs("good"), ours("good"), 1e-5) == []


def test_training_on_numbers_is_remembered_as_regression(tmp_path):
    path = str(make(tmp_path / "score", "bert", "sequence-classification", ["score"]))
    model = bothways.AutoModelForSequenceClassification.from_pretrained(path)
    assert model.config.problem_type is None
    tokenizer = bothways.AutoTokenizer.from_pretrained(path)
    model(**tokenizer("good", return_tensors="pt"), labels=torch.tensor([2.5]))
    model.save_pretrained(tmp_path / "trained")
    assert json.loads((tmp_path / "trained" / "config.json").read_text())["problem_type"] == "regression"


@pytest.mark.parametrize(
    ("task", "name", "inputs"),
    [
        ("token-classification", "bert-large-ner", ("x",)),
        ("question-answering", "distilbert-squad", ({"question": "x", "context": "a b"},)),
        ("fill-mask", "bert-base-uncased", ("a [MASK]",)),
    ],
)
def test_compat_is_asked_for_and_known(made, task, name, inputs):
    pipe = made(task, name)
    assert pipe(*inputs, compat="v4") is not None
    assert differences(pipe(*inputs, compat=None), pipe(*inputs)) == []
    options = {"targets": ["cat"]} if task == "fill-mask" else {}
    with pytest.raises(InputError, match="compat is 'v3'; expected"):
        pipe(*inputs, compat="v3", **options)


def test_entities_of_unigram_tokenisers_have_no_blank_in_front(tmp_path):
    """The reference's word stays; its characters may begin with the blank before it."""
    path = str(make(tmp_path / "xlm", "xlm-roberta", "token-classification", NER))
    text = "the keeper  wrote  a letter"
    every = {"ignore_labels": [], "aggregation_strategy": "simple"}
    theirs = transformers.pipeline("ner", model=path, device=-1)(text, **every)
    ours = pipeline("ner", model=path, device=-1)(text, **every)
    assert [e["word"] for e in ours] == [e["word"] for e in theirs]
    for entity in ours:
        shown = text[entity["start"] : entity["end"]]
        assert shown == shown.strip() != ""


def test_unknown_arguments_are_named_and_never_swallowed(made):
    for task, name, inputs, _, _ in SHAPES[::3]:
        with pytest.raises(TypeError, match="unexpected keyword argument 'topn'"):
            made(task, name)(*inputs, topn=3)


def test_signatures_are_those_of_the_reference():
    ours, theirs = (list(inspect.signature(f).parameters) for f in (pipeline, transformers.pipeline))
    assert ours == theirs
    calls = [
        inspect.signature(cls.__call__).parameters
        for cls in (bothways.PreTrainedTokenizerBase, transformers.PreTrainedTokenizerBase)
    ]
    positional = [[n for n, p in call.items() if p.kind is not p.VAR_KEYWORD] for call in calls]
    assert positional[0] == positional[1][: len(positional[0])]
    methods = "encode decode batch_decode convert_tokens_to_ids convert_ids_to_tokens get_vocab add_tokens pad tokenize"
    methods += " add_special_tokens num_special_tokens_to_add save_pretrained from_pretrained train_new_from_iterator"
    methods += " encode_plus batch_encode_plus prepare_for_model build_inputs_with_special_tokens"
    assert [name for name in methods.split() if not callable(getattr(bothways.BertTokenizerFast, name, None))] == []

"""Text classification against the reference pipeline: every call form, every nesting, every function."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from bothways import pipeline
from bothways.errors import InputError, TokenizerError
from bothways.pipelines.pt_utils import KeyDataset, KeyPairDataset
from tests.pipelines.conftest import CLASSIFIER, TEXTS, THREE, same

LONG = "the big dog saw a cat . " * 20  # 142 tokens; the models read 40
PAIR = {"text": "the cat sat", "text_pair": "it was good"}

FORMS = {
    "text": TEXTS[0],
    "empty text": "",
    "list": TEXTS,
    "list of one": TEXTS[:1],
    "empty list": [],
    "dictionary": {"text": TEXTS[0]},
    "pair": PAIR,
    "list of pairs": [PAIR, {"text": "a", "text_pair": "b"}],
    "old pair": [[["the cat sat", "it was good"]]],
}
TOP_K = [{}, {"top_k": 1}, {"top_k": 2}, {"top_k": 9}, {"top_k": None}, {"return_all_scores": True}]
TOP_K += [{"return_all_scores": False}]


def run(pipe, inputs, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipe(inputs, **options)


@pytest.mark.parametrize("call", TOP_K, ids=str)
@pytest.mark.parametrize("init", TOP_K, ids=str)
def test_nesting_of_every_form(models, init, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = models.pair("text-classification", CLASSIFIER, config=THREE, **init)
    for name, inputs in FORMS.items():
        same(run(theirs, inputs, **call), run(ours, inputs, **call), name)


@pytest.mark.parametrize("function", [None, "sigmoid", "softmax", "none"])
@pytest.mark.parametrize(
    "config",
    [
        THREE,
        {"num_labels": 1},
        {"num_labels": 1, "problem_type": "regression"},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"num_labels": 3, "problem_type": "single_label_classification"},
        {"num_labels": 3, "problem_type": "regression"},
    ],
    ids=["named", "one", "regression", "multi", "single", "three numbers"],
)
def test_functions(models, config, function):
    theirs, ours = models.pair("text-classification", CLASSIFIER, config=config)
    for call in ({}, {"top_k": None}):
        same(theirs(TEXTS, function_to_apply=function, **call), ours(TEXTS, function_to_apply=function, **call))


def test_default_function_by_name_and_in_the_call(models):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE), function_to_apply="none", top_k=None)
    assert sum(label["score"] for label in ours("cat", function_to_apply="default")[0]) == pytest.approx(1)
    assert sum(label["score"] for label in ours("cat")[0]) != pytest.approx(1)


@pytest.mark.parametrize(
    "options",
    [
        {"truncation": True, "max_length": 12},
        {"truncation": True, "max_length": 40, "padding": True},
        {"max_length": 9},
        {"truncation": "only_first", "max_length": 20, "padding": "max_length"},
        {"truncation": "longest_first", "max_length": 7},
    ],
    ids=str,
)
def test_truncation_as_the_caller_asks(models, options):
    theirs, ours = models.pair("text-classification", CLASSIFIER, config=THREE, **options)
    same(theirs([LONG, "cat"]), ours([LONG, "cat"]))
    theirs, ours = models.pair("text-classification", CLASSIFIER, config=THREE)
    same(run(theirs, LONG, top_k=None, **options), ours(LONG, top_k=None, **options))
    pair = {"text": LONG, "text_pair": "a cat sat"}
    same(run(theirs, pair, **options), ours(pair, **options))


def test_truncation_without_a_length_uses_what_the_model_reads(models):
    ours = pipeline("sentiment-analysis", models.directory(CLASSIFIER, **THREE))
    assert ours.tokenizer.model_max_length > 10**20
    assert ours(LONG, truncation=True) == ours(LONG, truncation=True, max_length=40)


def test_long_texts_are_windowed_unless_asked_otherwise(models):
    ours = pipeline("sentiment-analysis", models.directory(CLASSIFIER, **THREE))
    (windowed,) = ours(LONG, details=True)
    assert (windowed["n_tokens"], windowed["truncated"]) == (142, False)
    assert windowed["n_windows"] == 7  # 140 tokens, 38 to a window, 19 shared at most: (140 - 19) / 19
    (cut,) = ours(LONG, details=True, long_input="truncate")
    assert (cut["n_tokens"], cut["n_windows"], cut["truncated"]) == (142, 1, True)
    assert ours(LONG, long_input="truncate") == ours(LONG, truncation=True)
    assert ours(LONG, max_length=24, long_input="window", window_overlap=0, details=True)[0]["n_windows"] == 7
    with pytest.raises(InputError, match="input 1 has 142 tokens, but the limit is 40"):
        ours(["cat", LONG], long_input="error")


def test_scores_of_windows_are_their_mean_by_tokens(models):
    ours = pipeline("sentiment-analysis", models.directory(CLASSIFIER, **THREE), top_k=None)
    from bothways.tasks.encoded import encode

    encoded = encode(ours.tokenizer, [LONG], max_length=40)
    logits = ours.runner.sequence_logits(encoded.input_ids)
    import numpy as np

    from bothways.tasks.text_classification import softmax

    lengths = np.array([len(ids) for ids in encoded.input_ids])
    expected = (softmax(logits) * lengths[:, None]).sum(0) / lengths.sum()
    got = {label["label"]: label["score"] for label in ours(LONG)[0]}
    assert [got[name] for name in ("no", "maybe", "yes")] == pytest.approx(expected.tolist(), abs=1e-6)


def test_an_option_of_the_call_overrides_that_of_the_pipeline(models):
    directory = models.directory(CLASSIFIER, **THREE)
    strict = pipeline("text-classification", directory, long_input="error")
    assert strict(LONG, truncation=True, details=True)[0]["truncated"]
    cutting = pipeline("text-classification", directory, truncation=True)
    assert cutting(LONG, long_input="window", details=True)[0]["n_windows"] == 7
    with pytest.raises(InputError, match="contradict"):
        cutting(LONG, truncation=True, long_input="error")


def test_streams_are_lazy_and_in_order(models):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE), top_k=1)
    taken = 0

    def source():
        nonlocal taken
        for i in range(10_000):
            taken += 1
            yield f"the {'big ' * (i % 7)}cat {'ran ' * (i % 5)}"

    answers = ours(source())
    assert taken == 0
    got = [next(answers)]
    assert taken <= 16
    got += [next(answers) for _ in range(999)]
    assert taken <= 16 + 64 + 256 + 1024
    got += list(answers)
    assert taken == len(got) == 10_000
    alone = [ours(f"the {'big ' * (i % 7)}cat {'ran ' * (i % 5)}", top_k=1) for i in range(35)]
    for i in range(0, 10_000, 97):
        same(alone[i % 35], got[i], f"answer {i}")


class Column:
    """Like a torch data set: a length and numbered items, no iterator."""

    def __len__(self):
        return len(TEXTS)

    def __getitem__(self, i):
        return TEXTS[i]


def test_data_sets(models):
    import torch.utils.data

    theirs, ours = models.pair("text-classification", CLASSIFIER, config=THREE)

    class TorchColumn(Column, torch.utils.data.Dataset):
        pass

    expected = list(theirs(TorchColumn()))
    answers = ours(TorchColumn())
    assert len(answers) == len(TEXTS)
    assert iter(answers) is answers
    same(expected, list(answers))
    same(expected, list(ours(Column())))
    rows = [{"text": text, "other": text} for text in TEXTS]
    same(expected, list(ours(KeyDataset(rows, "text"))))
    pairs = list(ours(KeyPairDataset(rows, "text", "other"), top_k=None))
    expected_pairs = [theirs({"text": t, "text_pair": t}, top_k=None) for t in TEXTS]
    assert TEXTS[2] == ""  # the reference forgets an empty second text of one pair, though not in a batch of pairs
    del expected_pairs[2], pairs[2]
    same(expected_pairs, pairs)
    same(expected, list(ours(text for text in TEXTS)))
    same(expected, ours(tuple(TEXTS)))


def test_a_batch_gives_what_its_items_give_alone(models):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE))
    texts = [*TEXTS, LONG, "a " * 30, "very " * 38]
    together = ours(texts, top_k=None)
    same([ours(text, top_k=None) for text in texts], together)
    same(together[::-1], ours(texts[::-1], top_k=None), tolerance=1e-6)


def test_equal_inputs_are_computed_once(models):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE))
    answers = ours(["a cat", "a dog", "a cat"] * 50)
    assert ours.runner.computed_sequences == 2
    assert answers[0] == answers[147] != answers[1]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["cat", None], r"input 1 is None \(NoneType\)"),
        (["cat"] * 2100 + [3.5], r"input 2100 is 3\.5 \(float\)"),
        ([["a", "b"]], "input 0 is a list of 2.*dictionary"),
        ([{"text": "a", "label": 1}], r"input 0 has the keys \['label', 'text'\]"),
        ([{"text_pair": "a"}], "expected 'text'"),
        ({"text": ["a", "b"]}, "a text under 'text'"),
        (None, "the input is None"),
        (7, "the input is 7"),
        (b"cat", "bytes"),
    ],
)
def test_what_is_no_text_is_named(models, inputs, message):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE))
    with pytest.raises(InputError, match=message):
        ours(inputs)


def test_a_lone_surrogate_far_down_a_list_is_located(models):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE))
    with pytest.raises(TokenizerError, match="inputs 2048 to 2049, counted from 0 at the first of these: input 1"):
        ours(["cat"] * 2049 + ["\ud800"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"topk": 3}, TypeError, "'topk'. Did you mean 'top_k'"),
        ({"top_k": 0}, InputError, "top_k is 0"),
        ({"top_k": np.zeros(2)}, InputError, "top_k is array"),
        ({"function_to_apply": "relu"}, InputError, "'relu'; expected one of 'softmax'"),
        ({"truncation": "first"}, InputError, "truncation is 'first'"),
        ({"long_input": "cut"}, InputError, "long_input is 'cut'"),
        ({"max_length": 1, "truncation": True}, TokenizerError, "max_length.*1"),
        ({"max_length": 2, "long_input": "window"}, InputError, "max_length=2 leaves no room: 2 special tokens"),
        ({"max_length": 0}, InputError, "max_length is 0"),
    ],
    ids=str,
)
def test_impossible_options(models, options, error, message):
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE))
    with pytest.raises(error, match=message):
        ours("the cat sat", **options)


def test_harmless_options_of_the_ecosystem(models):
    options = {"batch_size": 8, "num_workers": 2, "padding": True, "framework": "pt", "trust_remote_code": True}
    ours = pipeline("text-classification", models.directory(CLASSIFIER, **THREE), **options)
    assert ours(TEXTS, batch_size=2, num_workers=0, padding="max_length") == ours(TEXTS)

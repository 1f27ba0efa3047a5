"""Collators beside the reference's: the same keys, shapes, dtypes and numbers; and messages where it has riddles."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bothways
from bothways.errors import InputError
from bothways.tokenizers import BatchEncoding

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
import transformers  # noqa: E402

KINDS = st.sampled_from(["pt", "np"])
FORMS = {
    "list": lambda values: values,
    "tuple": lambda values: tuple(values) if isinstance(values, list) else values,
    "tensor": torch.tensor,
    "array": np.array,
    "int32 array": lambda values: np.array(
        values, dtype=np.float32 if np.array(values).dtype.kind == "f" else np.int32
    ),
    "float32 array": lambda values: np.array(values, dtype=np.float32),
}
IDS = {"input_ids": [2, 5, 3]}
INTS, FLOATS = st.integers(-100, 100), st.floats(-4, 4, width=32)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """(ours, the reference's): fast, plain, and filling up on the left."""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]) + "\n")
    names = {"fast": "BertTokenizerFast", "plain": "BertTokenizer", "left": "BertTokenizerFast"}
    return {
        kind: tuple(
            getattr(m, name)(
                vocab_file=str(path), model_max_length=32, padding_side="left" if kind == "left" else "right"
            )
            for m in (bothways, transformers)
        )
        for kind, name in names.items()
    }


def same(ours, theirs) -> None:
    """Equal in kind, names, dtypes and numbers."""
    assert type(ours).__name__ == type(theirs).__name__
    assert sorted(ours) == sorted(theirs)
    for key, expected in theirs.items():
        found = ours[key]
        assert type(found) is type(expected), key
        if expected is not None:
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape), key
            assert found.tolist() == expected.tolist(), key


@st.composite
def rectangular(draw):
    """Examples of equal sizes with every kind of value."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    numbers = draw(st.sampled_from([INTS, FLOATS]))
    columns: dict[str, list] = {}
    form = FORMS[draw(st.sampled_from(list(FORMS)))]
    for name in draw(st.permutations(["input_ids", "scores", "nested", "label", "label_ids", "labels", "number"]))[:5]:
        if name in ("label", "number"):
            form_of_one = draw(st.sampled_from([FORMS["list"], torch.tensor, np.float64, np.int64, np.array]))
            columns[name] = [form_of_one(draw(numbers)) for _ in range(count)]
        elif name == "nested":
            columns[name] = [form([[draw(INTS)] * width] * 2) for _ in range(count)]
        else:
            values = FLOATS if name == "scores" else numbers
            columns[name] = [form([draw(values) for _ in range(width)]) for _ in range(count)]
    for name in draw(st.sets(st.sampled_from(["nothing", "title", "label"]))):
        columns[name] = ["a title" if name == "title" else None] * count
    return [{name: values[i] for name, values in columns.items()} for i in range(count)]


@settings(deadline=None, max_examples=120)
@given(rectangular(), KINDS, st.sampled_from([dict, lambda f: SimpleNamespace(**f), BatchEncoding]))
def test_default_collator(features, kind, wrap):
    wrapped = [wrap(feature) for feature in features]
    try:
        theirs = transformers.default_data_collator(wrapped, kind)
    except TypeError:  # torch makes no tensor of a list of arrays without dimensions
        with pytest.raises(InputError, match="label makes no tensor"):
            bothways.default_data_collator(wrapped, kind)
        return
    same(bothways.default_data_collator(wrapped, kind), theirs)
    same(bothways.DefaultDataCollator(kind)(wrapped), theirs)
    same(bothways.DefaultDataCollator()(wrapped, return_tensors=kind), theirs)


@st.composite
def tokenised(draw, *, labels: str):
    """Examples of drawn lengths, as a tokeniser makes them, with labels for each example, for each token or without."""
    names = draw(st.sets(st.sampled_from(["token_type_ids", "attention_mask", "special_tokens_mask"])))
    form = FORMS[draw(st.sampled_from(["list", "list", "tensor", "array"]))]
    name = {
        "example": st.sampled_from(["label", "labels", "label_ids", None]),
        "token": st.sampled_from(["labels", None]),
        "none": st.none(),
    }[labels]
    name, numbers = draw(name), draw(st.sampled_from([st.integers(0, 9), FLOATS, st.booleans()]))
    label_forms = [np.array, torch.tensor, np.float32, np.float64, np.int64, np.int32]
    label_form = draw(st.sampled_from([lambda v: v, "vector", *(label_forms if form is not FORMS["list"] else [])]))
    features = []
    for _ in range(draw(st.integers(1, 4))):
        ids = draw(st.lists(st.integers(0, 12), min_size=1, max_size=9))
        feature = {"input_ids": form(ids), **{key: form([len(ids) % 2] * len(ids)) for key in sorted(names)}}
        if name and labels == "token":
            feature[name] = form([draw(st.integers(0, 9)) for _ in ids])
        elif name:
            feature[name] = [draw(numbers), 1.0] if label_form == "vector" else label_form(draw(numbers))
        features.append(feature)
    return features


OPTIONS = st.fixed_dictionaries({
    "padding": st.sampled_from([True, "longest", "max_length", transformers.utils.PaddingStrategy.LONGEST]),
    "max_length": st.sampled_from([None, 9, 14]),
    "pad_to_multiple_of": st.sampled_from([None, 4, 8]),
})  # fmt: skip
TOKENIZERS = st.sampled_from(["fast", "plain", "left"])


@settings(deadline=None, max_examples=100)
@given(tokenised(labels="example"), OPTIONS, TOKENIZERS, KINDS, st.sampled_from([dict, BatchEncoding]))
def test_padding(tokenizers, features, options, which, kind, wrap):
    ours, theirs = tokenizers[which]
    rows = [wrap(feature) for feature in features]
    found = bothways.DataCollatorWithPadding(ours, return_tensors=kind, **options)(rows)
    same(found, transformers.DataCollatorWithPadding(theirs, return_tensors=kind, **options)([dict(f) for f in rows]))
    assert [list(row) for row in rows] == [list(feature) for feature in features]


@settings(deadline=None, max_examples=100)
@given(tokenised(labels="token"), OPTIONS, TOKENIZERS, KINDS, st.sampled_from([-100, 7]))
def test_token_classification(tokenizers, features, options, which, kind, label_pad):
    ours, theirs = tokenizers[which]
    options = {**options, "return_tensors": kind, "label_pad_token_id": label_pad}
    as_lists = [{key: np.asarray(value).tolist() for key, value in feature.items()} for feature in features]
    same(
        bothways.DataCollatorForTokenClassification(ours, **options)(features),
        # the reference makes arrays of lists only
        transformers.DataCollatorForTokenClassification(theirs, **options)(as_lists if kind == "np" else features),
    )


@pytest.mark.parametrize(
    ("label", "dtype"),
    [
        (np.float64(1.5), torch.float32),  # float64 in the reference, which the loss then refuses
        (np.int32(1), torch.int64),  # likewise int32
        (np.array([1.5, 2.0]), torch.float32),
        (torch.tensor([1, 2], dtype=torch.int32), torch.int64),
        (torch.tensor(1.5, dtype=torch.float64), torch.float32),
        (np.bool_(True), torch.bool),
    ],
)
def test_numbers_beside_lists_of_ids_get_the_dtype_that_losses_want(tokenizers, label, dtype):
    batch = bothways.DataCollatorWithPadding(tokenizers["fast"][0])(
        [{**IDS, "labels": label}, {**IDS, "labels": label}]
    )
    assert batch["labels"].dtype == dtype and batch["labels"].tolist() == [label.tolist()] * 2


def test_labels_of_tokens_under_the_name_label(tokenizers):
    features = [{"input_ids": [2, 5, 3], "label": [0, 1, 0]}, {"input_ids": [2, 3], "label": torch.tensor([1, 1])}]
    found, expected = (
        m.DataCollatorForTokenClassification(t)([dict(f) for f in features])
        for m, t in zip((bothways, transformers), tokenizers["fast"], strict=True)
    )
    same(found, expected)
    assert found["label"].tolist() == [[0, 1, 0], [1, 1, -100]]
    arrays = bothways.DataCollatorForTokenClassification(tokenizers["fast"][0])(features, return_tensors="np")
    assert list(arrays) == ["input_ids", "attention_mask", "labels"]  # the reference fails here
    assert arrays["labels"].tolist() == [[0, 1, 0], [1, 1, -100]]


class Shifting:
    """A model that makes decoder inputs of labels."""

    def prepare_decoder_input_ids_from_labels(self, labels):
        return labels + 1000


@settings(deadline=None, max_examples=100)
@given(st.data(), OPTIONS, TOKENIZERS, KINDS, st.sampled_from([-100, 7]), st.sampled_from([None, Shifting()]))
def test_sequence_to_sequence(tokenizers, data, options, which, kind, label_pad, model):
    ours, theirs = tokenizers[which]
    features = data.draw(tokenised(labels="none"))
    form = data.draw(st.sampled_from([lambda v: v, np.array, torch.tensor]))
    none = data.draw(st.booleans())
    for feature in features:
        feature["labels"] = None if none else form(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=9)))
    options = {**options, "label_pad_token_id": label_pad, "model": model}
    same(
        bothways.DataCollatorForSeq2Seq(ours, **options)(features, kind),
        transformers.DataCollatorForSeq2Seq(theirs, **options)([dict(f) for f in features], kind),
    )


def test_without_filling_up_equal_lengths_do(tokenizers):
    features = [{"input_ids": [2, 3], "labels": [1]}, {"input_ids": [2, 5], "labels": [2]}]
    for name in ("DataCollatorWithPadding", "DataCollatorForTokenClassification", "DataCollatorForSeq2Seq"):
        found, expected = (
            getattr(m, name)(t, padding=False, pad_to_multiple_of=4 if "Seq2Seq" in name else None)(
                [dict(f, labels=f["labels"] * 2 if "Token" in name else f["labels"]) for f in features]
            )
            for m, t in zip((bothways, transformers), tokenizers["fast"], strict=True)
        )
        same(found, expected)


def test_the_names_and_defaults_are_those_of_the_reference():
    import inspect

    for name in (
        "default_data_collator",
        "DefaultDataCollator",
        "DataCollatorWithPadding",
        "DataCollatorForTokenClassification",
        "DataCollatorForSeq2Seq",
    ):
        ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (bothways, transformers))
        assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ([], "there are no examples to collate"),
        ([{"a": 1}, {"a": 2}, {"b": 3}], "example 2 lacks a, which example 0 has and has b, which example 0 lacks"),
        ([IDS, {**IDS, "labels": 1}], "example 1 has labels, which example 0 lacks"),
        ([(1, 2)], "example 0 is a tuple, expected a mapping"),
        (
            [IDS, {"input_ids": [2, 3]}],
            "input_ids has 3 values in example 0 and 2 values in example 1. Pass padding=True and truncation=True.*"
            "DataCollatorWithPadding",
        ),
        (
            [{"labels": [1, 2]}, {"labels": [1]}],
            "labels has 2 values in example 0 and 1 values in example 1. DataCollatorForTokenClassification",
        ),
        ([{"a": 1}, {"a": None}], "a is None in example 1. Remove the column, or give every example a value"),
        ([{"label": "good"}, {"label": "bad"}], "label has the text 'good' in example 0, and a tensor holds numbers"),
        ([{"labels": "good"}], "labels has the text 'good' in example 0"),
        ([{"a": [1]}, {"a": ["x"]}], "a has the text 'x' in example 1"),
        ([{"a": [[1], [1, 2]]}], "a is nested unevenly in example 0"),
        (
            [{"a": torch.ones(2, 3)}, {"a": torch.ones(2)}],
            r"a has shape \(2, 3\) in example 0 and 2 values in example 1",
        ),
        ([{"a": 1}, {"a": [1]}], "a has a single value in example 0 and 1 values in example 1"),
        ([{"a": object()}], "a makes no tensor: "),
    ],
)
def test_what_makes_no_batch_is_told(features, said):
    with pytest.raises(InputError, match=said):
        bothways.default_data_collator(features)


@pytest.mark.parametrize(
    ("collator", "features", "said"),
    [
        ("WithPadding", [], "there are no examples"),
        ("WithPadding", [IDS, {"ids": [1]}], "example 1 lacks input_ids, which example 0 has and has ids"),
        (
            "WithPadding",
            [{**IDS, "text": "a b"}, {**IDS, "text": "c"}],
            r"text has the text 'a b' in example 0.*remove_unused_columns=True",
        ),
        ("WithPadding", [{**IDS, "words": ["a"]}], "words has the text 'a' in example 0"),
        (
            "WithPadding",
            [{**IDS, "labels": [1, 2, 3]}, {"input_ids": [2, 3], "labels": [1, 2]}],
            "labels has 3 values in example 0 and 2 values in example 1. For a label for each token use "
            "DataCollatorForTokenClassification",
        ),
        (
            "WithPadding",
            [{**IDS, "offsets": [1, 2, 3]}, {"input_ids": [2, 3], "offsets": [1, 2]}],
            "offsets has 3 values in example 0 and 2 values in example 1. Only input_ids, attention_mask, .* filled up",
        ),
        (
            "WithPadding",
            [{**IDS, "attention_mask": [1, 1, 1]}, {**IDS, "attention_mask": [1, 1]}],
            "attention_mask has 2 values in example 1, but input_ids has 3",
        ),
        ("WithPadding", [{**IDS, "label": 1}, {**IDS, "label": None}], "label is None in example 1"),
        ("WithPadding", [{"text": "a"}], "input_ids"),
        ("ForTokenClassification", [{**IDS, "labels": 1}], "labels is 1 in example 0, expected a list.*WithPadding"),
        ("ForTokenClassification", [{**IDS, "labels": ["O", "O", "O"]}], "labels has the text 'O' in example 0"),
        (
            "ForTokenClassification",
            [IDS | {"labels": [0] * 3}, {"input_ids": [2], "labels": [0] * 5}],
            "labels has 5 values in example 1, but the batch has 3 columns. Truncate labels together",
        ),
        ("ForSeq2Seq", [{**IDS, "labels": [1]}, {**IDS, "labels": None}], "labels is None in example 1"),
    ],
)
def test_what_cannot_be_filled_up_is_told(tokenizers, collator, features, said):
    with pytest.raises(ValueError, match=said):
        getattr(bothways, f"DataCollator{collator}")(tokenizers["fast"][0])(features)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"padding": False},
            "input_ids has 3 values in example 0 and 6 values in example 1. Give the collator padding=",
        ),
        (
            {"padding": "max_length", "max_length": 4},
            r"input_ids has 6 values in example 1, more than max_length \(4\). Pass truncation=True",
        ),
        ({"padding": "longish"}, "longish"),
        ({"return_tensors": "tf"}, "unknown return_tensors 'tf'"),
    ],
)
def test_options_that_do_not_fit_the_examples(tokenizers, options, said):
    features = [IDS, {"input_ids": [2, 5, 5, 5, 5, 3]}]
    with pytest.raises(ValueError, match=said):
        bothways.DataCollatorWithPadding(tokenizers["fast"][0], **options)(features)


@pytest.mark.parametrize("kind", ["tf", "jax"])
def test_other_frameworks_are_refused(tokenizers, kind):
    with pytest.raises(InputError, match=f"return_tensors is '{kind}', expected 'pt'"):
        bothways.default_data_collator([IDS], kind)
    with pytest.raises(InputError, match=f"return_tensors is '{kind}', expected 'pt'"):
        bothways.DataCollatorForTokenClassification(tokenizers["fast"][0], return_tensors=kind)([IDS])


def test_features_stay_as_they_were(tokenizers):
    features = [{"input_ids": [2, 3], "labels": [0, 1]}, {"input_ids": [2, 5, 3], "labels": [0, 1, 0]}]
    before = [{key: list(value) for key, value in feature.items()} for feature in features]
    bothways.DataCollatorForTokenClassification(tokenizers["plain"][0])(features)
    bothways.DataCollatorForSeq2Seq(tokenizers["plain"][0])(features)
    assert features == before


def test_no_labels_are_whole_numbers_too(tokenizers):
    features = [{**IDS, "labels": []}] * 2
    found, expected = (
        m.DataCollatorForSeq2Seq(t)(features) for m, t in zip((bothways, transformers), tokenizers["fast"], strict=True)
    )
    same(found, expected)


CHOICES = st.integers(1, 4).flatmap(
    lambda n: st.lists(
        st.lists(st.lists(st.integers(5, 12), min_size=1, max_size=7), min_size=n, max_size=n), min_size=1, max_size=4
    )
)


@settings(max_examples=30, deadline=None)
@given(rows=CHOICES, name=st.sampled_from(["label", "labels"]), multiple=st.sampled_from([None, 4]))
def test_choices(tokenizers, rows, name, multiple):
    made = []
    for module, tokenizer in zip((bothways, transformers), tokenizers["fast"], strict=True):
        features = [
            {"input_ids": row, "attention_mask": [[1] * len(ids) for ids in row], name: i % len(row)}
            for i, row in enumerate(rows)
        ]
        made.append(module.DataCollatorForMultipleChoice(tokenizer, pad_to_multiple_of=multiple)(features))
        assert module is transformers or all(name in row for row in features)  # examples stay as they are
    same(*made)


def test_choices_without_labels_and_of_different_numbers(tokenizers):
    collator = bothways.DataCollatorForMultipleChoice(tokenizers["fast"][0])
    batch = collator([{"input_ids": [[5], [6, 7]]}, {"input_ids": [[5, 6, 7], [8]]}])
    assert batch["input_ids"].shape == (2, 2, 3) and "labels" not in batch
    with pytest.raises(InputError, match="3 choices in example 1.* 2 in example 0"):
        collator([{"input_ids": [[5], [6]]}, {"input_ids": [[5], [6], [7]]}])

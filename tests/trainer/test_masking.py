"""Hidden words beside the reference's: with a seed the same ones, and shares as asked."""

from __future__ import annotations

import os
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bothways
from bothways.errors import InputError, UsageError
from bothways.trainer.masking import DataCollatorForLanguageModeling, DataCollatorForWholeWordMask

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
import transformers  # noqa: E402

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
TEXTS = ["abc de f", "a b c d e f g h", "abcdefgh", "h g"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """(ours, the reference's)"""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n")
    return tuple(m.BertTokenizerFast(vocab_file=str(path), model_max_length=400) for m in (bothways, transformers))


def examples(tokenizer, **options):
    return [dict(tokenizer(text, **options)) for text in TEXTS]


def both(tokenizers, name, rows, calls=2, **settings):
    """What two collators give in several calls, as lists."""
    found = []
    for module, tokenizer in zip((bothways, transformers), tokenizers, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            collator = getattr(module, name)(tokenizer, **settings)
            made = [collator([dict(row) for row in rows]) for _ in range(calls)]
        found.append([{key: value.tolist() for key, value in batch.items()} for batch in made])
    return found


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(1, 1000),
    share=st.floats(0, 1),
    masked=st.floats(0, 1),
    random=st.floats(0, 1),
    special=st.booleans(),
    multiple=st.sampled_from([None, 8]),
)
def test_with_a_seed_the_same_tokens_as_in_the_reference(tokenizers, seed, share, masked, random, special, multiple):
    rows = examples(tokenizers[0], return_special_tokens_mask=special)
    asked = {"mlm_probability": share, "mask_replace_prob": masked, "random_replace_prob": random * (1 - masked)}
    ours, theirs = both(
        tokenizers, "DataCollatorForLanguageModeling", rows, seed=seed, pad_to_multiple_of=multiple, **asked
    )
    assert ours == theirs
    assert ours[0] != ours[1] or share in (0, 1) or share < 0.2 or share > 0.8


def test_without_masking_the_labels_are_the_ids(tokenizers):
    ours, theirs = both(tokenizers, "DataCollatorForLanguageModeling", examples(tokenizers[0]), mlm=False)
    assert ours == theirs
    assert ours[0]["labels"][3][4:] == [-100] * 6 and ours[0]["labels"][3][:4] == ours[0]["input_ids"][3][:4]


def test_shares_of_hidden_tokens(tokenizers):
    tokenizer = tokenizers[0]
    rows = [dict(tokenizer("a b c d e f g h " * 24)) for _ in range(64)]
    before = torch.tensor([row["input_ids"] for row in rows])
    torch.manual_seed(0)
    collator = DataCollatorForLanguageModeling(
        tokenizer, mlm_probability=0.3, mask_replace_prob=0.6, random_replace_prob=0.3
    )
    batch = collator(rows)
    asked = batch["labels"] != -100
    n = 64 * 192  # no special tokens: 12,288; five standard deviations of each share
    assert abs(asked.sum().item() / n - 0.3) < 5 * (0.3 * 0.7 / n) ** 0.5
    assert not asked[:, 0].any() and not asked[:, -1].any()
    assert (batch["labels"][asked] == before[asked]).all() and (batch["input_ids"][~asked] == before[~asked]).all()
    masked = batch["input_ids"][asked] == tokenizer.mask_token_id
    same = batch["input_ids"][asked] == before[asked]
    m, kept, words = asked.sum().item(), 0.1 + 0.3 / len(VOCABULARY), 0.6 + 0.3 / len(VOCABULARY)
    assert abs(masked.float().mean().item() - words) < 5 * (words * (1 - words) / m) ** 0.5
    assert abs(same.float().mean().item() - kept) < 5 * (kept * (1 - kept) / m) ** 0.5


def test_torch_s_seed_decides_where_no_seed_is_given(tokenizers):
    rows, collator = examples(tokenizers[0]), DataCollatorForLanguageModeling(tokenizers[0], mlm_probability=0.5)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(collator(rows)["input_ids"].tolist())
    assert found[0] == found[1] != found[2]


def test_whole_words_by_offsets(tokenizers):
    """All parts of a word are hidden, or none."""
    rows = examples(tokenizers[0], return_offsets_mapping=True)
    collator = DataCollatorForLanguageModeling(tokenizers[0], whole_word_mask=True, mlm_probability=0.5, seed=3)
    assert (collator.mask_replace_prob, collator.random_replace_prob) == (1.0, 0.0)
    seen = set()
    for _ in range(40):
        hidden = collator(rows)["input_ids"] == tokenizers[0].mask_token_id
        assert not hidden[:, 0].any() and not hidden[3, 3:].any()
        for row, words in ((0, [(1, 4), (4, 6), (6, 7)]), (2, [(1, 9)])):
            for start, end in words:
                part = hidden[row, start:end]
                assert part.all() or not part.any()
                seen.add((row, start, bool(part.all())))
    assert len(seen) == 8  # each of the four words hidden at some time, and at some other not


def test_whole_words_by_offsets_as_in_the_reference(tokenizers):
    row = dict(tokenizers[0]("abc de f", return_offsets_mapping=True, return_special_tokens_mask=True))
    rows = [row, dict(tokenizers[0]("ab c def", return_offsets_mapping=True, return_special_tokens_mask=True))]
    ours, theirs = both(
        tokenizers,
        "DataCollatorForLanguageModeling",
        rows,
        seed=11,
        whole_word_mask=True,
        mlm_probability=0.4,
        calls=6,
        mask_replace_prob=1,
        random_replace_prob=0,
    )
    assert ours == theirs


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(1, 1000), share=st.floats(0.01, 1))
def test_whole_words_within_a_budget_as_in_the_reference(tokenizers, seed, share):
    rows = examples(tokenizers[0])
    ours, theirs = both(tokenizers, "DataCollatorForWholeWordMask", rows, seed=seed, mlm_probability=share)
    for found, expected in zip(ours, theirs, strict=True):
        assert {key: found[key] for key in expected} == expected
        assert found["attention_mask"] == [[1] * len(r["input_ids"]) + [0] * (10 - len(r["input_ids"])) for r in rows]


def test_whole_words_of_other_tokenisers():
    from bothways.trainer.masking import _groups

    assert _groups(["<s>", "▁un", "seen", "▁a", "</s>"], [1, 0, 0, 0, 1], set()) == [[1, 2], [3]]
    assert _groups(["Hel", "lo", "Ġyou", "r"], [0] * 4, set()) == [[0, 1], [2, 3]]
    assert _groups(["喜", "欢", "a"], [0] * 3, {1}) == [[0, 1], [2]]


def test_lists_of_ids_and_numpy(tokenizers):
    collator = DataCollatorForWholeWordMask(tokenizers[0], mlm_probability=0.5, seed=1)
    assert collator([[2, 5, 6, 3], [2, 5, 3]])["input_ids"].shape == (2, 4)
    batch = DataCollatorForLanguageModeling(tokenizers[0], return_tensors="np")([[2, 5, 6, 3], [2, 5, 3]])
    assert batch["labels"].dtype.name == "int64" and batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"mlm_probability": 1.5}, "mlm_probability is 1.5"),
        ({"mlm_probability": None}, "mlm_probability is None"),
        ({"mask_replace_prob": -0.1}, "mask_replace_prob is -0.1"),
        ({"mask_replace_prob": 0.8, "random_replace_prob": 0.4}, "add up to 1.2"),
        ({"mlm": False, "whole_word_mask": True}, "mlm=True"),
        ({"tf_experimental_compile": True}, "TensorFlow"),
    ],
)
def test_impossible_shares(tokenizers, wrong, says):
    with pytest.raises((InputError, UsageError), match=says):
        DataCollatorForLanguageModeling(tokenizers[0], **wrong)


def test_whole_words_need_offsets(tokenizers):
    with pytest.raises(InputError, match="return_offsets_mapping=True"):
        DataCollatorForLanguageModeling(tokenizers[0], whole_word_mask=True)(examples(tokenizers[0]))

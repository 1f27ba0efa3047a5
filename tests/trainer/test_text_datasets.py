"""Text files as data sets, item by item beside the reference's with the same seed."""

from __future__ import annotations

import os
import random
import warnings

import pytest
import torch

import bothways
from bothways.errors import DataError, InputError, UsageError

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
import transformers  # noqa: E402

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijkl"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """(ours, the reference's)"""
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n")
    return tuple(m.BertTokenizerFast(vocab_file=str(path)) for m in (bothways, transformers))


def sentences(seed: int, n_documents: int, longest: int = 12) -> list[list[str]]:
    """Documents of sentences of letters."""
    rng = random.Random(seed)
    return [
        [" ".join(rng.choices("abcdefghijkl", k=rng.randint(1, longest))) for _ in range(rng.randint(1, 12))]
        for _ in range(n_documents)
    ]


def plain(documents: list[list[str]]) -> str:
    return "\n\n".join("\n".join(lines) for lines in documents) + "\n"


def listed(dataset) -> list:
    """Items as lists, with the dtypes of their tensors."""
    found = []
    for i in range(len(dataset)):
        item = dataset[i]
        pairs = item.items() if hasattr(item, "items") else [("ids", item)]
        found.append({name: (str(value.dtype), value.tolist()) for name, value in pairs})
    return found


def both(tokenizers, name: str, path, *arguments, seed: int = 0, **options) -> tuple[list, list]:
    """The items of our data set and of the reference's."""
    found = []
    for module, tokenizer in zip((bothways, transformers), tokenizers, strict=True):
        random.seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(listed(getattr(module, name)(tokenizer, str(path), *arguments, **options)))
    return found[0], found[1]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(plain(sentences(1, 6)).encode() + b"\r\n  \t\r\na b\rc\xe2\x80\xa8d e f\r\n")
    return path


def test_an_example_for_each_line(tokenizers, text):
    ours, theirs = both(tokenizers, "LineByLineTextDataset", text, 8)
    assert ours == theirs and max(len(row["input_ids"][1]) for row in ours) == 8
    assert [row["input_ids"][1] for row in ours[-3:]] == [[2, 5, 6, 3], [2, 7, 3], [2, 8, 9, 10, 3]]


def test_a_file_cut_into_equal_pieces(tokenizers, text):
    ours, theirs = both(tokenizers, "TextDataset", text, 10)
    assert ours == theirs and len(ours) > 5 and {len(row["ids"][1]) for row in ours} == {10}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block_size", [9, 40])
def test_pairs_that_follow_or_not(tokenizers, tmp_path, seed, block_size):
    path = tmp_path / "pairs.txt"
    path.write_text(plain(sentences(seed, 8)))
    options = {"short_seq_probability": 0.3, "nsp_probability": 0.4}
    ours, theirs = both(tokenizers, "TextDatasetForNextSentencePrediction", path, block_size, seed=seed, **options)
    assert ours == theirs and {row["next_sentence_label"][1] for row in ours} == {0, 1}


def test_pairs_of_a_single_document(tokenizers, tmp_path):
    path = tmp_path / "one.txt"
    path.write_text(plain(sentences(3, 1)))
    ours, theirs = both(tokenizers, "TextDatasetForNextSentencePrediction", path, 20)
    assert ours == theirs != []


def test_blank_lines_at_the_end_make_no_document(tokenizers, tmp_path):
    """The reference fails where it draws the empty one."""
    path = tmp_path / "blank.txt"
    path.write_text(plain(sentences(3, 2)) + "\n\n\n")
    for seed in range(20):
        random.seed(seed)
        assert len(bothways.TextDatasetForNextSentencePrediction(tokenizers[0], path, 20))


@pytest.mark.parametrize("seed", range(6))
def test_pairs_in_order_or_swapped(tokenizers, tmp_path, seed, monkeypatch):
    for number, documents in enumerate((sentences(seed, 4), sentences(seed + 50, 3, longest=40))):
        pages = [
            f'<doc id="{i}" title="t">\nTitle\n\n' + "\n".join(lines) + "\n</doc>\n"
            for i, lines in enumerate(documents)
        ]
        (tmp_path / f"wiki_{number}").write_text("between\n".join(pages))
    entries = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(os, "listdir", lambda *_: entries)  # which order the reference reads in depends on the disk
    ours, theirs = both(tokenizers, "LineByLineWithSOPTextDataset", tmp_path, 24, seed=seed)
    assert ours == theirs and {row["sentence_order_label"][1] for row in ours} == {0, 1}
    assert max(len(row["input_ids"][1]) for row in ours) == 24


def test_nothing_is_written_beside_the_text(tokenizers, text):
    bothways.TextDataset(tokenizers[0], text, 10, overwrite_cache=True, cache_dir="elsewhere")
    bothways.TextDatasetForNextSentencePrediction(tokenizers[0], text, 10)
    assert os.listdir(text.parent) == ["text.txt"]


def test_the_usual_collators_take_the_items(tokenizers, text):
    collator = bothways.DataCollatorForLanguageModeling(tokenizers[0], seed=1)
    for name in ("LineByLineTextDataset", "TextDataset", "TextDatasetForNextSentencePrediction"):
        dataset = getattr(bothways, name)(tokenizers[0], text, 10)
        assert isinstance(dataset, torch.utils.data.Dataset)
        batch = collator([dataset[i] for i in range(4)])
        assert batch["input_ids"].shape == batch["labels"].shape


def test_an_empty_file_has_no_examples(tokenizers, tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text("\n \n")
    for name in ("LineByLineTextDataset", "TextDataset", "TextDatasetForNextSentencePrediction"):
        assert len(getattr(bothways, name)(tokenizers[0], path, 10)) == 0


def test_what_cannot_be_read(tokenizers, tmp_path):
    tokenizer = tokenizers[0]
    with pytest.raises(UsageError, match="missing.txt does not exist"):
        bothways.LineByLineTextDataset(tokenizer, tmp_path / "missing.txt", 10)
    with pytest.raises(UsageError, match="is not a directory"):
        bothways.LineByLineWithSOPTextDataset(tokenizer, tmp_path / "missing", 10)
    (tmp_path / "latin.txt").write_bytes(b"a b\nc \xe9\n")
    with pytest.raises(DataError, match="latin.txt, line 2: byte 0xe9"):
        bothways.TextDataset(tokenizer, tmp_path / "latin.txt", 10)
    (tmp_path / "text.txt").write_text("a b c\nd e f\n")
    for name, least in (("TextDataset", 3), ("TextDatasetForNextSentencePrediction", 5)):
        with pytest.raises(InputError, match=f"block_size is 2; it must be at least {least}"):
            getattr(bothways, name)(tokenizer, tmp_path / "text.txt", 2)

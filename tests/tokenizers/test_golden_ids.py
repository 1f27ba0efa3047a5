"""The ids of hostile texts under every kind of tokeniser stay what they were when the file was written."""

import json
from pathlib import Path

import pytest
from tokenizer_kinds import KINDS, build

GOLDEN = json.loads((Path(__file__).parent / "golden_ids.json").read_text(encoding="utf-8"))


def rows(written):
    return [[int(number) for number in row.split()] for row in written]


@pytest.mark.parametrize("kind", KINDS)
def test_ids(kind):
    tokenizer = build(kind)
    assert tokenizer(GOLDEN["texts"])["input_ids"] == rows(GOLDEN["ids"][kind])
    pairs = [tuple(pair) for pair in GOLDEN["pairs"]]
    assert tokenizer(pairs)["input_ids"] == rows(GOLDEN["pair_ids"][kind])


def test_the_file_is_complete():
    assert set(GOLDEN["ids"]) == set(GOLDEN["pair_ids"]) == set(KINDS)
    assert all(len(ids) == len(GOLDEN["texts"]) >= 40 for ids in GOLDEN["ids"].values())


def test_some_ids_by_hand():
    """Small enough to check with the eye in the vocabularies."""
    from tokenizer_kinds import FILES

    vocab = json.loads((FILES / "vocab.json").read_text(encoding="utf-8"))
    bpe = build("byte-level-bpe")
    assert bpe("a b")["input_ids"] == [0, vocab["a"], vocab["Ġb"], 2]
    assert bpe("a", "b")["input_ids"] == [0, vocab["a"], 2, 2, vocab["b"], 2]
    assert bpe("\x00é")["input_ids"] == [0, vocab["Ā"], *[vocab[c] for c in "Ã©" if "Ã©" not in vocab],
                                         *([vocab["Ã©"]] if "Ã©" in vocab else []), 2]  # fmt: skip
    xlm, camembert, albert = (build(f"unigram-model-{name}") for name in ("xlm-roberta", "camembert", "albert"))
    assert xlm.tokenize("the sea") == ["▁the", "▁sea"] == camembert.tokenize("the sea")
    first, second = xlm.encode("the sea", add_special_tokens=False)
    assert camembert.encode("the sea", add_special_tokens=False) == [first + 3, second + 3]  # 4 - 1
    assert xlm("the", "sea")["input_ids"] == [0, first, 2, 2, second, 2]
    assert (xlm.unk_token_id, xlm.mask_token_id) == (3, len(xlm) - 1)
    assert albert("the", "sea")["token_type_ids"] == [0, 0, 0, 1, 1]
    assert albert("THÉ")["input_ids"] == albert("the")["input_ids"] == [2, albert.convert_tokens_to_ids("▁the"), 3]

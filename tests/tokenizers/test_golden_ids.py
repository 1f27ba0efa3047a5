"""The ids of hostile texts under every kind of tokeniser stay what they were when the file was written."""

import json
from pathlib import Path

import pytest
from make_vocabularies import plain_texts
from tokenizer_kinds import KINDS, build
from writing_kinds import WRITING, build_writing

GOLDEN = json.loads((Path(__file__).parent / "golden_ids.json").read_text(encoding="utf-8"))


def rows(written):
    return [[int(number) for number in row.split()] for row in written]


@pytest.mark.parametrize("kind", [*KINDS, *WRITING])
def test_ids(kind):
    tokenizer = build(kind) if kind in KINDS else build_writing(kind)
    assert tokenizer(GOLDEN["texts"])["input_ids"] == rows(GOLDEN["ids"][kind])
    pairs = [tuple(pair) for pair in GOLDEN["pairs"]]
    assert tokenizer(pairs)["input_ids"] == rows(GOLDEN["pair_ids"][kind])
    if kind in GOLDEN["target_ids"]:
        assert tokenizer(text_target=GOLDEN["texts"])["input_ids"] == rows(GOLDEN["target_ids"][kind])


@pytest.mark.parametrize("kind", GOLDEN["plain_texts"])
def test_texts_of_plain_classes(kind):
    """Compared with the reference where the package ``sentencepiece`` is (``test_writing_parity``)."""
    assert plain_texts(kind, GOLDEN["texts"]) == GOLDEN["plain_texts"][kind]


def test_the_file_is_complete():
    assert set(GOLDEN["ids"]) == set(GOLDEN["pair_ids"]) == {*KINDS, *WRITING}
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


def test_some_ids_of_writers_by_hand():
    t5, mbart, mbart50, pegasus, llama, marian = map(
        build_writing, ("t5", "mbart", "mbart50", "pegasus", "llama", "marian")
    )
    assert (t5.pad_token_id, t5.eos_token_id, t5.unk_token_id, len(t5)) == (0, 1, 2, 362)
    assert t5("<extra_id_0> <extra_id_99>")["input_ids"] == [361, 262, 1]
    assert t5("the", "sea")["input_ids"] == [t5.convert_tokens_to_ids("▁the"), 1, t5.convert_tokens_to_ids("▁sea"), 1]
    sea = mbart.convert_tokens_to_ids("▁sea")
    assert mbart("sea", text_target="sea")["input_ids"] == [sea, 2, mbart.convert_tokens_to_ids("en_XX")]
    assert mbart("sea", text_target="sea")["labels"] == [sea, 2, mbart.convert_tokens_to_ids("ro_RO")]
    assert mbart50("sea", text_target="sea")["labels"] == [mbart50.lang_code_to_id["ro_RO"], sea, 2]
    assert pegasus("sea")["input_ids"] == [t5.convert_tokens_to_ids("▁sea") + 103, 1]
    assert pegasus.convert_tokens_to_ids(["<mask_1>", "<mask_2>", "<unk_2>", "<unk_102>", "<unk>"]) == [
        2,
        3,
        4,
        104,
        105,
    ]
    assert llama("\x01")["input_ids"] == [1, llama.convert_tokens_to_ids("▁"), llama.convert_tokens_to_ids("<0x01>")]
    vocab = marian.get_vocab()
    assert marian(">>de<< the 東京 \U0001f9d1")["input_ids"] == (
        [vocab[token] for token in (">>de<<", "▁the", "▁", "東京", "▁", "\U0001f9d1", "</s>")])  # fmt: skip
    assert marian("the 東東")["input_ids"] == [
        vocab["▁the"],
        vocab["▁"],
        vocab["<unk>"],
        vocab["</s>"],
    ]  # one unknown piece
    assert marian(text_target="Straße")["input_ids"] != marian("Straße")["input_ids"]
    assert marian.tokenize("<s>") == ["▁", "<", "s", ">"]  # not the control piece of that name


def test_broken_characters_of_llama():
    plain = build_writing("llama", fast=False)
    euro = plain.convert_tokens_to_ids(["<0xE2>", "<0x82>", "<0xAC>"])
    assert plain.decode(euro) == "€"
    assert plain.decode([*euro[:2], plain.convert_tokens_to_ids("a")]) == "\ufffd\ufffda"  # one for each byte

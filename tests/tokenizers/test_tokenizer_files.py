"""Files: what we save the reference loads and the other way round; what is hostile is refused; nothing is executed."""

import json
import shutil

import pytest
from tokenizer_samples import HOSTILE
from tokenizers import AddedToken

from bothways.errors import ModelNotFoundError, TokenizerError
from bothways.tokenizers import AutoTokenizer, BertTokenizer, BertTokenizerFast, PreTrainedTokenizerFast


@pytest.fixture
def saved(fast, tmp_path):
    """A directory that this library wrote, with an added token."""
    fast.add_tokens(["newword"])
    fast.add_special_tokens({"additional_special_tokens": ["<e>", "</e>"]})
    fast.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def edit(path, **changes):
    content = json.loads(path.read_text(encoding="utf-8"))
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "REMOVE"}), encoding="utf-8")


def ids(tokenizer, texts=(*HOSTILE, "newword <e>the</e> newwords")):
    return tokenizer(list(texts))["input_ids"]


def test_what_we_save_loads_everywhere(saved, transformers):
    expected = ids(transformers.AutoTokenizer.from_pretrained(str(saved)))
    assert sorted(p.name for p in saved.iterdir()) == [
        "added_tokens.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    ]  # fmt: skip
    for cls in (AutoTokenizer, BertTokenizerFast, BertTokenizer):
        assert ids(cls.from_pretrained(saved)) == expected, cls
    plain = transformers.BertTokenizer.from_pretrained(str(saved))
    assert (
        plain("newword <e>the</e>")["input_ids"]
        == BertTokenizer.from_pretrained(saved)("newword <e>the</e>")["input_ids"]
    )


def test_saved_files_equal_the_references(fast, reference_fast, tmp_path):
    fast.save_pretrained(tmp_path / "a")
    reference_fast.save_pretrained(str(tmp_path / "b"))
    for name in ("tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "vocab.txt"):
        mine, theirs = (tmp_path / "a" / name).read_text("utf-8"), (tmp_path / "b" / name).read_text("utf-8")
        assert mine == theirs if name == "vocab.txt" else json.loads(mine) == json.loads(theirs), name


@pytest.mark.parametrize(
    "style", [{}, {"do_lower_case": False}, {"strip_accents": False, "model_max_length": 17}], ids=str
)
@pytest.mark.parametrize("legacy", [None, True, False])
def test_what_the_reference_saves(transformers, vocab_file, tmp_path, style, legacy):
    reference = transformers.BertTokenizerFast(str(vocab_file), **style)
    reference.add_tokens(["newword", AddedToken("Stripped", lstrip=True)])
    reference.add_special_tokens(
        {"mask_token": AddedToken("[MASK]", lstrip=True), "additional_special_tokens": ["<e>"]}
    )
    reference.save_pretrained(str(tmp_path), legacy_format=legacy)
    mine = AutoTokenizer.from_pretrained(tmp_path)
    assert type(mine) is BertTokenizerFast and mine.is_fast
    assert ids(mine) == ids(reference)
    assert mine.special_tokens_map == reference.special_tokens_map
    assert mine.model_max_length == reference.model_max_length and len(mine) == len(reference)
    assert repr(mine) == repr(transformers.AutoTokenizer.from_pretrained(str(tmp_path)))


def test_old_directory_without_added_tokens_decoder(saved, transformers):
    edit(saved / "tokenizer_config.json", added_tokens_decoder="REMOVE")
    for with_engine_file in (True, False):
        if not with_engine_file:
            (saved / "tokenizer.json").unlink()
        mine, reference = (
            BertTokenizerFast.from_pretrained(saved),
            transformers.BertTokenizerFast.from_pretrained(str(saved)),
        )
        assert ids(mine) == ids(reference)
        assert mine.all_special_tokens == list(dict.fromkeys(reference.all_special_tokens))  # it repeats some
        assert mine.additional_special_tokens == ["<e>", "</e>"]


def test_configuration_wins_over_the_engine_file(saved, transformers):
    edit(saved / "tokenizer_config.json", do_lower_case=False, strip_accents=True, tokenize_chinese_chars=False)
    assert ids(AutoTokenizer.from_pretrained(saved)) == ids(transformers.AutoTokenizer.from_pretrained(str(saved)))
    mine = AutoTokenizer.from_pretrained(saved, do_lower_case=True, model_max_length=9, padding_side="left")
    assert mine.tokenize("THE Cat") == ["the", "cat"] and mine.model_max_length == 9 and mine.padding_side == "left"


def test_vocabulary_and_model_config_alone(vocab_file, tmp_path):
    shutil.copy(vocab_file, tmp_path / "vocab.txt")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is BertTokenizerFast
    assert type(AutoTokenizer.from_pretrained(tmp_path, use_fast=False)) is BertTokenizer
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "model_max_length": 512}')
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.tokenize("The Cat") == ["The", "Cat"] and tokenizer.model_max_length == 512
    assert tokenizer.name_or_path == str(tmp_path)


def test_single_file(vocab_file, saved):
    assert BertTokenizer.from_pretrained(vocab_file).tokenize("the cat") == ["the", "cat"]
    assert BertTokenizerFast.from_pretrained(str(saved / "tokenizer.json")).tokenize("the cat") == ["the", "cat"]
    with pytest.raises(TokenizerError, match="is a file"):
        AutoTokenizer.from_pretrained(vocab_file)


def test_generic_class(saved, transformers):
    for name in ("vocab.txt", "special_tokens_map.json"):
        (saved / name).unlink()
    edit(saved / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    mine, reference = AutoTokenizer.from_pretrained(saved), transformers.AutoTokenizer.from_pretrained(str(saved))
    assert type(mine) is PreTrainedTokenizerFast
    assert ids(mine) == ids(reference) and mine.mask_token_id == reference.mask_token_id
    (saved / "tokenizer_config.json").unlink()
    assert type(AutoTokenizer.from_pretrained(saved)) is PreTrainedTokenizerFast


def test_truncation_of_the_engine_file_is_no_default(saved):
    edit(
        saved / "tokenizer.json",
        truncation={"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Left"},
        padding={"strategy": {"Fixed": 128}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
                 "pad_type_id": 0, "pad_token": "[PAD]"},
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(saved)
    assert len(tokenizer("the cat sat on the mat")["input_ids"]) == 8
    assert (tokenizer.padding_side, tokenizer.truncation_side) == ("left", "left")


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "BertTokenizerFats"}, "'BertTokenizerFats'. Did you mean 'Bert"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "a"}}}, "has the id 'x'"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"5": {"content": 5}}}, "declares the token"),
        ("tokenizer_config.json", {"added_tokens_decoder": []}, "should hold an object, not list"),
        ("tokenizer_config.json", {"mask_token": ["a"]}, "mask_token"),
        ("tokenizer_config.json", {"model_max_length": "512"}, "model_max_length must be"),
        ("tokenizer.json", {"model": None}, "no 'model' object"),
        ("tokenizer.json", {"model": {"type": "Magic"}}, "unknown model type 'Magic'"),
        ("tokenizer.json", {"model": {"type": "WordPiece", "vocab": {}}}, "no vocabulary"),
        ("tokenizer.json", {"model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "b"}}, "'b' is not in"),
        ("tokenizer.json", {"model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a",
                                      "max_input_chars_per_word": 10**9}}, "max_input_chars_per_word is 1000000000"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed",
                                              "invert": False}}, r"regular expression '\(a\+\)\+\$'"),
        ("tokenizer.json", {"normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 30}}, "more than 256 times longer"),
        ("tokenizer.json", {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 99}}, "more than 64"),
        ("tokenizer.json", {"normalizer": {"type": "Unheard"}}, "cannot be read"),
        ("tokenizer.json", {"post_processor": {"type": "BertProcessing", "sep": ["x", 99999], "cls": ["y", 2]}},
         r"adds ids \[99999\]"),
    ],
)  # fmt: skip
def test_hostile_content(saved, file, changes, message):
    edit(saved / file, **changes)
    with pytest.raises(TokenizerError, match=message):
        AutoTokenizer.from_pretrained(saved)


def test_damaged_files(saved):
    (saved / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(TokenizerError, match="not JSON"):
        AutoTokenizer.from_pretrained(saved)
    (saved / "tokenizer.json").unlink()
    (saved / "vocab.txt").write_bytes(b"[PAD]\n\xff\xfe\n")
    with pytest.raises(TokenizerError, match="not UTF-8 text \\(byte 6\\)"):
        AutoTokenizer.from_pretrained(saved)
    (saved / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(TokenizerError, match="2 tokens, but the unknown token '\\[UNK\\]'"):
        AutoTokenizer.from_pretrained(saved)
    (saved / "vocab.txt").unlink()
    with pytest.raises(TokenizerError, match=r"no tokeniser files.*vocab.txt or tokenizer.json"):
        AutoTokenizer.from_pretrained(saved)


def test_code_and_foreign_paths_are_ignored(saved, tmp_path):
    (saved / "evil.py").write_text("raise SystemExit('executed')")
    other = tmp_path / "other.txt"
    other.write_text("[UNK]\n")
    edit(
        saved / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]},
        vocab_file=str(other),
        tokenizer_file="/etc/passwd",
        tokenizer_object="x",
        init_inputs=[str(other)],
        padding_side="left",
    )
    tokenizer = AutoTokenizer.from_pretrained(saved, trust_remote_code=True)
    assert tokenizer.tokenize("the cat") == ["the", "cat"] and tokenizer.padding_side == "left"
    assert "auto_map" not in tokenizer.init_kwargs
    with pytest.raises(TokenizerError, match="leads out of the model directory"):
        AutoTokenizer.from_pretrained(saved, subfolder="../saved")


def test_unknown_model_type_and_nothing(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "brat"}')
    with pytest.raises(TokenizerError, match="unknown model_type 'brat'. Did you mean 'bert'"):
        AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(TokenizerError, match="neither a tokenizer_class.*Files: config.json"):
        AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(TokenizerError, match="AutoTokenizer.from_pretrained"):
        AutoTokenizer()


def test_name_that_leads_nowhere(tmp_path):
    with pytest.raises(ModelNotFoundError):
        AutoTokenizer.from_pretrained(str(tmp_path / "missing"), local_files_only=True)


def test_added_tokens_that_do_not_belong(vocab_file, tmp_path):
    shutil.copy(vocab_file, tmp_path / "vocab.txt")
    (tmp_path / "added_tokens.json").write_text('{"extra": 9999}')
    with pytest.raises(TokenizerError, match="'extra' the id 9999"):
        BertTokenizerFast.from_pretrained(tmp_path)


def test_line_ends_and_repeated_tokens(tmp_path, transformers):
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\n[MASK]\r\nthe\r\ncat\r\nthe")
    mine, reference = BertTokenizerFast(path), transformers.BertTokenizerFast(str(path))
    assert mine("the cat")["input_ids"] == reference("the cat")["input_ids"] == [2, 7, 6, 3]
    assert mine.get_vocab() == reference.get_vocab()
    mine.save_pretrained(tmp_path / "again")  # id 5 is nobody's: only tokenizer.json can say so
    assert not (tmp_path / "again" / "vocab.txt").exists()
    assert BertTokenizer.from_pretrained(tmp_path / "again")("the cat")["input_ids"] == [2, 7, 6, 3]


def test_vocabulary_without_special_tokens(tmp_path, transformers):
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\nthe\ncat\n")
    mine, reference = BertTokenizerFast(path), transformers.BertTokenizerFast(str(path))
    assert mine("the [MASK]")["input_ids"] == reference("the [MASK]")["input_ids"]
    assert mine.get_vocab() == reference.get_vocab()


def test_save_prefix_and_errors(fast, tmp_path):
    names = [p.rsplit("/", 1)[1] for p in fast.save_pretrained(tmp_path, filename_prefix="x", legacy_format=True)]
    assert names == ["x-tokenizer_config.json", "x-special_tokens_map.json", "x-vocab.txt"]
    assert fast.save_vocabulary(tmp_path) == (str(tmp_path / "vocab.txt"),)
    with pytest.raises(TokenizerError, match="is a file"):
        fast.save_pretrained(tmp_path / "vocab.txt")
    with pytest.raises(TokenizerError, match="push_to_hub"):
        fast.save_pretrained(tmp_path, push_to_hub=True)

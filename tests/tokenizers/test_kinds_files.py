"""Files of the kinds beside WordPiece: both libraries load what either saves; damaged and hostile ones are refused."""

import base64
import json
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_vocabularies import TEXT
from tokenizer_kinds import FILES, KINDS, build, build_reference, files_of
from tokenizer_samples import HOSTILE, WORDS

import bothways.tokenizers as ours
from bothways.errors import TokenizerError
from bothways.tokenizers.engine import check_charsmap
from bothways.tokenizers.sentencepiece_model import parse_sentencepiece, read_sentencepiece

TEXTS = [*HOSTILE, *TEXT, "newword <e>the</e> <mask>", "[MASK] a"]
MODEL = (FILES / "sentencepiece.bpe.model").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("legacy", [None, False])
def test_both_load_what_we_save(transformers, tmp_path, kind, legacy):
    mine = build(kind, model_max_length=77)
    mine.add_tokens(["newword"])
    mine.add_special_tokens({"additional_special_tokens": ["<e>", "</e>"]})
    expected = mine(TEXTS)["input_ids"]
    mine.save_pretrained(tmp_path, legacy_format=legacy)
    reference = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    again = ours.AutoTokenizer.from_pretrained(tmp_path)
    assert type(again).__name__ == type(mine).__name__ == type(reference).__name__
    assert again(TEXTS)["input_ids"] == reference(TEXTS)["input_ids"] == expected
    assert again.model_max_length == reference.model_max_length == 77
    assert again.special_tokens_map == mine.special_tokens_map
    if kind != "unigram-json":
        plain = ours.AutoTokenizer.from_pretrained(tmp_path, use_fast=False)
        assert type(plain).__name__ == KINDS[kind].removesuffix("Fast") and not plain.is_fast
        assert plain(TEXTS)["input_ids"] == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("legacy", [None, False])
def test_we_load_what_the_reference_saves(transformers, tmp_path, kind, legacy):
    reference = build_reference(transformers, kind, model_max_length=77)
    reference.add_tokens(["newword"])
    reference.save_pretrained(str(tmp_path), legacy_format=legacy)
    mine = ours.AutoTokenizer.from_pretrained(tmp_path)
    assert mine(TEXTS)["input_ids"] == reference(TEXTS)["input_ids"]
    assert repr(mine) == repr(transformers.AutoTokenizer.from_pretrained(str(tmp_path)))


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "unigram-json"])
def test_saved_files_are_the_references(transformers, tmp_path, kind):
    mine, reference = build(kind), build_reference(transformers, kind)
    mine.save_pretrained(tmp_path / "a")
    reference.save_pretrained(str(tmp_path / "b"))
    for path in (tmp_path / "b").iterdir():
        ours_, theirs = (tmp_path / "a" / path.name).read_text("utf-8"), path.read_text("utf-8")
        if path.name == "merges.txt":
            assert ours_ == theirs
        elif path.name == "tokenizer_config.json":
            expected = {**json.loads(ours_)}
            if kind.startswith("unigram-model"):  # the stand-in has no slow class and no file to copy
                assert expected.pop("sp_model_kwargs") == {}
                expected["tokenizer_class"] += "Fast"
            assert expected == json.loads(theirs)
        elif path.suffix == ".json" and not (path.name == "tokenizer.json" and kind.startswith("unigram")):
            assert json.loads(ours_) == json.loads(theirs), path.name
    source = files_of(kind).get("vocab_file", "")
    if source.endswith(".model"):
        copy = tmp_path / "a" / mine.vocab_files_names["vocab_file"]
        assert copy.read_bytes() == Path(source).read_bytes()


def test_a_lost_sentencepiece_model_is_not_missed(tmp_path, transformers):
    """Without its ``.model`` the tokeniser is saved under the fast class's name, as in the reference."""
    shutil.copy(FILES / "spiece.model", tmp_path / "spiece.model")
    tokenizer = ours.AlbertTokenizerFast(tmp_path / "spiece.model")
    (tmp_path / "spiece.model").unlink()
    names = [Path(path).name for path in tokenizer.save_pretrained(tmp_path / "a")]
    assert names == ["tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"]
    for source in (ours, transformers):
        again = source.AutoTokenizer.from_pretrained(str(tmp_path / "a"))
        assert type(again).__name__ == "AlbertTokenizerFast"
        assert again(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
    saved = json.loads((tmp_path / "a" / "tokenizer_config.json").read_text("utf-8"))
    assert saved["tokenizer_class"] == "AlbertTokenizerFast"
    with pytest.raises(TokenizerError, match="legacy_format=True leaves tokenizer.json out.*AlbertTokenizerFast"):
        tokenizer.save_pretrained(tmp_path / "b", legacy_format=True)


@pytest.mark.parametrize(("model_type", "files", "name"), [
    ("roberta", ["vocab.json", "merges.txt"], "RobertaTokenizer"), ("albert", ["spiece.model"], "AlbertTokenizer"),
    ("xlm-roberta", ["sentencepiece.bpe.model"], "XLMRobertaTokenizer"),
    ("camembert", ["sentencepiece.bpe.model"], "CamembertTokenizer"),
])  # fmt: skip
def test_vocabulary_files_and_model_type_alone(tmp_path, model_type, files, name):
    for file in files:
        shutil.copy(FILES / file, tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    fast, plain = (ours.AutoTokenizer.from_pretrained(tmp_path, use_fast=use) for use in (True, False))
    assert (type(fast).__name__, type(plain).__name__) == (f"{name}Fast", name)
    assert fast(TEXT)["input_ids"] == plain(TEXT)["input_ids"]
    (tmp_path / files[-1]).unlink()
    with pytest.raises(TokenizerError, match=r"lacks merges.txt.*Files there: config.json, vocab.json\."
                       if len(files) == 2 else r"no tokeniser files.*Files there: config.json\."):  # fmt: skip
        ours.AutoTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["DistilBertTokenizer", "ElectraTokenizer"])
def test_names_of_wordpiece(tmp_path, name):
    shutil.copy(files_of("wordpiece")["vocab_file"], tmp_path / "vocab.txt")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    assert type(ours.AutoTokenizer.from_pretrained(tmp_path)).__name__ == f"{name}Fast"
    assert ("token_type_ids" in ours.AutoTokenizer.from_pretrained(tmp_path)("a")) is (name == "ElectraTokenizer")


def test_nothing_to_build_from(tmp_path):
    with pytest.raises(TokenizerError, match=r"RobertaTokenizer needs a vocab_file.*merges_file"):
        ours.RobertaTokenizer(str(FILES / "vocab.json"))
    with pytest.raises(TokenizerError, match=r"AlbertTokenizerFast needs a vocab_file \(spiece.model\)"):
        ours.AlbertTokenizerFast()
    with pytest.raises(TokenizerError, match="legacy_format=True leaves tokenizer.json out.*PreTrainedTokenizerFast"):
        build("unigram-json").save_pretrained(tmp_path, legacy_format=True)
    with pytest.raises(TokenizerError, match="errors is 'relpace'.*'replace'"):
        build("byte-level-bpe", errors="relpace")
    told = r"vocab_size is 100, but 8 special tokens and the letters of the texts already take 109\."
    with pytest.raises(TokenizerError, match=told):
        build("unigram-model-albert").train_new_from_iterator(TEXT, 100)


def test_no_file_names_other_files(tmp_path):
    build("byte-level-bpe").save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "merges_file": "/etc/passwd", "vocab_file": "/etc/passwd"}))
    assert ours.AutoTokenizer.from_pretrained(tmp_path, use_fast=False).tokenize(" sea") == ["Ġsea"]


VOCAB = '{"a": 0, "b": 1, "ab": 2, "<unk>": 3}'


@pytest.mark.parametrize(("vocab", "merges", "message"), [
    ("[1]", "", r"vocab.json should hold an object of tokens with their ids, not list"),
    ("{}", "", "should hold an object"),
    ('{"a": "0"}', "", r"the token 'a' the id '0'; ids are whole numbers from 0"),
    ('{"a": true}', "", "the id True"),
    ('{"a": -1}', "", "the id -1"),
    ('{"a": 0, "b": 0}', "", "the id 0 to two tokens, 'a' and 'b'"),
    ('{"a": 0, "a": 1}', "", "the key 'a' twice"),
    (VOCAB, "#version: 0.2\na b\na\n", r"merges.txt, line 3 is 'a'; two tokens"),
    (VOCAB, "#version: 0.2\n\na b\n", r"line 2 is ''"),
    (VOCAB, "a b c\n", "line 1 is 'a b c'"),
    (VOCAB, "a b\nb a\n", r"line 2 merges 'b' and 'a', but 'ba' is not among the 4 tokens"),
    (VOCAB, "a b\n" + "x" * 500, r"line 2 is 'x{56}\.\.\.; two"),
    (VOCAB, "a b\n\udcff", r"merges.txt is not UTF-8 text \(byte 4\)"),
])  # fmt: skip
def test_malformed_byte_level_files(tmp_path, vocab, merges, message):
    (tmp_path / "vocab.json").write_text(vocab)
    (tmp_path / "merges.txt").write_bytes(merges.encode("utf-8", "surrogateescape"))
    with pytest.raises(TokenizerError, match=message):
        ours.RobertaTokenizerFast(tmp_path / "vocab.json", tmp_path / "merges.txt")


@pytest.mark.parametrize("merges", ["#version: 0.2\na b\n", "#version: 0.2\r\na b\r\n", "a b", "a b\n\n\n"])
def test_forms_of_a_merges_file(tmp_path, merges):
    """No merge is lost where the head or the last line end is missing (the reference loses one each)."""
    (tmp_path / "vocab.json").write_text(VOCAB)
    (tmp_path / "merges.txt").write_bytes(merges.encode())
    tokenizer = ours.RobertaTokenizerFast(tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert tokenizer.tokenize("abba") == ["ab", "b", "a"]


def field(number, content):
    """A field of type 2 of a Protocol Buffers message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def piece(text, score=-1.0, kind=None):
    kind = b"" if kind is None else b"\x18" + varint(kind)
    return field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + kind)


PIECES = piece("<unk>", 0.0, 2) + piece("<s>", 0.0, 3) + piece("</s>", 0.0, 3) + piece("▁a")


def test_fields_of_a_model():
    read = parse_sentencepiece(PIECES + field(2, b"\x18\x01\xc0\x02\x00"), "x.model")
    assert [tuple(p) for p in read.pieces] == [
        ("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("▁a", -1.0, 1)]  # fmt: skip
    assert (read.unk_id, read.charsmap) == (0, b"")
    later = parse_sentencepiece(PIECES + field(2, b"\xc0\x02\x00") + field(2, b"\xc0\x02\x03"), "x")
    assert later.unk_id == 3  # the last one counts, as in every reader of the format
    unknown = parse_sentencepiece(PIECES + b"\x78\x05" + b"\x79" + bytes(8) + field(99, b"abc"), "x")
    assert unknown == parse_sentencepiece(PIECES, "x")


def test_the_models_here_are_read_as_by_the_reference(transformers):
    from transformers.convert_slow_tokenizer import import_protobuf

    for name in ("sentencepiece.bpe.model", "spiece.model"):
        proto = import_protobuf().ModelProto()
        proto.ParseFromString((FILES / name).read_bytes())
        read = read_sentencepiece(FILES / name)
        assert [tuple(p) for p in read.pieces] == [(p.piece, p.score, p.type) for p in proto.pieces]
        assert read.unk_id == proto.trainer_spec.unk_id
        assert read.charsmap == proto.normalizer_spec.precompiled_charsmap and len(read.charsmap) > 1000


@pytest.mark.parametrize(("data", "message"), [
    (b"", "x.model has no pieces"),
    (b"version https://git-lfs", "no SentencePiece model, or it is damaged"),
    (PIECES[:-1], r"damaged: field 1 wants 11 bytes, and 10 are left"),
    (PIECES + b"\x0a", "it ends within a number"),
    (PIECES + b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "field 1 wants 9,223,372,036,854,775,807 bytes, and 0"),
    (PIECES + b"\xff" * 11, "a number has more than ten bytes"),
    (PIECES + b"\x0b", "field 1 has the wire type 3"),
    (PIECES + b"\x08\x01", "field 1 has the wire type 0 instead of 2"),
    (PIECES + field(1, b"\x0a\x02\xff\xfe"), "piece 4 is not UTF-8 text"),
    (PIECES + field(1, b""), "piece 4 is empty"),
    (PIECES + piece("b", float("nan")), r"piece 4 \('b'\) has the score nan"),
    (PIECES + piece("b", float("-inf")), "has the score -inf"),
    (PIECES + piece("▁a"), r"has the piece '▁a' twice \(again as id 4\)"),
    (PIECES + field(2, b"\xc0\x02\x09"), "4 pieces, but its unknown piece has the id 9"),
    (PIECES + field(2, b"\x18\x02"), r"type BPE \(model_type 2\); only Unigram \(1\) is read.*tokenizer.json"),
    (PIECES + field(2, b"\x18\x04"), "type CHAR"),
    (PIECES + field(3, field(2, b"\x00\x04\x00\x00")), "announces a trie of 1,024 bytes"),
    (PIECES + field(3, field(2, b"\x00\x04\x00\x00" + bytes(1024) + b"\xff")), "replacements are not UTF-8"),
])  # fmt: skip
def test_damaged_models(data, message):
    with pytest.raises(TokenizerError, match=message):
        parse_sentencepiece(data, "x.model")


def test_sizes_are_bounded(tmp_path, monkeypatch):
    import bothways.tokenizers.sentencepiece_model as reader

    with pytest.raises(TokenizerError, match="is not a file"):
        read_sentencepiece(tmp_path)
    path = tmp_path / "big.model"
    with path.open("wb") as file:
        file.truncate(reader.MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(TokenizerError, match="33,554,433 bytes; SentencePiece models up to 33,554,432 bytes"):
        read_sentencepiece(path)
    monkeypatch.setattr(reader, "MAX_PIECES", 3)
    with pytest.raises(TokenizerError, match="more than 3 pieces"):
        parse_sentencepiece(PIECES, "x")


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(MODEL) - 1), value=st.integers(0, 255), end=st.integers(0, len(MODEL)))
def test_any_damage_is_a_clear_error_or_a_model(place, value, end):
    damaged = bytearray(MODEL)
    damaged[place] = value
    for data in (bytes(damaged), MODEL[:end]):
        try:
            assert parse_sentencepiece(data, "x.model").pieces
        except TokenizerError as problem:
            assert "x.model" in str(problem)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_clear_error_or_a_model(data):
    try:
        parse_sentencepiece(data, "x.model")
    except TokenizerError as problem:
        assert "x.model" in str(problem)


def test_rules_of_characters():
    charsmap = read_sentencepiece(FILES / "sentencepiece.bpe.model").charsmap
    assert check_charsmap(charsmap, "x") == 18  # one character becomes eighteen
    assert check_charsmap(b"", "x") == 1
    with pytest.raises(TokenizerError, match="precompiled_charsmap of 4,194,305 bytes; up to 4,194,304 bytes"):
        check_charsmap(bytes(4 * 2**20 + 1), "x")


def edited(tmp_path, **changes):
    path = tmp_path / "tokenizer.json"
    content = json.loads((FILES / "unigram.json").read_text(encoding="utf-8"))
    for key, value in changes.items():
        content[key] = value(content[key]) if callable(value) else value
    path.write_text(json.dumps(content))
    return path


def precompiled(data, times=1):
    step = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}
    return {"type": "Sequence", "normalizers": [step] * times}


LONG = (1024).to_bytes(4, "little") + bytes(1024) + b"x" * 300 + b"\0"


@pytest.mark.parametrize(("changes", "message"), [
    ({"model": lambda model: {**model, "unk_id": 999}}, "unk_id is 999, but the vocabulary has 278 entries"),
    ({"model": lambda model: {**model, "unk_id": -1}}, "unk_id is -1"),
    ({"model": lambda model: {**model, "vocab": {"a": 0}}}, "the model has no vocabulary"),
    ({"normalizer": precompiled(b"\x00\x00\x01\x00abc")}, "announces a trie of 65,536 bytes"),
    ({"normalizer": precompiled(LONG)}, "more than 256 times longer"),
    ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "%%%"}}, "not Base64"),
    ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": 5}}, "not Base64"),
])  # fmt: skip
def test_hostile_unigram_files(tmp_path, changes, message):
    with pytest.raises(TokenizerError, match=message):
        ours.PreTrainedTokenizerFast(tokenizer_file=edited(tmp_path, **changes))


def test_a_trie_that_leads_nowhere_is_an_error_not_a_crash(tmp_path):
    damaged = (1024).to_bytes(4, "little") + b"\xff" * 1024 + b"abc\0"
    path = edited(tmp_path, normalizer=precompiled(damaged))
    with pytest.raises(TokenizerError):
        ours.PreTrainedTokenizerFast(tokenizer_file=path)("the sea")


def test_known_patterns_only(tmp_path):
    from bothways.tokenizers.engine import GPT2

    def split(pattern):
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}

    tokenizer = ours.PreTrainedTokenizerFast(tokenizer_file=edited(tmp_path, pre_tokenizer=split(GPT2)))
    assert tokenizer("the sea")["input_ids"]
    with pytest.raises(TokenizerError, match="regular expression"):
        ours.PreTrainedTokenizerFast(tokenizer_file=edited(tmp_path, pre_tokenizer=split(GPT2 + "|(a+)+b")))


@pytest.mark.parametrize("kind", KINDS)
def test_lone_surrogates_are_refused(kind):
    with pytest.raises(TokenizerError, match=r"lone surrogate U\+D800 at character 4"):
        build(kind)("bad \ud800")


SPACES = " \t\n\r\u00a0\u3000"
PIECE_OF_TEXT = st.one_of(
    st.sampled_from([*WORDS, "It's", "late,", "(TM)", "7,25", "ﷺ", "½"]), st.text("ab,.é東!", max_size=4)
)


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.tuples(PIECE_OF_TEXT, st.text(SPACES, min_size=1, max_size=3)), max_size=8))
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("wordpiece-distilbert", "wordpiece-electra")])
def test_word_ids_are_boundaries(kind, parts):
    """No word reaches over white space, words rise, and each letter and digit is in some token."""
    text = "".join(word + space for word, space in parts)
    encoding = _built(kind).encode_texts([text], add_special_tokens=False, offsets=True)[0]
    words: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
        first, last = words.get(word, (start, end))
        words[word] = (min(first, start), max(last, end))
    for start, end in words.values():
        assert not any(char in SPACES for char in text[start:end].strip(SPACES)), text[start:end]
    rising = [word for word in encoding.word_ids if word is not None]
    assert rising == sorted(rising) and len(rising) == len(encoding)
    covered = {place for start, end in encoding.offsets for place in range(start, end)}
    assert all(place in covered for place, char in enumerate(text) if char.isalnum())


_TOKENIZERS: dict = {}


def _built(kind):
    if kind not in _TOKENIZERS:
        _TOKENIZERS[kind] = build(kind)
    return _TOKENIZERS[kind]

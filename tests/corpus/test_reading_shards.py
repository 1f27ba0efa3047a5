"""Shards that are not what their manifest says, or not of the tokeniser; and reading them anywhere."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from bothways.corpus import build_shards, open_shards, tokenizer_identity
from bothways.errors import DataError, InputError
from bothways.tokenizers import AutoTokenizer, BertTokenizer
from tests.corpus.small import byte_level, documents, unigram, wordpiece


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "texts.txt").write_text("\n\n".join(documents(6)), encoding="utf-8")
    build_shards(tmp_path / "texts.txt", tmp_path / "shards", tokenizer=wordpiece(tmp_path), shard_tokens=60)
    return tmp_path / "shards"


def edited(shards, **changes):
    path = shards / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def test_places_are_checked(shards):
    corpus = open_shards(shards)
    n = len(corpus)
    assert corpus.read(3, 3).shape == (0,) == corpus.read(n, n).shape and corpus.read(0, 1).dtype == np.int64
    for start, stop in ((-1, 2), (3, 2), (0, n + 1)):
        with pytest.raises(InputError, match=f"tokens {start} to {stop} were asked for; expected .* in 0 to {n}"):
            corpus.read(start, stop)


def test_tokens_stay_on_the_disk(shards):
    corpus = open_shards(shards)
    assert corpus._maps == {}
    corpus.read(0, 1)
    assert list(corpus._maps) == [0] and isinstance(corpus._maps[0].base, np.memmap)
    again = pickle.loads(pickle.dumps(corpus))
    assert again._maps == {} and again.read(5, 90).tolist() == corpus.read(5, 90).tolist()
    assert len(pickle.dumps(corpus)) < 500


def test_files_that_are_not_those_of_the_manifest(shards):
    whole = (shards / "tokens-00001.bin").read_bytes()
    (shards / "tokens-00001.bin").write_bytes(whole[:-4])
    (shards / "tokens-00002.bin").unlink()
    (shards / "tokens-00099.bin").write_bytes(b"")
    with pytest.raises(DataError) as said:
        open_shards(shards)
    assert (
        f"not those of its manifest: tokens-00001.bin has {len(whole) - 4} bytes instead of {len(whole)}; "
        "tokens-00002.bin is missing; tokens-00099.bin is not in it. Copy the directory again" in str(said.value)
    )


def test_a_changed_file_is_found_by_its_hash(shards):
    data = bytearray((shards / "tokens-00001.bin").read_bytes())
    data[0] ^= 1
    (shards / "tokens-00001.bin").write_bytes(data)
    open_shards(shards)
    with pytest.raises(DataError, match=r"tokens-00001\.bin has another content \(sha256 [0-9a-f]{12}… instead of"):
        open_shards(shards, verify=True)


def test_boundaries_that_cannot_be(shards):
    starts = np.load(shards / "documents.npy")
    np.save(shards / "documents.npy", starts[::-1].copy())
    with pytest.raises(DataError, match=rf"documents\.npy does not rise from 0 to {starts[-1]}"):
        open_shards(shards)
    np.save(shards / "documents.npy", starts.astype(np.float64))
    with pytest.raises(DataError, match=r"documents\.npy holds float64 \(7,\), but its manifest says int64 \(7,\)"):
        open_shards(shards)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": "other"}, "is not the manifest of shards"),
        ({"version": 2}, "has version 2; this program reads version 1"),
        ({"dtype": "int8"}, "dtype is 'int8'; expected one of uint16, uint32"),
        ({"n_tokens": 5}, "n_tokens is 5, but the files have"),
        ({"n_tokens": -5}, "n_tokens is '-5'"),
        ({"n_documents": "many"}, "n_documents is 'many'"),
        ({"files": []}, "files lack documents.npy and sentences.npy"),
        ({"files": [{"name": "x"}]}, "missing 2 required"),
        ({"tokenizer": {}}, "tokenizer.sha256 is 'None'"),
        ({"content_sha256": "0" * 64}, "content_sha256 is [0-9a-f]{12}… instead of 000000000000…"),
    ],
)
def test_manifests_that_cannot_be(shards, changes, sentence):
    edited(shards, **changes)
    with pytest.raises(DataError, match=sentence):
        open_shards(shards, verify=True)


@pytest.mark.parametrize("name", ["../texts.txt", "/etc/passwd", "tokenizer/../../texts.txt", "a/b"])
def test_manifests_name_files_of_their_directory_only(shards, name):
    files = json.loads((shards / "manifest.json").read_text())["files"]
    edited(shards, files=[*files, {"name": name, "n_bytes": 1, "sha256": "0", "n_tokens": 0}])
    with pytest.raises(DataError, match="are no different names of files in its directory"):
        open_shards(shards)


def test_what_is_no_directory_of_shards(shards, tmp_path):
    with pytest.raises(DataError, match="nowhere is not a directory"):
        open_shards(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no manifest\.json; expected a directory that 'bothways shard' made"):
        open_shards(tmp_path)
    text = (shards / "manifest.json").read_text()
    (shards / "manifest.json").write_text(text[:100])
    with pytest.raises(DataError, match=r"manifest\.json is not JSON"):
        open_shards(shards)
    (shards / "manifest.json").write_text(text.replace('"dtype"', '"type"'))
    with pytest.raises(DataError, match="damaged: dtype is missing"):
        open_shards(shards)


def test_another_tokeniser_is_refused_by_name(shards, tmp_path):
    corpus = open_shards(shards)
    same = AutoTokenizer.from_pretrained(shards / "tokenizer")
    corpus.check_tokenizer(same)
    other = wordpiece(tmp_path, "more")
    mine, theirs = tokenizer_identity(same), tokenizer_identity(other)
    with pytest.raises(DataError) as said:
        corpus.check_tokenizer(other)
    assert (
        f"another tokeniser: BertTokenizer with {mine['vocab_size']} tokens, sha256 {mine['sha256'][:12]}…; given is "
        f"BertTokenizer with {theirs['vocab_size']} tokens, sha256 {theirs['sha256'][:12]}…. Pass" in str(said.value)
    )
    with pytest.raises(DataError, match="given is RobertaTokenizer with"):
        corpus.check_tokenizer(byte_level())


@pytest.mark.parametrize("kind", ["wordpiece", "byte_level", "unigram"])
def test_the_identity_survives_saving(tmp_path, kind):
    tokenizer = {"wordpiece": lambda: wordpiece(tmp_path), "byte_level": byte_level, "unigram": unigram}[kind]()
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    identity = tokenizer_identity(tokenizer)
    assert tokenizer_identity(saved) == identity
    assert identity["vocab_size"] == len(tokenizer)
    assert identity["special_ids"]["mask_token"] == tokenizer.mask_token_id
    saved.model_max_length, saved.padding_side = 7, "left"
    saved("a mat", truncation=True, max_length=3, padding="max_length")
    assert tokenizer_identity(saved)["sha256"] == identity["sha256"]


def test_the_identity_knows_what_changes_ids(tmp_path):
    tokenizer = wordpiece(tmp_path)
    vocabulary = (tmp_path / "vocab.txt").read_text().splitlines()
    vocabulary[5:7] = vocabulary[6:4:-1]
    (tmp_path / "swapped.txt").write_text("\n".join(vocabulary) + "\n")
    added = wordpiece(tmp_path)
    added.add_tokens(["newword"])
    others = [
        BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=False),
        BertTokenizer(str(tmp_path / "swapped.txt")),
        BertTokenizer(str(tmp_path / "vocab.txt"), split_special_tokens=True),
        added,
        byte_level(),
    ]
    hashes = {tokenizer_identity(one)["sha256"] for one in [tokenizer, *others]}
    assert len(hashes) == 1 + len(others)

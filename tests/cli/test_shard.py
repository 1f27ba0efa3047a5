"""``bothways shard`` as a user runs it."""

from __future__ import annotations

import os

import pytest

from bothways.corpus import open_shards
from bothways.run_lock import RunLock
from tests.conftest import WORDS
from tests.corpus.small import contents


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    lines = [f"{' '.join(WORDS[i % 9 :])}. {' '.join(reversed(WORDS[: 5 + i % 7]))}!" for i in range(30)]
    path.write_text("\n\n".join([*lines, lines[3]]), encoding="utf-8")
    return path


def test_shards_are_made_and_said(command, tiny_model, texts, tmp_path):
    words = ("shard", texts, "--tokenizer", tiny_model, "-o", tmp_path / "shards", "--jobs", 1)
    code, out, err = command(*words)
    assert code == 0 and err.startswith("note: ") and "of the tokens are unknown words" in err
    corpus = open_shards(tmp_path / "shards", verify=True)
    manifest = corpus.manifest
    assert (
        f"{manifest.n_documents} documents, {manifest.n_sentences} sentences, {len(corpus)} tokens in 1 shard (" in out
    )
    dropped = 31 - manifest.n_documents
    assert f"{dropped} documents were dropped: {manifest.n_exact_duplicates} equal to an earlier one" in out
    assert "MB of text" in out and "31 documents" not in out and "tokens a second." in out
    before = contents(tmp_path / "shards")
    code, out, err = command(*words)
    assert code == 0 and "They were there already; nothing was done." in out
    assert contents(tmp_path / "shards") == before
    tokens = bytearray((tmp_path / "shards/tokens-00000.bin").read_bytes())
    tokens[3] ^= 1
    (tmp_path / "shards/tokens-00000.bin").write_bytes(tokens)
    code, out, err = command(*words)
    assert code == 1 and "has another content" in err and "delete it and make it again" in err.replace("\n", " ")


def test_options_reach_the_work(command, tiny_model, texts, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"title": "x", "body": "good film"}\n{"title": "y", "body": "good film"}\n')
    words = ("shard", tmp_path / "rows.jsonl", "--tokenizer", tiny_model, "-o", tmp_path / "rows", "--jobs", 1)
    code, out, _ = command(*words, "--keep-duplicates", "--text-column", "body", "--shard-tokens", 2)
    assert code == 0 and "2 documents, 2 sentences, 4 tokens in 2 shards" in out and "dropped" not in out
    one_line = tmp_path / "latin"
    one_line.write_bytes("a film\nthe b\u00e4d film\n".encode("latin-1"))
    words = ("shard", one_line, "--tokenizer", tiny_model, "-o", tmp_path / "lines", "--jobs", 1)
    code, out, err = command(*words, "--divide", "lines", "--encoding", "latin-1", "--format", "txt")
    assert code == 0 and out.startswith("2 documents, 2 sentences, 5 tokens")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
def test_mistakes_are_sentences(command, tiny_model, texts, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.md").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    for words, expected, status in (
        ((texts, "--jobs", 0), "--jobs is 0; expected a number of processes from 1 on", 2),
        ((texts, "--shard-tokens", 0), "--shard-tokens is 0", 2),
        ((texts, "--divide", "pages"), "divide is 'pages'; expected one of 'blank-lines'", 2),
        ((texts, texts), "texts.txt is given twice", 2),
        ((tmp_path / "text.txt",), "text.txt does not exist. Did you mean 'texts.txt'?", 2),
        ((tmp_path / "pipe",), "pipe is no regular file. Shards are made from files that can be read again", 2),
        ((texts, "-o", full), "full holds other things (notes.md). Choose a new directory", 2),
        ((texts, "--tokenizer", tmp_path / "nowhere"), "nowhere", 2),
    ):
        code, out, err = command("shard", "--tokenizer", tiny_model, "-o", tmp_path / "shards", *words)
        assert code == status and out == "" and expected in err and "Traceback" not in err, err
    assert not (tmp_path / "shards" / "manifest.json").exists()
    assert sorted(path.name for path in full.iterdir()) == ["notes.md"]


def test_two_runs_do_not_share_a_directory(command, tiny_model, texts, tmp_path):
    with RunLock(tmp_path / "shards" / "unfinished"):
        code, _, err = command("shard", texts, "--tokenizer", tiny_model, "-o", tmp_path / "shards", "--jobs", 1)
    assert code == 2 and "Another run is writing in" in err
    code, _, err = command("shard", texts, "--tokenizer", tiny_model, "-o", tmp_path / "shards", "--jobs", 1)
    assert code == 0, err


def test_ctrl_c_says_that_parts_are_kept(command, tiny_model, texts, tmp_path, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bothways.corpus.workers.write_part", stopped)
    code, out, err = command("shard", texts, "--tokenizer", tiny_model, "-o", tmp_path / "shards", "--jobs", 1)
    assert code == 130 and "Finished parts are kept: the same command goes on with them." in err

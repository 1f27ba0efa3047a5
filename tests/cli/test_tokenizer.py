"""``bothways tokenizer train`` as a user runs it."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import random
import subprocess
import sys

import pytest

SYLLABLES = "ka lo mi ter an str ou e ing ion bo x de re un".split()  # noqa: SIM905


def lines(count: int = 400) -> list[str]:
    generator = random.Random(1)
    words = ["".join(generator.choices(SYLLABLES, k=generator.randint(1, 4))) for _ in range(300)]
    return [" ".join(generator.choices(words, k=12)) + "." for _ in range(count)]


LINES = lines()


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_a_directory_that_loads(corpus, command, tmp_path):
    from bothways.tokenizers import AutoTokenizer

    out = tmp_path / "tok"
    code, shown, err = command("tokenizer", "train", corpus, "--vocab-size", 200, "-o", out, "--special-token", "<x>")
    assert code == 0 and "400 texts are read" in err
    assert "BertTokenizerFast" in shown and "200" in shown and "0.00 %" in shown and "held-out texts" in shown
    files = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]
    assert sorted(contents(out)) == ["bothways.json", *files]
    manifest = json.loads((out / "bothways.json").read_text())
    assert manifest["files"] == files and manifest["entries"] == 200 and manifest["texts"] == 400
    assert manifest["quality"]["on"] == "texts that were held out" and manifest["quality"]["words"] % 12 == 0
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert len(tokenizer) == 200 and tokenizer.decode(tokenizer.encode(LINES[0]), skip_special_tokens=True) == LINES[0]
    code, _, _ = command("tokenizer", "train", corpus, "--type", "bpe", "--vocab-size", 300, "-o", out)  # replaces it
    assert code == 0 and "merges.txt" in contents(out) and "vocab.txt" not in contents(out)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_same_texts_same_bytes(kind, corpus, command, tmp_path):
    size = ["--type", kind, "--vocab-size", 320]
    assert command("tokenizer", "train", corpus, "-o", tmp_path / "once", *size)[0] == 0
    first, second = tmp_path / "a.txt.gz", tmp_path / "b.jsonl.xz"
    first.write_bytes(gzip.compress("\n".join(LINES[200:]).encode()))
    second.write_bytes(lzma.compress("".join(json.dumps({"body": t}) + "\n" for t in LINES[:200]).encode()))
    words = [sys.executable, "-m", "bothways", "tokenizer", "train", first, second, "-o", tmp_path / "twice", *size]
    surroundings = {**os.environ, "PYTHONHASHSEED": "7", "RAYON_NUM_THREADS": "1"}
    subprocess.run([*map(str, words), "--text-column", "body"], check=True, env=surroundings, timeout=120)
    assert contents(tmp_path / "once") == contents(tmp_path / "twice")


def test_one_endless_line_and_utf_16(command, tmp_path):
    text = " ".join(LINES)
    (tmp_path / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")
    (tmp_path / "endless.txt").write_text(text * 3, encoding="utf-8")
    (tmp_path / "utf16.txt").write_text("\n".join(LINES), encoding="utf-16")
    (tmp_path / "bare.txt").write_bytes("\n".join(LINES).encode("utf-16-le"))
    for name in ("lines", "utf16"):
        assert (
            command("tokenizer", "train", tmp_path / f"{name}.txt", "--vocab-size", 150, "-o", tmp_path / name)[0] == 0
        )
    assert contents(tmp_path / "lines") == contents(tmp_path / "utf16")
    words = ["tokenizer", "train", tmp_path / "bare.txt", "--vocab-size", 150, "-o", tmp_path / "bare"]
    code, _, err = command(*words)
    assert code == 1 and "UTF-16 without a mark (--encoding utf-16-le)" in err and not (tmp_path / "bare").exists()
    assert command(*words, "--encoding", "utf-16-le")[0] == 0
    assert contents(tmp_path / "lines") == contents(tmp_path / "bare")
    code, shown, err = command(
        "tokenizer", "train", tmp_path / "endless.txt", "--vocab-size", 150, "-o", tmp_path / "endless"
    )
    assert code == 0 and "2 texts are read" in err and "texts that were trained on" in shown
    assert len((tmp_path / "endless" / "vocab.txt").read_text().splitlines()) == 150


def test_more_entries_than_the_texts_support(command, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("to be or not to be\n")
    code, shown, err = command("tokenizer", "train", few, "--vocab-size", "30000", "-o", tmp_path / "tok")
    manifest = json.loads((tmp_path / "tok" / "bothways.json").read_text())
    assert code == 0 and f"Asked for 30,000 entries, but the texts support {manifest['entries']}:" in err
    assert manifest["entries"] < 30 and "6 words of texts that were trained on" in shown


def test_letters_that_were_left_out_are_told(command, tmp_path):
    many = tmp_path / "many.txt"
    many.write_text("".join(f"{chr(0x4E00 + n % 90)}{chr(0x4E00 + n * 7 % 90)} a b c d e\n" for n in range(500)))
    code, _, err = command(
        "tokenizer", "train", many, "--vocab-size", 900, "--limit-alphabet", 20, "-o", tmp_path / "t"
    )
    assert code == 0 and "letters beyond the 20 most frequent are unknown" in err and "Raise --limit-alphabet" in err


def test_mistakes_are_sentences(corpus, command, tmp_path):
    blank, picture = tmp_path / "blank.txt", tmp_path / "picture.txt"
    blank.write_text("\n \n")
    picture.write_bytes(bytes(range(256)) * 20)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    model = tmp_path / "model"
    model.mkdir()
    (model / "bothways.json").write_text('{"task": "pretraining", "files": ["bothways.json"]}')
    for words, exit_code, message in (
        ((corpus, "--vocab-size", 0), 2, "--vocab-size is 0; a whole number from 1 on is expected"),
        ((corpus, "--vocab-size", -5), 2, "--vocab-size is -5;"),
        (
            (corpus, "--vocab-size", 20),
            1,
            "vocab_size is 20, but 5 special tokens and the letters of the texts already",
        ),
        ((corpus, "--type", "wordpeice"), 2, "unknown type 'wordpeice'. Did you mean 'wordpiece'?"),
        ((corpus, "--type", "bpe", "--model-type", "gpt"), 2, "unknown model type 'gpt'. Did you mean 'gpt2'?"),
        ((corpus, "--type", "bpe", "--lowercase"), 2, "the tokeniser of roberta keeps case"),
        ((corpus, "--type", "unigram", "--min-frequency", 2), 2, "min_frequency has no meaning"),
        ((corpus, "--min-frequency", 0), 2, "--min-frequency is 0;"),
        ((corpus, "-o", other), 2, "is not empty (notes.txt) and not an earlier result"),
        ((corpus, "-o", model), 2, "has a model, which a tokeniser would replace. Choose a new directory."),
        ((blank,), 1, "no text"),
        ((picture,), 1, "picture.txt, line 2: byte 0x80 at offset 128 is not UTF-8"),
        ((tmp_path / "corpse.txt",), 2, "corpse.txt does not exist. Did you mean 'corpus.txt'"),
    ):
        code, out, err = command("tokenizer", "train", "-o", tmp_path / "tok", *words)
        assert code == exit_code and message in err and out == "", err
    assert not (tmp_path / "tok").exists() and contents(other) == {"notes.txt": b"mine"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

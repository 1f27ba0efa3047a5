"""Pairs of texts from rows and from files side by side, and the documents of plain files."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.data.documents import load_documents
from bothways.data.rows import read_rows
from bothways.data.text_pairs import TextPair, load_pairs, pair_columns, target_beside
from bothways.errors import DataError, UsageError


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def jsonl(path: Path, *rows: dict) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("names", "kind", "expected"),
    [
        (["id", "document", "summary"], "summarization", ("document", "summary")),
        (["article", "highlights", "id"], "summarization", ("article", "highlights")),
        (["text", "summary", "title"], "summarization", ("text", "summary")),
        (["article", "abstract", "section_names"], "summarization", ("article", "abstract")),
        (["id", "dialogue", "summary"], "summarization", ("dialogue", "summary")),
        (["id", "title", "text", "label"], "summarization", ("text", "title")),
        (["source", "target"], "summarization", ("source", "target")),
        (["src", "tgt"], "translation", ("src", "tgt")),
        (["en", "de"], "translation", ("en", "de")),
        (["de", "en", "url"], "translation", ("de", "en")),
        (["en_XX", "ro_RO"], "translation", ("en_XX", "ro_RO")),
        (["eng_Latn", "deu_Latn"], "translation", ("eng_Latn", "deu_Latn")),
        (["id", "en", "de"], "translation", ("en", "de")),
        (["en", "id"], "translation", ("en", "id")),
    ],
)
def test_columns_by_name(names, kind, expected):
    assert pair_columns(names, kind) == expected


def test_columns_by_request():
    three = ["en", "de", "fr"]
    assert pair_columns(three, "translation", source_column="fr", target_column="en") == ("fr", "en")
    assert pair_columns(["en", "de"], "translation", target_column="en") == ("de", "en")
    assert pair_columns(["a", "b"], "summarization", source_column="b", target_column="a") == ("b", "a")
    assert pair_columns(["text", "summary", "gist"], "summarization", target_column="gist") == ("text", "gist")
    with pytest.raises(UsageError, match="the source could be any of en, de, fr. .*--text-column"):
        pair_columns(three, "translation")
    with pytest.raises(UsageError, match="the target could be any of de, fr. .*--label-column"):
        pair_columns(three, "translation", source_column="en")
    with pytest.raises(UsageError, match="'englsh' not found in f. Columns: english, de. Did you mean 'english'"):
        pair_columns(["english", "de"], "translation", source_column="englsh", file="f")
    with pytest.raises(UsageError, match="the target of a summarization. Columns: text, id. Expected document and"):
        pair_columns(["text", "id"], "summarization")
    with pytest.raises(UsageError, match="the source and the target of a translation. Columns: x, y"):
        pair_columns(["x", "y"], "translation")
    with pytest.raises(UsageError, match="the source could be any of document, article"):
        pair_columns(["document", "article", "summary"], "summarization")
    with pytest.raises(UsageError, match="'en' cannot be both"):
        pair_columns(["en", "de"], "translation", source_column="en", target_column="en")


def test_rows_of_every_format(tmp_path):
    csv = write(tmp_path / "a.csv", 'document,summary\n"A, long",short\n,lost\nx, \nB,b\n')
    read = load_pairs(csv, "summarization")
    assert read.examples == [TextPair("A, long", "short", 1), TextPair("B", "b", 4)]
    assert (read.problems.blank_sources, read.problems.blank_targets) == (1, 1)
    nested = jsonl(tmp_path / "b.jsonl", {"id": 1, "translation": {"en": "a dog", "de": "ein Hund"}})
    read = load_pairs([nested], "translation")
    assert (read.source, read.target, read.examples) == ("en", "de", [TextPair("a dog", "ein Hund", 1)])
    back = load_pairs(nested, "translation", source_column="de", target_column="en")
    assert back.examples == [TextPair("ein Hund", "a dog", 1)]
    both = load_pairs([nested, jsonl(tmp_path / "c.jsonl", {"en": "x", "de": "y"})], "translation")
    assert [e.row for e in both.examples] == [1, 2]


def test_nested_rows_in_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist(
        [{"translation": {"en": "a", "de": "b"}}, {"translation": {"en": "c", "de": "d"}}]
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    assert load_pairs(tmp_path / "t.parquet", "translation").examples == [TextPair("a", "b", 1), TextPair("c", "d", 2)]


def test_wrong_rows_are_named(tmp_path):
    rows = [{"translation": {"en": "a", "de": "b"}}, {"translation": {"en": "c", "de": ["d"]}}]
    with pytest.raises(DataError, match=r"t\.jsonl, line 2: 'de' is \['d'\]; expected a text"):
        load_pairs(jsonl(tmp_path / "t.jsonl", *rows), "translation")
    rows[1] = {"translation": {"en": "c"}}
    with pytest.raises(DataError, match=r"line 2 has no 'de'. Its keys: en"):
        load_pairs(jsonl(tmp_path / "t.jsonl", *rows), "translation")
    with pytest.raises(DataError, match="none of the 2 rows has two texts: 1 have a blank source and 1 a blank target"):
        load_pairs(jsonl(tmp_path / "t.jsonl", {"en": "", "de": "x"}, {"en": "x", "de": None}), "translation")
    with pytest.raises(UsageError, match="one text a line and no target"):
        load_pairs(write(tmp_path / "train.en", "a\n"), "translation")
    with pytest.raises(UsageError, match="one text a line and no target"):
        load_pairs(write(tmp_path / "lines.txt", "a\n"), "translation")
    with pytest.raises(UsageError, match="at least one is needed"):
        load_pairs([], "translation")


def test_files_side_by_side(tmp_path):
    one = write(tmp_path / "train.en.gz", "a\x85b\r\n\nc\u2028d\ne\rf")
    other = write(tmp_path / "train.de", "A\nB\nC\nD\n")
    read = load_pairs(one, "translation", targets=other)
    assert read.examples == [TextPair("a\x85b", "A", 1), TextPair("c\u2028d", "C", 3), TextPair("e\rf", "D", 4)]
    assert (read.source, read.target, read.problems.blank_sources) == ("en", "de", 1)
    twice = load_pairs([one, one], "translation", targets=[other, other])
    assert [e.row for e in twice.examples] == [1, 3, 4, 5, 7, 8]


@given(st.integers(0, 6), st.integers(0, 6))
def test_unequal_numbers_of_lines(tmp_path_factory, left, right):
    folder = tmp_path_factory.mktemp("lines")
    one, other = write(folder / "a.en", "x\n" * left), write(folder / "a.de", "y\n" * right)
    if left == right > 0:
        assert len(load_pairs(one, "translation", targets=other).examples) == left
        return
    message = "are empty" if left == right else rf"a\.en has {left} lines and .*a\.de has {right};"
    with pytest.raises(DataError, match=message):
        load_pairs(one, "translation", targets=other)


def test_targets_that_cannot_be(tmp_path):
    one, other = write(tmp_path / "a.en", "x\n"), write(tmp_path / "a.de", "y\n")
    with pytest.raises(UsageError, match="2 source files and 1 target files"):
        load_pairs([one, one], "translation", targets=other)
    with pytest.raises(UsageError, match="given as source and as target"):
        load_pairs(one, "translation", targets=one)
    with pytest.raises(UsageError, match="lines have no columns"):
        load_pairs(one, "translation", targets=other, source_column="en")
    table = write(tmp_path / "t.csv", "en,de\na,b\n")
    with pytest.raises(UsageError, match=r"t\.csv is csv, which has both texts"):
        load_pairs(table, "translation", targets=other)
    assert load_pairs(table, "translation", targets=write(tmp_path / "u.de", "y\nz\n"), format="txt").examples
    with pytest.raises(UsageError, match="Did you mean 'a.de'"):
        load_pairs(one, "translation", targets=tmp_path / "a.dee")


def test_the_file_beside(tmp_path):
    for name in ("train.en.gz", "train.de.gz", "val.en.gz", "val.de.gz"):
        write(tmp_path / name, "x\n")
    train, target = tmp_path / "train.en.gz", tmp_path / "train.de.gz"
    assert target_beside(tmp_path / "val.en.gz", train, target) == tmp_path / "val.de.gz"
    with pytest.raises(UsageError, match="cannot be told from train.en.gz and train.de.gz"):
        target_beside(tmp_path / "val.fr.gz", train, target)
    (tmp_path / "val.de.gz").unlink()
    with pytest.raises(UsageError, match=r"val\.de\.gz does not exist; it would have the targets"):
        target_beside(tmp_path / "val.en.gz", train, target)
    (tmp_path / "dev").mkdir()
    write(tmp_path / "dev" / "train.de.gz", "y\n")
    assert target_beside(tmp_path / "dev" / "train.en.gz", train, target) == tmp_path / "dev" / "train.de.gz"


def test_documents_of_a_plain_file(tmp_path):
    text = "\n\nOne\r\nfirst\n \t\nTwo\n\n\n\nThree\n  indented"
    path = write(tmp_path / "books.txt.gz", text)
    documents = load_documents(path).examples
    assert [d.text for d in documents] == ["One\nfirst", "Two", "Three\n  indented"]
    assert [d.row for d in documents] == [1, 2, 3]
    lines = load_documents(path, divide="lines")
    assert [d.text for d in lines.examples] == ["One", "first", "Two", "Three", "indented"]
    whole = load_documents([path, path], divide="file").examples
    assert len(whole) == 2 and whole[0].text == text.replace("\r\n", "\n").strip()
    assert load_documents(write(tmp_path / "README", "é\n\nb")).n_bytes == 3
    with pytest.raises(UsageError, match="divide is 'pages'; expected one of 'blank-lines'"):
        load_documents(path, divide="pages")
    with pytest.raises(DataError, match=r"no text in 0 rows"):
        load_documents(write(tmp_path / "empty.txt", " \n\n"))


def test_documents_of_rows(tmp_path):
    rows = jsonl(tmp_path / "a.jsonl", {"id": 1, "text": " a "}, {"id": 2, "text": ""}, {"id": 3, "text": "b\n\nc"})
    read = load_documents(rows)
    assert [(d.text, d.row) for d in read.examples] == [("a", 1), ("b\n\nc", 3)]
    assert (read.column, read.blank) == ("text", 1)
    with pytest.raises(UsageError, match="are a pair of texts; a document is one"):
        load_documents(jsonl(tmp_path / "b.jsonl", {"premise": "a", "hypothesis": "b"}))


def test_xz_is_unpacked(tmp_path):
    packed = lzma.compress(b"text\n" * 1000)
    (tmp_path / "a.txt.xz").write_bytes(packed)
    (tmp_path / "named-otherwise.txt").write_bytes(packed)
    for name in ("a.txt.xz", "named-otherwise.txt"):
        assert [row.values["text"] for row in read_rows(tmp_path / name)] == ["text"] * 1000
    (tmp_path / "cut.txt.xz").write_bytes(packed[:-20])
    with pytest.raises(DataError, match=r"cut\.txt\.xz is not a whole xz file: .*xz -t"):
        list(read_rows(tmp_path / "cut.txt.xz"))
    with pytest.raises(UsageError, match="unpack it with 'unxz'"):
        (tmp_path / "a.parquet.xz").write_bytes(packed)
        read_rows(tmp_path / "a.parquet.xz")


@pytest.mark.data
@pytest.mark.skipif("BOTHWAYS_DATA" not in os.environ, reason="needs BOTHWAYS_DATA")
def test_published_files():
    folder = Path(os.environ["BOTHWAYS_DATA"])
    val = folder / "multi30k" / "val.en.gz"
    read = load_pairs(val, "translation", targets=target_beside(val, folder / "train.en.gz", folder / "train.de.gz"))
    assert len(read.examples) == 1014 and read.examples[0].target.startswith("Eine Gruppe von Männern")
    titles = load_pairs(folder / "bbc_news" / "train.jsonl.gz", "summarization")
    assert (titles.source, titles.target, len(titles.examples)) == ("text", "title", 1460)
    assert len(load_documents(folder / "text" / "wikipedia-en-valid.txt.xz").examples) == 250

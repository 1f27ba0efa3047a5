"""Documents one at a time: the same as all at once, divided where they are long, and from zstd files."""

from __future__ import annotations

import builtins
import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.data import opening
from bothways.data.documents import Document, iter_documents, load_documents
from bothways.errors import DataError, UsageError

TEXTS = st.text(st.sampled_from("ab \t\n\r\u2003é\n\n"), max_size=60)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, divide=st.sampled_from(["blank-lines", "lines", "file"]), chunk=st.integers(1, 7))
def test_bounded_reading_gives_the_same_documents(tmp_path_factory, text, divide, chunk):
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    path.write_bytes(text.encode())
    if not text.strip():
        with pytest.raises(DataError, match=r"a\.txt: no text. Expected"):
            list(iter_documents(path, divide=divide, longest=100))
        assert list(iter_documents(path, divide=divide, longest=100, may_be_empty=True)) == []
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_CHUNK_BYTES", chunk)
        assert list(iter_documents(path, divide=divide, longest=100)) == load_documents(path, divide=divide).examples


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(st.text("abcé", min_size=1, max_size=30), min_size=1, max_size=20),
    longest=st.integers(5, 40),
    chunk=st.integers(1, 9),
)
def test_long_documents_are_divided_at_white_space(tmp_path_factory, words, longest, chunk):
    path = tmp_path_factory.mktemp("texts") / "a.txt"
    path.write_text(" ".join(words), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "_CHUNK_BYTES", chunk)
        pieces = list(iter_documents(path, longest=longest))
    rows = path.with_suffix(".jsonl")
    rows.write_text(json.dumps({"text": " ".join(words)}), encoding="utf-8")
    assert [p.text for p in iter_documents(rows, longest=longest)] == [p.text for p in pieces]
    assert "".join(p.text for p in pieces).replace(" ", "") == "".join(words)
    assert max(len(p.text) for p in pieces) <= longest
    assert {p.row for p in pieces} == {1}
    whole = len(" ".join(words)) <= longest
    assert [p.piece for p in pieces] == ([0] if whole else list(range(1, len(pieces) + 1)))
    if max(map(len, words)) < longest:
        assert " ".join(p.text for p in pieces) == " ".join(words)


def test_an_endless_line_is_read_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_LINE_BYTES", 2**20)
    path = tmp_path / "endless.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        for _ in range(12):
            out.write(b"x" * 2**20)
    with pytest.raises(DataError, match="line 1 is longer than 1,048,576 bytes"):
        list(iter_documents(path))
    tracemalloc.start()
    sizes = [len(document.text) for document in iter_documents(path, longest=2**17)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [2**17] * 96
    assert peak < 2 * 2**20


def test_several_files_are_one_row_of_documents(tmp_path):
    (tmp_path / "a.txt").write_text("A\n\nB", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"text": ""}\n{"text": "C"}\n', encoding="utf-8")
    read: list[int] = []
    found = list(iter_documents([tmp_path / "a.txt", tmp_path / "b.jsonl"], longest=10, advance=read.append))
    assert found == [Document("A", 1), Document("B", 2), Document("C", 4)]
    assert sum(read) == sum(path.stat().st_size for path in tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"c\.txt does not exist"):
        iter_documents([tmp_path / "a.txt", tmp_path / "c.txt"])
    with pytest.raises(UsageError, match="longest is 0"):
        iter_documents(tmp_path / "a.txt", longest=0)


def test_parquet_tells_its_size_at_the_end(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", "two"]}), path)
    read: list[int] = []
    assert [d.text for d in iter_documents(path, advance=read.append)] == ["one", "two"]
    assert sum(read) == path.stat().st_size


def test_utf_16_is_read_with_its_mark_and_explained_without(tmp_path):
    (tmp_path / "a.txt").write_bytes("Ä\n\nB".encode("utf-16"))
    assert [d.text for d in iter_documents(tmp_path / "a.txt", longest=9)] == ["Ä", "B"]
    (tmp_path / "b.txt").write_bytes("A\n\nB".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"b\.txt, line 1: a NUL byte.*--encoding utf-16-le"):
        list(iter_documents(tmp_path / "b.txt", longest=9))
    assert len(list(iter_documents(tmp_path / "b.txt", longest=9, encoding="utf-16-le"))) == 2


class _Frame:
    """An unpacker in which a frame is ``<text>``, so that files of several frames can be written by hand."""

    def __init__(self) -> None:
        self.eof, self.unused_data = False, b""

    def decompress(self, data: bytes) -> bytes:
        text, end, rest = data.partition(b">")
        self.eof, self.unused_data = bool(end), rest
        return text.removeprefix(b"<")


@pytest.mark.parametrize("chunk", [1, 3, 4096])
def test_zstd_frames_one_after_another(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(opening, "_zstd", lambda path: (_Frame, ZeroDivisionError))
    monkeypatch.setattr(opening, "_ZSTD_CHUNK_BYTES", chunk)
    path = tmp_path / "a.txt.zst"
    path.write_bytes(b"<one\n\nt><><wo\n\nthree>")
    assert [d.text for d in iter_documents(path, longest=9)] == ["one", "two", "three"]
    path.write_bytes(b"<one\n\nt><wo")
    with pytest.raises(DataError, match=r"a\.txt\.zst is not a whole zstd file: .*zstd -t"):
        list(iter_documents(path, longest=9))


def test_real_zstd(tmp_path):
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(b"text\n\n" * 10_000)
    (tmp_path / "a.txt.zst").write_bytes(packed + packed)
    assert sum(1 for _ in iter_documents(tmp_path / "a.txt.zst")) == 20_000
    (tmp_path / "a.txt").write_bytes(packed[:-7])
    with pytest.raises(DataError, match="is not a whole zstd file"):
        list(iter_documents(tmp_path / "a.txt"))


def test_without_zstd_the_extra_is_named(tmp_path, monkeypatch):
    plain_import = builtins.__import__

    def without(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] in ("compression", "zstandard"):
            raise ImportError(name)
        return plain_import(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "a.txt.zst").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"a\.txt\.zst: zstd needs .*pip install 'bothways\[zstd\]'"):
        list(iter_documents(Path(tmp_path / "a.txt.zst")))

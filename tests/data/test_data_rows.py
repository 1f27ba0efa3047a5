"""Every format read back, every way in which a file can be wrong reported with its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bothways.data import read_rows
from bothways.data.row import Row
from bothways.errors import DataError, UsageError

ROWS = [{"text": 'good, "really"', "label": "pos"}, {"text": "très mauvais\nfin", "label": "neg"}]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def csv_text(rows: list[dict[str, str]], **options: Any) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), **options)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def values(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [row.values for row in read_rows(path, **options)]


def fails(path: Path, error: type[Exception] = DataError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        list(read_rows(path, **options))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", csv_text(ROWS)),
        ("semicolon.csv", csv_text(ROWS, delimiter=";")),
        ("tabs.csv", csv_text(ROWS, delimiter="\t")),
        ("a.tsv", csv_text(ROWS, delimiter="\t", lineterminator="\n")),
        ("a.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("a.NDJSON", "\r\n\r\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS) + "\r\n"),
        ("a.json", json.dumps(ROWS, indent=2)),
        ("lines.json", "\n".join(map(json.dumps, ROWS))),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_and_gzip(tmp_path: Path, name: str, content: str, packed: bool) -> None:
    raw = content.encode("utf-8")
    path = write(tmp_path / (name + ".gz" if packed else name), gzip.compress(raw) if packed else raw)
    assert values(path) == ROWS


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json"])
def test_byte_order_marks(tmp_path: Path, mark: str, name: str) -> None:
    kind = name[2:]
    content = {
        "csv": csv_text(ROWS),
        "tsv": csv_text(ROWS, delimiter="\t"),
        "jsonl": "\n".join(json.dumps(r, ensure_ascii=False) for r in ROWS),
        "json": json.dumps(ROWS, ensure_ascii=False),
    }[kind]
    assert values(write(tmp_path / name, content.encode(mark))) == ROWS


def test_named_encoding_and_format(tmp_path: Path) -> None:
    path = write(tmp_path / "data.bin", "text,label\ncafé,1\n".encode("latin-1"))
    assert values(path, format="csv", encoding="latin-1") == [{"text": "café", "label": "1"}]
    message = fails(path, UsageError, format="csv", encoding="latin-99")
    assert "'latin-99'" in message
    assert "utf-8" in message
    assert "csv, json, jsonl, parquet, tsv, txt" in fails(path, UsageError, format="excel")


def test_plain_text_keeps_blank_lines_and_counts_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one\r\n\r\n two \nthree\rfour")
    assert list(read_rows(path)) == [
        Row({"text": t}, i) for i, t in enumerate(["one", "", " two ", "three", "four"], start=1)
    ]


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = pa.table({"text": ["a", None], "label": pa.array(["x", "y"]).dictionary_encode(), "tags": [["p"], []]})
    pq.write_table(table, tmp_path / "a.parquet")
    rows = list(read_rows(tmp_path / "a.parquet"))
    assert rows == [
        Row({"text": "a", "label": "x", "tags": ["p"]}, 1),
        Row({"text": None, "label": "y", "tags": []}, 2),
    ]
    raw = (tmp_path / "a.parquet").read_bytes()
    message = fails(write(tmp_path / "cut.parquet", raw[:-20]))
    assert "cut.parquet is not a readable Parquet file" in message
    assert f"({len(raw) - 20:,} bytes)" in message
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    assert "is empty: it has no rows" in fails(tmp_path / "none.parquet")


def test_parquet_without_pyarrow_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    message = fails(write(tmp_path / "a.parquet", b"PAR1"), UsageError)
    assert "pip install 'bothways[parquet]'" in message


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text,label\n")
    with pytest.raises(UsageError, match=r"trian\.csv does not exist\. Did you mean 'train\.csv'\?"):
        read_rows(tmp_path / "trian.csv")  # at once, before any row is asked for
    with pytest.raises(UsageError, match="neither does the directory"):
        read_rows(tmp_path / "no" / "a.csv")


def test_directory_lists_the_data_files_in_it(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl.gz", b"")
    write(tmp_path / "notes.md", b"")
    with pytest.raises(UsageError, match=r"is a directory; .* Files in it: b\.jsonl\.gz\.$"):
        read_rows(tmp_path)


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.csv.zip"])
def test_unknown_extension_names_the_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.tsv, \.jsonl, \.ndjson, \.json, \.parquet, \.txt"):
        read_rows(write(tmp_path / name, b"x"))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt"])
def test_empty_files(tmp_path: Path, name: str) -> None:
    assert "is empty: it has no rows" in fails(write(tmp_path / name, b""))
    assert "is empty" in fails(write(tmp_path / (name + ".gz"), gzip.compress(b"")))


def test_empty_list_and_header_only(tmp_path: Path) -> None:
    assert "is empty" in fails(write(tmp_path / "a.json", "[ ]"))
    assert "has a header (text, label) and no rows" in fails(write(tmp_path / "a.csv", "text,label\r\n"))


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_bytes_that_are_not_utf8(tmp_path: Path, name: str) -> None:
    start = b'text,label\nok,1\n"caf' if name == "a.csv" else b'[\n{"text":\n"caf'
    message = fails(write(tmp_path / name, start + b'\xe9",0\n'))
    assert f"a{name[1:]}, line 3: byte 0xe9 at offset {len(start)} is not UTF-8" in message
    assert "If it is text of another encoding, convert it ('iconv" in message
    assert "--encoding latin-1); a binary file cannot be read." in message


def test_offset_counts_the_mark_and_earlier_chunks(tmp_path: Path) -> None:
    head = b"\xef\xbb\xbf" + b'[{"text": "' + "é".encode() * 100_000 + b'"},\n'
    assert f"line 2: byte 0xff at offset {len(head) + 2}" in fails(write(tmp_path / "a.json", head + b'{"\xff'))


def test_cut_utf16(tmp_path: Path) -> None:
    assert "line 2" in fails(write(tmp_path / "a.csv", "text,label\na,b".encode("utf-16")[:-1]))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_nul_bytes(tmp_path: Path, name: str) -> None:
    message = fails(write(tmp_path / name, b'{"text": "a"}\n{"text": "b\0"}\n'))
    assert "line 2: a NUL byte" in message
    assert "utf-16-le" in message


def test_nul_byte_in_list(tmp_path: Path) -> None:
    assert "line 2: a NUL byte" in fails(write(tmp_path / "a.json", b'[{"text": "a"},\n{"te\0xt": "b"}]'))


@pytest.mark.parametrize(("row", "found"), [("only", 1), ("a,b,c,d", 4)])
def test_ragged_csv(tmp_path: Path, row: str, found: int) -> None:
    message = fails(write(tmp_path / "a.csv", f'id,text,label\n1,"two\nlines",x\n\n{row}\n'))
    assert f"a.csv, line 5 has {found} fields, expected 3 (id, text, label; split at commas)" in message


def test_ragged_tsv(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.tsv", 'text\tlabel\n"a "b" c\t1\n"open\nnever\tclosed\t1\n'))
    assert "a.tsv, line 3 has 1 fields, expected 2 (text, label; split at tabs)" in message


def test_quotes_in_tsv_are_characters_unless_they_quote(tmp_path: Path) -> None:
    lines = [
        "text\tlabel",
        '"Well," he said\t1',
        'a 5" nail\t0',
        '"one ""quoted""\tfield"\t1',
        '"un\nclosed',
        'line"\t0',
        '"x\t1',
    ]
    rows = values(write(tmp_path / "a.tsv", "\n".join(lines)))
    assert rows == [
        {"text": '"Well," he said', "label": "1"},
        {"text": 'a 5" nail', "label": "0"},
        {"text": 'one "quoted"\tfield', "label": "1"},
        {"text": "un\nclosed\nline", "label": "0"},
        {"text": '"x', "label": "1"},
    ]


def test_lines_of_records_that_span_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"a\nb",1\n\nc,2\n')
    assert [row.line for row in read_rows(path)] == [2, 5]
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a\nb"\t1\n\nc\t2\n')
    assert [row.line for row in read_rows(path)] == [2, 5]
    path = write(tmp_path / "a.json", '[\n\n{"text":\n "a"}\n,\n {"text": "b"}]')
    assert [row.line for row in read_rows(path)] == [3, 6]
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n\n{"text": "b"}')
    assert [row.line for row in read_rows(path)] == [1, 3]


def test_quote_never_closed(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.csv", 'text,label\nfine,1\n"open,1\nx,2\ny,3\n'))
    assert "line 3: a double quote opens a field here and is not closed by line 5" in message
    assert "line 2" in fails(write(tmp_path / "b.csv", 'text,label\n"a" b,1\n'))


def test_bare_carriage_returns_in_csv(tmp_path: Path) -> None:
    assert "bare carriage return" in fails(write(tmp_path / "a.csv", "text,label\ra,1\rb,2\r"))


def test_column_names_twice_and_without_name(tmp_path: Path) -> None:
    message = fails(write(tmp_path / "a.csv", "text,label, text\na,1,b\n"))
    assert "line 1: column names occur more than once: 'text' in columns 1, 3" in message
    assert values(write(tmp_path / "b.csv", ",text,\n0,a,x\n")) == [{"column 1": "0", "text": "a", "column 3": "x"}]


def test_two_columns_without_header_only_where_certain(tmp_path: Path) -> None:
    texts = ["a fine film indeed", "a dull one", "splendid work", "so very long", "ok then"]
    body = "".join(f"{'negative' if i % 2 else 'positive'},{text}\n" for i, text in enumerate(texts))
    rows = values(write(tmp_path / "a.csv", body))
    assert len(rows) == 5
    assert rows[0] == {"label": "positive", "text": "a fine film indeed"}
    with_header = values(write(tmp_path / "b.csv", "kind,words\n" + body))
    assert len(with_header) == 5
    assert list(with_header[0]) == ["kind", "words"]
    short = values(write(tmp_path / "c.csv", "\n".join(body.split("\n")[:3])))
    assert list(short[0]) == ["positive", "a fine film indeed"]  # too few rows to be certain; recognition complains


def test_delimiter_from_header(tmp_path: Path) -> None:
    content = "text;label\nso, so, so;1\nno, never;0\n"
    assert values(write(tmp_path / "a.csv", content))[0] == {"text": "so, so, so", "label": "1"}
    assert values(write(tmp_path / "a.tsv", "text,label\nfine,1\n")) == [{"text": "fine", "label": "1"}]
    assert values(write(tmp_path / "one.csv", "text\nfine\n  \nwell; yes\n")) == [
        {"text": "fine"},
        {"text": "  "},
        {"text": "well; yes"},
    ]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.txt"])
def test_line_of_five_megabytes(tmp_path: Path, name: str) -> None:
    long = "word " * 2**20
    content = {
        "csv": f'text,label\n"{long}",1\n',
        "tsv": f"text\tlabel\n{long}\t1\n",
        "jsonl": json.dumps({"text": long}),
        "json": json.dumps([{"text": long}, {"text": "x"}]),
        "txt": long,
    }[name[2:]]
    assert values(write(tmp_path / name, content))[0]["text"] == long


def test_line_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bothways.data.opening.MAX_LINE_BYTES", 1000)
    assert "line 2 is longer than 1,000 bytes" in fails(write(tmp_path / "a.txt", "a\n" + "b" * 1001))
    assert "line 2 is longer than 1,000 bytes" in fails(
        write(tmp_path / "b.txt", ("a\n" + "b" * 1001).encode("utf-16"))
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('["a", "b"]', "line 2 is a JSON list; expected an object"),
        ('"a"', "line 2 is a JSON string"),
        ("12", "line 2 is a JSON number"),
        ("null", "line 2 is a JSON null"),
        ('{"text": }', "line 2, column 10: not JSON"),
        ('{"text": "a", "label": 1, "text": "b"}', "line 2: the key 'text' occurs twice"),
        ('{"text": "a", "more": {"x": 1, "x": 1}}', "line 2: the key 'x' occurs twice"),
        ("{'text': 'a'}", "line 2, column 2: not JSON"),
        ("[" * 100_000, "line 2: JSON that cannot be read"),
        ("1" * 5000, "line 2: JSON that cannot be read"),
    ],
)
def test_json_lines_that_are_wrong(tmp_path: Path, line: str, message: str) -> None:
    assert message in fails(write(tmp_path / "a.jsonl", '{"text": "a"}\n' + line + "\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('"text"', "line 1: expected a JSON list of objects"),
        ('[{"a": 1},\n2]', "line 2 is a JSON number"),
        ('[{"a": 1}\n{"a": 2}]', "line 2: expected ',' or ']' after object 1, got '{'"),
        ('[{"a": 1},\n\n{"a": nonsense, "b": "long enough to be no cut"}]', "line 3: not JSON"),
        ('[{"a": 1}, {"a": 2}', "after 2 whole objects"),
        ('[{"a": 1}, {"a": "hal', "after 1 whole objects"),
        ('{"a": 1,\n"b": 2}', "line 1, column"),
    ],
)
def test_json_lists_that_are_wrong(tmp_path: Path, content: str, message: str) -> None:
    assert message in fails(write(tmp_path / "a.json", content))


def test_json_nan_and_null_arrive_as_they_are(tmp_path: Path) -> None:
    row = values(write(tmp_path / "a.jsonl", '{"text": null, "score": NaN}'))[0]
    assert row["text"] is None
    assert row["score"] != row["score"]


def test_damaged_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(b"text,label\n" + bytes(range(32, 127)).replace(b'"', b"") * 2000)
    assert "is not a whole gzip file" in fails(write(tmp_path / "cut.csv.gz", packed[:-30]))
    assert "gzip -t" in fails(write(tmp_path / "no.csv.gz", b"text,label\na,b\n"))
    middle = len(packed) // 2
    flipped = packed[:middle] + bytes(255 - b for b in packed[middle : middle + 8]) + packed[middle + 8 :]
    assert "is not a whole gzip file" in fails(write(tmp_path / "bad.txt.gz", flipped))
    assert values(write(tmp_path / "unnamed.csv", gzip.compress(b"text,label\na,b\n"))) == [{"text": "a", "label": "b"}]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json", "txt", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    text = "a sentence of ordinary length that somebody might have written about a film"
    count = 50_000
    if kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"text": [f"{text} {i}" for i in range(count)]}), path)
    else:
        lines = {
            "csv": ["text,label", *(f'"{text}, {i}",{i % 2}' for i in range(count))],
            "tsv": ["text\tlabel", *(f'"{text}, {i}"\t{i % 2}' for i in range(count))],
            "jsonl": (json.dumps({"text": f"{text} {i}"}) for i in range(count)),
            "json": ["[" + ", ".join(json.dumps({"text": f"{text} {i}"}) for i in range(count)) + "]"],
            "txt": (f"{text} {i}" for i in range(count)),
        }[kind]
        write(path, "\n".join(lines) + "\n")
    next(iter(read_rows(path)))  # imports and caches are not the file's
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path)) == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**20, f"{peak:,} bytes at most for a text of {count * len(text):,}"


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TABLES = st.lists(st.fixed_dictionaries({"text": TEXTS, "label": TEXTS, "other": TEXTS}), min_size=1, max_size=8)
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(rows=TABLES, delimiter=st.sampled_from(",;"), end=st.sampled_from(["\n", "\r\n"]))
def test_csv_round_trip(tmp_path: Path, rows: list[dict[str, str]], delimiter: str, end: str) -> None:
    content = csv_text(rows, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    assert values(write(tmp_path / "a.csv", content)) == rows


@SETTINGS
@given(rows=TABLES, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_json_round_trip(tmp_path: Path, rows: list[dict[str, str]], indent: int | None, ascii_only: bool) -> None:
    write(tmp_path / "a.json", json.dumps(rows, indent=indent, ensure_ascii=ascii_only))
    assert values(tmp_path / "a.json") == rows
    write(tmp_path / "a.jsonl", "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows))
    assert values(tmp_path / "a.jsonl") == rows


@settings(max_examples=40, deadline=None)
@given(data=st.data(), rows=TABLES)
def test_json_list_in_any_pieces(data: st.DataObject, rows: list[dict[str, Any]]) -> None:
    from bothways.data.json_rows import list_rows

    text = json.dumps(
        [{**row, "n": [1.5, True, None, -12e3]} for row in rows], indent=data.draw(st.sampled_from([None, 2]))
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]
    assert [row.values for row in list_rows(iter(pieces), "a.json")] == json.loads(text)

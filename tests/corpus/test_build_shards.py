"""From files to shards and back: the tokens are those of the texts, however the work was cut."""

from __future__ import annotations

import gzip
import json
import lzma
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bothways.corpus import build_shards, content_of, is_shards, open_shards, sources
from bothways.data.documents import iter_documents
from bothways.errors import DataError, InputError, UsageError
from bothways.tokenizers import AutoTokenizer
from tests.corpus.small import VOCABULARIES, WORDS, byte_level, contents, documents, small_parts, unigram, wordpiece


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return wordpiece(tmp_path_factory.mktemp("vocabulary"))


def build(directory, tokenizer, texts, **options):
    """A corpus of one plain file, in a new directory."""
    directory.mkdir(exist_ok=True)
    path = directory / "texts.txt"
    path.write_text("\n\n".join(texts), encoding="utf-8")
    build_shards(path, directory / "shards", tokenizer=tokenizer, **options)
    return open_shards(directory / "shards", verify=True)


def rows(corpus):
    starts = corpus.document_starts
    return [corpus.read(a, b).tolist() for a, b in zip(starts, starts[1:], strict=False)]


def ids(tokenizer, texts):
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


TEXTS = st.lists(
    st.lists(st.sampled_from([*WORDS, "Zz.", "A!", "\u00e9", "x,\ny"]), min_size=1, max_size=25).map(" ".join),
    min_size=1,
    max_size=12,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, part=st.integers(1, 300), shard=st.integers(1, 60))
def test_reading_gives_the_tokens_of_each_document(tokenizer, tmp_path_factory, texts, part, shard):
    directory = tmp_path_factory.mktemp("corpus")
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch, part)
        corpus = build(directory, tokenizer, texts, keep_duplicates=True, shard_tokens=shard)
    expected = ids(tokenizer, texts)
    assert rows(corpus) == expected
    everything = [token for row in expected for token in row]
    assert corpus.read(0, len(corpus)).tolist() == everything and len(corpus) == len(everything)
    middle = len(everything) // 2
    assert corpus.read(middle // 2, middle).tolist() == everything[middle // 2 : middle]
    boundaries = np.cumsum([0, *(file.n_tokens for file in corpus.manifest.shards)])
    assert set(boundaries) <= set(corpus.document_starts)  # no document crosses a shard
    sizes, longest = np.diff(boundaries), max(map(len, expected))
    assert (sizes > 0).all() and (sizes <= max(shard, longest)).all()
    assert set(corpus.document_starts[:-1]) <= set(corpus.sentence_starts)
    assert (np.diff(corpus.sentence_starts) > 0).all()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, cuts=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 80)), min_size=2, max_size=2))
def test_the_cuts_do_not_change_the_corpus(tokenizer, tmp_path_factory, texts, cuts):
    texts = [*texts, texts[0], *texts[:2]]
    found = []
    for part, shard in cuts:
        with pytest.MonkeyPatch.context() as patch:
            small_parts(patch, part)
            found.append(build(tmp_path_factory.mktemp("corpus"), tokenizer, texts, shard_tokens=shard))
    one, other = found
    assert one.content_sha256 == other.content_sha256
    assert rows(one) == rows(other)
    assert one.sentence_starts.tolist() == other.sentence_starts.tolist()
    first_of_each = [row for i, row in enumerate(ids(tokenizer, texts)) if row not in ids(tokenizer, texts[:i])]
    kept = rows(one)
    assert [row for row in first_of_each if row in kept] == kept
    assert len(kept) == len(first_of_each) - one.manifest.n_near_duplicates
    assert one.manifest.n_exact_duplicates == len(texts) - len(first_of_each)


def test_several_processes_write_the_same_bytes(tokenizer, tmp_path, monkeypatch):
    small_parts(monkeypatch, 500)
    texts = documents(40)
    one = build(tmp_path / "one", tokenizer, texts, jobs=1)
    two = build(tmp_path / "two", tokenizer, texts, jobs=2)
    assert contents(one.directory) == contents(two.directory)
    assert rows(two) == ids(tokenizer, texts)


def test_every_format_gives_the_same_corpus(tokenizer, tmp_path):
    texts = documents(6)
    plain = "\n\n".join(texts).encode()
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    files = {
        "a.txt": plain,
        "a.txt.gz": gzip.compress(plain),
        "a.txt.xz": lzma.compress(plain),
        "a.jsonl": lines,
        "a.utf16.txt": plain.decode().encode("utf-16"),
    }
    found = set()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        build_shards(tmp_path / name, tmp_path / f"{name}.shards", tokenizer=tokenizer)
        found.add(open_shards(tmp_path / f"{name}.shards").content_sha256)
    assert len(found) == 1
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": range(6), "body": texts}), tmp_path / "a.parquet")
    build_shards(tmp_path / "a.parquet", tmp_path / "parquet", tokenizer=tokenizer, text_column="body")
    assert open_shards(tmp_path / "parquet").content_sha256 in found


def test_several_files_come_in_their_order(tokenizer, tmp_path):
    texts = documents(5)
    for name, own in (("b.txt", texts[:2]), ("a.txt", texts[2:])):
        (tmp_path / name).write_text("\n\n".join(own), encoding="utf-8")
    report = build_shards([tmp_path / "b.txt", tmp_path / "a.txt"], tmp_path / "shards", tokenizer=tokenizer)
    corpus = open_shards(tmp_path / "shards")
    assert rows(corpus) == ids(tokenizer, texts)
    assert [(s.name, s.n_documents, s.n_bytes) for s in report.manifest.sources] == [
        ("b.txt", 2, (tmp_path / "b.txt").stat().st_size),
        ("a.txt", 3, (tmp_path / "a.txt").stat().st_size),
    ]
    assert (report.n_documents, report.n_parts, report.n_parts_before) == (5, 2, 0)
    assert report.text_bytes == sum(len(text.encode()) for text in texts)
    assert report.n_tokens == len(corpus)


@pytest.mark.parametrize("make", [byte_level, unigram])
def test_sentences_are_found_for_every_kind_of_tokeniser(tmp_path, make):
    tokenizer = make()
    text = "One thing is here.  Two are\u00a0there! And \u201cthree\u201d\nof \u00e9\u00e9 them? Yes.\nLast line"
    corpus = build(tmp_path, tokenizer, [text, "Another text. It ends."])
    starts = [*corpus.sentence_starts.tolist(), len(corpus)]
    read = [tokenizer.decode(corpus.read(a, b)).strip() for a, b in zip(starts, starts[1:], strict=False)]
    firsts = [sentence.split()[0].casefold() for sentence in read]
    assert firsts == ["one", "two", "and", "yes.", "last", "another", "it"]
    assert rows(corpus) == ids(tokenizer, [text, "Another text. It ends."])


def test_a_tokeniser_without_places_is_refused(tmp_path):
    from bothways.tokenizers import MarianTokenizer

    files = VOCABULARIES / "marian"
    tokenizer = MarianTokenizer.from_pretrained(files)
    with pytest.raises(UsageError, match="MarianTokenizer does not tell where its tokens are in a text"):
        build(tmp_path, tokenizer, ["a"])


def test_near_duplicates_are_dropped_and_the_first_is_kept(tokenizer, tmp_path):
    texts = [" ".join(documents(12, seed)) for seed in range(4)]
    words = texts[1].split(" ")
    nearly = " ".join(["zz", *words[1:-1], "yy"])
    unlike = " ".join(word if i % 6 else "qq" for i, word in enumerate(words))
    given = [texts[0], texts[1], nearly, texts[2], unlike, texts[0], texts[3]]
    corpus = build(tmp_path / "a", tokenizer, given)
    manifest = corpus.manifest
    assert (manifest.n_exact_duplicates, manifest.n_near_duplicates, manifest.n_documents) == (1, 1, 5)
    assert rows(corpus) == ids(tokenizer, [*texts[:3], unlike, texts[3]])
    everything = build(tmp_path / "b", tokenizer, given, keep_duplicates=True)
    assert rows(everything) == ids(tokenizer, given)
    assert everything.manifest.n_exact_duplicates == everything.manifest.n_near_duplicates == 0
    short = build(tmp_path / "c", tokenizer, ["a", "the", "a", "a mat", "a.", "a mat"])
    assert rows(short) == ids(tokenizer, ["a", "the", "a mat", "a."])


def test_long_documents_are_divided_and_said(tokenizer, tmp_path, monkeypatch):
    small_parts(monkeypatch, 150, longest=100)
    said: list[str] = []
    texts = ["the cat " * 50, "a mat", "x" * 350]
    corpus = build(tmp_path, tokenizer, texts, keep_duplicates=True, say=said.append)
    pieces = [d.text for d in iter_documents(tmp_path / "texts.txt", longest=100)]
    assert rows(corpus) == ids(tokenizer, pieces) and len(pieces) == 4 + 1 + 4
    assert said == ["2 documents have more than 100 characters and were divided at white space, into 8 documents."]
    (source,) = corpus.manifest.sources
    assert (source.n_documents, source.n_divided, source.n_pieces) == (3, 2, 9)


def test_a_file_without_document_breaks_is_said(tokenizer, tmp_path):
    said: list[str] = []
    text = "\n".join(documents(1200))
    corpus = build(tmp_path / "a", tokenizer, [text], say=said.append)
    assert corpus.manifest.n_documents == 1
    assert said == [
        f"texts.txt has no blank line: it is one document of {len(text):,} bytes. If each line is a document, divide "
        "by lines (--divide lines); else put a blank line between documents."
    ]
    said.clear()
    lines = build(tmp_path / "b", tokenizer, [text], divide="lines", keep_duplicates=True, say=said.append)
    assert (lines.manifest.n_documents, said) == (2400, [])
    build(tmp_path / "c", tokenizer, [text], divide="file", say=said.append)
    assert said == []


def test_an_endless_line_takes_bounded_memory(tokenizer, tmp_path, monkeypatch):
    small_parts(monkeypatch, 2**16, longest=2**15)
    monkeypatch.setattr(sources, "_CHUNK_BYTES", 2**16)
    path = tmp_path / "endless.txt"
    with path.open("w") as out:
        for _ in range(24):
            out.write("x" * 2**16)
    build_shards(path, tmp_path / "warm", tokenizer=tokenizer)
    tracemalloc.start()
    report = build_shards(path, tmp_path / "shards", tokenizer=tokenizer, keep_duplicates=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.manifest.n_documents == 48 and peak < 2**20
    assert report.notes[0].startswith("endless.txt has no blank line: it is one document of 1,572,864 bytes.")


def test_what_else_is_said_of_texts(tokenizer, tmp_path):
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "a.txt").write_text("the [MASK] cat \u4e00\n\n\x01\x02")
    (tmp_path / "copy.txt").write_text("the [MASK] cat \u4e00\n\n\x01\x02")
    files = [tmp_path / name for name in ("blank.txt", "a.txt", "copy.txt")]
    report = build_shards(files, tmp_path / "shards", tokenizer=tokenizer)
    assert report.notes[0] == "blank.txt has no text."
    assert report.notes[1] == "copy.txt has the same content as a.txt."
    assert report.notes[2].startswith("2 documents have no token")
    assert report.notes[3].startswith("2 special tokens are written out in the texts, to be")
    assert report.notes[4].startswith("25.0% of the tokens are unknown words")
    assert (report.manifest.n_documents, report.manifest.n_tokens, report.manifest.n_tokens_read) == (1, 4, 8)


def test_wide_tokens_above_65536(tmp_path):
    tokenizer = wordpiece(tmp_path, *(f"w{i}" for i in range(70_000)))
    corpus = build(tmp_path / "wide", tokenizer, ["the w69999 cat"])
    assert corpus.manifest.dtype == "uint32" and corpus.manifest.vocab_size == len(tokenizer) > 70_000
    assert rows(corpus) == ids(tokenizer, ["the w69999 cat"])
    assert corpus.manifest.shards[0].n_bytes == 4 * len(corpus)


def test_the_tokeniser_lies_beside_the_tokens(tokenizer, tmp_path):
    corpus = build(tmp_path, tokenizer, ["the cat"])
    saved = AutoTokenizer.from_pretrained(corpus.directory / "tokenizer")
    corpus.check_tokenizer(saved)
    assert saved("the cat", add_special_tokens=False)["input_ids"] == rows(corpus)[0]


def test_the_same_command_again_does_nothing(tokenizer, tmp_path):
    corpus = build(tmp_path, tokenizer, documents(3))
    before = contents(corpus.directory)
    report = build_shards(tmp_path / "texts.txt", corpus.directory, tokenizer=tokenizer)
    assert (report.n_parts, report.n_tokens, report.manifest) == (0, 0, corpus.manifest)
    assert contents(corpus.directory) == before
    with pytest.raises(UsageError, match="finished shards of another command: divide was 'blank-lines' and is now 'l"):
        build_shards(tmp_path / "texts.txt", corpus.directory, tokenizer=tokenizer, divide="lines")
    (tmp_path / "texts.txt").write_text("other")
    with pytest.raises(UsageError, match="they were made from other files"):
        build_shards(tmp_path / "texts.txt", corpus.directory, tokenizer=tokenizer)


def test_contents_are_told_apart(tokenizer, tmp_path):
    one = build(tmp_path / "a", tokenizer, ["the cat"])
    other = build(tmp_path / "b", tokenizer, ["the mat"])
    assert is_shards(one.directory) and not is_shards(tmp_path)
    assert content_of([one.directory]) == [one.content_sha256] != [other.content_sha256]
    files = [tmp_path / "a" / "texts.txt", tmp_path / "b" / "texts.txt"]
    assert content_of(files) == [c.manifest.sources[0].sha256 for c in (one, other)]


def test_what_cannot_be_built(tokenizer, tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("the cat\n\nsat", encoding="utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (tmp_path / "utf16.txt").write_bytes("the cat".encode("utf-16-le"))
    (tmp_path / "link.txt").symlink_to(text)
    full = tmp_path / "full"
    full.mkdir()
    (full / "novel.doc").write_text("x")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tokens-00000.bin").write_text("x")
    new = tmp_path / "new"
    for files, output, options, problem, sentence in (
        ([], new, {}, UsageError, "no text file was given"),
        (tmp_path / "b.txt", new, {}, UsageError, r"b\.txt does not exist. Did you mean 'a\.txt'"),
        (full, new, {}, UsageError, "is a directory; a data file is expected"),
        ([text, text], new, {}, UsageError, r"a\.txt is given twice\. Give each file once"),
        ([text, tmp_path / "link.txt"], new, {}, UsageError, r"link\.txt is given twice \(also as .*a\.txt\)"),
        (tmp_path / "empty.txt", new, {}, DataError, r"empty\.txt is empty \(0 bytes\)"),
        (tmp_path / "blank.txt", new, {}, DataError, r"blank\.txt: no text"),
        (tmp_path / "picture.txt", new, {}, DataError, r"picture\.txt, line 1: byte 0x89 at offset 0 is not UTF-8"),
        (tmp_path / "utf16.txt", new, {}, DataError, r"utf16\.txt, line 1: a NUL byte.*--encoding utf-16-le"),
        (text, full, {}, UsageError, r"full holds other things \(novel\.doc\)"),
        (text, bare, {}, UsageError, r"bare holds shards without a manifest \(tokens-00000\.bin\)"),
        (text, text, {}, UsageError, r"a\.txt is a file; expected a directory"),
        (text, text / "x", {}, UsageError, r"a\.txt is a file; expected a directory"),
        (text, new, {"tokenizer": "name"}, InputError, "tokenizer is a str; expected a tokeniser of this library"),
        (text, new, {"jobs": 0}, InputError, "jobs is 0"),
        (text, new, {"shard_tokens": 0}, InputError, "shard_tokens is 0"),
        (text, new, {"divide": "pages"}, UsageError, "divide is 'pages'"),
    ):
        with pytest.raises(problem, match=sentence):
            build_shards(files, output, **{"tokenizer": tokenizer, **options})
        assert not (output / "manifest.json").exists()
        if new.exists():
            with pytest.raises(DataError, match="new are not finished: give the 'bothways shard' command again"):
                open_shards(new)
            contents(new).keys()
            for path in sorted(new.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            new.rmdir()

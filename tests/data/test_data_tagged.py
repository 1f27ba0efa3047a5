"""Tagged words from every format; what cannot be used is refused with its place, and nothing is lost in silence."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.data import check_types, load_tagged, word_spans
from bothways.data.spans import EntitySpan, read_spans, tag_words
from bothways.data.tagged import TaggedText, from_words
from bothways.errors import DataError, UsageError

CONLL = """-DOCSTART- -X- O O

U.S. NNP I-NP I-LOC
beats VBZ I-VP O
Japan NNP I-NP I-LOC
Korea NNP I-NP B-LOC

Peter NNP I-NP I-PER
Blackburn NNP I-NP I-PER
"""


def put(directory: Path, name: str, content: str) -> Path:
    path = directory / name
    data = content.encode("utf-8")
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def put_rows(directory: Path, name: str, *rows: dict) -> Path:
    if name.endswith(".json"):
        return put(directory, name, json.dumps(list(rows), indent=1))
    return put(directory, name, "".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("name", ["eng.train", "eng.train.gz", "a.conll", "a.txt", "a.tsv", "plain"])
def test_column_files(tmp_path, name):
    content = CONLL.replace(" ", "\t") if name == "a.tsv" else CONLL
    read = load_tagged(put(tmp_path, name, content.replace("\n", "\r\n") if name == "a.txt" else content))
    first, second = read.examples
    assert first == TaggedText("U.S. beats Japan Korea", ((0, 4), (5, 10), (11, 16), (17, 22)), first.tags, 1)
    assert first.tags == ("B-LOC", "O", "B-LOC", "B-LOC")
    assert second.tags == ("B-PER", "I-PER") and second.row == 2
    assert second.entities == [EntitySpan(0, 15, "PER")]
    assert read.schemes == ("IOB1",)
    assert read.types == ("LOC", "PER")
    assert read.label_names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_several_files_are_one(tmp_path):
    paths = [put(tmp_path, "a.conll", CONLL), put(tmp_path, "b.conll", "Rome\tU-LOC\nEU\tB-ORG\nCourt\tL-ORG\n")]
    read = load_tagged(paths)
    assert [example.row for example in read.examples] == [1, 2, 3]
    assert read.schemes == ("IOB1", "BILOU")
    assert read.examples[2].tags == ("B-LOC", "B-ORG", "I-ORG")


@pytest.mark.parametrize(
    "content, said",
    [
        ("Paris B-LOC\nalone\n", "line 2: 'alone' has no word and tag"),
        ("Paris\t\n", "line 1: 'Paris' has no word and tag"),
        ("\tO\n", "line 1: 'O' has no word and tag"),
        ("", "is empty"),
        ("\n\n-DOCSTART- O\n", "is empty"),
        ("Paris B-LOC\nRome LOC\nx LOC\n", r"no known scheme: 'LOC' \(2\) beside 'B-LOC'"),
        ("Paris L-LOC\nRome E-LOC\n", "no known scheme"),
        ("Paris B\nRome I\n", r"no known scheme: 'B' \(1\), 'I' \(1\)"),
        ("Paris O\n", "none of the 1 texts has an entity"),
    ],
)
def test_bad_column_files(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        load_tagged(put(tmp_path, "x.conll", content))


def test_evaluation_may_have_no_entities(tmp_path):
    read = load_tagged(put(tmp_path, "x.conll", "Paris O\n"), purpose="evaluate")
    assert read.examples[0].tags == ("O",) and read.types == ()


def test_loose_tags_are_counted(tmp_path):
    read = load_tagged(put(tmp_path, "x.conll", "a B-X\nb O\nc I-X\nd I-X\n"))
    assert read.examples[0].tags == ("B-X", "O", "B-X", "I-X")
    assert (read.schemes, read.problems.loose_tags) == (("IOB2",), 1)


def test_types_with_hyphens_and_no_prefix(tmp_path):
    read = load_tagged(put(tmp_path, "x.conll", "a creative-work\nb creative-work\nc O\nd person\ne creative-work\n"))
    assert read.schemes == ("IO",)
    assert read.examples[0].tags == ("B-creative-work", "I-creative-work", "O", "B-person", "B-creative-work")


TEXT = "Anna Smith's flat in New York-based U.S. Bank."
SPANS = [(0, 10, "PER"), (21, 29, "LOC"), (36, 45, "ORG")]


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.jsonl.gz", "x.json"])
@pytest.mark.parametrize("key", ["entities", "spans", "labels", "label"])
def test_character_spans(tmp_path, name, key):
    as_objects = [{"start": s, "end": e, "label": label} for s, e, label in SPANS]
    as_lists = [list(span) for span in reversed(SPANS)]
    read = load_tagged(put_rows(tmp_path, name, {"text": TEXT, key: as_objects}, {"text": TEXT, key: as_lists}))
    one, other = read.examples
    assert (one.text, one.tags, one.words) == (TEXT, other.tags, other.words)
    assert " ".join(one.surfaces) == "Anna Smith ' s flat in New York - based U.S. Bank ."
    assert [tuple(TEXT[e.start : e.end].split()) + (e.label,) for e in one.entities] == [
        ("Anna", "Smith", "PER"), ("New", "York", "LOC"), ("U.S.", "Bank", "ORG"),
    ]  # fmt: skip
    assert read.problems.misaligned == () and read.problems.sentence() == ""


def test_names_of_other_tools(tmp_path):
    doccano = {"id": 1, "text": "Rome is big", "label": [[0, 4, "LOC"]]}
    prodigy = {
        "text": "Rome is big",
        "tokens": [{"text": "Rome", "id": 0}],
        "spans": [{"start": 0, "end": 4, "label": "LOC"}],
    }
    ours = {
        "text": "Rome is big",
        "entities": [{"entity_group": "LOC", "start": 0, "end": 4, "word": "rome", "score": 1.0}],
    }
    older = {"text": "Rome is big", "entities": [{"label": "LOC", "start_offset": 0, "end_offset": 4}]}
    read = load_tagged(put_rows(tmp_path, "x.jsonl", doccano, prodigy, ours, older))
    assert [example.tags for example in read.examples] == [("B-LOC", "O", "O")] * 4


def test_misaligned_spans_are_left_out_and_reported(tmp_path):
    rows = [
        {"text": "Microsofts head visits Rome", "entities": [[0, 9, "ORG"], [23, 27, "LOC"]]},
        {"text": "a b", "entities": [[1, 2, "X"]]},
    ]
    read = load_tagged(put_rows(tmp_path, "x.jsonl", *rows))
    assert read.examples[0].tags == ("O", "O", "O", "B-LOC")
    assert [(m.row, m.surface, m.label) for m in read.problems.misaligned] == [(1, "Microsoft", "ORG"), (2, " ", "X")]
    said = read.problems.sentence()
    assert said.startswith("2 entities begin or end inside a word") and "row 1: ORG 'Microsoft' in 'Microsofts" in said


@pytest.mark.parametrize(
    "entities, said",
    [
        ([[0, 4, "A"], [2, 7, "B"]], r"'Rome' \(A, 0 to 4\) and 'me is' \(B, 2 to 7\) overlap"),
        ([[5, 12, "A"]], "'A' has the characters 5 to 12, but the text has 11"),
        ([[-1, 4, "A"]], "characters -1 to 4"),
        ([[3, 3, "A"]], "characters 3 to 3"),
        ([[0.0, 4, "A"]], "is no entity"),
        ([[True, 4, "A"]], "is no entity"),
        ([[0, 4, ""]], "is no entity"),
        ([[0, 4]], "is no entity"),
        ([{"start": 0, "label": "A"}], "is no entity"),
        ([{"start": 0, "end": 4, "labels": ["A", "B"]}], "is no entity"),
        (
            [{"start": 0, "end": 4, "label": "A", "text": "Roma"}],
            "said to be 'Roma', but the characters 0 to 4 are 'Rome'",
        ),
        ("Rome", "expected a list"),
    ],
)
def test_bad_spans(tmp_path, entities, said):
    with pytest.raises(DataError, match=f"x.jsonl, line 2.*{said}"):
        load_tagged(
            put_rows(tmp_path, "x.jsonl", {"text": "a", "entities": []}, {"text": "Rome is big", "entities": entities})
        )


def test_the_same_entity_twice_counts_once():
    assert read_spans([[0, 4, "A"], [0, 4, "A"]], "Rome", "x") == [EntitySpan(0, 4, "A")]


def test_offsets_counted_in_utf16(tmp_path):
    text = "😀😀 Rome 😀 Bern"
    row = {"text": text, "entities": [{"start": 5, "end": 9, "label": "LOC", "text": "Rome"}]}
    (example,) = load_tagged(put_rows(tmp_path, "x.jsonl", row)).examples
    assert example.entities == [EntitySpan(3, 7, "LOC")]


def test_word_lists(tmp_path):
    rows = [
        {"tokens": ["New", "York", "!"], "ner_tags": ["B-LOC", "I-LOC", "O"]},
        {"words": ["U.S."], "labels": ["B-LOC"], "id": 3},
    ]
    read = load_tagged(put_rows(tmp_path, "x.json", *rows))
    assert [example.text for example in read.examples] == ["New York !", "U.S."]
    assert read.examples[0].words == ((0, 3), (4, 8), (9, 10))


@pytest.mark.parametrize(
    "row, said",
    [
        ({"tokens": ["a", "b", "c"], "tags": ["O", "O"]}, "3 tokens and 2 tags"),
        ({"tokens": ["a"], "ner_tags": [3]}, "'ner_tags' holds 3; .*Write the names of the tags"),
        ({"tokens": [None], "ner_tags": ["O"]}, "'tokens' holds None"),
        ({"tokens": "ab", "ner_tags": ["O", "O"]}, "'tokens' is 'ab'"),
        ({"text": "a"}, "the keys are text; expected"),
    ],
)
def test_bad_word_lists(tmp_path, row, said):
    with pytest.raises(DataError, match=f"line 1.*{said}"):
        load_tagged(put_rows(tmp_path, "x.jsonl", row))


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"tokens": [["Rome", "!"]], "ner_tags": [["B-LOC", "O"]]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "x.parquet")
    assert load_tagged(tmp_path / "x.parquet").examples[0].tags == ("B-LOC", "O")


def studio(text: str, *annotations: list, **extra) -> dict:
    done = [{"id": i, "result": result, **extra} for i, result in enumerate(annotations)]
    return {"id": 7, "data": {"text": text, "id": 4}, "annotations": done, "predictions": []}


def mark(start: int, end: int, label: str, text: str) -> dict:
    value = {"start": start, "end": end, "text": text, "labels": [label]}
    return {"from_name": "label", "to_name": "text", "type": "labels", "value": value}


def test_label_studio(tmp_path):
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    tasks = [
        studio("Anna met 😀 Bob", [mark(0, 4, "PER", "Anna"), relation, choice, mark(12, 15, "PER", "Bob")]),
        studio("Rome", [mark(0, 4, "LOC", "Rome")], [mark(0, 4, "ORG", "Rome")]),
        studio("never seen"),
        studio("given up", [mark(0, 5, "PER", "given")], was_cancelled=True),
        studio("nothing here", []),
    ]
    read = load_tagged(put_rows(tmp_path, "export.json", *tasks))
    assert [(e.row, e.entities) for e in read.examples] == [
        (1, [EntitySpan(0, 4, "PER"), EntitySpan(11, 14, "PER")]),
        (2, [EntitySpan(0, 4, "LOC")]),
        (5, []),
    ]
    assert (read.problems.not_annotated, read.problems.annotated_twice) == (2, 1)


def test_label_studio_without_a_text(tmp_path):
    task = {"data": {"a": "x", "b": "y"}, "annotations": []}
    with pytest.raises(DataError, match="which of a, b in 'data' is the text"):
        load_tagged(put_rows(tmp_path, "x.json", task))


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (5, "line 1: 'annotations' is 5; expected a list of objects"),
        ("x", "line 1: 'annotations' is 'x'"),
        ([1], r"line 1: 'annotations' is \[1\]"),
        ([{"result": 5}], "line 1: 'result' is 5; expected a list of objects"),
    ],
)
def test_broken_label_studio(tmp_path, annotations, said):
    path = put_rows(tmp_path, "export.jsonl", {"data": {"text": "Ada"}, "annotations": annotations})
    with pytest.raises(DataError, match=said):
        load_tagged(path)


def test_blank_texts_and_null_annotations_are_skipped(tmp_path):
    rows = [
        {"text": " ", "entities": []},
        {"text": "x", "entities": None},
        {"tokens": [], "tags": []},
        {"text": "Rome \ud83d", "entities": [[0, 4, "L"]]},
        {"tokens": ["\ud83d", "b"], "tags": ["B-L", "O"]},
    ]
    read = load_tagged(put_rows(tmp_path, "x.jsonl", *rows))
    assert [(e.row, e.text) for e in read.examples] == [(4, "Rome \ufffd"), (5, "\ufffd b")]
    assert (read.problems.blank_texts, read.problems.not_annotated) == (2, 1)


def test_wrong_requests(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        load_tagged(tmp_path / "no.conll")
    with pytest.raises(UsageError, match="is CSV"):
        load_tagged(put(tmp_path, "x.csv", "a,b\n"))
    with pytest.raises(UsageError, match="unknown format 'xml'. Known formats: conll, json, jsonl, parquet"):
        load_tagged(put(tmp_path, "x.conll", CONLL), format="xml")
    with pytest.raises(UsageError, match="no files"):
        load_tagged([])


def test_unknown_types_are_refused(tmp_path):
    read = load_tagged(put(tmp_path, "x.conll", CONLL))
    check_types(read, ["LOC", "PER", "ORG"])
    with pytest.raises(DataError, match=r"3 entities are of types.*'LOC' \(3\). Known types \(1\): 'PER'"):
        check_types(read, ["PER"])


def test_units():
    example = from_words(["U.S.", "Bank", "'s"], ["B-ORG", "I-ORG", "O"], 4).in_units()
    assert example.surfaces == ["U", ".", "S", ".", "Bank", "'", "s"]
    assert example.tags == ("B-ORG", *["I-ORG"] * 4, "O", "O")
    assert example.entities == [EntitySpan(0, 9, "ORG")] and example.row == 4


@given(st.text(st.sampled_from("ab1 .-'é東"), min_size=1, max_size=40), st.data())
def test_spans_survive_or_are_reported(text, data):
    spans, at = [], 0
    for _ in range(data.draw(st.integers(0, 4))):
        if at >= len(text):
            break
        start = data.draw(st.integers(at, len(text) - 1))
        at = data.draw(st.integers(start + 1, len(text)))
        spans.append(EntitySpan(start, at, data.draw(st.sampled_from(["X", "Y"]))))
    words, tags, left_out = tag_words(text, spans)
    found = TaggedText(text, tuple(words), tuple(tags)).entities
    kept = [span for span in spans if span not in left_out]
    assert [(e.label, text[e.start : e.end]) for e in found] == [(s.label, text[s.start : s.end].strip()) for s in kept]
    units = word_spans(text, joined=False)
    for span in left_out:  # only what cannot be said with whole units
        inside = [unit for unit in units if unit[0] < span.end and span.start < unit[1]]
        assert not inside or inside[0][0] < span.start or inside[-1][1] > span.end


@pytest.mark.data
@pytest.mark.skipif("BOTHWAYS_DATA" not in os.environ, reason="BOTHWAYS_DATA is not set")
@pytest.mark.parametrize(
    "file, sentences, entities, scheme",
    [("conll2003/eng.testa.gz", 3250, 5942, "IOB1"), ("wnut17/dev.conll.gz", 1009, 836, "IOB2")],
)
def test_published_files(file, sentences, entities, scheme):
    read = load_tagged(Path(os.environ["BOTHWAYS_DATA"]) / file)
    assert (len(read.examples), sum(len(e.entities) for e in read.examples)) == (sentences, entities)
    assert read.schemes == (scheme,)
    words = [(set(word_spans(e.text)), span) for e in read.examples for span in e.words]
    assert sum(span in own for own, span in words) / len(words) > 0.97  # the rule of words agrees with the annotators'

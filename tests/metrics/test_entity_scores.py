"""Scores of entities against seqeval, by hand and on random tags; schemes told apart and converted."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.errors import DataError, InputError
from bothways.metrics import entity_scores, entity_spans, entity_surfaces
from bothways.metrics.tag_schemes import recognise_scheme, split_tag, tag_names, to_iob2

TAGS = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-creative-work", "I-creative-work"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=12), min_size=1, max_size=5)


def test_by_hand():
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "B-LOC"]]
    predicted = [["B-PER", "I-PER", "B-LOC", "O"], ["B-LOC", "I-LOC"]]
    scores = entity_scores(gold, predicted)
    # found: PER 0-2, LOC 2-3, LOC 0-2; right: PER 0-2 of four
    assert (scores["precision"], scores["recall"], scores["support"], scores["predicted"]) == (1 / 3, 1 / 4, 4, 3)
    assert scores["f1"] == pytest.approx(2 / 7)
    assert (scores["sentences"], scores["words"], scores["accuracy"]) == (2, 6, 3 / 6)
    assert scores["per_type"]["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1, "predicted": 1}
    assert scores["per_type"]["LOC"]["f1"] == 0.0
    assert "seen" not in scores


def test_seen_and_unseen():
    words = [["Anna", "Smith", "in", "Rome"], ["Rome", "rome"]]
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "B-LOC"]]
    predicted = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-PER"]]
    known = entity_surfaces([["O", "B-LOC"]], [["in", "Rome"]])
    assert known == {"Rome"}
    scores = entity_scores(gold, predicted, words=words, seen=known)
    assert scores["seen"] == {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2, "predicted": 1}
    assert scores["unseen"]["support"] == scores["unseen"]["predicted"] == 2  # "rome" is written otherwise
    assert (scores["unseen"]["precision"], scores["unseen"]["recall"]) == (0.5, 0.5)


@settings(deadline=None)
@given(PAIRS, st.sampled_from([None, "strict"]))
def test_equal_to_seqeval(pairs, mode):
    metrics = pytest.importorskip("seqeval.metrics")
    from seqeval.scheme import IOB2

    gold, predicted = ([[tag[side] for tag in row] for row in pairs] for side in (0, 1))
    ours = entity_scores(gold, predicted, mode=mode)
    how = {"mode": "strict", "scheme": IOB2} if mode else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("precision", "recall", "f1"):
            theirs = getattr(metrics, f"{name}_score")(gold, predicted, zero_division=0, **how)
            assert ours[name] == pytest.approx(theirs, abs=1e-12), name
        report = metrics.classification_report(gold, predicted, output_dict=True, zero_division=0, **how)
    rows = {name: row for name, row in report.items() if not name.endswith(" avg")}
    assert set(ours["per_type"]) == set(rows)
    for name, row in rows.items():
        own = ours["per_type"][name]
        assert [own[k] for k in ("precision", "recall", "f1", "support")] == pytest.approx(
            [row[k] for k in ("precision", "recall", "f1-score", "support")]
        )
    if any(gold):
        assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(gold, predicted))


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]), max_size=12))
def test_entities_of_bioes_as_seqeval_finds_them(tags):
    get_entities = pytest.importorskip("seqeval.metrics.sequence_labeling").get_entities
    assert entity_spans(tags) == [(kind, start, end + 1) for kind, start, end in get_entities(tags)]


def test_the_two_modes_differ_in_what_begins_with_inside():
    tags = ["I-PER", "I-PER", "O", "B-LOC", "I-PER"]
    assert entity_spans(tags) == [("PER", 0, 2), ("LOC", 3, 4), ("PER", 4, 5)]
    assert entity_spans(tags, mode="strict") == [("LOC", 3, 4)]


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: entity_scores([], []), "0 sentences with gold tags and 0 predicted"),
        (lambda: entity_scores([["O"]], []), "1 sentences with gold tags and 0"),
        (lambda: entity_scores([["O"]], [["O", "O"]]), "sentence 0 has 1 gold tags and 2 predicted tags"),
        (
            lambda: entity_scores([["O"]], [["O"]], words=[["a", "b"]], seen=[]),
            "sentence 0 has 1 gold tags and 2 words",
        ),
        (lambda: entity_scores([["O"]], [["O"]], words=[["a"]]), "words and seen belong together"),
        (lambda: entity_scores([["O"]], [["O"]], mode="exact"), "mode is 'exact'"),
    ],
)
def test_errors(call, said):
    with pytest.raises(InputError, match=said):
        call()


@pytest.mark.parametrize(
    "tags, name, converted",
    [
        ("I-P I-P O B-P I-P", "IOB2", "B-P I-P O B-P I-P"),
        ("I-P I-P B-P O I-L", "IOB1", "B-P I-P B-P O B-L"),
        ("I-P O I-L I-P", "IOB1", "B-P O B-L B-P"),
        ("B-P I-P O B-P B-P", "IOB2", "B-P I-P O B-P B-P"),
        ("B-P E-P S-L O", "BIOES", "B-P I-P B-L O"),
        ("E-P I-P S-P S-P", "BIOES", "B-P B-P B-P B-P"),
        ("B-P I-P L-P U-L O", "BILOU", "B-P I-P I-P B-L O"),
        ("P P O L P", "IO", "B-P I-P O B-L B-P"),
        ("creative-work O X-ray", "IO", "B-creative-work O B-X-ray"),
        ("O O", "IO", "O O"),
    ],
)
def test_schemes(tags, name, converted):
    assert recognise_scheme([tags.split()]).name == name
    assert to_iob2(tags.split()) == converted.split()


@pytest.mark.parametrize(
    "tags, said",
    [
        ("B-P L", r"file x: .* 'L' \(1\)"),
        ("B-P P P", r"'P' \(2\) beside 'B-P'"),
        ("B-P E-P U-P", "'U-P'"),
        ("B I O", "'B' .*'I'"),
        ("B- O", "'B-'"),
    ],
)
def test_unknown_schemes(tags, said):
    with pytest.raises(DataError, match=said):
        recognise_scheme([["O"], tags.split()], "file x")


def test_names_of_tags():
    assert tag_names(["PER", "LOC", "PER"]) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert split_tag("B-creative-work") == ("B", "creative-work") and split_tag("creative-work") == (
        "",
        "creative-work",
    )


@given(st.lists(TAGS, max_size=15))
def test_conversion_keeps_entities_and_is_stable(tags):
    once = to_iob2(tags)
    assert to_iob2(once) == once
    assert entity_spans(once) == entity_spans(tags) == entity_spans(once, mode="strict")

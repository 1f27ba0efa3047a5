"""The list of names: what is in it, and how it reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bothways.data.tagged import from_words
from bothways.evaluation import train_gazetteer


def sentence(*pairs: tuple[str, str]):
    return from_words([word for word, _ in pairs], [tag for _, tag in pairs])


TRAINING = [
    sentence(("New", "B-LOC"), ("York", "I-LOC"), ("beats", "O"), ("York", "B-LOC")),
    sentence(("York", "B-ORG"), ("won", "O"), ("in", "O"), ("May", "O")),
    sentence(("York", "B-ORG"), ("and", "O"), ("May", "B-PER"), ("in", "O"), ("May", "O")),
]


def test_most_frequent_type_and_longest_match():
    names = train_gazetteer(TRAINING)
    assert names.types == {("New", "York"): "LOC", ("York",): "ORG"}  # May is more often no name
    assert names.predict(["in", "New", "York", "York", "New", "may"]) == ["O", "B-LOC", "I-LOC", "B-ORG", "O", "O"]
    assert names.predict([]) == []
    assert 0 < names.megabytes < 1e-3


def test_of_equally_frequent_types_the_first_by_name():
    data = [sentence(("A", "B-Z")), sentence(("A", "B-B"))]
    assert train_gazetteer(data).types == train_gazetteer(data[::-1]).types == {("A",): "B"}


def test_without_names():
    names = train_gazetteer([sentence(("a", "O"))])
    assert (names.types, names.predict(["a", "b"]), names.megabytes) == ({}, ["O", "O"], 0)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["O", "B-X", "I-X", "B-Y"])), max_size=8)))
def test_as_many_tags_as_words_and_all_from_the_list(rows):
    examples = [sentence(*row) for row in rows]
    names = train_gazetteer(examples)
    for example in examples:
        tags = names.predict(example.surfaces)
        found = from_words(example.surfaces, tags)
        assert len(tags) == len(example.surfaces)
        for entity in found.entities:
            assert names.types[tuple(found.text[entity.start : entity.end].split(" "))] == entity.label

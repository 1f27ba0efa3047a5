"""Rows tile documents, have what the tokeniser puts around texts, and are divided without loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.corpus import open_shards
from bothways.pretraining.documents import documents_of
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.masked_goals import frame_of
from bothways.pretraining.rows import SHORTEST, Rows, packed, part_of, pieces, rooms
from tests.corpus.small import byte_level, unigram
from tests.pretraining.small import language, packed_rows, shards, wordpiece

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@settings(deadline=None)
@given(lengths=LENGTHS, room=st.integers(1, 25))
def test_rows_tile_every_document_in_nearly_equal_parts(lengths, room):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = pieces(starts, room).first
    assert rows[:, 0].tolist() == [0, *rows[:-1, 1].tolist()] and rows[-1, 1] == starts[-1]
    for start, stop in zip(starts, starts[1:], strict=False):
        own = rows[(rows[:, 0] >= start) & (rows[:, 0] < stop)]
        sizes = own[:, 1] - own[:, 0]
        assert own[-1, 1] == stop and len(own) == -(-(stop - start) // room)
        assert sizes.min() >= 1 and sizes.max() <= room and sizes.max() - sizes.min() <= 1


@settings(deadline=None)
@given(lengths=LENGTHS, room=st.integers(1, 60), seed=st.integers(0, 99), share=st.floats(0, 1))
def test_short_rows_tile_every_document_with_room_of_its_own(lengths, room, seed, share):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    own = rooms(len(lengths), room, share, np.random.default_rng(seed))
    assert own.max() <= room and own.min() >= min(SHORTEST, room)
    rows = pieces(starts, own).first
    alone = [pieces(starts[i : i + 2], int(own[i])).first for i in range(len(lengths))]  # each document by itself
    assert rows.tolist() == np.concatenate(alone).tolist()


def test_of_short_rows_all_lengths_are_there():
    found = rooms(40_000, 510, 0.5, np.random.default_rng(3))
    assert (found == 510).mean() == pytest.approx(0.5, abs=0.01)
    doublings = [((found >= low) & (found < 2 * low)).mean() for low in (8, 16, 32, 64, 128)]
    assert doublings == pytest.approx([0.5 * np.log(2) / np.log(511 / 8)] * 5, abs=0.01)
    assert (rooms(9, 510, 0.0, np.random.default_rng(3)) == 510).all()


@settings(deadline=None)
@given(lengths=LENGTHS, room=st.integers(3, 25), overlap=st.integers(1, 2))
def test_rows_that_overlap_repeat_exactly_the_end_of_the_one_before(lengths, room, overlap):
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = pieces(starts, room, overlap).first
    owner = np.searchsorted(starts, rows[:, 1], side="left")
    for document, (start, stop) in enumerate(zip(starts, starts[1:], strict=False), start=1):
        own = rows[owner == document]
        assert own[0, 0] == start and own[-1, 1] == stop
        assert (own[1:, 0] == own[:-1, 1] - overlap).all()
        sizes = own[:, 1] - own[:, 0]
        assert sizes.max() <= room and sizes.max() - sizes.min() <= 1
        assert len(own) == max(1, -(-(stop - start - overlap) // (room - overlap)))


def test_the_example_of_the_docstring():
    assert pieces(np.array([0, 7]), 5).first.tolist() == [[0, 3], [3, 7]]


@pytest.mark.parametrize("kind", ["bert", "roberta", "albert"])
def test_rows_are_what_the_tokeniser_encodes(kind, tmp_path):
    tokenizer = {"bert": lambda: wordpiece(tmp_path / "t"), "roberta": byte_level, "albert": unigram}[kind]()
    texts = language(6)
    corpus = open_shards(shards(tmp_path, texts, tokenizer))
    documents = documents_of(corpus)
    ends = np.stack([corpus.document_starts[:-1], corpus.document_starts[1:]], axis=1)
    batch, content = packed(documents, Rows(first=ends), range(6), frame_of(tokenizer, pair=False))
    encoded = tokenizer(texts, return_special_tokens_mask=True)
    assert batch.input_ids.tolist() == [i for row in encoded["input_ids"] for i in row]
    assert content.tolist() == [not i for row in encoded["special_tokens_mask"] for i in row]
    assert batch.position_ids.tolist() == [i for row in encoded["input_ids"] for i in range(len(row))]
    assert batch.token_type_ids is None or not batch.token_type_ids.any()

    pairs = Rows(first=ends[:3], second=ends[3:], relation=np.zeros(3, dtype=np.int64))
    batch, content = packed(documents, pairs, [2, 0, 1], frame_of(tokenizer, pair=True))
    encoded = tokenizer([texts[i] for i in (2, 0, 1)], [texts[i] for i in (5, 3, 4)], return_special_tokens_mask=True)
    assert batch.input_ids.tolist() == [i for row in encoded["input_ids"] for i in row]
    assert content.tolist() == [not i for row in encoded["special_tokens_mask"] for i in row]
    types = [i for row in encoded.get("token_type_ids", []) for i in row]
    if kind == "roberta":
        assert batch.token_type_ids is None and not any(types)
    else:
        assert batch.token_type_ids is not None and batch.token_type_ids.tolist() == types


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=15), count=st.integers(1, 8), target=st.booleans())
def test_parts_put_together_are_the_whole(lengths, count, target):
    batch = packed_rows(lengths)
    other = packed_rows(lengths[::-1], seed=1) if target else None
    whole = Exercise(batch=batch, target=other, relation=torch.arange(len(lengths)), step_rows=7, step_tokens=99)
    parts = whole.parts(count)
    assert 1 <= len(parts) <= count
    for name in ("input_ids", "position_ids", "token_type_ids", "labels"):
        torch.testing.assert_close(torch.cat([getattr(p.batch, name) for p in parts]), getattr(batch, name))
        if other is not None:
            joined = torch.cat([getattr(p.target, name) for p in parts])
            torch.testing.assert_close(joined, getattr(other, name))
    assert [n for p in parts for n in p.batch.seqlens.lengths] == lengths
    assert torch.cat([p.relation for p in parts]).tolist() == list(range(len(lengths)))
    assert {(p.step_rows, p.step_tokens) for p in parts} == {(7, 99)}
    rows = [a + (b if target else 0) for a, b in zip(lengths, lengths[::-1], strict=True)]
    assert max(p.total_tokens for p in parts) <= whole.total_tokens / count + max(rows)


def test_a_part_has_the_tokens_of_its_rows_alone():
    batch = packed_rows([3, 2, 4])
    part = part_of(batch, 1, 2)
    assert part.seqlens.cu_seqlens.tolist() == [0, 2] and part.input_ids.tolist() == batch.input_ids[3:5].tolist()
    assert part.position_ids.tolist() == [0, 1]

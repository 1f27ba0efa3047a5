"""Packing by hand-checkable examples, and as a property over random masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bothways.batching import Layout, SeqLens, batches_by_tokens, collate, pack, unpack
from bothways.errors import InputError


def test_pack_drops_padding_and_keeps_columns_as_positions():
    ids = torch.tensor([[7, 8, 9], [0, 5, 6]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    batch, layout = pack(ids, mask)
    assert batch.input_ids.tolist() == [7, 8, 5, 6]
    assert batch.position_ids.tolist() == [0, 1, 1, 2]
    assert batch.seqlens.cu_seqlens.tolist() == [0, 2, 4]
    assert batch.seqlens.max_seqlen == 2
    assert unpack(batch.input_ids, layout, fill=-1).tolist() == [[7, 8, -1], [-1, 5, 6]]


def test_without_padding_packing_is_a_view():
    ids = torch.arange(6).view(2, 3)
    batch, layout = pack(ids, torch.ones(2, 3))
    assert batch.input_ids.data_ptr() == ids.data_ptr()
    assert unpack(batch.input_ids, layout).data_ptr() == ids.data_ptr()


def test_a_row_without_tokens_keeps_its_first():
    batch, _ = pack(torch.tensor([[7, 8], [5, 6]]), torch.tensor([[1, 1], [0, 0]]))
    assert batch.input_ids.tolist() == [7, 8, 5]


def test_mask_of_another_shape_is_refused_with_both_shapes():
    with pytest.raises(InputError, match=r"\(2, 4\), expected \(batch, sequence\) = \(2, 3\)"):
        pack(torch.zeros(2, 3, dtype=torch.int64), torch.ones(2, 4))


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5), st.integers(1, 3))
def test_unpack_undoes_pack_and_carries_gradients(rows, width):
    mask = torch.tensor(rows)
    padded = torch.randn(len(rows), 4, width, requires_grad=True)
    layout = Layout.of_mask(mask.long(), (len(rows), 4), padded.device)
    kept = mask.clone()
    kept[~mask.any(1), 0] = True
    back = layout.unpack(layout.pack(padded))
    assert torch.equal(back, padded * kept[..., None])
    back.sum().backward()
    assert torch.equal(padded.grad, kept[..., None].expand_as(padded).float())


def test_padded_layout_of_packed_sequences():
    layout = Layout.padded(SeqLens.from_lengths([1, 3]))
    assert layout.unpack(torch.arange(4), fill=-1).tolist() == [[0, -1, -1], [1, 2, 3]]


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 100))
def test_batches_hold_every_index_once_within_the_budget(lengths, budget):
    batches = list(batches_by_tokens(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[i] for i in batch) <= budget or len(batch) == 1


def test_batches_example_of_the_docstring():
    assert list(batches_by_tokens([5, 2, 5, 3], 10)) == [[1, 3, 0], [2]]


def test_collate_counts_positions_in_each_sequence():
    batch = collate([[5, 6, 7], [8, 9]], [[0, 0, 1], [0, 1]])
    assert batch.input_ids.tolist() == [5, 6, 7, 8, 9]
    assert batch.position_ids.tolist() == [0, 1, 2, 0, 1]
    assert batch.token_type_ids.tolist() == [0, 0, 1, 0, 1]
    assert batch.seqlens.lengths == (3, 2)
    assert batch.seqlens.first_tokens.tolist() == [0, 3]
    assert batch.seqlens.last_tokens.tolist() == [2, 4]


def test_columns_are_kept_where_a_mask_has_holes():
    ids = torch.arange(8).view(2, 4)
    holes, _ = pack(ids, torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0]]))
    assert holes.seqlens.places.tolist() == [1, 3, 0, 1, 2] and holes.seqlens.lengths == (2, 3)
    assert holes.seqlens.to("cpu").places.tolist() == [1, 3, 0, 1, 2]
    for mask in ([[0, 1, 1, 1], [1, 1, 0, 0]], [[0, 1, 1, 0], [1, 1, 1, 1]], [[1] * 4] * 2, [[0] * 4, [1] * 4]):
        assert pack(ids, torch.tensor(mask))[0].seqlens.places is None

"""Documents in blocks: every token predicted once, nothing across documents, few cuts, nearly full blocks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bothways.errors import InputError
from bothways.tasks.causal_lm import IGNORED, boundary_ids, token_blocks


def lists(arrays):
    return [array.tolist() for array in arrays]


def test_the_example():
    blocks = token_blocks([[5, 6, 7, 8]], 4, start_id=1, end_id=2)
    assert lists(blocks.input_ids) == [[1, 5, 6], [6, 7, 8, 2]]
    assert lists(blocks.labels) == [[IGNORED, 5, 6], [IGNORED, 7, 8, 2]]
    assert blocks.owner.tolist() == [0, 0] and blocks.block_starts.tolist() == [0, 1, 2]
    assert (blocks.n_predicted, blocks.n_documents, list(blocks.block(1))) == (5, 1, [1])
    assert blocks.input_ids[0].dtype == np.int32 and blocks.labels[0].dtype == np.int64


def test_short_documents_share_a_block_and_stay_whole():
    blocks = token_blocks([[1] * 5, [2] * 4, [3] * 3, [4] * 8, [9]], 8)
    assert lists(blocks.input_ids) == [[1] * 5, [3] * 3, [2] * 4, [4] * 8]
    assert [list(blocks.block(i)) for i in range(len(blocks))] == [[0, 1], [2], [3]]


@example([1, 9], 8, 1, False, True)
@example([1, 8], 8, 2, False, True)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12),
    st.integers(2, 16),
    st.integers(1, 15),
    st.booleans(),
    st.booleans(),
)
def test_every_token_is_predicted_once_from_its_own_document(lengths, size, context, start, end):
    context = min(context, size - 1)
    documents = [[1000 * number + i for i in range(n)] for number, n in enumerate(lengths, 1)]
    marks = {"start_id": -1 if start else None, "end_id": -2 if end else None}
    whole = [[*[-1] * start, *document, *[-2] * end] for document in documents]
    if max(map(len, whole)) < 2:
        with pytest.raises(InputError, match=f"none of {len(lengths)} documents has two tokens"):
            token_blocks(documents, size, context=context, **marks)
        return
    blocks = token_blocks(documents, size, context=context, **marks)
    assert blocks.n_predicted == sum(max(0, len(own) - 1) for own in whole)
    predicted: dict[int, list[int]] = {number: [] for number in range(len(whole))}
    for number in range(len(whole)):
        own = np.flatnonzero(blocks.owner == number)  # in the order of the blocks; their tokens tell that of the text
        for i in sorted(own, key=lambda i: whole[number].index(blocks.input_ids[i][0])):
            ids, labels = blocks.input_ids[i].tolist(), blocks.labels[i].tolist()
            text = "," + ",".join(map(str, whole[number])) + ","
            assert "," + ",".join(map(str, ids)) + "," in text
            counted = [label != IGNORED for label in labels]
            n_context = counted.index(True)
            assert n_context >= 1 and all(counted[n_context:])
            assert n_context == (1 if not predicted[number] else context)
            assert labels[n_context:] == ids[n_context:]
            predicted[number] += labels[n_context:]
        assert predicted[number] == whole[number][1:]
    tokens = [sum(len(blocks.input_ids[i]) for i in blocks.block(b)) for b in range(len(blocks))]
    assert max(tokens) <= size and blocks.block_starts[-1] == len(blocks.input_ids)
    # best fit leaves no two blocks that would fit into one
    assert sum(n <= size // 2 for n in tokens) <= 1


def test_impossible_sizes():
    with pytest.raises(InputError, match="block_size is 1; expected 2"):
        token_blocks([[1, 2]], 1)
    with pytest.raises(InputError, match=r"context is 4; expected 1 to 3, less than block_size \(4\)"):
        token_blocks([[1, 2]], 4, context=4)
    with pytest.raises(InputError, match="context is 0"):
        token_blocks([[1, 2]], 4, context=0)


def test_what_stands_between_documents():
    assert boundary_ids(SimpleNamespace(bos_token_id=None, eos_token_id=7)) == (7, 7)  # GPT-2
    assert boundary_ids(SimpleNamespace(bos_token_id=1, eos_token_id=2)) == (1, 2)
    assert boundary_ids(SimpleNamespace(bos_token_id=1, eos_token_id=None)) == (1, None)
    with pytest.raises(InputError, match="neither a start nor an end token"):
        boundary_ids(SimpleNamespace(bos_token_id=None, eos_token_id=None))

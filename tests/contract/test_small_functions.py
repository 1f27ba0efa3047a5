"""Small functions of the ecosystem, each beside the reference's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bothways import small_functions as ours

trainer_pt_utils = pytest.importorskip("transformers.trainer_pt_utils")
pytorch_utils = pytest.importorskip("transformers.pytorch_utils")


def same(got, expected) -> None:
    assert type(got) is type(expected)
    if isinstance(expected, (list, tuple)):
        for one, other in zip(got, expected, strict=True):
            same(one, other)
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys()
        for key in expected:
            same(got[key], expected[key])
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(got, expected) and got.dtype == expected.dtype
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(got, expected)
    else:
        assert got == expected


def tree(width: int, number=torch):
    torch.manual_seed(width)
    rows = [torch.randn(2, width), torch.randn(2, width, 3), torch.tensor([1, 2]), torch.tensor(5)]
    rows = rows if number is torch else [row.numpy() for row in rows]
    return (rows[0], {"a": rows[1], "b": [rows[2], rows[3]]})


@pytest.mark.parametrize("number", [torch, np])
@pytest.mark.parametrize("widths", [(4, 4), (4, 6), (6, 4)])
def test_rows_are_put_together(widths, number):
    pair = [tree(width, number) for width in widths]
    same(ours.nested_concat(*pair, padding_index=-7), trainer_pt_utils.nested_concat(*pair, padding_index=-7))


def test_arrays_and_gradients():
    given = (torch.ones(2, requires_grad=True), {"a": [torch.ones(3, dtype=torch.bfloat16)]})
    same(ours.nested_detach(given), trainer_pt_utils.nested_detach(given))
    assert not ours.nested_detach(given)[0].requires_grad
    plain = ours.nested_detach(given)
    same(ours.nested_numpify(plain), trainer_pt_utils.nested_numpify(plain))


def test_plain_numbers():
    from transformers.trainer_utils import denumpify_detensorize

    given = {"a": np.float64(1.5), "b": [torch.tensor(2), "c", torch.ones(2)], "d": (np.int32(3), None)}
    same(ours.denumpify_detensorize(given), denumpify_detensorize(given))


def test_a_function_over_pieces():
    x = torch.randn(2, 6, 4)
    for size in (0, 2, 3):
        got = ours.apply_chunking_to_forward(torch.tanh, size, 1, x)
        same(got, pytorch_utils.apply_chunking_to_forward(lambda y: torch.tanh(y), size, 1, x))
    with pytest.raises(ValueError, match="chunked 6 has to be a multiple of the chunk size 4"):
        ours.apply_chunking_to_forward(torch.tanh, 4, 1, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dim", [0, 1])
def test_layers_with_fewer_outputs_or_inputs(dim, bias):
    layer = nn.Linear(6, 6, bias=bias)
    index = torch.tensor([0, 2, 5])
    got, expected = (lib.prune_linear_layer(layer, index, dim=dim) for lib in (ours, pytorch_utils))
    same(dict(got.state_dict()), dict(expected.state_dict()))
    assert (got.in_features, got.out_features) == (expected.in_features, expected.out_features)


@pytest.mark.parametrize("pruned", [set(), {1}, {0, 3}])
def test_heads_that_are_left(pruned):
    given = ([2, 3], 4 - len(pruned), 5, pruned)
    same(ours.find_pruneable_heads_and_indices(*given), pytorch_utils.find_pruneable_heads_and_indices(*given))


def test_docstrings():
    def forward():
        """Own."""

    assert ours.add_start_docstrings("One. ", "Two. ")(forward).__doc__ == "One. Two. Own."
    assert ours.add_end_docstrings(" End.")(forward).__doc__ == "One. Two. Own. End."
    assert ours.add_code_sample_docstrings(checkpoint="x", output_type=int)(forward) is forward

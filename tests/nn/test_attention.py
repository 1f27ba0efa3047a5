"""Every backend against the definition, over random lengths; values and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bothways.batching import SeqLens
from bothways.errors import InputError
from bothways.nn import attention_groups
from bothways.nn.attention import attention
from bothways.nn.attention_groups import plan_groups

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}  # bfloat16 keeps 8 bits: 0.4 % of values of size about 2

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=9)


def tensors(total_q: int, total_k: int, heads: int = 4, groups: int = 4, dtype=torch.float32):
    generator = torch.Generator().manual_seed(total_q * 1000 + total_k)
    shapes = [(total_q, heads, 8), (total_k, groups, 8), (total_k, groups, 8)]
    return [torch.randn(s, generator=generator).to(dtype).requires_grad_() for s in shapes]


def results(backend, q_lengths, k_lengths, dtype=torch.float32, groups: int = 4, **options):
    q, k, v = tensors(sum(q_lengths), sum(k_lengths), groups=groups, dtype=dtype)
    out = attention(
        q, k, v, SeqLens.from_lengths(q_lengths), SeqLens.from_lengths(k_lengths), backend=backend, **options
    )
    out.float().square().sum().backward()
    return [out.detach(), q.grad, k.grad, v.grad]


@settings(max_examples=60, deadline=None)
@given(lengths, st.booleans(), st.sampled_from([1, 2, 4]))
def test_grouped_equals_the_definition(lens, causal, groups):
    expected = results("reference", lens, lens, causal=causal, groups=groups)
    got = results("grouped", lens, lens, causal=causal, groups=groups)
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, atol=1e-4, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(6, 40)), min_size=1, max_size=9))
def test_fewer_queries_than_keys(pairs):
    q_lengths, k_lengths = [2] + [q for q, _ in pairs], [9] + [k for _, k in pairs]
    expected = results("reference", q_lengths, k_lengths)
    got = results("grouped", q_lengths, k_lengths)
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("lens", [[3, 3, 3], [300, 1, 299, 40, 41, 42], [70] * 5, [250, 10, 10]])
def test_short_and_long_kernels_agree(lens, dtype):
    expected = results("reference", lens, lens)
    got = results("grouped", lens, lens, dtype=dtype)
    torch.testing.assert_close(got[0].float(), expected[0], atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_chunks_of_a_large_group_agree(monkeypatch):
    expected = results("grouped", [20] * 9, [20] * 9)
    monkeypatch.setattr(attention_groups, "SCORE_BYTES", 4 * 20 * 20 * 4 * 2)  # two sequences at a time
    for e, g in zip(expected, results("grouped", [20] * 9, [20] * 9), strict=True):
        torch.testing.assert_close(g, e)


def brute_force(lens, window, causal, places=None):
    """Attention under a window by a loop over single queries: the oracle of the definition itself."""
    q, k, v = tensors(sum(lens), sum(lens))
    places = [p for n in lens for p in range(n)] if places is None else places
    rows, start = [], 0
    for n in lens:
        for i in range(start, start + n):
            near = [j for j in range(start, start + n) if abs(places[i] - places[j]) <= window]
            near = [j for j in near if not causal or places[j] <= places[i]]
            scores = torch.einsum("hd,jhd->hj", q[i], k[near]) * 8**-0.5
            rows.append(torch.einsum("hj,jhd->hd", scores.softmax(-1), v[near]))
        start += n
    out = torch.stack(rows)
    out.square().sum().backward()
    return [out.detach(), q.grad, k.grad, v.grad]


def assert_close(expected, got):
    for e, g in zip(expected, got, strict=True):
        torch.testing.assert_close(g, e, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [0, 1, 3, 30])
def test_the_definition_of_a_window(window, causal):
    expected = brute_force([7, 1, 20], window, causal)
    assert_close(expected, results("reference", [7, 1, 20], [7, 1, 20], window=window, causal=causal))


@settings(max_examples=100, deadline=None)
@given(lengths, st.integers(0, 45), st.booleans(), st.sampled_from([1, 2, 4]), st.integers(1, 50), st.booleans())
def test_grouped_windows_equal_the_definition(lens, window, causal, groups, block, kernel):
    options = {"window": window, "causal": causal, "groups": groups}
    expected = results("reference", lens, lens, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention_groups, "WINDOW_BLOCK", block)  # short sequences in several blocks, too
        if kernel:
            patch.setattr(attention_groups, "MATMUL_UP_TO", {})
        assert_close(expected, results("grouped", lens, lens, **options))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(6, 40)), min_size=1, max_size=9), st.integers(0, 12))
def test_windows_of_the_last_queries(pairs, window):
    q_lengths, k_lengths = [2] + [q for q, _ in pairs], [9] + [k for _, k in pairs]
    expected = results("reference", q_lengths, k_lengths, window=window, causal=True)
    assert_close(expected, results("grouped", q_lengths, k_lengths, window=window, causal=True))


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_long_sequences_under_a_window(dtype):
    lens = [700, 1, 690, 300]
    expected = results("reference", lens, lens, window=20)
    got = results("grouped", lens, lens, window=20, dtype=dtype)
    torch.testing.assert_close(got[0].float(), expected[0], atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_a_window_asks_for_scores_in_proportion_to_its_width(monkeypatch):
    pairs = []

    def count(q, k, v, *_):
        pairs.append(q.shape[2] * k.shape[2])
        return q

    monkeypatch.setattr(attention_groups, "_attend", count)
    lens = SeqLens.from_lengths([4096])
    q = torch.zeros(4096, 1, 2)
    attention(q, q, q, lens, lens, window=64, backend="grouped")
    assert sum(pairs) == 4096 * 256 - 2 * 128 * 64 and max(pairs) == 128 * 256  # the two ends lack a side
    pairs.clear()
    attention(q, q, q, lens, lens, backend="grouped")
    assert pairs == [4096 * 4096]


def test_a_window_counts_the_places_that_a_mask_left_out():
    places = [0, 1, 5, 6, 7, 2, 3, 4, 5, 6, 7]
    lens = SeqLens.from_lengths([5, 6], places=torch.tensor(places))
    q, k, v = tensors(11, 11)
    out = attention(q, k, v, lens, lens, window=2)
    out.square().sum().backward()
    assert_close(brute_force([5, 6], 2, False, places), [out.detach(), q.grad, k.grad, v.grad])
    assert_close([attention(q, k, v, lens, lens)], [attention(q, k, v, *[SeqLens.from_lengths([5, 6])] * 2)])
    with pytest.raises(InputError, match="'grouped' has no window and no bias over sequences with holes"):
        attention(q, k, v, lens, lens, window=2, backend="grouped")
    with pytest.raises(InputError, match="places of both queries and keys"):
        attention(q, k, v, SeqLens.from_lengths([5, 6]), lens, window=2)
    with pytest.raises(InputError, match="the window is -1 tokens to each side"):
        attention(q, k, v, lens, lens, window=-1)


def test_equal_lengths_side_by_side_are_one_group_without_copies():
    plan = plan_groups((5, 5, 5), (5, 5, 5), False, torch.device("cpu"))
    assert [group.size for group in plan.groups] == [3]
    assert plan.q is None and plan.k is None


def test_like_lengths_share_a_masked_call_and_far_ones_do_not():
    plan = plan_groups((30, 7, 31, 200), (30, 7, 31, 200), False, torch.device("cpu"))
    assert [(group.size, group.k_len) for group in plan.groups] == [(3, 31), (1, 200)]
    assert plan.groups[0].k_visible.sum(-1).flatten().tolist() == [7, 30, 31]


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    lens = SeqLens.from_lengths([20] * 50)
    q, k = torch.zeros(1000, 4, 8), torch.zeros(1000, 4, 8)
    out = attention(q, k, torch.ones(1000, 4, 8), lens, lens, dropout_p=0.25)
    assert out.std() > 0.05 and abs(float(out.mean()) - 1) < 0.02


def test_bad_calls_say_what_came():
    q, k, v = tensors(5, 5)
    lens = SeqLens.from_lengths([2, 3])
    with pytest.raises(InputError, match="add up to 4 query and 5 key tokens, but the tensors have 5 and 5"):
        attention(q, k, v, SeqLens.from_lengths([2, 2]), lens)
    with pytest.raises(InputError, match="1 query sequences but 2 key sequences"):
        attention(q, k, v, SeqLens.from_lengths([5]), lens)
    with pytest.raises(InputError, match="unknown attention backend 'flash9'.*reference, grouped, varlen"):
        attention(q, k, v, lens, lens, backend="flash9")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 5])
def test_varlen_equals_the_definition(causal, window):
    lens = [3, 70, 128, 1]
    q, k, v = (t.detach().cuda().bfloat16() for t in tensors(sum(lens), sum(lens)))
    seqlens = SeqLens.from_lengths(lens, "cuda")
    options = {"causal": causal, "window": window}
    expected = attention(q.float(), k.float(), v.float(), seqlens, seqlens, **options, backend="reference")
    got = attention(q, k, v, seqlens, seqlens, **options)
    torch.testing.assert_close(got.float(), expected, atol=3e-2, rtol=3e-2)

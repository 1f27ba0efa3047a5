"""Hidden tokens: the shares, whole words, nothing lost, and the same by the same seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from bothways import BertTokenizerFast, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from bothways.batching import PackedBatch, SeqLens
from bothways.errors import InputError
from bothways.objectives import continuation_table, falling_rate, mask_tokens, next_token_labels, words_of
from tests.objectives.statistics import evenly, share_is

CLS, SEP, MASK, FIRST, SIZE = 2, 3, 4, 5, 1000


def packed(lengths: list[int], seed: int = 0) -> PackedBatch:
    """Rows of random tokens between two special ones."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(FIRST, SIZE, (sum(lengths),), generator=generator)
    lens = SeqLens.from_lengths(lengths)
    ids[lens.first_tokens], ids[lens.last_tokens] = CLS, SEP
    places = torch.cat([torch.arange(n) for n in lengths])
    return PackedBatch(input_ids=ids, position_ids=places, seqlens=lens)


def masked(batch: PackedBatch, seed: int = 1, **asked) -> PackedBatch:
    asked = {"can_be_chosen": batch.input_ids >= FIRST, "mask_token_id": MASK, "random_ids": SIZE, **asked}
    return mask_tokens(batch, generator=torch.Generator().manual_seed(seed), **asked)


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_shares_of_chosen_hidden_random_and_kept_tokens(rate):
    batch = packed([402] * 250)
    found = masked(batch, rate=rate)
    chosen = found.labels != -100
    n, m = 250 * 400, int(chosen.sum())
    assert share_is(m, n, rate)
    before, after = batch.input_ids[chosen], found.input_ids[chosen]
    assert share_is(int((after == MASK).sum()), m, 0.8 + 0.1 / SIZE)
    assert share_is(int((after == before).sum()), m, 0.1 + 0.1 / SIZE)
    rest = after[(after != MASK) & (after != before)]
    assert evenly(torch.bincount(rest // 50, minlength=20).tolist()), "random tokens come from the whole vocabulary"
    per_row = chosen.view(250, 402).sum(1).float()
    assert per_row.std() > 0.5 * (400 * rate * (1 - rate)) ** 0.5, "each token for itself, not a number for each row"


def test_places_are_equally_likely_and_draws_of_choice_and_fate_independent():
    batch = packed([42] * 3000)
    found = masked(batch)
    chosen = (found.labels != -100).view(3000, 42)
    assert evenly(chosen.sum(0)[1:-1].tolist())
    hidden = (found.input_ids.view(3000, 42) == MASK) & chosen
    for half in (slice(1, 21), slice(21, 41)):
        assert share_is(int(hidden[:, half].sum()), int(chosen[:, half].sum()), 0.8 + 0.1 / SIZE)


def test_random_tokens_from_a_list_of_ids():
    allowed = torch.tensor([7, 11, 500])
    batch = packed([1000])
    found = masked(batch, rate=1.0, mask_share=0.0, random_share=1.0, random_ids=allowed)
    inner = found.input_ids[1:-1]
    assert evenly([int((inner == word).sum()) for word in allowed])
    assert set(inner.tolist()) == {7, 11, 500}


lengths = st.lists(st.integers(2, 30), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(0, 99), st.floats(0.001, 1), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_nothing_is_lost_and_nothing_else_changes(lengths, seed, rate, mask_share, part, words):
    batch = packed(lengths, seed)
    can = batch.input_ids >= FIRST
    word_of = words_of(batch.input_ids, batch.seqlens, torch.arange(SIZE) % 3 == 0) if words else None
    asked = {"rate": rate, "mask_share": mask_share, "random_share": part * (1 - mask_share), "word_of": word_of}
    found = masked(batch, seed, **asked)
    chosen = found.labels != -100
    assert not chosen[~can].any()
    assert chosen.any() == can.any(), "a batch without any chosen token has no mean loss"
    assert torch.equal(torch.where(chosen, found.labels, found.input_ids), batch.input_ids)
    assert torch.equal(found.position_ids, batch.position_ids) and found.seqlens is batch.seqlens
    if words:
        for word in word_of[chosen].unique():
            assert chosen[(word_of == word) & can].all(), "a word is chosen whole or not at all"
    again = masked(batch, seed, **asked)
    assert torch.equal(again.input_ids, found.input_ids) and torch.equal(again.labels, found.labels)


def test_another_seed_chooses_others_and_the_input_stays():
    batch = packed([200])
    before = batch.input_ids.clone()
    first, second = masked(batch, 1), masked(batch, 2)
    assert not torch.equal(first.labels, second.labels)
    assert torch.equal(batch.input_ids, before) and batch.labels is None


def test_where_the_draws_give_none_the_token_nearest_to_it_is_chosen():
    """Once in each batch, and evenly among those that can be chosen."""
    batch = packed([8])
    counts = torch.zeros(8)
    for seed in range(300):
        chosen = masked(batch, seed, rate=1e-9).labels != -100
        assert int(chosen.sum()) == 1
        counts += chosen
    assert counts[0] == counts[-1] == 0 and evenly(counts[1:-1].tolist())


def test_an_empty_batch_and_one_without_candidates():
    empty = PackedBatch(
        input_ids=torch.zeros(0, dtype=torch.int64),
        position_ids=torch.zeros(0, dtype=torch.int64),
        seqlens=SeqLens.from_lengths([]),
    )
    assert masked(empty).labels.shape == (0,)
    assert (masked(packed([2, 2])).labels == -100).all()


def test_words_are_numbered_within_sequences():
    going_on = torch.tensor([False, False, True, False])
    ids = torch.tensor([1, 2, 2, 3, 1, 2, 2, 2])
    assert words_of(ids, SeqLens.from_lengths([5, 2, 1, 0]), going_on).tolist() == [0, 0, 0, 1, 2, 3, 3, 4]


def test_as_many_words_are_chosen_as_asked():
    """Words of one and of four tokens are equally likely: the share of tokens is that of words."""
    ids = torch.tensor([6, 9, 9, 9, 7] * 20000)
    batch = PackedBatch(input_ids=ids, position_ids=ids, seqlens=SeqLens.from_lengths([len(ids)]))
    word_of = words_of(ids, batch.seqlens, torch.arange(SIZE) == 9)
    chosen = (masked(batch, word_of=word_of).labels != -100).view(-1, 5)
    assert (chosen[:, :4].sum(1) % 4 == 0).all()
    assert share_is(int(chosen[:, 0].sum()), 20000, 0.15) and share_is(int(chosen[:, 4].sum()), 20000, 0.15)
    assert share_is(int((chosen[:, 0] & chosen[:, 4]).sum()), 20000, 0.15**2)


def test_which_tokens_go_on_in_a_wordpiece_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n##c\n▁\n#\n##\n")
    table = continuation_table(BertTokenizerFast(vocab_file=str(path)))
    assert [i for i, goes_on in enumerate(table.tolist()) if goes_on] == [6, 7, 10]


@pytest.mark.parametrize("mark", ["Ġ", "▁"])
def test_which_tokens_go_on_where_beginnings_are_marked(mark):
    words = ["<s>", "</s>", "<unk>", f"{mark}a", "b", mark, "##", f"{mark}c", f"{mark}d"]
    engine = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=engine, bos_token="<s>", eos_token="</s>", unk_token="<unk>", mask_token="<mask>"
    )
    table = continuation_table(tokenizer)
    assert len(table) == len(tokenizer) == 10
    assert [i for i, goes_on in enumerate(table.tolist()) if goes_on] == [4, 6]


def test_a_vocabulary_without_marks_tells_no_words():
    engine = Tokenizer(models.WordLevel({"a": 0, "b</w>": 1}, unk_token="a"))
    with pytest.raises(InputError, match="none of the 2 tokens"):
        continuation_table(PreTrainedTokenizerFast(tokenizer_object=engine))


def test_the_falling_rate():
    assert [falling_rate(share, 0.3, 0.15) for share in (-1, 0, 1, 2)] == [0.3, 0.3, 0.15, 0.15]
    assert falling_rate(0.5, 0.3, 0.15) == pytest.approx(0.225)
    assert falling_rate(0.25, 0.1, 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rate": 0.0}, "rate is 0;"),
        ({"rate": 1.2}, "rate is 1.2"),
        ({"mask_share": 0.8, "random_share": 0.3}, "mask_share is 0.8 and random_share 0.3"),
        ({"random_share": -0.1}, "random_share -0.1"),
        ({"can_be_chosen": torch.ones(3, dtype=torch.bool)}, r"can_be_chosen has shape \(3,\), expected \(20,\)"),
        ({"word_of": torch.ones(4, dtype=torch.int64)}, r"word_of has shape \(4,\), expected \(20,\)"),
    ],
)
def test_impossible_settings(wrong, says):
    with pytest.raises(InputError, match=says):
        masked(packed([20]), **wrong)


def test_every_token_is_asked_for_by_those_before_it():
    batch = packed([5, 3])
    assert torch.equal(next_token_labels(batch).labels, batch.input_ids)
    counted = torch.tensor([True, False] * 4)
    labels = next_token_labels(batch, counted=counted).labels
    assert torch.equal(labels[counted], batch.input_ids[counted]) and (labels[~counted] == -100).all()
    assert batch.labels is None
    with pytest.raises(InputError, match=r"\(3,\), expected \(8,\)"):
        next_token_labels(batch, counted=counted[:3])


def test_a_causal_model_shifts_the_labels_within_each_sequence():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=SIZE, n_positions=8, n_embd=8, n_layer=1, n_head=2)
    model = GPT2LMHeadModel(config).eval()
    batch = next_token_labels(packed([5, 3]))
    with torch.no_grad():
        logits, loss = model(packed([5, 3])).logits, model(batch).loss
    asked = batch.input_ids[[1, 2, 3, 4, 6, 7]]
    expected = torch.nn.functional.cross_entropy(logits[[0, 1, 2, 3, 5, 6]], asked)
    torch.testing.assert_close(loss, expected)

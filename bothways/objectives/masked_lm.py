"""Masked language modelling: tokens are hidden, and the model is asked for them.

Shapes: T total tokens of a packed batch, V size of the vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bothways.batching import PackedBatch, SeqLens
from bothways.errors import InputError

IGNORED = -100
BEGINNINGS = ("Ġ", "▁")
"""Marks of tokens that begin a word, in vocabularies of bytes and of SentencePiece."""
GOES_ON = "##"
"""The mark of tokens that go on with a word, in WordPiece vocabularies."""


def mask_tokens(
    batch: PackedBatch,
    *,
    can_be_chosen: Tensor,
    mask_token_id: int,
    random_ids: int | Tensor,
    generator: torch.Generator,
    rate: float = 0.15,
    mask_share: float = 0.8,
    random_share: float = 0.1,
    word_of: Tensor | None = None,
) -> PackedBatch:
    """Choose tokens at random, hide most of them, and ask for all of them.

    Each token, or each word, is chosen independently with probability ``rate``, as the ecosystem's collators do. (The
    published data of BERT has a fixed number in each sequence instead, ``max(1, round(rate * n))``.) A sequence may
    thus have no chosen token, but a batch has at least one if any token can be chosen: where the draws give none, the
    token whose draw was lowest is taken, so that the mean loss of a batch always exists.

    Args:
        batch: its labels are not looked at.
        can_be_chosen: bool (T,), False for special tokens.
        mask_token_id: hides a token.
        random_ids: random tokens are drawn from the ids below this number, or from these ids (n,).
        generator: of all draws; they are made on its device, so that a CPU generator gives the same on every device.
        rate: share of tokens that is chosen, above 0 and up to 1.
        mask_share, random_share: shares of the chosen tokens that become the mask token or a random one; the rest
            stays. Tokens of one word are treated each for itself.
        word_of: int64 (T,), the number of the whole word of each token, from 0 and below T: the tokens of a word are
            chosen together, or none of them. See ``words_of``.

    Returns:
        The batch with new ``input_ids``, and ``labels`` int64 (T,): the original id of chosen tokens, else -100.

    Raises:
        InputError: shares that are none, or tensors of another length.

    Source: Devlin et al. 2019, section 3.1 and appendix A.1; whole words: google-research/bert, release of 2019-05-31.
    """
    ids = batch.input_ids
    _check(batch, can_be_chosen, word_of, rate, mask_share, random_share)
    lots = _drawn(ids, generator)
    lots = (lots if word_of is None else lots[word_of]).masked_fill(~can_be_chosen, 2.0)
    lowest = lots.min() if len(lots) else lots.new_tensor(2.0)
    chosen = can_be_chosen & ((lots < rate) | (lots == lowest))
    fates = _drawn(ids, generator)
    hidden = chosen & (fates < mask_share)
    random = chosen & ~hidden & (fates < mask_share + random_share)
    masked = torch.where(random, _random_tokens(ids, random_ids, generator), ids.masked_fill(hidden, mask_token_id))
    return replace(batch, input_ids=masked, labels=ids.masked_fill(~chosen, IGNORED))


def words_of(input_ids: Tensor, seqlens: SeqLens, continues: Tensor) -> Tensor:
    """Number the whole words of a packed batch.

    A token that goes on belongs to the word before it; after a special token, where a text was cut within a word, it
    gets the special token's number, which does no harm as that token is never chosen. No word spans two sequences.

    Args:
        input_ids: int64 (T,).
        seqlens: boundaries of the sequences.
        continues: bool (V,), see ``continuation_table``.

    Returns:
        int64 (T,), from 0, growing by at most 1.

    Example: ``un ##seen [SEP] a`` gives [0, 0, 1, 2].
    """
    begins = ~continues[input_ids]
    first = seqlens.first_tokens
    begins[first[first < len(begins)]] = True  # an empty sequence at the end has no first token
    return begins.cumsum(0) - 1


def continuation_table(tokenizer: Any) -> Tensor:
    """Which tokens go on with the word before: bool (V,), False for special tokens.

    These are the tokens with ``##`` before them; in vocabularies that mark beginnings those without ``Ġ`` or ``▁``, so
    that a sentence of a language without spaces is one word there.

    Raises:
        InputError: no token of the vocabulary has any of these marks.
    """
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    going_on = torch.tensor([str(token).startswith(GOES_ON) for token in tokens], dtype=torch.bool)
    beginning = torch.tensor([str(token).startswith(BEGINNINGS) for token in tokens], dtype=torch.bool)
    if not (going_on | beginning).any():
        raise InputError(
            f"none of the {len(tokens):,} tokens of this vocabulary begins with '##', 'Ġ' or '▁', so that whole words "
            "cannot be told from tokens. Hide single tokens instead."
        )
    # a vocabulary of either kind may hold a few tokens that look like the other's: "##" is a token of GPT-2
    table = going_on if going_on.sum() > beginning.sum() else ~beginning
    table[tokenizer.all_special_ids] = False
    return table


def falling_rate(share: float, start: float, end: float) -> float:
    """The rate of masking when ``share`` of the run is over: from ``start`` to ``end`` in a straight line.

    A share outside 0 to 1 is taken as the nearer of the two. Source: Ankner et al. 2023, "Dynamic Masking Rate
    Schedules for MLM Pretraining", section 3 (from 0.3 to 0.15).
    """
    return start + (end - start) * min(1.0, max(0.0, share))


def _drawn(ids: Tensor, generator: torch.Generator) -> Tensor:
    """float32 (T,) from 0 to below 1, where the ids are."""
    return torch.rand(ids.shape, generator=generator, device=generator.device).to(ids.device)


def _random_tokens(ids: Tensor, random_ids: int | Tensor, generator: torch.Generator) -> Tensor:
    """int64 (T,)."""
    most = random_ids if isinstance(random_ids, int) else len(random_ids)
    drawn = torch.randint(most, ids.shape, generator=generator, device=generator.device).to(ids.device)
    return drawn if isinstance(random_ids, int) else random_ids.to(ids.device)[drawn]


def _check(
    batch: PackedBatch, can_be_chosen: Tensor, word_of: Tensor | None, rate: float, mask_share: float, random: float
) -> None:
    if not 0 < rate <= 1:
        raise InputError(f"rate is {rate:g}; it must be above 0, and 1 at most: the share of tokens that is chosen.")
    if mask_share < 0 or random < 0 or mask_share + random > 1 + 1e-9:
        raise InputError(
            f"mask_share is {mask_share:g} and random_share {random:g}; each must be 0 or more, and both together 1 at "
            "most: they are shares of the chosen tokens."
        )
    for name, value in (("can_be_chosen", can_be_chosen), ("word_of", word_of)):
        if value is not None and value.shape != batch.input_ids.shape:
            raise InputError(f"{name} has shape {tuple(value.shape)}, expected ({batch.total_tokens},): one a token.")


__all__ = ["continuation_table", "falling_rate", "mask_tokens", "words_of"]

"""``explore.mask``: what fits into a gap, from both sides and from one, which is what reading both ways buys.

A side is hidden by holes in the attention mask: its tokens are not there, while all others keep their positions. So
the model is not told that the text ends at the gap, as it would be if the text were cut.

Shapes: S tokens, V vocab_size.

Source: Devlin et al. 2019, sections 3.1 and 5.1, where left-to-right training is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bothways.errors import InputError
from bothways.explore.pieces import Piece, check_text
from bothways.explore.reading import Reader, default_masked, fitting_pieces, load_reader

SIDES = ("both", "left", "right")
USUAL_MASK = "[MASK]"


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A token for a gap, with its probability among all of the vocabulary."""

    word: str
    token: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class View:
    """What the model expects from some of the context.

    Attributes:
        side: ``"both"``, ``"left"`` or ``"right"``.
        shown: the text that it sees, with the gap.
        guesses: the most probable tokens, best first.
        bits: entropy of the whole distribution; 0 is certainty, one bit more is twice as many equally likely words.
    """

    side: str
    shown: str
    guesses: tuple[Guess, ...]
    bits: float


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A token, with its probability and rank (from 1) in each view.

    Attributes:
        asked: the caller asked for it; the others are the best from both sides.
    """

    word: str
    token: int
    probabilities: dict[str, float]
    ranks: dict[str, int]
    asked: bool


@dataclass(frozen=True, kw_only=True)
class Gap:
    """One mask of the text, from 1."""

    number: int
    views: tuple[View, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class MaskReport:
    """The answer of ``mask``."""

    text: str
    model: str
    gaps: tuple[Gap, ...]
    sentences: tuple[str, ...]


def mask(
    text: str,
    *,
    model: Any = None,
    tokenizer: Any = None,
    top_k: int = 5,
    words: Sequence[str] = (),
) -> MaskReport:
    """The best fillings of each gap from the whole context, from the left of it alone, and from the right alone.

    Args:
        text: with one or more masks, ``[MASK]`` or as the model writes it.
        model: with a masked-language head: a name, a directory or a model; by default the one in the box.
        tokenizer: of a model that was not loaded by name.
        top_k: how many fillings for each view.
        words: further fillings to follow, each one token of the vocabulary.

    Raises:
        InputError: no model with such a head (the message says which there are), no mask in the text, a word of several
            tokens, a text longer than the model reads.
    """
    check_text(text, "text")
    check_top_k(top_k)
    reader = load_reader(default_masked() if model is None else model, tokenizer, task="masked-lm")
    asked = _tokens_of(reader, words)
    text = with_mask_of(reader, text)
    pieces = fitting_pieces(reader, text, "text")
    places = mask_places(reader, pieces)
    gaps = tuple(_gap(reader, text, pieces, place, number, top_k, asked) for number, place in enumerate(places, 1))
    return MaskReport(text=text, model=reader.name, gaps=gaps, sentences=_sentences(gaps))


def check_top_k(top_k: Any) -> None:
    """Refuse what is no number of words."""
    if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
        raise InputError(f"top_k is {top_k!r}; expected a number of words from 1 on.")


def with_mask_of(reader: Reader, text: str) -> str:
    """The text with the model's own mask where ``[MASK]`` stands.

    Raises:
        InputError: the tokeniser has no mask.
    """
    own = reader.tokenizer.mask_token
    if own is None:
        raise InputError(f"the tokeniser of {reader.name} has no mask token; expected that of a masked language model.")
    return text if own in text else text.replace(USUAL_MASK, own)


def mask_places(reader: Reader, pieces: Sequence[Piece]) -> list[int]:
    """Where the masks stand, rising.

    Raises:
        InputError: there is none.
    """
    places = [piece.index for piece in pieces if piece.id == reader.tokenizer.mask_token_id]
    if not places:
        own = reader.tokenizer.mask_token
        raise InputError(f"the text has no {own}. Put {own} where the missing word stands.")
    return places


def probabilities_at(reader: Reader, pieces: Sequence[Piece], place: int, visible: np.ndarray) -> np.ndarray:
    """What is expected at one place where only some tokens are there.

    Args:
        place: of the token that is predicted; it must be visible.
        visible: bool (R, S), a row for each view.

    Returns:
        float64 (R, V), rows add up to 1.
    """
    import torch

    from bothways.batching import SeqLens
    from bothways.nn.block import Rows

    device = reader.model.device
    seen = torch.from_numpy(visible.astype(np.int64))
    ids = torch.tensor([[piece.id for piece in pieces]] * len(visible))
    with torch.no_grad():
        inputs = reader.model.packed(ids.to(device), seen.to(device))
        index = seen.flatten().cumsum(0).view_as(seen)[:, place] - 1
        rows = Rows(index.to(device), SeqLens.from_lengths([1] * len(visible), device))
        logits = reader.model.compute_logits(inputs, rows=rows)[0].double()
        return logits.softmax(-1).cpu().numpy()


def best_guesses(reader: Reader, probabilities: np.ndarray, top_k: int) -> tuple[Guess, ...]:
    """The most probable tokens of (V,), best first; equal ones by number."""
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return tuple(
        Guess(word=token_word(reader, i), token=i, probability=float(probabilities[i])) for i in order.tolist()
    )


def token_word(reader: Reader, token: int) -> str:
    """A token as it reads; the vocabulary's writing where decoding leaves nothing, as for white space."""
    return reader.tokenizer.decode([token]).strip() or reader.tokenizer.convert_ids_to_tokens([token])[0] or f"#{token}"


def _tokens_of(reader: Reader, words: Sequence[str]) -> list[int]:
    if not words:
        return []
    from bothways.tasks.fill_mask import find_targets

    pieces = find_targets(reader.tokenizer, list(words)).pieces
    several = [token_word_of(reader, own) for own in pieces if len(own) > 1]
    if several:
        raise InputError(
            f"{', '.join(several)} is not one token of {reader.name}; one mask is filled by one token. Choose a word "
            "of its vocabulary."
        )
    return [own[0] for own in pieces]


def token_word_of(reader: Reader, tokens: Sequence[int]) -> str:
    """Several tokens, with marks between them."""
    return " + ".join(token_word(reader, token) for token in tokens)


def _gap(
    reader: Reader, text: str, pieces: Sequence[Piece], place: int, number: int, top_k: int, asked: Sequence[int]
) -> Gap:
    at, special = np.arange(len(pieces)), np.array([piece.special for piece in pieces])
    # the special tokens stay: no text the model ever read was without them
    visible = np.stack([at >= 0, (at <= place) | special, (at >= place) | special])
    found = dict(zip(SIDES, probabilities_at(reader, pieces, place, visible), strict=True))
    start, end = pieces[place].start, pieces[place].end
    shown = {"both": text, "left": f"{text[:end]} …", "right": f"… {text[start:]}"}
    views = tuple(
        View(side=side, shown=shown[side], guesses=best_guesses(reader, own, top_k), bits=_bits(own))
        for side, own in found.items()
    )
    chosen = dict.fromkeys([*asked, *(guess.token for guess in views[0].guesses)])
    candidates = tuple(
        Candidate(
            word=token_word(reader, token),
            token=token,
            probabilities={side: float(own[token]) for side, own in found.items()},
            ranks={side: int((own > own[token]).sum()) + 1 for side, own in found.items()},
            asked=token in asked,
        )
        for token in chosen
    )
    return Gap(number=number, views=views, candidates=candidates)


def _bits(probabilities: np.ndarray) -> float:
    seen = probabilities[probabilities > 0]
    return float(max(0.0, -(seen * np.log2(seen)).sum()))


def _sentences(gaps: Sequence[Gap]) -> tuple[str, ...]:
    said = []
    for gap in gaps:
        best = next(c for c in gap.candidates if c.token == gap.views[0].guesses[0].token)
        chances = {side: f"{100 * p:.1f} %" for side, p in best.probabilities.items()}
        bits = {view.side: view.bits for view in gap.views}
        said.append(
            f"Gap {gap.number}: reading both sides the model expects {best.word!r} with {chances['both']}; from the "
            f"left alone it gives it {chances['left']}, from the right alone {chances['right']}. Its uncertainty is "
            f"{bits['both']:.1f} bits, against {bits['left']:.1f} from the left and {bits['right']:.1f} from the right."
        )
    return tuple(said)

"""``explore.tokens``: what tokenisers make of a text, side by side."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bothways.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One token of an encoded text.

    Attributes:
        index: its place in the row.
        text: as the vocabulary writes it, such as ``##ing`` or ``Ġthe``.
        surface: the characters ``[start, end)`` of the text that it stands for; empty for special tokens.
        second: it belongs to the second text of a pair, into which ``start`` and ``end`` then point.
        special: the tokeniser added it.
        unknown: the vocabulary has nothing for its characters.
        mask: 1 for a token that is read, 0 for padding; a single text has no padding.
    """

    index: int
    text: str
    id: int
    type_id: int
    mask: int
    start: int
    end: int
    surface: str
    second: bool
    special: bool
    unknown: bool


@dataclass(frozen=True, kw_only=True)
class Tokenised:
    """A text as one tokeniser reads it.

    Attributes:
        name: of the model, or of the tokeniser's class.
        vocab_size: entries, added tokens included.
        limit: longest row in tokens that its files state; None if they state none.
        n_words: runs of characters between white space.
        n_unknown: such words of which some part is unknown.
        pieces_per_word: tokens without the special ones, by ``n_words``.
    """

    name: str
    tokenizer_class: str
    vocab_size: int
    limit: int | None
    pieces: tuple[Piece, ...]
    n_words: int
    n_unknown: int
    pieces_per_word: float

    @property
    def n_special(self) -> int:
        return sum(piece.special for piece in self.pieces)

    @property
    def too_long(self) -> bool:
        """Whether the text is longer than a model with this tokeniser reads at once."""
        return self.limit is not None and len(self.pieces) > self.limit


@dataclass(frozen=True, kw_only=True)
class TokensReport:
    """The answer of ``tokens``."""

    text: str
    pair: str | None
    rows: tuple[Tokenised, ...]
    sentences: tuple[str, ...]

    @property
    def facts(self) -> list[tuple[str, list[str]]]:
        """Numbers by their name, one for each tokeniser, as people read them."""
        return [
            ("class", [row.tokenizer_class for row in self.rows]),
            ("vocabulary", [f"{row.vocab_size:,}" for row in self.rows]),
            ("longest row", ["not stated" if row.limit is None else f"{row.limit:,}" for row in self.rows]),
            ("tokens", [f"{len(row.pieces):,}" for row in self.rows]),
            ("special tokens", [f"{row.n_special:,}" for row in self.rows]),
            ("words", [f"{row.n_words:,}" for row in self.rows]),
            ("unknown words", [f"{row.n_unknown:,}" for row in self.rows]),
            ("pieces per word", [f"{row.pieces_per_word:.2f}" for row in self.rows]),
        ]

    @property
    def by_word(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """Each word, with the tokens that it has in each tokeniser."""
        columns = [_divided(self.text, [p for p in row.pieces if not p.second]) for row in self.rows]
        if self.pair is not None:
            others = [_divided(self.pair, [p for p in row.pieces if p.second]) for row in self.rows]
            columns = [one + other for one, other in zip(columns, others, strict=True)]
        words = self.text.split() + (self.pair or "").split()
        return [(word, list(divided)) for word, *divided in zip(words, *columns, strict=True)]


UNLIMITED = 10**9  # published tokenisers write 10 ** 30 where they state no limit


def tokens(text: str, *, pair: str | None = None, models: Any = "minilm-l6") -> TokensReport:
    """Pieces, ids, type ids, mask, offsets, special and unknown tokens of a text.

    Args:
        text: any text.
        pair: a second text, encoded with the first as one row.
        models: a model's name or directory, a tokeniser, or a list of them.

    Raises:
        InputError: a text that is none, or no model. ModelNotFoundError: a name that leads nowhere.
    """
    check_text(text, "text")
    if pair is not None:
        check_text(pair, "pair")
    asked = [models] if isinstance(models, (str, os.PathLike)) or callable(models) else list(models)
    if not asked:
        raise InputError("models is empty; expected at least one name of a model, or a tokeniser.")
    rows = tuple(_tokenised(model, text, pair) for model in asked)
    return TokensReport(text=text, pair=pair, rows=rows, sentences=_sentences(rows))


def encode_pieces(tokenizer: Any, text: str, pair: str | None = None) -> tuple[Piece, ...]:
    """The tokens of a text, or of two as one row, however many there are."""
    row = tokenizer.encode_texts([text], None if pair is None else [pair], offsets=True)[0]
    pieces = []
    columns = zip(row.tokens, row.ids, row.type_ids, row.offsets, row.sequence_ids, strict=True)
    for index, (token, number, type_id, (start, end), sequence) in enumerate(columns):
        special = sequence is None
        own = (pair if sequence == 1 else text) or ""
        pieces.append(
            Piece(
                index=index,
                text=token,
                id=number,
                type_id=type_id,
                mask=1,
                start=0 if special else start,
                end=0 if special else end,
                surface="" if special else own[start:end],
                second=sequence == 1,
                special=special,
                unknown=not special and number == tokenizer.unk_token_id,
            )
        )
    return tuple(pieces)


def check_text(text: Any, name: str) -> None:
    """Refuse what is no text, and a blank one.

    Raises:
        InputError: with what came.
    """
    if not isinstance(text, str):
        raise InputError(f"{name} is {text!r:.60} ({type(text).__name__}); expected a text.")
    if not text.strip():
        raise InputError(f"{name} is blank; expected a text with at least one word.")


def _tokenised(model: Any, text: str, pair: str | None) -> Tokenised:
    tokenizer = model
    if isinstance(model, (str, os.PathLike)):
        from bothways.tokenizers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model)
    elif not hasattr(model, "encode_texts"):
        raise InputError(f"models has {model!r:.60} ({type(model).__name__}); expected names of models or tokenisers.")
    pieces = encode_pieces(tokenizer, text, pair)
    n_words = len(text.split()) + len((pair or "").split())
    limit = tokenizer.model_max_length
    return Tokenised(
        name=str(model) if tokenizer is not model else tokenizer.name_or_path or type(tokenizer).__name__,
        tokenizer_class=type(tokenizer).__name__,
        vocab_size=len(tokenizer),
        limit=limit if limit is not None and limit < UNLIMITED else None,
        pieces=pieces,
        n_words=n_words,
        n_unknown=_unknown_words(text, [p for p in pieces if not p.second])
        + _unknown_words(pair or "", [p for p in pieces if p.second]),
        pieces_per_word=sum(not piece.special for piece in pieces) / n_words,
    )


def _unknown_words(text: str, pieces: Sequence[Piece]) -> int:
    """Words with an unknown part; a word counts once."""
    unknown = [piece.start for piece in pieces if piece.unknown]
    if not unknown:
        return 0
    begins = _begins(text)
    return len({bisect_right(begins, start) for start in unknown})


def _begins(text: str) -> list[int]:
    """Where the words begin."""
    return [i for i, c in enumerate(text) if not c.isspace() and (i == 0 or text[i - 1].isspace())]


def _divided(text: str, pieces: Sequence[Piece]) -> list[tuple[str, ...]]:
    """The tokens of each word; one that begins with white space belongs to the word after it."""
    begins = _begins(text)
    found: list[list[str]] = [[] for _ in begins]
    for piece in pieces:
        if not piece.special:
            inside = len(piece.surface) - len(piece.surface.lstrip())
            found[max(0, bisect_right(begins, piece.start + inside) - 1)].append(piece.text)
    return [tuple(own) for own in found]


def _sentences(rows: Sequence[Tokenised]) -> tuple[str, ...]:
    said = []
    if len(rows) > 1:
        few, many = min(rows, key=lambda row: len(row.pieces)), max(rows, key=lambda row: len(row.pieces))
        if len(few.pieces) == len(many.pieces):
            said.append(f"All {len(rows)} tokenisers make {len(few.pieces):,} tokens of the text.")
        else:
            said.append(
                f"{few.name} needs the fewest tokens ({len(few.pieces):,}) and {many.name} the most "
                f"({len(many.pieces):,})."
            )
    for row in rows:
        if row.n_unknown:
            said.append(
                f"{row.name} does not know {row.n_unknown:,} of {row.n_words:,} words: a model that reads with it "
                "cannot tell them apart."
            )
        if row.too_long:
            said.append(
                f"With {row.name} the text has {len(row.pieces):,} tokens, more than the {row.limit:,} it states."
            )
    return tuple(said)

"""Where guesses of the next tokens come from: the text itself, or a smaller model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bothways.errors import InputError
from bothways.generation.assisted import Guesser, Row
from bothways.generation.decoder import Decoder
from bothways.generation.request import Request


class PromptLookup:
    """What followed when the last tokens stood in the text before.

    Source: Saxena 2023, Prompt Lookup Decoding.
    """

    def __init__(self, most: int, ngram: int, sources: Sequence[Sequence[int]] | None = None) -> None:
        """What to look up.

        Args:
            most: guesses at a time.
            ngram: how many last tokens must be found; where they are not, fewer.
            sources: for each row a text to look in besides its own tokens (what an encoder reads).
        """
        self.most, self.ngram = most, ngram
        self.sources = sources
        self.texts: dict[int, _Text] = {}

    def guess(self, rows: Sequence[Row]) -> None:
        """Fewer guesses after wrong ones, more after right ones: reading a wrong one costs time."""
        for row in rows:
            text = self.texts.get(row.number)
            if text is None:
                text = self.texts[row.number] = _Text(self.ngram, self.most)
                text.extend(self.sources[row.number] if self.sources else [])
                text.held = len(text.ids)
            elif row.guesses:
                text.trust = min(self.most, 2 * row.matched + 1)
            text.extend(row.ids[len(text.ids) - text.held :])
            row.guesses = text.following(min(text.trust, row.room()))

    def select(self, rows: Sequence[int]) -> None:
        """Texts are found by the number of their row: nothing to do."""


class _Text:
    """Tokens with the last place of every n-gram.

    Attributes:
        held: how many tokens at the beginning are not the row's own.
        trust: how many guesses are worth their cost.
    """

    def __init__(self, ngram: int, most: int) -> None:
        self.ids: list[int] = []
        self.held = 0
        self.trust = most
        self.places: list[dict[tuple[int, ...], int]] = [{} for _ in range(ngram)]

    def extend(self, tokens: Sequence[int]) -> None:
        """Append tokens, and remember what the n-grams before each of them are followed by."""
        for token in tokens:
            end = len(self.ids)
            for size, places in enumerate(self.places, start=1):
                if end >= size:
                    places[tuple(self.ids[end - size :])] = end
            self.ids.append(token)

    def following(self, count: int) -> list[int]:
        """What followed the longest n-gram at the end when it last stood here before; it may overlap the end."""
        end = len(self.ids)
        for size in range(min(len(self.places), end), 0, -1):
            place = self.places[size - 1].get(tuple(self.ids[end - size :]))
            if place is not None:
                period = end - place
                return [self.ids[place + step % period] for step in range(count)]
        return []


class Assistant:
    """What a smaller model would write."""

    def __init__(self, decoder: Decoder, most: int, confidence: float, device: torch.device) -> None:
        """How to guess.

        Args:
            decoder: of the smaller model, with a row for each row that has read nothing.
            most: guesses at a time.
            confidence: guess no further after a token that it finds less probable than this.
        """
        self.decoder, self.most, self.confidence, self.device = decoder, most, confidence, device

    def guess(self, rows: Sequence[Row]) -> None:
        """Read what is new of each row, and write on until the least probable token."""
        # Up to its last token a row is what this model has read: guesses that were right are among them.
        known = [min(read, len(row.ids) - 1) for row, read in zip(rows, self.decoder.lengths, strict=True)]
        if known != list(self.decoder.lengths):
            self.decoder.shorten(known)
        counts = [min(self.most, row.room()) for row in rows]
        for row in rows:
            row.guesses = []
        open_rows = set(range(len(rows))) if max(counts) else set()
        given = [row.ids[read:] for row, read in zip(rows, known, strict=True)]
        while open_rows:
            ids = torch.tensor([token for tokens in given for token in tokens], device=self.device)
            scores = self.decoder.advance(ids, [len(tokens) for tokens in given])
            probable, tokens = scores.softmax(dim=-1).max(dim=-1)
            given = [[token] for token in tokens.tolist()]
            for place, sure in enumerate((probable >= self.confidence).tolist()):
                if place in open_rows and len(rows[place].guesses) < counts[place]:
                    rows[place].guesses += given[place]
                if not sure or len(rows[place].guesses) >= counts[place]:
                    open_rows.discard(place)

    def select(self, rows: Sequence[int]) -> None:
        """Only these of the live rows go on."""
        self.decoder.select(torch.tensor(rows, device=self.device))


def guesser_for(
    request: Request,
    model: Any,
    assistant: Any,
    sources: Sequence[Tensor] | None,
    decoder: Callable[..., Decoder],
) -> Guesser:
    """What guesses for a request: the assistant if there is one, else the text.

    Args:
        model: the one that checks the guesses. assistant: another one, or None.
        sources: for each prompt what an encoder reads, if it is known.
        decoder: makes decoders of any model for the inputs of the call.

    Raises:
        InputError: an assistant that does not fit the model.
    """
    config = request.config
    if assistant is None:
        texts = [source.tolist() for source in sources] if sources and model.config.is_encoder_decoder else None
        return PromptLookup(config.prompt_lookup_num_tokens, config.max_matching_ngram_size or 3, texts)
    own, other = model.config, assistant.config
    if (own.vocab_size, own.is_encoder_decoder) != (other.vocab_size, other.is_encoder_decoder):
        kinds = ["an encoder-decoder model" if c.is_encoder_decoder else "a decoder" for c in (own, other)]
        raise InputError(
            f"the model is {kinds[0]} with {own.vocab_size:,} tokens, the assistant is {kinds[1]} with "
            f"{other.vocab_size:,}. Take an assistant of the same kind and vocabulary."
        )
    settings = assistant.generation_config
    most = settings.num_assistant_tokens or 20
    start = decoder(request.most + most + 1, model=assistant)
    return Assistant(start, most, settings.assistant_confidence_threshold or 0.0, request.device)

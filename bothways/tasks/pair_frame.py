"""What a tokeniser puts around the two texts of a pair, so that rows can be put together from ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bothways.errors import TokenizerError
from bothways.tokenizers.base import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class PairFrame:
    """What a tokeniser puts around the two texts of a pair.

    Attributes:
        before, between, after: ids of the special tokens.
        types: token types of ``before``, the first text, ``between``, the second text and ``after``, a list for special
            tokens and one number for a text; None for a model without token types.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[list[int], int, list[int], int, list[int]] | None

    @property
    def n_special(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    @property
    def is_typed(self) -> bool:
        """Whether a token type differs from 0."""
        return any(self.type_ids(1, 1) or ())

    def ids(self, first: list[int], second: list[int]) -> list[int]:
        """The row of a pair."""
        return [*self.before, *first, *self.between, *second, *self.after]

    def type_ids(self, first: int, second: int) -> list[int] | None:
        """Token types of the row of two texts with so many tokens."""
        if self.types is None:
            return None
        before, of_first, between, of_second, after = self.types
        return [*before, *[of_first] * first, *between, *[of_second] * second, *after]


def pair_frame(
    tokenizer: PreTrainedTokenizerBase,
    firsts: Sequence[str] = (),
    seconds: Sequence[str] = (),
    add_special_tokens: bool = True,
) -> PairFrame:
    """What the tokeniser's template puts around two texts, read from a pair that it encodes: the shortest of these.

    Without texts it is the letter a, of which every tokeniser makes a token.

    Raises:
        TokenizerError: the template is not the first text followed by the second one, each as it is by itself.
    """
    texts = [min(filter(str.strip, own), key=len, default="a") for own in (firsts, seconds)]
    alone = [e.ids for e in tokenizer.encode_texts(texts, add_special_tokens=False)]
    if not all(alone):  # control characters, which WordPiece drops, are no tokens and still no white space
        texts = [text if ids else "a" for text, ids in zip(texts, alone, strict=True)]
        alone = [e.ids for e in tokenizer.encode_texts(texts, add_special_tokens=False)]
    probe = tokenizer.encode_texts([tuple(texts)], add_special_tokens=add_special_tokens)[0]
    one, two = ([i for i, of in enumerate(probe.sequence_ids) if of == number] for number in (0, 1))
    ids, of = probe.ids, probe.type_ids
    if not one or not two or [ids[one[0] : one[-1] + 1], ids[two[0] : two[-1] + 1]] != alone or one[-1] > two[0]:
        raise TokenizerError(
            f"this tokeniser makes {probe.tokens} of the texts {texts[0]!r} and {texts[1]!r}; expected the tokens of "
            "the first followed by those of the second, with special tokens around them."
        )
    slices = (slice(0, one[0]), slice(one[-1] + 1, two[0]), slice(two[-1] + 1, None))
    before, between, after = (ids[part] for part in slices)
    types = None
    if "token_type_ids" in tokenizer.model_input_names:
        types = (of[slices[0]], of[one[0]], of[slices[1]], of[two[0]], of[slices[2]])
    return PairFrame(before=before, between=between, after=after, types=types)

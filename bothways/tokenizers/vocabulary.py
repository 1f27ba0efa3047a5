"""Ids and tokens: looking them up, adding some, turning ids back into text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer

from bothways.errors import TokenizerError
from bothways.tokenizers.engine import guarded
from bothways.tokenizers.special_tokens import (
    ADDITIONAL,
    SpecialTokens,
    Token,
    as_special,
    check_special_name,
    checked_token,
    checked_tokens,
)

# Spaces that WordPiece decoding leaves before punctuation and English contractions (the ecosystem's list).
_CLEAN_UP = ((" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
             (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"))  # fmt: skip


class Vocabulary(SpecialTokens):
    """Everything about ids and tokens. Needs ``_tokenizer``, the engine."""

    _tokenizer: Tokenizer
    clean_up_tokenization_spaces: bool

    @property
    def vocab_size(self) -> int:
        """Entries of the model's vocabulary, without added tokens."""
        return self._tokenizer.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        """Entries of the vocabulary, added tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def get_vocab(self) -> dict[str, int]:
        """Tokens to ids, added tokens included, ordered by id."""
        return dict(sorted(self._tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1]))

    @property
    def vocab(self) -> dict[str, int]:
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        return dict(sorted(self._tokenizer.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        return {token.content: index for index, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        return self.added_tokens_encoder

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of a list of tokens; unknown ones get the id of ``unk_token``."""
        if tokens is None:
            return None
        if isinstance(tokens, str):
            found = self._tokenizer.token_to_id(tokens)
            if found is None and self.unk_token is not None:
                return self._tokenizer.token_to_id(self.unk_token)
            return found
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of a list of ids; ids beyond the vocabulary give None."""
        listed = _as_list(ids)
        if isinstance(listed, int):
            return self._token(listed)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token(int(index)) for index in listed if int(index) not in skipped]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join tokens into text, as the engine's decoder does."""
        decoder = self._tokenizer.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
        **kwargs: Any,
    ) -> str:
        """The text of a list, array or tensor of ids.

        Args:
            token_ids: ids of one row, or one id.
            skip_special_tokens: leave out ``[CLS]``, ``[PAD]`` and so on.
            clean_up_tokenization_spaces: remove spaces before punctuation; None takes the tokeniser's setting.
            kwargs: accepted for compatibility.

        Raises:
            TokenizerError: negative ids (-100 marks ignored labels), or rows instead of one row.
        """
        ids = _as_list(token_ids)
        ids = [ids] if isinstance(ids, int) else [_checked_id(index) for index in ids]
        text = self._decode(ids, skip_special_tokens)
        wanted = clean_up_tokenization_spaces
        if self.clean_up_tokenization_spaces if wanted is None else wanted:
            return self.clean_up_tokenization(text)
        return text

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **kwargs: Any) -> list[str]:
        """``decode`` for each row."""
        return [self.decode(row, skip_special_tokens=skip_special_tokens, **kwargs) for row in sequences]

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Remove spaces before punctuation and English contractions."""
        for before, after in _CLEAN_UP:
            out_string = out_string.replace(before, after)
        return out_string

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Add tokens that are never split; return how many were new. Resize the model's embeddings afterwards."""
        if not new_tokens:
            return 0
        if isinstance(new_tokens, (str, AddedToken)):
            new_tokens = [new_tokens]
        tokens = checked_tokens("new_tokens", list(new_tokens))
        with guarded("the tokens cannot be added"):
            if special_tokens:
                return self._tokenizer.add_special_tokens(tokens)
            return self._tokenizer.add_tokens(tokens)

    def add_special_tokens(
        self, special_tokens_dict: dict[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Name special tokens and add them if they are new; return how many were.

        Args:
            special_tokens_dict: ``{"pad_token": "[PAD]", "additional_special_tokens": ["<a>", "<b>"]}``.
            replace_additional_special_tokens: whether the additional ones replace those that there are.
        """
        new: list[Token] = []
        for name, value in special_tokens_dict.items():
            check_special_name(name)
            if name != ADDITIONAL:
                if checked_token(name, value) is None:
                    raise TokenizerError(f"{name} must be a str or an AddedToken, not None.")
                self._special[name] = as_special(value)
                new.append(self._special[name])
                continue
            present = self._special.get(ADDITIONAL) or []
            names = [str(token) for token in present]
            extra = [
                as_special(token)
                for token in checked_tokens(name, value)
                if replace_additional_special_tokens or str(token) not in names
            ]
            self._special[ADDITIONAL] = extra if replace_additional_special_tokens and extra else [*present, *extra]
            new.extend(extra)
        return self.add_tokens(new, special_tokens=True)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a row gets."""
        return self._tokenizer.num_special_tokens_to_add(pair)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Ids of a row from ids of its texts. A family with special tokens overrides this."""
        return token_ids_0 + (token_ids_1 or [])

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """Token types of a row: 0 for the first text and its special tokens, 1 for the second."""
        first = len(self.build_inputs_with_special_tokens(token_ids_0))
        whole = len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))
        return [0] * first + [1] * (whole - first)

    def get_special_tokens_mask(
        self,
        token_ids_0: list[int],
        token_ids_1: list[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for special tokens, 0 for others.

        Args:
            token_ids_0, token_ids_1: ids of the texts, or with ``already_has_special_tokens`` of a whole row.
        """
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise TokenizerError("already_has_special_tokens=True takes one whole row: leave token_ids_1 out.")
            special = set(self.all_special_ids)
            return [int(index in special) for index in token_ids_0]
        ordinary = -1
        marks = self.build_inputs_with_special_tokens(
            [ordinary] * len(token_ids_0), None if token_ids_1 is None else [ordinary] * len(token_ids_1)
        )
        return [int(index != ordinary) for index in marks]

    def _decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        with guarded("the ids cannot be decoded"):
            return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    def _token(self, index: int) -> str | None:
        return self._tokenizer.id_to_token(_checked_id(index))

    def _add_declared_tokens(self, declared: dict[int, AddedToken]) -> None:
        """Add what the files declare as added, then special tokens that are nowhere yet."""
        present = {repr(token) for token in self.added_tokens_decoder.values()}
        special_names = set(self.all_special_tokens)
        known = set(self.added_tokens_encoder)
        waiting: list[AddedToken] = []
        for _, token in sorted(declared.items()):
            if repr(token) not in present:
                waiting.append(_copied(token, special=token.special or token.content in special_names))
        named = {token.content for token in waiting}
        for token in self.all_special_tokens_extended:
            if isinstance(token, AddedToken) and token.content not in named:  # its flags count, as in the ecosystem
                waiting.append(_copied(token, special=True))
            elif isinstance(token, str) and token not in known | named:
                waiting.append(AddedToken(token, special=True))
        self.add_tokens(waiting)
        for index, token in declared.items():
            if (found := self._tokenizer.token_to_id(token.content)) != index and token.content not in known:
                raise TokenizerError(
                    f"the files give the added token {token.content!r} the id {index}, but after a vocabulary of "
                    f"{self.vocab_size} entries it gets {found}. The vocabulary and the added tokens do not belong "
                    "together."
                )


def _copied(token: AddedToken, *, special: bool) -> AddedToken:
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=special,
    )


def _as_list(ids: Any) -> Any:
    """Arrays and tensors become lists, a number stays a number."""
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    return ids if isinstance(ids, (int, list)) else list(ids)


def _checked_id(index: Any) -> int:
    if hasattr(index, "__index__"):
        index = index.__index__()
    elif isinstance(index, (list, tuple)):
        raise TokenizerError("decode takes the ids of one row. Use batch_decode for several rows.")
    else:
        raise TokenizerError(f"token ids must be whole numbers, not {index!r}.")
    if not 0 <= index < 2**32:
        hint = " It marks labels to ignore; replace it with tokenizer.pad_token_id first." if index == -100 else ""
        raise TokenizerError(f"{index} is no token id; ids start at 0.{hint}")
    return index

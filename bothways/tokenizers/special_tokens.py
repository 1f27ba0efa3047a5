"""Special tokens as attributes: ``tokenizer.mask_token``, ``tokenizer.mask_token_id``, readable and settable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from tokenizers import AddedToken

from bothways.errors import TokenizerError, nearest

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
ADDITIONAL = "additional_special_tokens"
Token: TypeAlias = str | AddedToken


class _TokenAttribute:
    """``tokenizer.pad_token``: the text of a special token, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: Any, owner: type | None = None) -> str | None:
        token = None if tokenizer is None else tokenizer._special.get(self.name)
        return None if token is None else str(token)

    def __set__(self, tokenizer: Any, value: Token | None) -> None:
        tokenizer._special[self.name] = checked_token(self.name, value)


class _IdAttribute:
    """``tokenizer.pad_token_id``: the id of a special token, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_id")

    def __get__(self, tokenizer: Any, owner: type | None = None) -> int | None:
        token = None if tokenizer is None else tokenizer._special.get(self.name)
        return None if token is None else tokenizer.convert_tokens_to_ids(str(token))

    def __set__(self, tokenizer: Any, value: int | None) -> None:
        tokenizer._special[self.name] = None if value is None else tokenizer.convert_ids_to_tokens(value)


class SpecialTokens:
    """Mixin: the seven named special tokens and the additional ones. Needs the vocabulary of a tokeniser."""

    SPECIAL_TOKENS_ATTRIBUTES = [*NAMES, ADDITIONAL]
    _special: dict[str, Any]

    bos_token = _TokenAttribute()
    eos_token = _TokenAttribute()
    unk_token = _TokenAttribute()
    sep_token = _TokenAttribute()
    pad_token = _TokenAttribute()
    cls_token = _TokenAttribute()
    mask_token = _TokenAttribute()
    bos_token_id = _IdAttribute()
    eos_token_id = _IdAttribute()
    unk_token_id = _IdAttribute()
    sep_token_id = _IdAttribute()
    pad_token_id = _IdAttribute()
    cls_token_id = _IdAttribute()
    mask_token_id = _IdAttribute()
    pad_token_type_id = 0

    @property
    def additional_special_tokens(self) -> list[str]:
        return [str(token) for token in self._special.get(ADDITIONAL) or []]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[Token] | None) -> None:
        self._special[ADDITIONAL] = checked_tokens(ADDITIONAL, tokens)

    @property
    def additional_special_tokens_ids(self: Any) -> list[int]:
        return self.convert_tokens_to_ids(self.additional_special_tokens)

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """The tokens that are set, as texts: ``{"cls_token": "[CLS]", ...}``."""
        return {
            name: [str(t) for t in token] if isinstance(token, list) else str(token)
            for name, token in self.special_tokens_map_extended.items()
        }

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """As ``special_tokens_map``, keeping ``AddedToken`` objects."""
        return {name: self._special[name] for name in self.SPECIAL_TOKENS_ATTRIBUTES if self._special.get(name)}

    @property
    def all_special_tokens_extended(self) -> list[Token]:
        unique: dict[str, Token] = {}
        for value in self.special_tokens_map_extended.values():
            for token in value if isinstance(value, list) else [value]:
                unique.setdefault(str(token), token)
        return list(unique.values())

    @property
    def all_special_tokens(self) -> list[str]:
        return [str(token) for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self: Any) -> list[int]:
        return self.convert_tokens_to_ids(self.all_special_tokens)


def checked_token(name: str, value: Any) -> Token | None:
    """``value`` if it can be a special token.

    Raises:
        TokenizerError: it is neither a text nor an ``AddedToken``, or an empty text.
    """
    if value is not None and (not isinstance(value, (str, AddedToken)) or not str(value)):
        raise TokenizerError(f"{name} must be a non-empty str or an AddedToken, not {value!r}.")
    return value


def checked_tokens(name: str, values: Any) -> list[Token]:
    """As ``checked_token`` for a list."""
    if values is None:
        return []
    if not isinstance(values, (list, tuple)):
        raise TokenizerError(f"{name} must be a list of str or AddedToken, not {values!r}.")
    return [token for value in values if (token := checked_token(name, value)) is not None]


def as_special(token: Token) -> AddedToken:
    """``token`` as one that is looked for in the text as it came in and never split; its own flags are kept."""
    return AddedToken(token, normalized=False, special=True) if isinstance(token, str) else token


def check_special_name(name: str) -> None:
    """Refuse a key that is no special token's name."""
    known = (*NAMES, ADDITIONAL)
    if name not in known:
        near = nearest(name, known, most=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TokenizerError(f"unknown special token name {name!r}.{hint} Known names: {', '.join(known)}.")

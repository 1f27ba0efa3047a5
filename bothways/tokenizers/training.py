"""A tokeniser like another one, with a vocabulary learned from texts; the same texts give the same one every time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import AddedToken, pre_tokenizers

from bothways.errors import TokenizerError, nearest
from bothways.tokenizers.engine import engine_from_dict
from bothways.tokenizers.special_tokens import ADDITIONAL, NAMES
from bothways.tokenizers.train_merges import learn_merges
from bothways.tokenizers.train_unigram import learn_unigram
from bothways.tokenizers.train_words import count_words

OPTIONS: dict[str, tuple[str, ...]] = {
    "WordPiece": ("min_frequency", "limit_alphabet", "initial_alphabet"),
    "BPE": ("min_frequency", "limit_alphabet", "initial_alphabet", "max_token_length"),
    "Unigram": (
        "limit_alphabet", "initial_alphabet", "max_piece_length", "shrinking_factor", "n_sub_iterations"
    ),
}  # fmt: skip
"""The options of training by the kind of model, as the engine's trainers name them."""

LIMIT_ALPHABET = 1000  # of WordPiece, as in the engine's trainer; the others keep all letters
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def retrain(
    tokenizer: Any,
    texts: Iterable[Any],
    vocab_size: int,
    new_special_tokens: Sequence[Any] = (),
    renamed: dict[str, str] | None = None,
    options: dict[str, Any] | None = None,
    *,
    last_tokens: Sequence[str] = (),
) -> Any:
    """A tokeniser like ``tokenizer`` with a new vocabulary; see ``train_new_from_iterator``.

    Args:
        last_tokens: special tokens that get the last ids, in this order; only where the model is Unigram.
    """
    renamed = renamed or {}
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    options = _checked_options(model["type"], options or {})
    check_vocab_size(vocab_size)
    declared = [
        {**entry, "content": renamed.get(entry["content"], entry["content"])}
        for entry in content["added_tokens"]
        if entry["special"] or model["type"] == "Unigram"  # as in the ecosystem
    ]
    names = [entry["content"] for entry in declared]
    extra = [token for token in new_special_tokens if str(token) not in names]
    first = [name for name in dict.fromkeys([*names, *map(str, extra)]) if name not in last_tokens]
    content["model"] = _learned(tokenizer, model, texts, vocab_size, first, list(last_tokens), renamed, options)
    ids = _ids(content["model"])
    content["added_tokens"] = sorted(
        ({**entry, "id": ids[entry["content"]]} for entry in declared), key=lambda entry: entry["id"]
    )
    content["post_processor"] = _renumbered(content["post_processor"], ids, renamed)
    engine, _ = engine_from_dict(content, "the trained tokeniser")
    return type(tokenizer)(tokenizer_object=engine, **_arguments(tokenizer, extra, renamed))


def check_vocab_size(vocab_size: Any) -> None:
    """Raise ``TokenizerError`` unless it is a whole number from 1 on."""
    if isinstance(vocab_size, bool) or not isinstance(vocab_size, int) or vocab_size < 1:
        raise TokenizerError(f"vocab_size is {vocab_size!r}; a whole number of entries from 1 on is expected.")


def _checked_options(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    if kind not in OPTIONS:
        raise TokenizerError(
            f"vocabularies of the kinds {', '.join(OPTIONS)} can be trained; this tokeniser has {kind}."
        )
    if unknown := sorted(set(options) - {*OPTIONS[kind], "show_progress"}):
        near = nearest(unknown[0], OPTIONS[kind], most=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TokenizerError(f"unknown training options {unknown}.{hint} Known: {', '.join(OPTIONS[kind])}.")
    return {key: value for key, value in options.items() if key != "show_progress"}


def _learned(
    tokenizer: Any,
    model: dict[str, Any],
    texts: Iterable[Any],
    vocab_size: int,
    first: list[str],
    last: list[str],
    renamed: dict[str, str],
    options: dict[str, Any],
) -> dict[str, Any]:
    """The model of a ``tokenizer.json``, as before but for its vocabulary."""
    engine = tokenizer.backend_tokenizer
    words = count_words(engine, texts)
    if model["type"] == "Unigram":
        old = 0 if model["unk_id"] is None else model["unk_id"]
        unk = model["vocab"][old][0]
        learned = learn_unigram(
            words,
            vocab_size=vocab_size,
            special_tokens=first,
            unk_token=renamed.get(unk, unk),
            last_tokens=last,
            **options,
        )
        return {**model, "vocab": learned.entries, "unk_id": learned.unk_id}
    unk = renamed.get(model["unk_token"], model["unk_token"])
    special = list(dict.fromkeys([*first, *([unk] if unk is not None else [])]))
    prefix = model["continuing_subword_prefix"]
    if model["type"] == "WordPiece":
        options = {"limit_alphabet": LIMIT_ALPHABET, **options}
        vocab, _ = learn_merges(words, vocab_size=vocab_size, special_tokens=special, prefix=prefix, **options)
        return {**model, "vocab": vocab, "unk_token": unk}
    if model.get("byte_fallback"):  # unknown characters become these; the ecosystem forgets them
        special += [token for token in _BYTES if token in model["vocab"]]
    if _is_byte_level(engine.pre_tokenizer):
        options = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), **options}
    suffix = model["end_of_word_suffix"]
    vocab, merges = learn_merges(
        words, vocab_size=vocab_size, special_tokens=special, prefix=prefix, suffix=suffix, **options
    )
    return {**model, "vocab": vocab, "merges": merges, "unk_token": unk}


def _is_byte_level(splitter: Any) -> bool:
    return splitter is not None and '"ByteLevel"' in splitter.__getstate__().decode("utf-8")


def _ids(model: dict[str, Any]) -> dict[str, int]:
    if isinstance(model["vocab"], dict):
        return model["vocab"]
    return {token: index for index, (token, _) in enumerate(model["vocab"])}


def _renumbered(processor: Any, ids: dict[str, int], renamed: dict[str, str]) -> Any:
    """The post-processor with the new names and ids of its special tokens."""
    if not isinstance(processor, dict):
        return processor
    for part in processor.get("processors") or ():
        _renumbered(part, ids, renamed)
    for entry in (processor.get("special_tokens") or {}).values():
        entry["tokens"] = [renamed.get(token, token) for token in entry["tokens"]]
        entry["ids"] = [ids[token] for token in entry["tokens"]]
    for name in ("cls", "sep"):
        if name in processor:
            token = renamed.get(processor[name][0], processor[name][0])
            processor[name] = [token, ids[token]]
    return processor


def _arguments(tokenizer: Any, extra: list[Any], renamed: dict[str, str]) -> dict[str, Any]:
    """What the class of the tokeniser is called with beside the engine."""
    arguments = {key: value for key, value in tokenizer.init_kwargs.items() if key != "name_or_path"}
    for name in NAMES:
        if tokenizer._special.get(name) is not None:
            arguments[name] = _renamed_token(tokenizer._special[name], renamed)
    additional = [_renamed_token(token, renamed) for token in tokenizer._special[ADDITIONAL]]
    return {**arguments, ADDITIONAL: [*additional, *extra]}


def _renamed_token(token: Any, renamed: dict[str, str]) -> Any:
    """The token under its new name, with the flags that it has."""
    if not isinstance(token, AddedToken):
        return renamed.get(token, token)
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(renamed.get(token.content, token.content), **{flag: getattr(token, flag) for flag in flags})

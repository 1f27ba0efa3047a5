"""Learning a WordPiece vocabulary from texts, with the same result every time.

The engine's own trainer numbers word continuations (``##x``) and breaks ties in the order of a hash table that
differs from run to run. Here the letters are counted first and given to the trainer in sorted order, so that equal
counts are decided by the letters themselves. The result depends only on the multiset of words, not on their order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from bothways.errors import TokenizerError
from bothways.tokenizers.engine import engine_from_dict, guarded

_CHUNK = 1000  # repetitions of a word that are handed to the trainer at once


def retrain(
    tokenizer: Any,
    texts: Iterable[Any],
    vocab_size: int,
    new_special_tokens: list[Any],
    renamed: dict[str, str],
    options: dict[str, Any],
) -> Any:
    """A tokeniser like ``tokenizer`` with a new WordPiece vocabulary; see ``train_new_from_iterator``."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    model = content["model"]
    if model["type"] != "WordPiece":
        raise TokenizerError(f"only WordPiece vocabularies can be trained; this tokeniser has {model['type']}.")
    if unknown := set(options) - {"min_frequency", "limit_alphabet", "initial_alphabet", "show_progress"}:
        raise TokenizerError(
            f"unknown training options {sorted(unknown)}. Known: min_frequency, limit_alphabet, initial_alphabet."
        )
    options = {key: value for key, value in options.items() if key != "show_progress"}
    declared = [entry for entry in content["added_tokens"] if entry["special"]]
    for entry in declared:
        entry["content"] = renamed.get(entry["content"], entry["content"])
    names = [entry["content"] for entry in declared]
    extra = [str(token) for token in new_special_tokens if str(token) not in names]
    unk = renamed.get(model["unk_token"], model["unk_token"])
    vocab = train_wordpiece(
        tokenizer.backend_tokenizer,
        texts,
        vocab_size=vocab_size,
        special_tokens=list(dict.fromkeys([*names, *extra, unk])),
        unk_token=unk,
        prefix=model["continuing_subword_prefix"],
        **options,
    )
    content["model"] = {**model, "vocab": vocab, "unk_token": unk}
    content["added_tokens"] = [
        {**entry, "id": vocab[entry["content"]]} for entry in sorted(declared, key=lambda e: vocab[e["content"]])
    ]
    content["post_processor"] = _renumbered(content["post_processor"], vocab, renamed)
    engine, _ = engine_from_dict(content, "the trained tokeniser")
    arguments = {key: value for key, value in tokenizer.init_kwargs.items() if key != "name_or_path"}
    for name, token in tokenizer.special_tokens_map.items():
        if isinstance(token, str):
            arguments[name] = renamed.get(token, token)
    arguments["additional_special_tokens"] = [
        renamed.get(token, token) for token in tokenizer.additional_special_tokens
    ] + extra
    return type(tokenizer)(tokenizer_object=engine, **arguments)


def train_wordpiece(
    engine: Tokenizer,
    texts: Iterable[Any],
    *,
    vocab_size: int,
    special_tokens: list[str],
    unk_token: str,
    min_frequency: int = 0,
    limit_alphabet: int = 1000,
    initial_alphabet: Iterable[str] = (),
    prefix: str = "##",
) -> dict[str, int]:
    """A vocabulary of at most ``vocab_size`` entries, special tokens first.

    Args:
        engine: supplies the normaliser and the pre-tokeniser.
        texts: texts, or lists of texts.
        min_frequency: how often a pair of pieces must occur to become one piece.
        limit_alphabet: number of different characters to keep, the most frequent ones.

    Raises:
        TokenizerError: no text at all, or ``vocab_size`` smaller than special tokens and letters together.
    """
    words = _count_words(engine, texts)
    alphabet = _choose_alphabet(words, limit_alphabet, initial_alphabet)
    inner = {char for word in words for char in word[1:]}
    continuations = [prefix + char for char in alphabet if char in inner]
    needed = len(special_tokens) + len(continuations) + len(alphabet)
    if vocab_size < needed:
        raise TokenizerError(
            f"vocab_size is {vocab_size}, but {len(special_tokens)} special tokens and the letters of the texts "
            f"already take {needed}. Raise vocab_size or lower limit_alphabet ({limit_alphabet})."
        )
    learner = Tokenizer(models.WordPiece({unk_token: 0}, unk_token=unk_token, continuing_subword_prefix=prefix))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*special_tokens, *continuations],
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        continuing_subword_prefix=prefix,
        show_progress=False,
    )
    with guarded("the vocabulary cannot be trained"):
        learner.train_from_iterator(_repeated(words), trainer=trainer)
    return dict(sorted(learner.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1]))


def _count_words(engine: Tokenizer, texts: Iterable[Any]) -> Counter[str]:
    words: Counter[str] = Counter()
    for entry in texts:
        for text in [entry] if isinstance(entry, str) else entry:
            if not isinstance(text, str):
                raise TokenizerError(f"training texts must be str or lists of str, not {type(text).__name__}.")
            with guarded("a training text cannot be read"):
                text = engine.normalizer.normalize_str(text) if engine.normalizer else text
                pieces = engine.pre_tokenizer.pre_tokenize_str(text) if engine.pre_tokenizer else [(text, (0, 0))]
            words.update(piece for piece, _ in pieces if piece and not piece.isspace())
    if not words:
        raise TokenizerError("there is no word in the training texts.")
    return words


def _choose_alphabet(words: Counter[str], limit: int, initial: Iterable[str]) -> list[str]:
    counts: Counter[str] = Counter()
    for word, times in words.items():
        for char in word:
            counts[char] += times
    kept = set(initial)
    for char, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if len(kept) >= limit:
            break
        kept.add(char)
    return sorted(kept)


def _repeated(words: Counter[str]) -> Iterator[str]:
    for word in sorted(words):
        times = words[word]
        for start in range(0, times, _CHUNK):
            yield " ".join([word] * min(_CHUNK, times - start))


def _renumbered(processor: Any, vocab: dict[str, int], renamed: dict[str, str]) -> Any:
    """The post-processor with the new names and ids of its special tokens."""
    if not isinstance(processor, dict):
        return processor
    for entry in (processor.get("special_tokens") or {}).values():
        entry["tokens"] = [renamed.get(token, token) for token in entry["tokens"]]
        entry["ids"] = [vocab[token] for token in entry["tokens"]]
    for name in ("cls", "sep"):
        if name in processor:
            token = renamed.get(processor[name][0], processor[name][0])
            processor[name] = [token, vocab[token]]
    return processor

"""The Rust engine behind a guard: files are judged before it reads them, its failures become ``TokenizerError``.

The engine may raise ``PanicException`` (a ``BaseException``), and some normalisers can make it eat all memory, which
no handler catches. So a ``tokenizer.json`` is checked first, and every call runs inside ``guarded``.

Threads: the engine uses all cores for a batch. After a ``fork`` its threads are gone, so children run single-threaded;
the engine would print a warning about it, which the fork hook below makes unnecessary. Set ``TOKENIZERS_PARALLELISM``
yourself to decide otherwise; a value that is set is never changed.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from bothways.errors import TokenizerError
from bothways.files import read_json

MODEL_TYPES = ("WordPiece", "BPE", "Unigram", "WordLevel")
GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""  # ByteLevel's own, written out
LLAMA3 = (  # as tiktoken's cl100k; Mistral's converter uses it too
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
MISTRAL_NEMO = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SAFE_PATTERNS = frozenset({r"\s+", r"\s", r" {2,}", r"\s{2,}", r"\n", GPT2, LLAMA3, MISTRAL_NEMO})  # all linear
MAX_STEPS = 64  # normalisers and pre-tokenisers in one file; real files have fewer than ten
MAX_GROWTH = 256  # how many times longer a text may become by replacement rules
MAX_WORD_CHARS = 10_000  # WordPiece takes time quadratic in this; the ecosystem's value is 100
MAX_CHARSMAP_BYTES = 4 * 2**20  # SentencePiece's largest, NFKC with case folding, has 0.3 MB
_PARALLELISM = "TOKENIZERS_PARALLELISM"


def load_engine(path: str | os.PathLike[str]) -> tuple[Tokenizer, dict[str, Any]]:
    """Read a ``tokenizer.json``.

    Returns:
        The engine without truncation and padding, and what the file said about those two
        (keys ``"truncation"`` and ``"padding"``, each a dict or None).

    Raises:
        TokenizerError: the file is not what it should be, or asks for something unsafe.
    """
    return engine_from_dict(read_json(path, error=TokenizerError), Path(path))


def engine_from_dict(content: Any, path: Path | str) -> tuple[Tokenizer, dict[str, Any]]:
    """As ``load_engine``, from the parsed content. ``path`` is for messages."""
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise TokenizerError(f"{path} has no 'model' object, so it is not a tokenizer.json.")
    _check_model(content["model"], path)
    _check_steps(content, path)
    content = dict(content)
    stated = {key: content.pop(key, None) for key in ("truncation", "padding")}
    with guarded(f"{path} cannot be read"):
        engine = Tokenizer.from_str(json.dumps(content))
    with guarded(f"{path} cannot encode an empty text"):
        sample = [*engine.encode("").ids, *engine.encode("", "").ids]
        if beyond := sorted({i for i in sample if engine.id_to_token(i) is None}):
            raise TokenizerError(f"{path}: the post-processor adds ids {beyond}, which the vocabulary does not have.")
    return engine, stated


def check_charsmap(data: bytes, path: Path | str | os.PathLike[str]) -> int:
    """Judge the compiled rules of a SentencePiece normaliser: a trie and the texts that replace its keys.

    Returns:
        How many times longer the rules can make a text: characters of the longest replacement, at least 1.

    Raises:
        TokenizerError: too large, or a trie that does not lie within the data.
    """
    if not data:
        return 1
    if len(data) > MAX_CHARSMAP_BYTES:
        raise TokenizerError(
            f"{path} has a precompiled_charsmap of {len(data):,} bytes; up to {MAX_CHARSMAP_BYTES:,} bytes are read."
        )
    size = int.from_bytes(data[:4], "little")  # of the trie, which follows
    if len(data) < 4 or not 0 < size <= len(data) - 4 or size % 1024:  # it consists of blocks of 256 units of 4 bytes
        raise TokenizerError(
            f"{path} has a precompiled_charsmap of {len(data):,} bytes that announces a trie of {size:,} bytes. "
            "It is damaged."
        )
    try:
        replacements = data[4 + size :].decode("utf-8").split("\0")
    except UnicodeDecodeError:
        raise TokenizerError(f"{path} has a precompiled_charsmap whose replacements are not UTF-8 text.") from None
    return max(1, *map(len, replacements))


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn whatever the engine raises, panics included, into ``TokenizerError("{what}: ...")``."""
    try:
        yield
    except (TokenizerError, MemoryError):
        raise
    except Exception as problem:
        raise TokenizerError(f"{what}: {problem}") from problem
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":  # KeyboardInterrupt and its like pass
            raise
        raise TokenizerError(f"{what}: {problem}") from None


def _check_model(model: dict[str, Any], path: Path | str) -> None:
    kind = model.get("type") or ("WordPiece" if "continuing_subword_prefix" in model else None)
    if kind not in MODEL_TYPES:
        raise TokenizerError(f"{path}: unknown model type {kind!r}. Known types: {', '.join(MODEL_TYPES)}.")
    vocab = model.get("vocab")
    if not isinstance(vocab, dict if kind != "Unigram" else list) or not vocab:
        raise TokenizerError(f"{path}: the model has no vocabulary.")
    unk_id = model.get("unk_id")
    if kind == "Unigram" and unk_id is not None and not (isinstance(unk_id, int) and 0 <= unk_id < len(vocab)):
        raise TokenizerError(f"{path}: unk_id is {unk_id!r}, but the vocabulary has {len(vocab):,} entries.")
    if kind == "WordPiece":
        if model.get("unk_token") not in vocab:
            raise TokenizerError(f"{path}: the unknown token {model.get('unk_token')!r} is not in the vocabulary.")
        longest = model.get("max_input_chars_per_word", 100)
        if not isinstance(longest, int) or not 0 < longest <= MAX_WORD_CHARS:
            raise TokenizerError(
                f"{path}: max_input_chars_per_word is {longest!r}; whole numbers from 1 to {MAX_WORD_CHARS:,} are read."
            )


def _check_steps(content: dict[str, Any], path: Path | str) -> None:
    """Refuse long chains, texts that explode by replacement, and patterns that could take exponential time."""
    steps = 0
    growth = 1.0
    waiting = [content.get(part) for part in ("normalizer", "pre_tokenizer", "decoder", "post_processor")]
    while waiting:
        step = waiting.pop()
        if not isinstance(step, dict):
            continue
        steps += 1
        if steps > MAX_STEPS:
            raise TokenizerError(f"{path} chains more than {MAX_STEPS} normalisers and pre-tokenisers.")
        for key in ("normalizers", "pretokenizers", "decoders", "processors"):
            if isinstance(step.get(key), list):
                waiting.extend(step[key])
        pattern = step.get("pattern")
        if isinstance(pattern, dict) and "Regex" in pattern and pattern["Regex"] not in SAFE_PATTERNS:
            raise TokenizerError(f"{path} uses the regular expression {pattern['Regex']!r}, which is not a known one.")
        if step.get("type") == "Replace":
            searched = pattern.get("String") if isinstance(pattern, dict) else None
            growth *= max(1.0, len(str(step.get("content", ""))) / max(1, len(str(searched or ""))))
        if step.get("type") == "Precompiled":
            growth *= check_charsmap(_decoded(step.get("precompiled_charsmap"), path), path)
        if step.get("type") in ("Prepend", "Append"):
            growth *= max(1, len(str(step.get("prepend", ""))))
        if growth > MAX_GROWTH:
            raise TokenizerError(f"{path} has replacements that make a text more than {MAX_GROWTH} times longer.")


def _decoded(charsmap: Any, path: Path | str) -> bytes:
    try:
        return base64.b64decode(charsmap, validate=True)
    except (TypeError, ValueError):
        raise TokenizerError(f"{path} has a precompiled_charsmap that is not Base64 text.") from None


def _before_fork() -> None:
    global _set_by_us
    if _PARALLELISM not in os.environ:
        os.environ[_PARALLELISM] = "false"
        _set_by_us = True


def _after_fork_in_parent() -> None:
    global _set_by_us
    if _set_by_us:
        os.environ.pop(_PARALLELISM, None)
        _set_by_us = False


_set_by_us = False
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)

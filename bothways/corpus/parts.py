"""One part of the work: some texts become tokens, with all that is asked about them later, in one file.

Shapes: D documents with n tokens and S sentences in all; K bins and B bands of ``minhash``.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.corpus.minhash import BINS, band_keys, signature
from bothways.errors import DataError
from bothways.files import replacing
from bothways.tasks.sentences import split_sentences
from bothways.tokenizers import PreTrainedTokenizerBase

_DIGEST_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class Part:
    """Documents that were tokenised together.

    Attributes:
        tokens: of all documents, uint16 or uint32 (n,).
        lengths: tokens of each document, int64 (D,), at least 1.
        sentence_counts: int64 (D,), at least 1.
        sentence_starts: first token of each sentence, counted from the start of its document, int64 (S,).
        digests: hashes of the tokens of each document, uint8 (D, 16).
        signatures: uint16 (D, K).
        keys: uint32 (D, B).
        counts: int64 (3,): texts that gave no token, special tokens, unknown words.
    """

    tokens: NDArray[Any]
    lengths: NDArray[np.int64]
    sentence_counts: NDArray[np.int64]
    sentence_starts: NDArray[np.int64]
    digests: NDArray[np.uint8]
    signatures: NDArray[np.uint16]
    keys: NDArray[np.uint32]
    counts: NDArray[np.int64]


def tokenise(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], dtype: str) -> Part:
    """Texts as tokens without special ones; each text is encoded as a whole."""
    rows: list[NDArray[Any]] = []
    sentences: list[NDArray[np.int64]] = []
    for text in texts:
        ids, starts = encode_document(tokenizer, text)
        if len(ids):
            rows.append(ids.astype(dtype))
            sentences.append(starts)
    tokens = np.concatenate(rows) if rows else np.empty(0, dtype)
    signatures = np.array([signature(row) for row in rows], np.uint16).reshape(-1, BINS)
    digests = [hashlib.blake2b(row.tobytes(), digest_size=_DIGEST_BYTES).digest() for row in rows]
    special, unknown = _special_ids(tokenizer)
    counts = (len(texts) - len(rows), np.isin(tokens, special).sum(), np.isin(tokens, unknown).sum())
    return Part(
        tokens=tokens,
        lengths=np.array([len(row) for row in rows], np.int64),
        sentence_counts=np.array([len(starts) for starts in sentences], np.int64),
        sentence_starts=np.concatenate([np.empty(0, np.int64), *sentences]),
        digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES),
        signatures=signatures,
        keys=band_keys(signatures),
        counts=np.array(counts, np.int64),
    )


def encode_document(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids of a text, (n,), and the first token of each of its sentences, (S,), which begin with 0.

    Sentences are found in the text and put to tokens by their places in it. A sentence without a token of its own,
    such as of control characters, is none.
    """
    encoded = tokenizer(
        text,
        add_special_tokens=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        return_offsets_mapping=True,
    )
    ids = np.array(encoded["input_ids"], np.int64)
    offsets = encoded["offset_mapping"]
    ends = np.maximum.accumulate(np.fromiter(map(itemgetter(1), offsets), np.int64, count=len(ids)))
    places = [start for start, _ in split_sentences(text).spans]
    # the first token that ends behind the place where a sentence begins, whatever white space it has before
    starts = np.unique(np.concatenate([[0], np.searchsorted(ends, places, side="right")]).astype(np.int64))
    return ids, starts[starts < len(ids)]


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Ids of special tokens, and of the one for unknown words, unless that means something else too, as GPT-2's."""
    means_more = [t for name, t in tokenizer.special_tokens_map.items() if name != "unk_token"]
    unknown = [] if tokenizer.unk_token_id is None or tokenizer.unk_token in means_more else [tokenizer.unk_token_id]
    return [i for i in tokenizer.all_special_ids if i not in unknown], unknown


def write_part(path: Path, part: Part) -> None:
    """Write a part, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as out:
        np.savez(out, **{field.name: getattr(part, field.name) for field in fields(Part)})


def read_part(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Some arrays of a part, by the names of its attributes.

    Raises:
        DataError: the file was damaged after it was written.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in names}
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as problem:
        raise DataError(f"{path} is damaged ({problem}). Delete it and give the command again.") from None

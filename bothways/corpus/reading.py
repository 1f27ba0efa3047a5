"""Reading shards: any tokens of the corpus by their place, from files that stay on the disk.

Places are counted through all shards: D documents and S sentences over n tokens.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bothways.corpus.identity import tokenizer_identity
from bothways.corpus.manifest import DOCUMENTS, MANIFEST, SENTENCES, UNFINISHED, Manifest, content_hash, read_manifest
from bothways.errors import DataError, InputError
from bothways.progress import progress_bar
from bothways.tokenizers import PreTrainedTokenizerBase

_CHUNK_BYTES = 2**20


def open_shards(directory: str | os.PathLike[str], *, verify: bool = False) -> Corpus:
    """Open what ``bothways shard`` made. Only the boundaries of documents are read into memory.

    Args:
        verify: also compare the hash of each file, which reads them all.

    Raises:
        DataError: files that the manifest does not have, or others than it has; or no manifest.
    """
    directory = Path(directory)
    manifest = read_manifest(directory)
    _check_files(directory, manifest)
    if verify:
        _check_hashes(directory, manifest)
    return Corpus(directory, manifest)


def is_shards(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a directory of shards, finished or not."""
    return any((Path(path) / name).exists() for name in (MANIFEST, UNFINISHED))


class Corpus:
    """Tokens of many documents without special tokens, one after another.

    It can be given to other processes: each opens the files anew.

    Attributes:
        directory: where the shards are.
        manifest: what they are.
        document_starts: int64 (D + 1,), rising, from 0 to n.
        sentence_starts: int64 (S,), rising: the first token of each sentence; each document begins with one.
    """

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.manifest = manifest
        self.document_starts = _offsets(directory / DOCUMENTS, manifest.n_documents + 1, mapped=False)
        self.sentence_starts = _offsets(directory / SENTENCES, manifest.n_sentences, mapped=True)
        _check_offsets(directory, manifest, self.document_starts, self.sentence_starts)
        self._starts = np.cumsum([0, *(file.n_tokens for file in manifest.shards)])
        self._maps: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        """The number of tokens."""
        return self.manifest.n_tokens

    def __repr__(self) -> str:
        return f"Corpus({str(self.directory)!r}: {self.manifest.n_documents:,} documents, {len(self):,} tokens)"

    def __reduce__(self) -> tuple[Any, ...]:
        return open_shards, (self.directory,)

    @property
    def content_sha256(self) -> str:
        """The identity of tokens, documents and sentences; the size of the shards does not change it."""
        return self.manifest.content_sha256

    def read(self, start: int, stop: int) -> NDArray[np.int64]:
        """The tokens from ``start`` up to ``stop``, int64 (stop - start,); also across shards.

        Raises:
            InputError: places that are not in the corpus.
        """
        if not 0 <= start <= stop <= len(self):
            raise InputError(
                f"tokens {start:,} to {stop:,} were asked for; expected rising places in 0 to {len(self):,}."
            )
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        parts = []
        for shard in range(first, len(self._starts) - 1):
            begin = int(self._starts[shard])
            if begin >= stop:
                break
            parts.append(self._tokens(shard)[max(start - begin, 0) : stop - begin])
        return np.concatenate(parts, dtype=np.int64) if parts else np.empty(0, dtype=np.int64)

    def check_tokenizer(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raise ``DataError`` unless the tokeniser gives texts the ids that the shards have."""
        given, made = tokenizer_identity(tokenizer), self.manifest.tokenizer
        if given["sha256"] == made["sha256"]:
            return
        raise DataError(
            f"{self.directory} was made with another tokeniser: {_named(made)}; given is {_named(given)}"
            f"{f' of {tokenizer.name_or_path}' if tokenizer.name_or_path else ''}. Pass the tokeniser of the shards, "
            "or make shards with this one ('bothways shard --tokenizer …')."
        )

    def _tokens(self, shard: int) -> NDArray[Any]:
        if shard not in self._maps:
            path = self.directory / self.manifest.shards[shard].name
            self._maps[shard] = np.asarray(np.memmap(path, dtype=f"<u{self._token_bytes}", mode="r"))
        return self._maps[shard]

    @property
    def _token_bytes(self) -> int:
        return np.dtype(self.manifest.dtype).itemsize


def _named(identity: dict[str, Any]) -> str:
    return f"{identity.get('class')} with {identity['vocab_size']:,} tokens, sha256 {identity['sha256'][:12]}…"


def _check_files(directory: Path, manifest: Manifest) -> None:
    """Each file there and of its size, and no shard besides. All that is wrong is said together."""
    wrong = []
    for file in manifest.files:
        path = directory / file.name
        if not path.is_file():
            wrong.append(f"{file.name} is missing")
        elif (size := path.stat().st_size) != file.n_bytes:
            wrong.append(f"{file.name} has {size:,} bytes instead of {file.n_bytes:,}")
    known = {file.name for file in manifest.files}
    wrong += [f"{path.name} is not in it" for path in sorted(directory.glob("tokens-*.bin")) if path.name not in known]
    if wrong:
        raise _mismatch(directory, wrong)


def _check_hashes(directory: Path, manifest: Manifest) -> None:
    wrong, hashes = [], {}
    tokens = hashlib.sha256()
    with progress_bar("Verifying", sum(file.n_bytes for file in manifest.files), "bytes") as advance:
        for file in manifest.files:
            own = hashlib.sha256()
            with open(directory / file.name, "rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    own.update(chunk)
                    if file in manifest.shards:
                        tokens.update(chunk)
                    advance(len(chunk))
            hashes[file.name] = own.hexdigest()
            if own.hexdigest() != file.sha256:
                wrong.append(
                    f"{file.name} has another content (sha256 {own.hexdigest()[:12]}… instead of {file.sha256[:12]}…)"
                )
    if wrong:
        raise _mismatch(directory, wrong)
    content = content_hash(
        manifest.tokenizer_sha256, manifest.dtype, tokens.hexdigest(), hashes[DOCUMENTS], hashes[SENTENCES]
    )
    if content != manifest.content_sha256:
        raise _mismatch(directory, [f"content_sha256 is {content[:12]}… instead of {manifest.content_sha256[:12]}…"])


def _mismatch(directory: Path, wrong: list[str]) -> DataError:
    some = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
    return DataError(
        f"The files in {directory} are not those of its manifest: {some}. Copy the directory again; or delete it and "
        "make it again with 'bothways shard'."
    )


def _offsets(path: Path, count: int, *, mapped: bool) -> NDArray[np.int64]:
    try:
        found = np.load(path, mmap_mode="r" if mapped and count else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise DataError(f"{path} is not a readable table: {problem}. Make the shards again.") from None
    if found.dtype != np.int64 or found.shape != (count,):
        raise DataError(
            f"{path} holds {found.dtype} {found.shape}, but its manifest says int64 ({count},). Make the shards again."
        )
    return np.asarray(found)


def _check_offsets(
    directory: Path, manifest: Manifest, documents: NDArray[np.int64], sentences: NDArray[np.int64]
) -> None:
    ends = [int(documents[0]), int(documents[-1])]
    if ends != [0, manifest.n_tokens] or bool((np.diff(documents) <= 0).any()):
        raise _mismatch(directory, [f"{DOCUMENTS} does not rise from 0 to {manifest.n_tokens:,}"])
    if len(sentences) < manifest.n_documents or (len(sentences) and int(sentences[0]) != 0):
        raise _mismatch(directory, [f"{SENTENCES} does not begin each document"])

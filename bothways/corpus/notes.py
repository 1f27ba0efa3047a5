"""What the user should know of the texts that shards were made from, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from bothways.corpus.manifest import Manifest, Source
from bothways.corpus.sources import LONGEST, SourceFile
from bothways.data.documents import is_plain

_MANY_UNKNOWN = 0.01
_ONE_DOCUMENT_BYTES = 100_000  # a file that is one document of more than this was hardly meant to be


def notes_on(manifest: Manifest, files: Sequence[SourceFile]) -> tuple[str, ...]:
    """Sentences on each file, and on all texts together."""
    notes = []
    hashes: dict[str, str] = {}
    for source, file in zip(manifest.sources, files, strict=True):
        if not source.n_documents:
            notes.append(f"{source.name} has no text.")
        elif manifest.settings["divide"] == "blank-lines" and is_plain(file.path, manifest.settings["format"]):
            notes += _on_breaks(source)
        first = hashes.setdefault(source.sha256, source.name)
        if first is not source.name:
            notes.append(f"{source.name} has the same content as {first}.")
    return (*notes, *_on_length(manifest), *_on_tokens(manifest))


def _on_breaks(source: Source) -> list[str]:
    if source.n_documents > 1 or source.text_bytes <= _ONE_DOCUMENT_BYTES:
        return []
    return [
        f"{source.name} has no blank line: it is one document of {source.text_bytes:,} bytes. If each line is a "
        "document, divide by lines (--divide lines); else put a blank line between documents."
    ]


def _on_length(manifest: Manifest) -> list[str]:
    divided = sum(source.n_divided for source in manifest.sources)
    if not divided:
        return []
    pieces = sum(source.n_pieces - source.n_documents for source in manifest.sources) + divided
    return [
        f"{divided:,} {'documents have' if divided > 1 else 'document has'} more than {LONGEST:,} characters and "
        f"{'were' if divided > 1 else 'was'} divided at white space, into {pieces:,} documents."
    ]


def _on_tokens(manifest: Manifest) -> list[str]:
    notes = []
    if count := manifest.n_empty:
        notes.append(
            f"{count:,} {'documents have' if count > 1 else 'document has'} no token for this tokeniser and "
            f"{'were' if count > 1 else 'was'} left out."
        )
    if count := manifest.n_special:
        notes.append(
            f"{count:,} special {'tokens are' if count > 1 else 'token is'} written out in the texts, to be read as "
            "such. A tokeniser with split_special_tokens=True reads them as text."
        )
    unknown = manifest.n_unknown / max(manifest.n_tokens_read, 1)
    if unknown > _MANY_UNKNOWN:
        notes.append(
            f"{unknown:.1%} of the tokens are unknown words: the vocabulary does not fit these texts. "
            "'bothways tokenizer train' learns one from them."
        )
    return notes

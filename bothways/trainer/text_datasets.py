"""Text files as data sets for pretraining, under the ecosystem's older names, whose items they give exactly.

They hold all examples in memory and draw from Python's ``random``, which ``set_seed`` seeds. No cache file is written
or read. For texts larger than memory use ``bothways pretrain``.

Shapes: S tokens of an example.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from bothways.data.opening import check_readable, opened, text_chunks
from bothways.errors import InputError, UsageError

FilePath = str | os.PathLike[str]
Segments = list[list[int]]
"""The sentences of a document, as ids."""


class _Examples(Dataset[Any]):
    """A data set of examples that are all there."""

    examples: list[Any]

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> Any:
        return self.examples[i]


class LineByLineTextDataset(_Examples):
    """An example for each line that is not blank.

    Args:
        tokenizer: adds special tokens and truncates.
        file_path: UTF-8, or UTF-16 with its mark.
        block_size: most tokens of an example, special tokens included.

    Items: ``{"input_ids": int64 (S,)}``.
    """

    def __init__(self, tokenizer: Any, file_path: FilePath, block_size: int) -> None:
        lines = [line for line in _text(file_path).splitlines() if line and not line.isspace()]
        options = {"add_special_tokens": True, "truncation": True, "max_length": block_size}
        rows = tokenizer(lines, **options)["input_ids"] if lines else []
        self.examples = [{"input_ids": torch.tensor(ids, dtype=torch.int64)} for ids in rows]


class TextDataset(_Examples):
    """A whole file cut into examples of equal length; what is left at its end is dropped.

    Args:
        tokenizer: adds special tokens to each example.
        file_path: UTF-8, or UTF-16 with its mark.
        block_size: tokens of an example, special tokens included.
        overwrite_cache, cache_dir: without effect, there is no cache.

    Items: int64 (S,).
    """

    def __init__(
        self,
        tokenizer: Any,
        file_path: FilePath,
        block_size: int,
        overwrite_cache: bool = False,
        cache_dir: str | None = None,
    ) -> None:
        room = _room(tokenizer, block_size, pair=False)
        ids = tokenizer(_text(file_path), add_special_tokens=False)["input_ids"]
        starts = range(0, len(ids) - room + 1, room)
        self.examples = [tokenizer.build_inputs_with_special_tokens(ids[start : start + room]) for start in starts]

    def __getitem__(self, i: int) -> Tensor:
        return torch.tensor(self.examples[i], dtype=torch.int64)


class TextDatasetForNextSentencePrediction(_Examples):
    """Pairs of passages: the second follows the first, or is from another document.

    A line is a sentence, and a blank line stands between documents. Two things are as in the reference and unlike
    BERT's data: pairs are collected up to ``block_size`` but not shortened to it, so that they may be longer than the
    model reads, and a file of one document draws "other" passages from itself. ``next_sentence_pairs`` has neither.

    Args:
        tokenizer: joins two passages.
        file_path: UTF-8, or UTF-16 with its mark.
        block_size: length to collect up to, special tokens included.
        overwrite_cache: without effect, there is no cache.
        short_seq_probability: share of the documents that collect up to a random shorter length.
        nsp_probability: share of pairs from two documents, among passages of several sentences.

    Items: ``input_ids`` and ``token_type_ids`` int64 (S,), ``next_sentence_label`` int64 (), 1 for another document.
    """

    def __init__(
        self,
        tokenizer: Any,
        file_path: FilePath,
        block_size: int,
        overwrite_cache: bool = False,
        short_seq_probability: float = 0.1,
        nsp_probability: float = 0.5,
    ) -> None:
        self.tokenizer = tokenizer
        self.short_seq_probability, self.nsp_probability = short_seq_probability, nsp_probability
        self.documents: list[Segments] = [[]]
        lines = [line.strip() for line in _text(file_path).split("\n")]
        for line, ids in zip(lines, _ids(tokenizer, lines), strict=True):
            if not line and self.documents[-1]:
                self.documents.append([])
            if ids:
                self.documents[-1].append(ids)
        self.examples = []
        for index, document in enumerate(self.documents):
            self.create_examples_from_document(document, index, block_size)

    def create_examples_from_document(self, document: Segments, doc_index: int, block_size: int) -> None:
        """Add the pairs of a document to ``examples``."""
        target = _target(self.tokenizer, block_size, self.short_seq_probability)
        start = 0
        while start < len(document):
            stop = _chunk_stop(document, start, target)
            middle = start + (random.randint(1, stop - start - 1) if stop - start >= 2 else 1)
            first = sum(document[start:middle], [])
            is_other = stop - start == 1 or random.random() < self.nsp_probability
            if is_other:
                second, stop = self._other_passage(doc_index, target - len(first)), middle
            else:
                second = sum(document[middle:stop], [])
            self.examples.append(_pair(self.tokenizer, first, second, next_sentence_label=int(is_other)))
            start = stop

    def _other_passage(self, doc_index: int, wanted: int) -> list[int]:
        """Sentences of another document up to a length; of the same one where ten draws find no other."""
        for _ in range(10):
            index = random.randint(0, len(self.documents) - 1)
            # blank lines at the end of a file leave an empty document, at which the reference fails
            if index != doc_index and self.documents[index]:
                break
        else:
            index = doc_index
        document = self.documents[index]
        start = random.randint(0, len(document) - 1)
        return sum(document[start : _chunk_stop(document, start, wanted)], [])


class LineByLineWithSOPTextDataset(_Examples):
    """Pairs of passages that follow one another, half of them swapped, from a directory of extracted Wikipedia pages.

    An article stands between ``<doc id=…>`` and ``</doc>``; its first line is the title and left out, a line is a
    sentence. As in the reference a sentence that stands alone is paired with itself. Files are read in the order of
    their names.

    Args:
        tokenizer: joins two passages.
        file_dir: a directory with nothing but such files.
        block_size: most tokens of an example, special tokens included.

    Items: ``input_ids`` and ``token_type_ids`` int64 (S,), ``sentence_order_label`` int64 (), 1 for swapped.
    """

    def __init__(self, tokenizer: Any, file_dir: FilePath, block_size: int) -> None:
        if not os.path.isdir(file_dir):
            raise UsageError(f"{file_dir} is not a directory; a directory of text files with <doc …> is expected.")
        self.examples = []
        for path in sorted(Path(file_dir).iterdir()):
            for lines in _articles(_text(path)):
                document = _ids(tokenizer, lines[1:])
                self.examples += self.create_examples_from_document(document, block_size, tokenizer)

    def create_examples_from_document(
        self, document: Segments, block_size: int, tokenizer: Any, short_seq_prob: float = 0.1
    ) -> list[dict[str, Tensor]]:
        """The pairs of a document."""
        target = _target(tokenizer, block_size, short_seq_prob)
        document = [segment for segment in document if segment]
        examples = []
        start = 0
        while start < len(document):
            stop = _chunk_stop(document, start, target)
            chunk = document[start:stop] if stop - start >= 2 else document[start:stop] * 2
            middle = random.randint(1, len(chunk) - 1)
            first, second = sum(chunk[:middle], []), sum(chunk[middle:], [])
            swapped = random.random() < 0.5
            if swapped:
                first, second = second, first
            _shorten(first, second, _room(tokenizer, block_size, pair=True))
            examples.append(_pair(tokenizer, first, second, sentence_order_label=int(swapped)))
            start = stop
        return examples


def _text(path: FilePath) -> str:
    """A file as text whose lines end with LF."""
    path = Path(path)
    check_readable(path)
    with opened(path) as stream:
        text = "".join(text_chunks(stream, str(path)))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _articles(text: str) -> list[list[str]]:
    """The lines of each article."""
    articles: list[list[str]] = []
    lines: list[str] | None = None
    for line in text.split("\n"):
        if "<doc id=" in line:
            lines = [] if lines is None else lines
        elif "</doc>" in line:
            articles.append(lines or [])
            lines = None
        elif lines is not None:
            lines.append(line)
    return articles


def _ids(tokenizer: Any, lines: list[str]) -> Segments:
    """The ids of each line, without special tokens."""
    return tokenizer(lines, add_special_tokens=False)["input_ids"] if lines else []


def _room(tokenizer: Any, block_size: int, *, pair: bool) -> int:
    """How many tokens of text an example of ``block_size`` tokens has."""
    special = tokenizer.num_special_tokens_to_add(pair=pair)
    least = 2 if pair else 1
    if block_size - special < least:
        raise InputError(f"block_size is {block_size}; it must be at least {special + least}: {special} are special.")
    return block_size - special


def _target(tokenizer: Any, block_size: int, short_share: float) -> int:
    """The length up to which sentences are collected."""
    most = _room(tokenizer, block_size, pair=True)
    return random.randint(2, most) if random.random() < short_share else most


def _chunk_stop(document: Segments, start: int, target: int) -> int:
    """The end of the sentences from ``start`` that reach a length, or of the document."""
    length = 0
    for stop in range(start, len(document)):
        length += len(document[stop])
        if length >= target:
            return stop + 1
    return len(document)


def _shorten(first: list[int], second: list[int], most: int) -> None:
    """Take tokens from the longer passage, at random from its front or back, until both fit."""
    while len(first) + len(second) > most:
        longer = first if len(first) > len(second) else second
        del longer[0 if random.random() < 0.5 else -1]


def _pair(tokenizer: Any, first: list[int], second: list[int], **label: int) -> dict[str, Tensor]:
    """An example of two passages."""
    return {
        "input_ids": torch.tensor(tokenizer.build_inputs_with_special_tokens(first, second), dtype=torch.int64),
        "token_type_ids": torch.tensor(
            tokenizer.create_token_type_ids_from_sequences(first, second), dtype=torch.int64
        ),
        **{name: torch.tensor(value) for name, value in label.items()},
    }


__all__ = [
    "LineByLineTextDataset",
    "LineByLineWithSOPTextDataset",
    "TextDataset",
    "TextDatasetForNextSentencePrediction",
]

"""The texts that systems are compared on: short sentences, and passages of mixed length."""

from __future__ import annotations

import gzip
import json
import lzma
import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from benchmarks._common import data_file
from bothways.errors import DataError

SHORTEST, LONGEST = 13, 512
"""Tokens of a mixed passage, special tokens included."""
MEDIAN, SIGMA = 88, 0.8
"""Of the log-normal distribution of their lengths: the median of Wikipedia's paragraphs, and a mean of about 120."""

WORDS = (
    *("the", "a", "good", "bad", "film", "card", "order", "was", "is", "not"),
    *("late", "very", "new", "old", "price", "arrived", "broken", "lovely", "again", "never"),
)
"""What the lines of the memory benchmark are made of."""


def sentences(data: Path | None, name: str = "train_sentences") -> tuple[list[str], list[int]]:
    """Sentences of SST-2 in the order of the file, each once, and their labels (1 is positive)."""
    return labelled_texts(data_file(data, "sst2", f"{name}.jsonl.gz"))


def labelled_texts(path: Path) -> tuple[list[str], list[int]]:
    """Texts of JSON lines in the order of the file, each once, and their labels."""
    with _opened(path) as lines:
        rows = [json.loads(line) for line in lines]
    labels = {row["text"]: row["label"] for row in rows}
    return list(labels), list(labels.values())


def first_rows(source: Path, target: Path, count: int) -> None:
    """Copy the first lines of a file."""
    with _opened(source) as lines, target.open("w", encoding="utf-8") as out:
        out.writelines(islice(lines, count))


def mixed_passages(data: Path | None, count: int, tokenizer: Any, *, seed: int = 0) -> list[str]:
    """Passages of Wikipedia of 13 to 512 tokens, in random order, the same for the same seed.

    A passage begins with a paragraph and is cut, at the end of a word, to a drawn length (log-normal).

    Args:
        count: how many; fewer come back only from a text too small for so many.
        tokenizer: of the ``tokenizers`` library, without truncation.
        seed: of the choice of paragraphs and lengths.
    """
    with lzma.open(data_file(data, "text", "wikipedia-en-valid.txt.xz"), "rt", encoding="utf-8") as text:
        articles = [block.split("\n") for block in text.read().strip().split("\n\n")]
    starts = [(article, i) for article in articles for i in range(len(article)) if len(article[i].split()) >= SHORTEST]
    if not starts:
        raise DataError(f"no paragraph of {SHORTEST} words or more in wikipedia-en-valid.txt.xz.")
    chance = random.Random(seed)
    passages: dict[str, None] = {}  # each once: a system may compute equal texts once
    for _ in range(20 * count):
        article, first = chance.choice(starts)
        wanted = round(min(max(chance.lognormvariate(0, SIGMA) * MEDIAN, SHORTEST), LONGEST))
        passages[cut(" ".join(article[first:]), wanted, tokenizer)] = None
        if len(passages) == count:
            break
    return list(passages)


def count_tokens(texts: Sequence[str], tokenizer: Any) -> list[int]:
    """Tokens of each text, special tokens included."""
    return [len(encoding) for encoding in tokenizer.encode_batch(list(texts))]


def load_tokenizer(directory: Path) -> Any:
    """The directory's tokeniser, as it is without truncation and padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def cut(text: str, tokens: int, tokenizer: Any) -> str:
    """The beginning of ``text``, whole words of at most ``tokens`` tokens."""
    encoding = tokenizer.encode(text)
    if len(encoding) <= tokens:
        return text
    # the place of [SEP] goes to the first token that is cut off: its word is not complete if it began earlier
    last = encoding.word_to_tokens(encoding.word_ids[tokens - 1])[0]
    return text[: encoding.offsets[last][0]].rstrip()


def short_lines(path: Path, count: int, *, seed: int = 0) -> None:
    """Write ``count`` lines of three to twelve words each."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as out:
        for _ in range(count):
            out.write(" ".join(chance.choices(WORDS, k=chance.randint(3, 12))) + "\n")


def labelled_lines(path: Path, count: int, *, seed: int = 0) -> None:
    """Write a CSV file of ``count`` texts of three to twelve words, positive or negative at random."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as out:
        out.write("text,label\n")
        for _ in range(count):
            words = " ".join(chance.choices(WORDS, k=chance.randint(3, 12)))
            out.write(f"{words},{chance.choice(('negative', 'positive'))}\n")


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")

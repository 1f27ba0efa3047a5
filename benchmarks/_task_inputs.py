"""The inputs of the benchmark of tasks: for each case the same questions and texts for all libraries."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._common import data_file
from benchmarks._texts import cut, mixed_passages, sentences
from bothways.data.squad import QuestionExample, iter_questions
from bothways.data.tagged import TaggedText, load_tagged
from bothways.errors import DataError

LABELS = (
    *("world politics", "sports", "business", "technology", "science"),
    *("health", "entertainment", "crime", "weather", "travel"),
)
LONGEST_TAGGED = 500
"""Tokens of a text for entities: below the model's 512, so that nobody cuts and all do the same work."""
LONG_CONTEXT = 20_000
"""Tokens of the one context of ``long-qa``."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one case asks.

    Attributes:
        name: of the case.
        task: of the pipeline; ``"embedding"`` has none.
        inputs: what the pipeline is called with.
        options: of the call, the same for all.
        one_by_one: each input is a call of its own, and the time is the median of one.
        wanted: how many times as fast as the peer's defaults we promise to be; None for no promise.
        about: what the inputs are.
        batched: also measure the peer with ``batch_size=32``.
    """

    name: str
    task: str
    inputs: list[Any]
    about: str
    options: dict[str, Any] = field(default_factory=dict)
    one_by_one: bool = False
    wanted: float | None = None
    batched: bool = False


def make_case(name: str, data: Path | None, tokenizer: Any, share: float) -> Case:
    """The case of that name.

    Args:
        tokenizer: of the ``tokenizers`` library, without truncation.
        share: of the full number of inputs, or for ``long-qa`` of tokens; there is always at least one.
    """
    return CASES[name](data, tokenizer, share)


def questions(data: Path | None) -> list[QuestionExample]:
    """The questions of SQuAD's development part, in the order of the file."""
    return list(iter_questions(data_file(data, "squad", "dev-v1.1-part.json.gz")))


def tagged_sentences(data: Path | None) -> list[TaggedText]:
    """The sentences of CoNLL-2003's part testa."""
    return load_tagged(data_file(data, "conll2003", "eng.testa.gz"), purpose="evaluate").examples


def _zero_shot(data: Path | None, tokenizer: Any, share: float) -> Case:
    texts = _texts(data, "ag_news")[: _count(100, share)]
    return Case(
        name="zero-shot",
        task="zero-shot-classification",
        inputs=texts,
        options={"candidate_labels": list(LABELS)},
        wanted=5.0,
        about=f"{len(texts)} news items, {len(LABELS)} labels",
        batched=True,
    )


def _ner_mixed(data: Path | None, tokenizer: Any, share: float) -> Case:
    """A third each of sentences, news articles and reviews; the latter two cut to lengths up to the longest."""
    chance = random.Random(0)
    count = _count(200, share)
    short = [example.text for example in tagged_sentences(data) if len(example.words) > 1]
    texts = chance.sample(short, min(len(short), count - 2 * (count // 3)))
    for name in ("bbc_news", "imdb"):
        whole = _texts(data, name)
        for text in chance.sample(whole, min(len(whole), count // 3)):
            texts.append(cut(text, chance.randint(LONGEST_TAGGED // 10, LONGEST_TAGGED), tokenizer))
    chance.shuffle(texts)
    return Case(
        name="ner-mixed",
        task="token-classification",
        inputs=texts,
        options={"aggregation_strategy": "simple"},
        wanted=4.0,
        about=f"{len(texts)} sentences, articles and reviews, {_tokens(texts, tokenizer):,} tokens",
        batched=True,
    )


def _qa_mixed(data: Path | None, tokenizer: Any, share: float) -> Case:
    found = questions(data)
    chosen = random.Random(0).sample(found, min(len(found), _count(200, share)))
    contexts = [one.context for one in chosen]
    return Case(
        name="qa-mixed",
        task="question-answering",
        inputs=[{"question": one.question, "context": one.context} for one in chosen],
        wanted=4.0,
        about=f"{len(chosen)} questions, {_tokens(contexts, tokenizer):,} tokens of contexts",
        batched=True,
    )


def _long_qa(data: Path | None, tokenizer: Any, share: float) -> Case:
    """Contexts one after the other, and a question about one in the middle."""
    found = questions(data)
    wanted, parts, length = _count(LONG_CONTEXT, share), [], 0
    for context in dict.fromkeys(one.context for one in found):
        if length >= wanted:
            break
        parts.append(context)
        length += _tokens([context], tokenizer)
    middle = parts[len(parts) // 2]
    question = next(one.question for one in found if one.context == middle)
    return Case(
        name="long-qa",
        task="question-answering",
        inputs=[{"question": question, "context": "\n".join(parts)}],
        wanted=4.0,
        about=f"1 question, a context of {length:,} tokens",
    )


def _fill_mask(data: Path | None, tokenizer: Any, share: float) -> Case:
    """Sentences of which one word is hidden."""
    chance = random.Random(0)
    texts = []
    for sentence in sentences(data, "dev")[0]:
        words = sentence.split()
        if len(words) >= 6 and len(texts) < _count(50, share):
            words[chance.randrange(len(words))] = "[MASK]"
            texts.append(" ".join(words))
    if not texts:
        raise DataError("no sentence of six words or more in sst2/dev.jsonl.gz.")
    return Case(
        name="fill-mask",
        task="fill-mask",
        inputs=texts,
        one_by_one=True,
        wanted=2.0,
        about=f"{len(texts)} sentences with one mask, the median of one call",
    )


def _embed(data: Path | None, tokenizer: Any, share: float) -> Case:
    """Half sentences, three tenths passages, and a fifth of the whole again the same."""
    chance = random.Random(0)
    count = _count(1000, share)
    texts = sentences(data)[0][: count // 2]
    texts += mixed_passages(data, max(1, 3 * count // 10), tokenizer)
    distinct = len(texts)
    texts += chance.choices(texts, k=count // 5)
    chance.shuffle(texts)
    about = f"{len(texts):,} sentences and passages, {distinct:,} different, {_tokens(texts, tokenizer):,} tokens"
    return Case(name="embed", task="embedding", inputs=texts, about=about)


CASES: dict[str, Callable[[Path | None, Any, float], Case]] = {
    "zero-shot": _zero_shot,
    "ner-mixed": _ner_mixed,
    "qa-mixed": _qa_mixed,
    "fill-mask": _fill_mask,
    "long-qa": _long_qa,
    "embed": _embed,
}


def _texts(data: Path | None, name: str) -> list[str]:
    """Texts of a data set in the order of its file, each once."""
    with gzip.open(data_file(data, name, "train.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys(json.loads(line)["text"] for line in lines))


def _tokens(texts: list[str], tokenizer: Any) -> int:
    return sum(map(len, tokenizer.encode_batch(texts)))


def _count(full: int, share: float) -> int:
    return max(1, round(full * share))

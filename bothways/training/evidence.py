"""What a run measures of itself besides its scores: how texts become ids, how far the texts that it is judged on lie
from those it learned from, and what one answer costs. It goes into ``bothways.json``, from which the card is made.

Shapes: n texts, N hidden_size.
"""

from __future__ import annotations

import copy
import re
import time
from dataclasses import replace
from typing import Any

import numpy as np

from bothways.engine.processes import Processes
from bothways.engine.shared_runner import SharedRunner
from bothways.models.embedding import Embedder
from bothways.training.task import TrainingTask

SHOWN_TOKENS = 24
SAMPLE = 300
"""Texts of each side that are compared."""
LEAST = 20
"""Texts of each side below which nothing can be said of their distance."""
COST_SHARE = 0.02
"""Tokens read for these measurements, as a share of those that training read."""
READ_TOKENS = 128
TIMED = 9
SHUFFLES = 400

_WORD = re.compile(r"\w+")


def gather(
    task: TrainingTask, model: Any, tokenizer: Any, most: int | None, dtype: Any, tokens_trained: int
) -> dict[str, Any]:
    """The facts, as JSON values; what could not be measured is None.

    Args:
        task: with its training and evaluation parts.
        model: trained, in evaluation mode.
        most: tokens that the model reads at once.
        dtype: in which it predicts.
        tokens_trained: of the run, which the costs are measured against.
    """
    learned, judged = texts_of(task, task.split.train), texts_of(task, task.split.evaluation)
    return {
        "example": example(tokenizer, judged[0]) if judged else None,
        "vocabulary": vocabulary_shift(learned, judged, tokenizer),
        "embedding": _embedding_shift(learned, judged, model, tokenizer, tokens_trained),
        "latency": _latency(task, model, tokenizer, most, dtype),
    }


def texts_of(task: TrainingTask, examples: Any) -> list[str]:
    """The texts of some examples of a task, second texts beside the first."""
    other = copy.copy(task)
    other.split = replace(task.split, evaluation=list(examples)[: 20 * SAMPLE])
    firsts, seconds = other.shown_texts()
    if seconds is None:
        return list(firsts)
    return [first if second is None else f"{first} {second}" for first, second in zip(firsts, seconds, strict=True)]


def example(tokenizer: Any, text: str) -> dict[str, Any]:
    """What the tokeniser makes of one text: the first tokens with ids, types and mask."""
    row = tokenizer(text, truncation=True, max_length=max(SHOWN_TOKENS, 8))
    ids = row["input_ids"]
    return {
        "text": text[:300],
        "tokens": tokenizer.convert_ids_to_tokens(ids),
        "input_ids": ids,
        "token_type_ids": row.get("token_type_ids"),
        "attention_mask": row.get("attention_mask"),
        "shown": len(ids),
    }


def vocabulary_shift(learned: list[str], judged: list[str], tokenizer: Any) -> dict[str, Any] | None:
    """Share of the words of the evaluation texts that training never saw, beside the share that a part of the training
    texts has of words which the others do not have: what is to be expected where nothing has shifted.
    """
    words_there, words_here = _words(learned), _words(judged)
    if not words_there or not words_here:
        return None
    fifth = max(1, len(learned) // 5)
    held, rest = _words(learned[::5][:fifth]), set(_words([t for i, t in enumerate(learned) if i % 5]))
    known = set(words_there)
    unknown = tokenizer.unk_token_id
    pieces = [i for t in judged[:SAMPLE] for i in tokenizer(t, add_special_tokens=False, truncation=False)["input_ids"]]
    return {
        "new_words": sum(w not in known for w in words_here) / len(words_here),
        "expected_new_words": sum(w not in rest for w in held) / max(1, len(held)),
        "words": len(words_here),
        "unknown_tokens": sum(i == unknown for i in pieces) / max(1, len(pieces)),
        "pieces_per_word": len(pieces) / max(1, len(_words(judged[:SAMPLE]))),
    }


def mean_distance(one: np.ndarray, other: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Distance of the means of two samples of vectors, beside what it is when the texts change sides at random.

    Args:
        one, other: (n, N) and (m, N).

    Returns:
        distance; expected, the median over random divisions; p_value, the share of these with as large a distance
        (a permutation test).
    """
    both = np.concatenate([one, other]).astype(np.float64)
    rng = np.random.default_rng(seed)
    found = float(np.linalg.norm(one.mean(0) - other.mean(0)))
    chance = np.empty(SHUFFLES)
    for i in range(SHUFFLES):
        order = rng.permutation(len(both))
        a, b = both[order[: len(one)]], both[order[len(one) :]]
        chance[i] = np.linalg.norm(a.mean(0) - b.mean(0))
    p_value = float((1 + (chance >= found).sum()) / (1 + SHUFFLES))
    return {"distance": found, "expected": float(np.median(chance)), "p_value": p_value}


def _embedding_shift(
    learned: list[str], judged: list[str], model: Any, tokenizer: Any, tokens_trained: int
) -> dict[str, Any] | None:
    """How far the evaluation texts lie from the training texts in the model's own space; None where it is too dear."""
    if getattr(model.config, "is_encoder_decoder", False) or model.get_output_embeddings() is not None:
        return None
    some = learned[:: max(1, len(learned) // SAMPLE)][:SAMPLE], judged[:: max(1, len(judged) // SAMPLE)][:SAMPLE]
    lengths = [min(READ_TOKENS, len(text) // 3 + 2) for text in some[0] + some[1]]
    count = min(len(some[0]), len(some[1]), int(COST_SHARE * tokens_trained / (2 * max(1.0, float(np.mean(lengths))))))
    if count < LEAST:
        return None
    embedder = Embedder(model, tokenizer)
    options: dict[str, Any] = {"max_length": READ_TOKENS, "long_input": "truncate"}
    one, other = (embedder.embed(texts[:count], **options)[0] for texts in some)
    return {"texts": count, **mean_distance(one, other)}


def _latency(task: TrainingTask, model: Any, tokenizer: Any, most: int | None, dtype: Any) -> dict[str, Any] | None:
    """Milliseconds of one answer, tokenisation included: the median and the slowest of several examples."""
    examples = task.split.evaluation[:TIMED]
    if not examples:
        return None
    runner = SharedRunner(model, Processes(), dtype=dtype)
    times = []
    for one in [examples[0], *examples]:  # the first prepares
        alone = copy.copy(task)
        alone.split = replace(task.split, evaluation=[one])
        start = time.perf_counter()
        alone.answer(runner, alone.encode_evaluation(tokenizer, most))
        times.append(1000 * (time.perf_counter() - start))
    return {"median_ms": float(np.median(times[1:])), "slowest_ms": max(times[1:]), "examples": len(examples)}


def _words(texts: list[str]) -> list[str]:
    return [word.lower() for text in texts for word in _WORD.findall(text)]

"""Which words fit into a gap: the encoder goes on with masked words of Wikipedia, its matrices as they are.

    python -m recipes.box.fill_mask --data DIR --output DIR

What is learned is LoRA and the head, whose vocabulary projection is the encoder's matrix of word embeddings.
"""

from __future__ import annotations

import lzma
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bothways.evaluation.intervals import wilson_interval
from bothways.models.runner import PackedRunner
from bothways.pretraining import pretrain
from recipes._common import data_file
from recipes.box._common import ENCODER, Held, Recipe, Source, finish, options, pipeline_for, prepared_place, samples

ROW = 128
ROWS_OF_EACH = 4
SHARE = 0.15
VALIDATION = "Wikipedia validation articles"
PARTS = 4


def prepare(data: Path, place: Path) -> tuple[list[Path], Path, list[Held]]:
    """The text as it is: shards are made by ``pretrain``."""
    names = [f"wikipedia-en-train-{number:02}.txt.xz" for number in range(PARTS)]
    valid = data_file(data, "text", "wikipedia-en-valid.txt.xz")
    return [data_file(data, "text", name) for name in names], valid, [Held(name=VALIDATION, file=valid)]


def masked(file: Path, pipe: Any, row: int = ROW) -> Iterator[tuple[float, bool]]:
    """Probability of the best word at hidden places, and whether it is the word that stood there.

    Rows of ``row`` tokens, of which 15 % are hidden, all behind ``[MASK]``; up to 4 rows from an article.
    """
    tokenizer, generator = pipe.tokenizer, random.Random(0)
    rows, places = [], []
    for article in articles(file):
        ids = tokenizer(article, add_special_tokens=False, truncation=False)["input_ids"]
        width = row - 2
        for start in range(0, min(len(ids), ROWS_OF_EACH * width), width):
            piece = ids[start : start + width]
            count = max(1, round(SHARE * len(piece)))
            rows.append([tokenizer.cls_token_id, *piece, tokenizer.sep_token_id])
            places.append(sorted(generator.sample(range(1, len(piece) + 1), min(count, len(piece)))))
    hidden = [
        [tokenizer.mask_token_id if i in own else token for i, token in enumerate(whole)]
        for whole, own in zip(rows, places, strict=True)
    ]
    found = PackedRunner(pipe.model).masked_logits(hidden, places, then=best)
    for ids, own, (words, sureness) in zip(rows, places, found, strict=True):
        for place, word, sure in zip(own, words, sureness, strict=True):
            yield float(sure), ids[place] == int(word)


def best(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest words and their probabilities, from logits (places, words)."""
    top = logits.max(-1, keepdims=True)
    return logits.argmax(-1), 1 / np.exp(logits - top).sum(-1)


def articles(file: Path) -> Iterator[str]:
    """Articles, which blank lines divide."""
    with lzma.open(file, "rt", encoding="utf-8") as opened:
        yield from (article for article in opened.read().split("\n\n") if article.strip())


def accuracy(data: Path, adapter: Path) -> list[dict[str, Any]]:
    """How many hidden words are found."""
    file = data_file(data, "text", "wikipedia-en-valid.txt.xz")
    right = [hit for _, hit in masked(file, pipeline_for(RECIPE, adapter))]
    interval = wilson_interval(sum(right), len(right))
    score = {"value": interval.estimate, "low": interval.low, "high": interval.high, "count": len(right)}
    return [{"data": VALIDATION, "metric": "accuracy at masks", **score}]


def calibrate(held: list[Held], pipe: Any) -> tuple[str, list[tuple[float, bool]]]:
    """At the same places."""
    return held[0].name, list(masked(held[0].file, pipe))


def answer(pipe: Any) -> list[dict[str, Any]]:
    """Our own sentences with a gap."""
    answers = []
    for one in samples("fill-mask"):
        found = pipe(one["input"])[0]
        answers.append(one | {"answer": found["token_str"], "score": found["score"]})
    return answers


RECIPE = Recipe(
    name="minilm-l6-fill-mask",
    task="fill-mask",
    rank=36,
    dtype="float8_e4m3fn",
    settings={"learning_rate": 2e-3, "max_length": ROW, "batch_tokens": 4_096},
    sources=(
        Source(
            name="English Wikipedia, 18,155 articles and 250 others",
            used="training, scores on the 250",
            licence="CC BY-SA 3.0",
        ),
    ),
    prepare=prepare,
    calibrate=calibrate,
    answer=answer,
    further=accuracy,
    remarks=(
        "The encoder was made for vectors of texts and had forgotten words: a BERT of its size finds more.",
        "It likes to repeat a word that stands in the sentence.",
    ),
)


def main() -> None:
    """Make the adapter."""
    args = options(__doc__ or "", minutes=100)
    files, valid, held = prepare(args.data, prepared_place(args.output))
    pretrain(
        files,
        args.output,
        model=ENCODER,
        lora=RECIPE.rank,
        evaluation=valid,
        minutes=args.minutes,
        say=print,
        **RECIPE.settings,
    )
    finish(RECIPE, args.data, args.output, args.box, held, args.minutes)


if __name__ == "__main__":
    main()

"""Which words fit into a gap: the encoder goes on with masked words of Wikipedia, its matrices as they are.

    python -m recipes.box.fill_mask --data DIR --output DIR

What is learned is LoRA and the head, whose vocabulary projection is the encoder's matrix of word embeddings, in stages
of which each goes on with what the one before made.
"""

from __future__ import annotations

import itertools
import lzma
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bothways.corpus import build_shards, tokenizer_to_learn_with
from bothways.evaluation.intervals import wilson_interval
from bothways.files import read_json
from bothways.models.runner import PackedRunner
from bothways.pretraining import pretrain
from recipes._common import data_file
from recipes.box._common import ENCODER, Held, Recipe, Source, finish, options, pipeline_for, prepared_place, samples

ROWS = (128, 32, 512)
"""Tokens of the rows to score on, the first of which are calibrated, too."""
ROWS_OF_EACH = 4
SHARE = 0.15
VALIDATION = "Wikipedia validation articles"
PARTS = 4
SHORT: dict[str, Any] = {"max_length": 128, "batch_tokens": 4_096}
MIXED: dict[str, Any] = {"max_length": 512, "batch_tokens": 8_192, "short_rows": 0.5}
STAGES: tuple[dict[str, Any], ...] = (
    SHORT | {"minutes": 100, "optimizer": "adamw", "learning_rate": 2e-3, "seed": 42},
    SHORT | {"minutes": 56, "optimizer": "muon", "learning_rate": 1e-3, "seed": 43},
    MIXED | {"minutes": 30, "optimizer": "muon", "learning_rate": 7e-4, "seed": 44},
)
"""In each the rate rises for a twentieth and falls to nothing.

Muon at 2e-3 forgets what the first has learned: the loss went from 3.53 to 4.13 in 11 minutes, and at 5e-3 to 4.97.
Long rows come last, as in Devlin et al. 2019, appendix A.2. Without them 0.29 of the words are found in rows of 512
tokens and 0.385 in those of 128 (the first stage, a quarter of the articles). Short ones are for single sentences, in
which a word is seldom repeated.
"""


def prepare(data: Path, place: Path) -> tuple[list[Path], Path, list[Held]]:
    """The text as shards, which all stages read."""
    names = [f"wikipedia-en-train-{number:02}.txt.xz" for number in range(PARTS)]
    valid = data_file(data, "text", "wikipedia-en-valid.txt.xz")
    files, shards = [data_file(data, "text", name) for name in names], place / "shards"
    build_shards(files, shards, tokenizer=tokenizer_to_learn_with(ENCODER), say=print)
    return [shards], valid, [Held(name=VALIDATION, file=valid)]


def learn(shards: list[Path], valid: Path, output: Path, minutes: float) -> str:
    """Train through all stages, of which those that lie already beside the output are left alone.

    Returns:
        What came before the last stage, as the card says it.
    """
    encoder: str | Path = ENCODER
    told, whole = [], sum(stage["minutes"] for stage in STAGES)
    for number, stage in enumerate(STAGES, 1):
        is_last = number == len(STAGES)
        place = output if is_last else output.with_name(f"{output.name}.{number}")
        own = stage | {"minutes": minutes * stage["minutes"] / whole}
        if not (place / "bothways.json").is_file():
            pretrain(shards, place, model=encoder, evaluation=valid, lora=RECIPE.rank, say=print, **own)
        if not is_last:
            tokens = read_json(place / "bothways.json")["training"]["tokens"]
            how = f"{own['optimizer']} and rows of {own['max_length']} tokens"
            told.append(f"{own['minutes']:.0f} minutes and {tokens / 1e6:.1f} million tokens with {how}")
        encoder = place
    return f"Before the run below: {'; '.join(told)}."


def masked(file: Path, pipe: Any, row: int = ROWS[0], *, as_learned: bool = False) -> Iterator[tuple[float, bool]]:
    """Probability of the best word at hidden places, and whether it is the word that stood there.

    Rows of ``row`` tokens, of which 15 % are hidden; up to 4 rows from an article.

    Args:
        as_learned: of the hidden ones a tenth is another token and a tenth itself; else all are ``[MASK]``.
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

    def behind(token: int) -> int:
        drawn = generator.random() if as_learned else 0.0
        return tokenizer.mask_token_id if drawn < 0.8 else token if drawn < 0.9 else generator.randrange(len(tokenizer))

    hidden = [
        [behind(token) if i in own else token for i, token in enumerate(whole)]
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
    pipe, scores = pipeline_for(RECIPE, adapter), []
    for row, as_learned in itertools.product(ROWS, (False, True)):
        right = [hit for _, hit in masked(file, pipe, row, as_learned=as_learned)]
        interval = wilson_interval(sum(right), len(right))
        score = {"value": interval.estimate, "low": interval.low, "high": interval.high, "count": len(right)}
        metric = f"accuracy at masks{', hidden as in training' * as_learned}"
        scores.append({"data": f"{VALIDATION}, rows of {row} tokens", "metric": metric, **score})
    return scores


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
    settings=STAGES[-1],
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
    args = options(__doc__ or "", minutes=sum(stage["minutes"] for stage in STAGES))
    shards, valid, held = prepare(args.data, prepared_place(args.output))
    began = learn(shards, valid, args.output, args.minutes)
    finish(replace(RECIPE, began=began), args.data, args.output, args.box, held, args.minutes)


if __name__ == "__main__":
    main()

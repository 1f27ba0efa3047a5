"""Whether a text is negative or positive: SST-2 (phrases of film reviews) and whole reviews of IMDB.

    python -m recipes.box.sentiment --data DIR --output DIR

Two epochs train a whole model; an adapter takes over the largest parts of what it learned, and learns its answers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from recipes._common import data_file
from recipes.box._common import (
    Held,
    Recipe,
    Source,
    json_rows,
    make,
    options,
    prepared_place,
    samples,
    top_labels,
    write_rows,
)
from recipes.box._thinned import begun

ACCURACY = {"accuracy": "accuracy"}
NAMES = ("NEGATIVE", "POSITIVE")
REVIEWS_APART = 3
"""Every third review of IMDB is taken: whole reviews cost twenty times as much as phrases."""
HELD_APART = 7
"""Of these every seventh is to score on."""
SHAPE = {"batch_size": 32, "warmup": 0.06}
WHOLE = SHAPE | {"epochs": 2, "learning_rate": 1e-4, "max_length": 128}
"""Of the whole model, from which the adapter begins and whose answers it learns, too."""


def prepare(data: Path, place: Path) -> tuple[list[Path], Path, list[Held]]:
    """Both data sets with the same label names; reviews to score on are none of those trained on."""
    phrases = write_rows(place / "sst2.jsonl", map(named, json_rows(data_file(data, "sst2", "train.jsonl.gz"))))
    dev = write_rows(place / "sst2-dev.jsonl", map(named, json_rows(data_file(data, "sst2", "dev.jsonl.gz"))))
    reviews = {row["text"]: row for row in json_rows(data_file(data, "imdb", "train.jsonl.gz"))}  # some come twice
    chosen = [named(row) for row in list(reviews.values())[::REVIEWS_APART]]  # the file has all of one label first
    held = write_rows(place / "imdb-held.jsonl", chosen[::HELD_APART])
    train = write_rows(place / "imdb.jsonl", [row for i, row in enumerate(chosen) if i % HELD_APART])
    return (
        [phrases, train],
        dev,
        [
            Held(name="SST-2 dev", file=dev, metrics=ACCURACY),
            Held(name="IMDB reviews that were held out", file=held, metrics=ACCURACY),
        ],
    )


def named(row: dict[str, Any]) -> dict[str, str]:
    """A record with a label that has a name, and paragraphs instead of ``<br />``."""
    return {"text": row["text"].replace("<br />", "\n"), "label": NAMES[row["label"]]}


def calibrate(held: list[Held], pipe: Any) -> tuple[str, list[tuple[float, bool]]]:
    """On the sentences of SST-2."""
    rows = list(plain_rows(held[0].file))
    return held[0].name, top_labels(pipe, [row["text"] for row in rows], [row["label"] for row in rows])


def plain_rows(file: Path) -> list[dict[str, Any]]:
    """The records of a prepared file."""
    import json

    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def answer(pipe: Any) -> list[dict[str, Any]]:
    """Our own twenty sentences about films."""
    asked = samples("sentiment")
    found = pipe([one["input"] for one in asked])
    return [one | {"answer": got["label"], "score": got["score"]} for one, got in zip(asked, found, strict=True)]


RECIPE = Recipe(
    name="minilm-l6-sentiment",
    task="text-classification",
    rank=None,
    dtype="float8_e4m3fn",
    settings=SHAPE | {"epochs": 3, "learning_rate": 5e-4, "max_length": 192, "dropout": 0.0},
    sources=(
        Source(
            name="SST-2 (Stanford Sentiment Treebank)",
            used="training (train, phrases and sentences), choice of the epoch and scores (dev)",
            licence="none stated",
        ),
        Source(
            name="IMDB (Maas et al. 2011)",
            used="training (every third review, six of seven), scores (the others of these)",
            licence="none stated",
        ),
    ),
    prepare=prepare,
    calibrate=calibrate,
    answer=answer,
    began="First all of the encoder learned the same texts for two epochs; the adapter began with the largest parts of "
    "what that had changed, and learned its answers beside those of the data.",
    remarks=(
        "It has learned from English film reviews only, and knows no third answer: a text without an opinion gets one "
        "all the same.",
        "The epoch was chosen on SST-2 dev, which flatters that score a little.",
    ),
)


def main() -> None:
    """Make the adapter."""
    args = options(__doc__ or "", minutes=80)
    files, chooses, _ = prepare(args.data, prepared_place(args.output))
    start, whole = begun(RECIPE, files, chooses, args.output, **WHOLE)
    taught = replace(RECIPE, settings=dict(RECIPE.settings) | {"teacher": str(whole)})
    make(taught, args.data, args.output, minutes=args.minutes, box=args.box, encoder=start)


if __name__ == "__main__":
    main()

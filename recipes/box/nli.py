"""Whether one text follows from another: MultiNLI and SNLI (samples), SICK, RTE, and texts beside their topics.

Zero-shot classification reads it.

python -m recipes.box.nli --data DIR --output DIR
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bothways import pipeline
from bothways.evaluation.intervals import wilson_interval
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
from recipes.box.sentiment import ACCURACY, plain_rows
from recipes.box.topics import topic_pairs

LABELS = ("entailment", "neutral", "contradiction")
NEWS = {"World": "world politics", "Sports": "sports", "Business": "business", "Sci/Tech": "science and technology"}
NEWS_ROWS = 1_000
SHAPE = {"batch_size": 32, "max_length": 160, "warmup": 0.06}
WHOLE = SHAPE | {"epochs": 3, "learning_rate": 1e-4}
"""Of the whole model, from which the adapter begins and whose answers it learns, too."""


def prepare(data: Path, place: Path) -> tuple[list[Path], Path, list[Held]]:
    """Premise and hypothesis under the same names everywhere.

    The training part of MultiNLI has half as many pairs as its dev part: of dev a quarter is kept to score on, an
    eighth to choose the epoch by, and the rest is trained on. All pairs with one premise go the same way.
    """

    def read(file: str) -> list[dict[str, str]]:
        return list(pairs(json_rows(data_file(data, "nli", file))))

    genres, scored, chooses = read("multinli_train.jsonl.gz"), [], []
    for row in read("multinli_dev.jsonl.gz"):
        eighth = zlib.crc32(row["premise"].encode()) % 8
        (scored if eighth < 2 else chooses if eighth == 2 else genres).append(row)
    kept = {row["premise"] for row in (*scored, *chooses)}
    genres = [row for row in genres if row["premise"] not in kept]
    train = {
        "multinli": genres,
        "snli": read("snli_cad_train.jsonl.gz"),
        "sick": read("sick_train.jsonl.gz"),
        "rte": read("rte123_train.jsonl.gz"),
        "topics": list(topic_pairs(data)),
    }
    held = {
        "MultiNLI, a quarter of the dev sample": ("multinli-held", scored),
        "SNLI with revisions, dev": ("snli-dev", read("snli_cad_dev.jsonl.gz")),
        "SICK trial": ("sick-trial", read("sick_trial.jsonl.gz")),
    }
    return (
        [write_rows(place / f"{name}.jsonl", rows) for name, rows in train.items()],
        write_rows(place / "multinli-chooses.jsonl", chooses),
        [
            Held(name=title, file=write_rows(place / f"{name}.jsonl", rows), metrics=ACCURACY)
            for title, (name, rows) in held.items()
        ],
    )


def pairs(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """Rows with one of the three labels. What RTE calls not_entailment may be either of two, and is left out."""
    for row in rows:
        if row["label"] in LABELS:
            yield {"premise": row["text_a"], "hypothesis": row["text_b"], "label": row["label"]}


def news(data: Path, adapter: Path) -> list[dict[str, Any]]:
    """Zero-shot accuracy on the topics of AG News, of which nothing was trained."""
    rows = list(json_rows(data_file(data, "ag_news", "train.jsonl.gz")))
    rows = rows[:: max(1, len(rows) // NEWS_ROWS)]
    pipe = pipeline("zero-shot-classification", model=adapter, device=-1, dtype="float32")
    found = pipe([row["text"] for row in rows], candidate_labels=list(NEWS.values()))
    right = sum(answer["labels"][0] == NEWS[row["label"]] for answer, row in zip(found, rows, strict=True))
    interval = wilson_interval(right, len(rows))
    score = {"value": interval.estimate, "low": interval.low, "high": interval.high, "count": len(rows)}
    return [{"data": "AG News, zero-shot, 4 topics", "metric": "accuracy", **score}]


def calibrate(held: list[Held], pipe: Any) -> tuple[str, list[tuple[float, bool]]]:
    """As a classifier of pairs."""
    rows = plain_rows(held[0].file)
    judge = pipeline("text-classification", model=pipe.model, tokenizer=pipe.tokenizer, device=-1)
    asked = [{"text": row["premise"], "text_pair": row["hypothesis"]} for row in rows]
    return held[0].name, top_labels(judge, asked, [row["label"] for row in rows])


def answer(pipe: Any) -> list[dict[str, Any]]:
    """Our own pairs, and texts with labels to choose from."""
    judge = pipeline("text-classification", model=pipe.model, tokenizer=pipe.tokenizer, device=-1)
    answers = []
    for one in samples("nli"):
        found = judge({"text": one["input"][0], "text_pair": one["input"][1]})
        answers.append(one | {"answer": found["label"], "score": found["score"]})
    for one in samples("zero-shot"):
        found = pipe(one["input"], candidate_labels=one["labels"])
        answers.append(one | {"answer": found["labels"][0], "score": found["scores"][0]})
    return answers


RECIPE = Recipe(
    name="minilm-l6-nli",
    task="text-classification",
    rank=None,
    settings=SHAPE | {"epochs": 2, "learning_rate": 5e-4, "dropout": 0.0},
    sources=(
        Source(
            name="MultiNLI, sample of TaxiNLI",
            used="training (train and five eighths of dev), choice of the epoch (an eighth), scores (a quarter)",
            licence="Computational Use of Data Agreement v1.0",
        ),
        Source(
            name="SNLI, sample with counterfactual revisions",
            used="training (train), scores (dev)",
            licence="Apache 2.0",
        ),
        Source(name="SICK", used="training (train), scores (trial)", licence="CC BY-NC-SA 3.0"),
        Source(name="RTE-1, 2, 3", used="training (entailments only)", licence="none stated"),
        Source(name="BBC News", used="training (texts beside topics)", licence="none stated"),
        Source(name="20 Newsgroups, sample", used="training (texts beside topics)", licence="none stated"),
        Source(name="Banking77, sample", used="training (questions beside intents)", licence="CC BY 4.0"),
        Source(name="SST-2, sample", used="training (sentences beside opinions)", licence="none stated"),
        Source(name="AG News, sample", used="scores", licence="non-commercial use"),
    ),
    prepare=prepare,
    calibrate=calibrate,
    answer=answer,
    further=news,
    began="First all of the encoder learned, for three epochs; the adapter began with the largest parts of "
    "what that had changed, and learned that model's answers beside the labels.",
    remarks=(
        "It has learned from 29,000 pairs, a fortieth of what larger models of this kind have: its probabilities for "
        "labels of your own are a ranking more than a measure.",
    ),
)


def main() -> None:
    """Make the adapter."""
    args = options(__doc__ or "", minutes=15)
    files, chooses, _ = prepare(args.data, prepared_place(args.output))
    start, whole = begun(RECIPE, files, chooses, args.output, **WHOLE)
    taught = replace(RECIPE, settings=dict(RECIPE.settings) | {"teacher": str(whole)})
    make(taught, args.data, args.output, minutes=args.minutes, box=args.box, encoder=start)


if __name__ == "__main__":
    main()

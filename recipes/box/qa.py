"""Answers in texts, or that there is none: SQuAD 1.1, with questions put beside paragraphs that do not answer them.

    python -m recipes.box.qa --data DIR --output DIR

One epoch of SQuAD 1.1 trains a whole model; an adapter takes over the largest parts of what it learned and goes on, now
also with questions that have no answer. (One that began with nothing found 0.754 after 72 minutes; this one finds
0.802, in half precision and a third of the time 0.788, the whole model 0.806.)

All paragraphs of the catalogue's part of SQuAD 2.0 stand in its development part of SQuAD 1.1, too. To train on the one
would be to train on what the other scores: half of its articles choose the epoch and how sure "no answer" must be, the
other half and SQuAD 1.1 are only scored. What chooses has questions without an answer of the kind that training has:
chosen on the misleading ones of SQuAD 2.0 the threshold keeps back most right answers, too (measured: it fell to -14,
and "Where do I live?" had no answer beside "I live in London").

All questions of SQuAD 1.1 have an answer, and its scores are of models that always give one, as pipelines do unless
told otherwise; with the threshold the same questions are scored a second time.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bothways.data.squad import QuestionExample, load_questions
from bothways.evaluation.intervals import bootstrap_interval
from bothways.files import write_text
from bothways.metrics.question_answering import answer_exact, answer_f1
from recipes._common import data_file
from recipes.box._common import Held, Recipe, Source, make, options, pipeline_for, samples
from recipes.box._thinned import begun

BOTH = {"f1": "answer F1", "exact": "exact match"}
LEARNED, CHOSEN = 0.1, 0.5
"""Questions put beside another paragraph of their article, as a share of all: in training, and to choose on."""
MOST_TO_CALIBRATE = 2_000
ONE = "SQuAD 1.1 dev-part"


def prepare(data: Path, place: Path) -> tuple[list[Path], Path, list[Held]]:
    """SQuAD 1.1 with further questions that have no answer, and SQuAD 2.0 in two halves."""
    train = articles(data_file(data, "squad", "train-v1.1.json.gz"))
    two = articles(data_file(data, "squad", "dev-v2.0-part.json.gz"))
    one = articles(data_file(data, "squad", "dev-v1.1-part.json.gz"))
    choosing = [with_unanswerable(answerable(article), i, CHOSEN) for i, article in enumerate(two[1::2])]
    chooses = write_articles(place / "squad2-choosing.json", choosing)
    rest = write_articles(place / "squad2-scoring.json", two[::2])
    dev = write_articles(place / "squad1-dev.json", one)
    made = write_articles(
        place / "train.json", [with_unanswerable(article, i, LEARNED) for i, article in enumerate(train)]
    )
    return (
        [made],
        chooses,
        [
            Held(name=f"{ONE}, with the threshold", file=dev, metrics=BOTH),
            Held(name="SQuAD 2.0 part, articles that chose nothing", file=rest, metrics=BOTH),
        ],
    )


def articles(file: Path) -> list[dict[str, Any]]:
    """The articles of a file of SQuAD."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        return json.load(opened)["data"]


def write_articles(file: Path, data: Sequence[dict[str, Any]]) -> Path:
    """A file of SQuAD with these articles."""
    write_text(file, json.dumps({"version": "v2.0", "data": list(data)}, ensure_ascii=False))
    return file


def answerable(article: dict[str, Any]) -> dict[str, Any]:
    """The article without the questions that have no answer."""
    kept = [p | {"qas": [q for q in p["qas"] if not q.get("is_impossible")]} for p in article["paragraphs"]]
    return article | {"paragraphs": kept}


def with_unanswerable(article: dict[str, Any], seed: int, share: float) -> dict[str, Any]:
    """The article with some of its questions again, beside a paragraph in which no answer to them stands."""
    generator = random.Random(seed)
    paragraphs = [paragraph | {"qas": list(paragraph["qas"])} for paragraph in article["paragraphs"]]
    for number, paragraph in enumerate(article["paragraphs"]):
        others = [i for i in range(len(paragraphs)) if i != number]
        for question in paragraph["qas"]:
            if not others or generator.random() >= share:
                continue
            other = paragraphs[generator.choice(others)]
            if not any(answer["text"].lower() in other["context"].lower() for answer in question["answers"]):
                lost = {"id": f"{question['id']}-elsewhere", "is_impossible": True, "answers": []}
                other["qas"].append({"question": question["question"], **lost})
    return article | {"paragraphs": paragraphs}


def calibrate(held: list[Held], pipe: Any) -> tuple[str, list[tuple[float, bool]]]:
    """Whether answers are right word for word, by their score."""
    examples = load_questions(held[0].file).examples
    examples = examples[:: max(1, len(examples) // MOST_TO_CALIBRATE)]
    pairs = [
        (found["score"], bool(answer_exact(found["answer"], example.answer_texts or ("",))))
        for example, found in zip(examples, answered(pipe, examples), strict=True)
    ]
    return f"{len(examples):,} questions of {held[0].name}, exact answers", pairs


def answered(pipe: Any, examples: Sequence[QuestionExample]) -> list[dict[str, Any]]:
    """What a pipeline says to questions."""
    return pipe([{"question": example.question, "context": example.context} for example in examples])


def always_answering(data: Path, adapter: Path) -> list[dict[str, Any]]:
    """Scores on SQuAD 1.1 of the pipeline as it is without options: the best place, however unsure."""
    examples = load_questions(data_file(data, "squad", "dev-v1.1-part.json.gz")).examples
    said = answered(pipeline_for(replace(RECIPE, pipeline_options={}), adapter), examples)
    scores = []
    for metric, measure in (("answer F1", answer_f1), ("exact match", answer_exact)):
        values = [measure(f["answer"], e.answer_texts) for e, f in zip(examples, said, strict=True)]
        own = bootstrap_interval(values)
        interval = {"value": own.estimate, "low": own.low, "high": own.high}
        scores.append({"data": f"{ONE}, always answering", "metric": metric, "count": len(values), **interval})
    return scores


def answer(pipe: Any) -> list[dict[str, Any]]:
    """Three questions about the Eiffel Tower, and one that its paragraph does not answer."""
    answers = []
    asked = samples("qa")
    context = asked[0]["context"]
    for one in asked:
        found = pipe(question=one["input"], context=context)
        answers.append(one | {"context": context, "answer": found["answer"], "score": found["score"]})
    return answers


RECIPE = Recipe(
    name="minilm-l6-qa",
    task="question-answering",
    rank=None,
    dtype="float8_e4m3fn",
    settings={"epochs": 1, "learning_rate": 5e-4, "batch_size": 16, "warmup": 0.06, "dropout": 0.0},
    sources=(
        Source(name="SQuAD 1.1", used="training (train), scores (24 articles of dev)", licence="CC BY-SA 4.0"),
        Source(
            name="SQuAD 2.0, part",
            used="choice of the epoch and of the threshold for no answer (9 articles), scores (10 others)",
            licence="CC BY-SA 4.0",
        ),
    ),
    prepare=prepare,
    calibrate=calibrate,
    answer=answer,
    main=always_answering,
    began="First all of the encoder learned for one epoch of SQuAD 1.1, whose questions have an answer; "
    "the adapter began with the largest parts of what that had changed.",
    remarks=(
        "It has learned no question that was written to mislead: 'no answer' is learned from questions beside other "
        "paragraphs of their article.",
        "It finds words of the text and makes none: questions for a yes, a count or a reason get a place in the text.",
    ),
    pipeline_options={"handle_impossible_answer": True},
)


def main() -> None:
    """Make the adapter."""
    args = options(__doc__ or "", minutes=70)
    files = [data_file(args.data, "squad", f"{name}.json.gz") for name in ("train-v1.1", "dev-v1.1-part")]
    start, _ = begun(RECIPE, files[:1], files[1], args.output, epochs=1)
    make(RECIPE, args.data, args.output, minutes=args.minutes, box=args.box, encoder=start)


if __name__ == "__main__":
    main()

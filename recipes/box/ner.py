"""Names in texts: CoNLL-2003 (news) and WNUT-17 (posts), as PER, ORG, LOC and MISC.

    python -m recipes.box.ner --data DIR --output DIR

The encoder reads lower-case letters only. Lower-case text and headlines are the same to it as the text that it learned
from, and copies of the data in lower case would teach it nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bothways.data.conll import sentences
from bothways.data.tagged import load_tagged
from bothways.files import write_text
from bothways.metrics.entities import entity_spans
from bothways.metrics.tag_schemes import to_iob2
from recipes._common import data_file
from recipes.box._common import Held, Recipe, Source, make, options, samples

ENTITY_F1 = {"f1": "entity F1"}
TYPES = {
    "person": "PER",
    "location": "LOC",
    "group": "ORG",
    "corporation": "ORG",
    "creative-work": "MISC",
    "product": "MISC",
}
"""From the types of WNUT-17 to those of CoNLL-2003. A group is a band or a club; a work or a product is a name that is
no person, place or organisation.
"""
MOST_TO_CALIBRATE = 1_000


def prepare(data: Path, place: Path) -> tuple[list[Path], Path, list[Held]]:
    """Both data sets in IOB2 with the types of CoNLL-2003."""
    files = {
        "conll": data_file(data, "conll2003", "eng.train.gz"),
        "conll-testa": data_file(data, "conll2003", "eng.testa.gz"),
        "wnut": data_file(data, "wnut17", "train.conll.gz"),
        "wnut-dev": data_file(data, "wnut17", "dev.conll.gz"),
    }
    made = {name: write_text_file(place / f"{name}.conll", file) for name, file in files.items()}
    return (
        [made["conll"], made["wnut"]],
        made["conll-testa"],
        [
            Held(name="CoNLL-2003 testa", file=made["conll-testa"], metrics=ENTITY_F1),
            Held(name="WNUT-17 dev, types mapped", file=made["wnut-dev"], metrics=ENTITY_F1),
        ],
    )


def write_text_file(target: Path, source: Path) -> Path:
    """A column file with two columns."""
    parts = ("\n".join(f"{w}\t{t}" for w, t in zip(words, tags, strict=True)) for words, tags in mapped(source))
    write_text(target, "\n\n".join(parts) + "\n")
    return target


def mapped(source: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of the sentences of a file."""
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for words, tags, _ in sentences(lines, source.name):
            yield words, [own(tag) for tag in to_iob2(tags)]


def own(tag: str) -> str:
    """Example: ``B-corporation`` is ``B-ORG``."""
    mark, dash, kind = tag.partition("-")
    return f"{mark}{dash}{TYPES.get(kind, kind)}"


def calibrate(held: list[Held], pipe: Any) -> tuple[str, list[tuple[float, bool]]]:
    """Whether entities are right, type and both ends, by the mean probability of their words."""
    examples = load_tagged(held[0].file, purpose="evaluate").examples[:MOST_TO_CALIBRATE]
    pairs = []
    for example, found in zip(examples, pipe([example.text for example in examples]), strict=True):
        gold = {
            (kind, example.words[start][0], example.words[end - 1][1])
            for kind, start, end in entity_spans(example.tags)
        }
        pairs += [(e["score"], (e["entity_group"], e["start"], e["end"]) in gold) for e in found]
    return f"the entities found in {len(examples):,} sentences of {held[0].name}", pairs


def answer(pipe: Any) -> list[dict[str, Any]]:
    """Our own paragraphs, one of them in lower case and one a headline."""
    answers = []
    for one in samples("ner"):
        found = pipe(one["input"])
        shown = "; ".join(f"{e['entity_group']}: {one['input'][e['start'] : e['end']]}" for e in found)
        answers.append(one | {"answer": shown, "score": min((e["score"] for e in found), default=1.0)})
    return answers


RECIPE = Recipe(
    name="minilm-l6-ner",
    task="ner",
    rank=22,
    settings={"epochs": 8, "learning_rate": 1e-3, "batch_size": 16, "warmup": 0.06},
    sources=(
        Source(
            name="CoNLL-2003 English",
            used="training (train), choice of the epoch and scores (testa)",
            licence="none stated; the text is from the Reuters Corpus (research use under its own agreement)",
        ),
        Source(name="WNUT-17", used="training (train), scores (dev), with types mapped", licence="CC BY 4.0"),
    ),
    prepare=prepare,
    calibrate=calibrate,
    answer=answer,
    remarks=(
        "It has learned from English news of 1996 and from posts; names of other domains (genes, laws) are none to it.",
        "WNUT-17 was mapped: group and corporation to ORG, creative-work and product to MISC.",
        "The epoch was chosen on testa, which flatters that score a little.",
    ),
    pipeline_options={"aggregation_strategy": "first"},
)


def main() -> None:
    """Make the adapter."""
    args = options(__doc__ or "", minutes=60)
    make(RECIPE, args.data, args.output, minutes=args.minutes, box=args.box)


if __name__ == "__main__":
    main()

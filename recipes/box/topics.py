"""Texts and what they are about, as pairs of premise and hypothesis: what zero-shot classification asks of ``nli``.

A text follows from its own label and contradicts one that is drawn from another field. The topics are those of BBC News
and 20 Newsgroups, the intents those of Banking77, the opinions those of SST-2.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recipes._common import data_file
from recipes.box._common import json_rows

FIELDS: dict[str, dict[str, tuple[str, ...]]] = {
    "sport": {
        "sport": ("sport", "sports"),
        "rec.sport.baseball": ("baseball", "sport", "sports"),
        "rec.sport.hockey": ("ice hockey", "sport", "sports"),
    },
    "politics": {
        "politics": ("politics", "government", "the government"),
        "talk.politics.guns": ("gun laws", "politics"),
        "talk.politics.mideast": ("the Middle East", "international politics", "foreign affairs"),
        "talk.politics.misc": ("politics", "society and politics"),
    },
    "business": {"business": ("business", "the economy", "companies and markets", "finance")},
    "computers": {
        "tech": ("technology", "computers and the internet", "science and computers"),
        "comp.graphics": ("computer graphics", "computers", "technology"),
        "comp.os.ms-windows.misc": ("Windows", "software", "technology"),
        "comp.sys.ibm.pc.hardware": ("PC hardware", "computers", "technology"),
        "comp.sys.mac.hardware": ("Macintosh computers", "computers", "technology"),
        "comp.windows.x": ("the X Window System", "software", "technology"),
        "sci.crypt": ("encryption", "computer security", "technology"),
        "sci.electronics": ("electronics", "technology", "science"),
    },
    "space": {"sci.space": ("space", "space travel", "science")},
    "medicine": {"sci.med": ("medicine", "health", "science")},
    "entertainment": {"entertainment": ("entertainment", "film and music", "culture")},
    "religion": {
        "alt.atheism": ("atheism", "religion"),
        "soc.religion.christian": ("Christianity", "religion"),
        "talk.religion.misc": ("religion", "faith"),
    },
    "vehicles": {"rec.autos": ("cars", "vehicles"), "rec.motorcycles": ("motorcycles", "vehicles")},
    "trade": {"misc.forsale": ("things for sale", "advertisements")},
}
"""Field → topic of a data set → names for it. Two names of one field are never held to contradict each other."""
TEMPLATES = ("This example is {}.",) * 3 + ("This example is about {}.", "This text is about {}.", "It is about {}.")
"""The first is what zero-shot pipelines ask unless told otherwise."""
WORDS = 60
OPINIONS = ("negative", "positive")
NEWS = {"bbc_news/train.jsonl.gz": 1_460, "newsgroups20/train.jsonl.gz": 1_500}
INTENTS = {"banking77/train.jsonl.gz": 800}
REVIEWS = {"sst2/train_sentences.jsonl.gz": 600}
"""How many texts of each."""


def topic_pairs(data: Path) -> Iterator[dict[str, str]]:
    """Two pairs of each text: one that holds and one that does not."""
    generator = random.Random(0)
    for files, names in ((NEWS, topic_names), (INTENTS, intent_names), (REVIEWS, opinions)):
        rows = [row for file, count in files.items() for row in drawn(data, file, count, generator)]
        for row in rows:
            right, wrong = names(row["label"], [other["label"] for other in rows], generator)
            template = generator.choice(TEMPLATES)
            yield {"premise": row["text"], "hypothesis": template.format(right), "label": "entailment"}
            yield {"premise": row["text"], "hypothesis": template.format(wrong), "label": "contradiction"}


def drawn(data: Path, file: str, count: int, generator: random.Random) -> list[dict[str, Any]]:
    """So many texts of a file, the first words of each."""
    rows = [row | {"text": plain(row["text"])} for row in json_rows(data_file(data, *file.split("/")))]
    rows = [row for row in rows if row["text"]]
    return generator.sample(rows, min(count, len(rows)))


def plain(text: str) -> str:
    """The first words, without what was quoted in a post."""
    own = [line for line in text.splitlines() if not re.match(r"\s*[>|:]|.*(writes|wrote):?\s*$|In article", line)]
    return " ".join(" ".join(own).split()[:WORDS])


def topic_names(label: str, labels: list[str], generator: random.Random) -> tuple[str, str]:
    """A name for a topic, and one of another field: as often wrong as it is right, or it would tell by itself."""
    own = next(topics for topics in FIELDS.values() if label in topics)
    fits = {name for names in own.values() for name in names}
    while True:
        other = generator.choice(labels)
        wrong = generator.choice(next(topics[other] for topics in FIELDS.values() if other in topics))
        if other not in own and wrong not in fits:
            return generator.choice(own[label]), wrong


def intent_names(label: str, labels: list[str], generator: random.Random) -> tuple[str, str]:
    """An intent in words, and another."""
    other = generator.choice([name for name in labels if name != label])
    return label.replace("_", " "), other.replace("_", " ")


def opinions(label: int, labels: list[int], generator: random.Random) -> tuple[str, str]:
    """Both opinions, the right one first."""
    return OPINIONS[label], OPINIONS[1 - label]

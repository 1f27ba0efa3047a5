"""Published data sets are recognised without a flag."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from bothways.data import infer_task, iter_texts, load_labelled, read_rows, recognise_columns

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("BOTHWAYS_DATA" not in os.environ, reason="needs BOTHWAYS_DATA"),
]
ROOT = Path(os.environ.get("BOTHWAYS_DATA", "."))


@pytest.mark.parametrize(
    ("name", "columns", "kind"),
    [
        ("sst2/dev", "text label", "single"),
        ("sst5/dev", "text label", "single"),
        ("banking77/train", "text label", "single"),
        ("ag_news/train", "text label", "single"),
        ("imdb/train", "text label", "single"),
        ("bbc_news/train", "text label", "single"),
        ("newsgroups20/train", "text label", "single"),
        ("cola/train", "text label", "single"),
        ("mrpc/train", "text_a text_b label", "single"),
        ("stsb/train", "text_a text_b score", "regression"),
        ("stsb/dev", "text_a text_b score", "regression"),
        ("nli/sick_train", "text_a text_b label", "single"),
        ("nli/rte123_train", "text_a text_b label", "single"),
        ("nli/multinli_dev", "text_a text_b label", "single"),
        ("nli/snli_cad_dev", "text_a text_b label", "single"),
    ],
)
def test_columns_and_kind(name: str, columns: str, kind: str) -> None:
    rows = [row.values for row in islice(read_rows(ROOT / f"{name}.jsonl.gz"), 1500)]
    found = recognise_columns(list(rows[0]), rows)
    assert [c for c in (found.text, found.text_pair, found.label) if c] == columns.split()
    assert infer_task((row[found.label or ""] for row in rows), column=found.label) == kind


def test_whole_files() -> None:
    banking = load_labelled(ROOT / "banking77/train.jsonl.gz")
    assert (len(banking.examples), len(banking.label_names)) == (10_003, 77)
    news = load_labelled(ROOT / "newsgroups20/train.jsonl.gz")
    assert (len(news.examples), news.problems.blank_texts, len(news.label_names)) == (11_296, 18, 20)
    sst = load_labelled(ROOT / "sst2/dev.jsonl.gz")
    assert (len(sst.examples), sst.label_names) == (872, ("0", "1"))
    assert sum(1 for _ in iter_texts(ROOT / "text/wikitext-2-valid.txt.gz")) > 3000

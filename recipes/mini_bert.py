"""A small BERT from nothing but text: Wikipedia, with and without next-sentence prediction.

    python -m recipes.mini_bert --data DIR --output DIR

vocabulary ─► shards ─► two runs of the same time ─► fine-tuned beside a random start and minilm-l6 ─► results.md

The two runs go side by side, each with half of the cores; so do the fine-tunings. Each part that is done is left alone
when the recipe is started again, and a run that was stopped goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from bothways import BertForPreTraining, build_shards, train
from bothways.cli import run
from bothways.corpus import open_shards
from bothways.engine.processes import Processes
from bothways.files import read_json
from bothways.pretraining.documents import documents_of
from bothways.pretraining.masked_goals import MaskedWordsAndPairs
from bothways.pretraining.models import make_config, new_model
from bothways.pretraining.word_vectors import begin_with_word_vectors
from bothways.tokenizers import AutoTokenizer
from recipes._common import data_file, options, place_of, write_results

VOCABULARY = 16_000
SIZE = "mini"
OBJECTIVES = ("mlm", "mlm,nsp")
PRETRAINING = {"max-length": 64, "batch-tokens": 4096, "learning-rate": 2e-3}
"""Many small steps on short rows: what is fine-tuned here is sentences and pairs of them."""
FROM_SCRATCH = {"learning_rate": 3e-4, "epochs": 4}
"""Of fine-tuning a model this small. Source: Turc et al. 2019, section 5, whose grid ends with this rate."""
TASKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "SST-2": ("sst2/train_sentences.jsonl.gz", "sst2/dev.jsonl.gz", {"task": "text-classification"}),
    "CoNLL-2003": ("conll2003/eng.train.gz", "conll2003/eng.testa.gz", {"task": "ner"}),
    "SICK": (
        *("nli/sick_train.jsonl.gz", "nli/sick_trial.jsonl.gz"),
        {"task": "text-classification", "text_column": "text_a,text_b", "label_column": "label"},
    ),
}


def main() -> None:
    """Make the models, fine-tune them, and write the table."""
    args = options(__doc__ or "", minutes=75)
    texts = [data_file(args.data, "text", f"wikipedia-en-train-{i:02}.txt.xz") for i in range(4)]
    valid = data_file(args.data, "text", "wikipedia-en-valid.txt.xz")
    place: Path = args.output
    place.mkdir(parents=True, exist_ok=True)
    vocabulary, shards, held = place / "tokenizer", place / "shards", place / "held-out"
    if not vocabulary.is_dir():
        files = [str(file) for file in texts]
        if run(["tokenizer", "train", *files, "--vocab-size", str(VOCABULARY), "--output", str(vocabulary)]):
            raise SystemExit(1)
    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    build_shards(texts, shards, tokenizer=tokenizer, jobs=2, say=print)
    build_shards([valid], held, tokenizer=tokenizer, say=print)
    starts: dict[str, Any] = {objective: place / objective.replace(",", "-") for objective in OBJECTIVES}
    learn_side_by_side(starts, shards, held, args.minutes)
    starts["word vectors alone"] = unread(place / "word-vectors", tokenizer, shards)
    starts["random start"] = unread(place / "random", tokenizer)
    starts["minilm-l6"] = "minilm-l6"
    work = [(name, start, task, args.data, place) for (name, start), task in product(starts.items(), TASKS)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        rows = [row for found in pool.map(fine_tuned, *zip(*work, strict=True)) for row in found]
    write_results(place, report(place, rows))


def learn_side_by_side(outputs: dict[str, Path], shards: Path, held: Path, minutes: float) -> None:
    """Pretrain for every objective that has no model yet, all at once."""
    waiting = {name: output for name, output in outputs.items() if not (output / "bothways.json").is_file()}
    threads = max(1, (os.cpu_count() or 1) // max(1, len(waiting)))
    options = {"data": shards, "eval": held, "config": SIZE, "minutes": minutes, **PRETRAINING}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "bothways", "pretrain", *words, "--objective", name, "--output", str(output)],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        for name, output in waiting.items()
    ]
    ends = [run.wait() for run in runs]
    if any(ends):
        raise SystemExit(1)


def unread(directory: Path, tokenizer: Any, shards: Path | None = None) -> Path:
    """The same model before its first step: with random word vectors, or with those counted from the shards."""
    if not (directory / "config.json").is_file():
        made = make_config(SIZE, OBJECTIVES[-1], tokenizer, None)
        model: BertForPreTraining = new_model(made, MaskedWordsAndPairs, seed=42)
        if shards is not None:
            begin_with_word_vectors(model, documents_of(open_shards(shards)), Processes())
        tokenizer.save_pretrained(directory)
        model.save_pretrained(directory)
    return directory


def fine_tuned(name: str, start: Any, task: str, data: Path, place: Path) -> list[dict[str, Any]]:
    """The scores of a task, from a start and of the baseline, with one thread."""
    train_file, dev_file, options = TASKS[task]
    output = place / "fine-tuned" / f"{name.replace(',', '-').replace(' ', '-')}-{task}"
    if not (output / "bothways.json").is_file():
        torch.set_num_threads(1)
        evaluation = data_file(data, *dev_file.split("/"))
        options = options | ({} if name == "minilm-l6" else FROM_SCRATCH)
        train(data_file(data, *train_file.split("/")), output, evaluation=evaluation, model=start, **options)
        print(f"{name}, {task}: fine-tuned")
    compared = read_json(output / "bothways.json")["comparison"]["rows"]
    return [
        {"start": start, "task": task, "interval": row["scores"][0]["interval"]}
        for start, row in ((compared[-2]["name"], compared[-2]), (name, compared[-1]))
    ]


def report(place: Path, rows: list[dict[str, Any]]) -> list[str]:
    """The curves' ends, and a table of scores."""
    lines = ["# A small BERT from Wikipedia", ""]
    for objective in OBJECTIVES:
        manifest = read_json(place / objective.replace(",", "-") / "bothways.json")
        training, measures = manifest["training"], manifest["measures"]
        share = training["tokens_per_second"] * training["flops_per_token"] / training["peak_flops"]
        lines += [
            f"## {objective}",
            "",
            f"- {training['tokens'] / 1e6:,.1f} million tokens in {training['seconds'] / 60:,.0f} minutes on "
            f"{place_of(manifest)}: {training['tokens_per_second']:,.0f} a second, {share:.0%} of what it multiplies",
            f"- torch {manifest['versions']['torch']}",
            *(f"- {name}: {value:.4f}" for name, value in measures.items()),
            "",
            "| step | million tokens | validation loss | hidden tokens right |",
            "|---|---|---|---|",
            *(
                f"| {p['step']:,} | {p['tokens'] / 1e6:,.1f} | {p['validation']['loss']:.3f} "
                f"| {p['validation']['accuracy']:.1%} |"
                for p in manifest["curve"]
            ),
            "",
        ]
    scores = {(row["start"], row["task"]): row["interval"] for row in rows}
    lines += ["## Fine-tuned", "", f"| start | {' | '.join(TASKS)} |", "|---" * (len(TASKS) + 1) + "|"]
    for start in dict.fromkeys(row["start"] for row in rows):
        found = [scores.get((start, task)) for task in TASKS]
        cells = [f"{i['estimate']:.3f} ({i['low']:.3f} to {i['high']:.3f})" if i else "" for i in found]
        lines.append(f"| {start} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()

"""A small BERT from nothing but text: Wikipedia, with and without next-sentence prediction.

    python -m recipes.mini_bert --data DIR --output DIR

vocabulary ─► shards ─► two runs of the same time ─► fine-tuned beside a random start and minilm-l6 ─► results.md

Each part that is done is left alone when the recipe is started again, and a run that was stopped goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bothways import BertForPreTraining, build_shards, pretrain, train
from bothways.cli import run
from bothways.files import read_json
from bothways.pretraining.masked_goals import MaskedWordsAndPairs
from bothways.pretraining.models import make_config, new_model
from bothways.tokenizers import AutoTokenizer
from recipes._common import data_file, options, write_results

VOCABULARY = 16_000
SIZE = "mini"
OBJECTIVES = ("mlm", "mlm,nsp")
FROM_SCRATCH = {"learning_rate": 3e-4, "epochs": 4}
"""Of fine-tuning a model this small. Source: Turc et al. 2019, section 5, whose grid ends with this rate."""


def main() -> None:
    """Make the models, fine-tune them, and write the table."""
    args = options(__doc__ or "", minutes=60)
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
    starts: dict[str, Any] = {}
    for objective in OBJECTIVES:
        starts[objective] = output = place / objective.replace(",", "-")
        if not (output / "bothways.json").is_file():
            pretrain(shards, output, objective=objective, config=SIZE, evaluation=held, minutes=args.minutes, say=print)
    starts["random start"] = random_start(place / "random", tokenizer)
    starts["minilm-l6"] = "minilm-l6"
    rows = [row for name, start in starts.items() for row in fine_tuned(name, start, args.data, place)]
    write_results(place, report(place, rows))


def random_start(directory: Path, tokenizer: Any) -> Path:
    """The same model before it has read anything."""
    if not (directory / "config.json").is_file():
        model: BertForPreTraining = new_model(
            make_config(SIZE, "mlm,nsp", tokenizer, None), MaskedWordsAndPairs, seed=42
        )
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return directory


def fine_tuned(name: str, start: Any, data: Path, place: Path) -> list[dict[str, Any]]:
    """Scores on sentences, names and pairs, each beside its baseline."""
    tasks = {
        "SST-2": ("sst2/train_sentences.jsonl.gz", "sst2/dev.jsonl.gz", "text-classification"),
        "CoNLL-2003": ("conll2003/eng.train.gz", "conll2003/eng.testa.gz", "ner"),
        "SICK": ("nli/sick_train.jsonl.gz", "nli/sick_trial.jsonl.gz", "text-classification"),
    }
    rows = []
    for task, (train_file, dev_file, kind) in tasks.items():
        output = place / "fine-tuned" / f"{name.replace(',', '-').replace(' ', '-')}-{task}"
        if not (output / "bothways.json").is_file():
            settings: dict[str, Any] = {} if name == "minilm-l6" else FROM_SCRATCH
            columns = {"text_column": "text_a,text_b", "label_column": "label"} if task == "SICK" else {}
            train(
                data_file(data, *train_file.split("/")),
                output,
                evaluation=data_file(data, *dev_file.split("/")),
                task=kind,
                model=start,
                say=print,
                **settings,
                **columns,  # type: ignore[arg-type]
            )
        compared = read_json(output / "bothways.json")["comparison"]["rows"]
        for start_name, row in ((compared[-2]["name"], compared[-2]), (name, compared[-1])):
            rows.append({"start": start_name, "task": task, "score": row["scores"][0]["interval"]["estimate"]})
    return rows


def report(place: Path, rows: list[dict[str, Any]]) -> list[str]:
    """The curves' ends, and a table of scores."""
    lines = ["# A small BERT from Wikipedia, on this machine", ""]
    for objective in OBJECTIVES:
        manifest = read_json(place / objective.replace(",", "-") / "bothways.json")
        training, measures = manifest["training"], manifest["measures"]
        share = training["tokens_per_second"] * training["flops_per_token"] / training["peak_flops"]
        lines += [
            f"## {objective}",
            "",
            f"- {training['tokens'] / 1e6:,.1f} million tokens in {training['seconds'] / 60:,.0f} minutes: "
            f"{training['tokens_per_second']:,.0f} a second, {share:.0%} of what the machine multiplies",
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
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    scores = {(row["start"], row["task"]): f"{row['score']:.3f}" for row in rows}
    lines += ["## Fine-tuned", "", f"| start | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for start in dict.fromkeys(row["start"] for row in rows):
        lines.append(f"| {start} | {' | '.join(scores.get((start, task), '') for task in tasks)} |")
    return lines


if __name__ == "__main__":
    main()

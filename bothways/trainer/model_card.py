"""The model card of a ``Trainer``: the run as its log tells it, and what only people can say left open."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from bothways.trainer.arguments import TrainingArguments
from bothways.trainer.state import TrainerState

MEASURED = ("_runtime", "_per_second")
SHOWN = (
    *("learning_rate", "train_batch_size", "eval_batch_size", "gradient_accumulation_steps", "seed", "optim"),
    *("lr_scheduler_type", "warmup_ratio", "warmup_steps", "num_train_epochs", "max_steps", "weight_decay"),
    *("label_smoothing_factor", "bf16", "fp16"),
)
MOST_ROWS = 50


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What the caller knows. Texts are written as they are."""

    name: str
    model_class: str
    finetuned_from: str | None = None
    language: str | None = None
    license: str | None = None
    tags: Sequence[str] = ()
    tasks: Sequence[str] = ()
    datasets: Sequence[str] = ()
    dataset_arguments: Sequence[str] = ()


def model_card(facts: CardFacts, args: TrainingArguments, state: TrainerState) -> str:
    """Markdown with a YAML head, as the ecosystem's tools read it."""
    return "\n".join(
        [
            *_head(facts),
            f"# {facts.name}",
            "",
            _first_sentence(facts, state),
            "",
            *_last_evaluation(state),
            "## Not said yet",
            "",
            "The program that trained this model did not say what its data are, what the model is meant for, and where "
            "it fails. Please write it here before others rely on it.",
            "",
            *_settings(args),
            *_history(state),
            *_versions(),
        ]
    )


def _head(facts: CardFacts) -> list[str]:
    """YAML; texts in quotation marks as JSON writes them, which every YAML reader takes."""
    values: dict[str, Any] = {
        "language": facts.language,
        "license": facts.license,
        "library_name": "bothways",
        "base_model": facts.finetuned_from,
        "pipeline_tag": facts.tasks[0] if len(facts.tasks) == 1 else None,
        "datasets": list(facts.datasets) or None,
        "tags": list(dict.fromkeys(["generated_from_trainer", *facts.tags, *facts.tasks])),
    }
    written = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items() if value]
    return ["---", *written, "---", ""]


def _first_sentence(facts: CardFacts, state: TrainerState) -> str:
    begun = f", begun from `{facts.finetuned_from}`" if facts.finetuned_from else ""
    data = f" on {', '.join(facts.datasets)}" if facts.datasets else ""
    more = f" ({', '.join(facts.dataset_arguments)})" if facts.dataset_arguments else ""
    length = f" It was trained for {state.global_step:,} steps" if state.global_step else " It was not trained"
    epochs = f", {state.epoch:.2f} epochs." if state.global_step and state.epoch is not None else "."
    return f"A `{facts.model_class}`{begun}, trained{data}{more}.{length}{epochs}"


def _last_evaluation(state: TrainerState) -> list[str]:
    found = [entry for entry in state.log_history if any(name.startswith("eval_") for name in entry)]
    if not found:
        return ["No evaluation was logged: how good the model is, is not known from this run.", ""]
    last = found[-1]
    rows = [f"| {n.removeprefix('eval_')} | {_figure(v)} |" for n, v in _metrics(last).items() if n.startswith("eval_")]
    said = f"The last evaluation, after step {last.get('step', 0):,}:"
    best = state.best_model_checkpoint
    if best and state.best_metric is not None:
        rows.append("")
        rows.append(f"The best checkpoint was `{best}` with {_figure(state.best_metric)}.")
    return ["## Evaluation", "", said, "", "| metric | value |", "|---|---|", *rows, ""]


def _settings(args: TrainingArguments) -> list[str]:
    values = {name: getattr(args, name) for name in SHOWN}
    rows = [f"| {name} | {getattr(value, 'value', value)} |" for name, value in values.items()]
    return ["## Settings", "", "| argument | value |", "|---|---|", *rows, ""]


def _history(state: TrainerState) -> list[str]:
    """One row for each step with a loss or an evaluation; of long runs evenly chosen ones and the last."""
    steps: dict[int, dict[str, Any]] = {}
    for entry in state.log_history:
        if "loss" in entry or any(name.startswith("eval_") for name in entry):
            steps.setdefault(entry.get("step", 0), {}).update(_metrics(entry))
    if not steps:
        return []
    names = [n for n in dict.fromkeys(n for row in steps.values() for n in row) if n == "loss" or n.startswith("eval_")]
    every = -(-len(steps) // MOST_ROWS)
    chosen = [*list(steps)[::-1][::every]][::-1]
    lines = [
        f"| {step} | {_figure(steps[step].get('epoch', ''))} | "
        + " | ".join(_figure(steps[step].get(name, "")) for name in names)
        + " |"
        for step in chosen
    ]
    head = f"| step | epoch | {' | '.join(names)} |"
    return ["## History", "", head, "|---" * (len(names) + 2) + "|", *lines, ""]


def _versions() -> list[str]:
    found = {"Python": platform.python_version()}
    for package in ("bothways", "torch", "tokenizers"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return ["## Versions", "", ", ".join(f"{name} {version}" for name, version in found.items()), ""]


def _metrics(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if not name.endswith(MEASURED)}


def _figure(value: Any) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)

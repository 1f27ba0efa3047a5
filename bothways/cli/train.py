"""``bothways train``: from a file of labelled examples to an honest model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.errors import BothwaysError, Interrupted, ToldElsewhereError

if TYPE_CHECKING:
    from bothways.training.job import TrainOutcome


def train_command(
    data: Annotated[
        list[Path], typer.Argument(help="Labelled examples: CSV, TSV, JSONL, JSON, CoNLL (also .gz) or Parquet.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the model and its report.")],
    text_column: Annotated[str | None, typer.Option(help="Column of the text; 'a,b' for pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label, or of the text to write.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option("--eval", help="File to score on; by default a part of the data is held out.")
    ] = None,
    target: Annotated[
        list[Path] | None,
        typer.Option(help="For files with a source a line: the file with their targets (translation, summarization)."),
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Words before each source; by default what the model's configuration says.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model to start from: a name or a directory.")] = "minilm-l6",
    task: Annotated[
        str,
        typer.Option(
            help="What to learn: text-classification, token-classification (ner), question-answering, multiple-choice, "
            "next-sentence-prediction, summarization, translation or text-generation."
        ),
    ] = "text-classification",
    kind: Annotated[
        str | None, typer.Option(help="Kind of label: single, multi or regression; recognised if not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples a step.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of the steps in which the rate rises.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Pull of matrices towards 0.")] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="Rate of each layer as a multiple of that of the layer above, such as 0.9.")
    ] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="What labels weigh: balanced, or by name as 'pos=2,neg=1'.")
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Probability given to all classes alike, such as 0.1.")
    ] = None,
    lora: Annotated[
        int | None, typer.Option(help="Train thin matrices of this rank, such as 8; the result is a small adapter.")
    ] = None,
    lora_targets: Annotated[
        str | None,
        typer.Option(help="Beside which layers; 'query,key,value,dense' for all.  [default: query,value]"),
    ] = None,
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Train only the head: the encoder reads every text once.")
    ] = False,
    teacher: Annotated[
        str | None, typer.Option(help="A larger model with the same labels whose answers are learned too.")
    ] = None,
    teacher_weight: Annotated[
        float | None, typer.Option(help="Share of the teacher's answers in the loss.  [default: 0.5]")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="What divides the logits of both models.  [default: 2]")
    ] = None,
    teacher_vectors: Annotated[
        float | None, typer.Option(help="Weight of the distance to the teacher's vectors.  [default: 0]")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Share of numbers set to zero while training; 0 is quickest.  [the model's]")
    ] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a text that training reads.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, the order, the new head and dropout.")] = 42,
    minutes: Annotated[float | None, typer.Option(help="Stop training after this time.")] = None,
    tune: Annotated[
        int | None,
        typer.Option(
            help="Search settings first, with so many trials on a part of the training data, in 70 % of --minutes."
        ),
    ] = None,
    max_memory: Annotated[str | None, typer.Option(help="What the process may hold, such as 4GB.")] = None,
    checkpoint_steps: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; by default one now and then.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, though an unfinished run is there.")] = False,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the data files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the data files, if the name does not tell.")
    ] = None,
) -> None:
    """Train a model, compare it with a simple baseline, and write an ordinary model directory with a report."""
    import sys

    from bothways.engine.processes import processes
    from bothways.training import train

    with ending():
        outcome = train(
            data,
            output,
            text_column=text_column,
            label_column=label_column,
            evaluation=evaluation,
            target=target or None,
            prefix=prefix,
            model=model,
            task=task,
            kind=kind,
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            warmup=warmup,
            weight_decay=weight_decay,
            layer_decay=layer_decay,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
            lora=lora,
            lora_targets=lora_targets,
            freeze=freeze,
            teacher=teacher,
            teacher_weight=teacher_weight,
            temperature=temperature,
            teacher_vectors=teacher_vectors,
            dropout=dropout,
            max_length=max_length,
            seed=seed,
            minutes=minutes,
            tune=tune,
            max_memory=max_memory,
            checkpoint_steps=checkpoint_steps,
            fresh=fresh,
            precision=precision,
            encoding=encoding,
            format=file_format,
            say=lambda line: print(line, file=sys.stderr),
        )
    if processes().is_first:
        show_outcome(outcome)


class StoppedError(BothwaysError):
    """Long work was ended by a signal and is saved."""


@contextmanager
def ending() -> Iterator[None]:
    """What typer would take for an interrupt without a message, as an error that it leaves alone."""
    try:
        yield
    except Interrupted as stop:
        from bothways.engine.processes import processes

        problem = StoppedError(str(stop)) if processes().is_first else ToldElsewhereError(str(stop))
        problem.exit_code = stop.exit_code
        raise problem from None


def show_outcome(outcome: TrainOutcome) -> None:
    """Print the table against the baseline, the sentence, and where everything is."""
    from rich.console import Console

    from bothways.evaluation.table import comparison_table

    console = Console(soft_wrap=False)
    console.print(comparison_table(outcome.comparison))
    console.print(outcome.comparison.verdict, markup=False, highlight=False)
    for note in outcome.notes:
        console.print(note, markup=False, highlight=False)
    console.print(f"\nModel:  {outcome.directory}", markup=False, highlight=False)
    console.print(f"Report: {outcome.directory / 'report.html'}", markup=False, highlight=False)
    console.print(f"Use it: bothways predict {outcome.directory} FILE", markup=False, highlight=False)

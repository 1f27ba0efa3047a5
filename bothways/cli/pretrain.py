"""``bothways pretrain``: from nothing but text to a language model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bothways.cli.train import ending

if TYPE_CHECKING:
    from bothways.pretraining import PretrainOutcome


def pretrain_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the model.")],
    data: Annotated[
        list[Path], typer.Option("--data", help="Shards (see bothways shard), or files of text; may be repeated.")
    ],
    objective: Annotated[
        str, typer.Option(help="What is learned: mlm, 'mlm,nsp', 'mlm,sop', rtd, clm or span.")
    ] = "mlm",
    config: Annotated[
        str | None, typer.Option(help="For random weights: mini, small, base or a config.json.  [default: mini]")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Go on with this model: a name or a directory.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="A name or a directory; by default that of the model or the shards.")
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option("--eval", help="Shards or files to judge by; by default 1 % of the documents is held out."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time of making steps.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the corpus.  [default: 1 if no end is given]")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a row.  [default: 128]")] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a step, of all processes.  [default: 16384]")
    ] = None,
    batch_ramp: Annotated[
        int | None,
        typer.Option(
            help="Steps in which a step grows from an eighth to that.  [default: 300, at most a quarter of --steps; 0 "
            "with --model]"
        ),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    warmup: Annotated[float, typer.Option(help="Share of the run in which the rate rises.")] = 0.05,
    optimizer: Annotated[str, typer.Option(help="adamw or muon.")] = "adamw",
    weight_decay: Annotated[float, typer.Option(help="Pull of matrices towards 0.")] = 0.01,
    dropout: Annotated[float, typer.Option(help="Share of numbers set to 0; 0.1 where texts are read often.")] = 0.0,
    mask_rate: Annotated[
        str, typer.Option(help="Share of the tokens that is asked for; '0.3:0.15' falls from one to the other.")
    ] = "0.15",
    whole_words: Annotated[bool, typer.Option("--whole-words", help="Hide words as wholes.")] = False,
    short_rows: Annotated[
        float, typer.Option(help="Share of the documents whose rows are shorter, for a model of single sentences, too.")
    ] = 0.0,
    lora: Annotated[
        int | None, typer.Option(help="Train thin matrices of this rank beside --model; the result is an adapter.")
    ] = None,
    word_vectors: Annotated[
        bool,
        typer.Option(
            "--word-vectors/--no-word-vectors",
            help="Begin a new model of hidden words with word vectors counted from the data, or with random ones.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="Seed of new weights, order, what is asked, and dropout.")] = 42,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    checkpoint_steps: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; by default one now and then.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, though an unfinished run is there.")] = False,
) -> None:
    """Make a language model from text alone, or go on with one on other text."""
    import sys

    from bothways.engine.processes import processes
    from bothways.pretraining import pretrain

    with ending():
        outcome = pretrain(
            data,
            output,
            objective=objective,
            config=config,
            model=model,
            tokenizer=tokenizer,
            evaluation=evaluation or None,
            minutes=minutes,
            steps=steps,
            epochs=epochs,
            max_length=max_length,
            batch_tokens=batch_tokens,
            batch_ramp=batch_ramp,
            learning_rate=learning_rate,
            warmup=warmup,
            optimizer=optimizer,
            weight_decay=weight_decay,
            dropout=dropout,
            mask_rate=mask_rate,
            whole_words=whole_words,
            short_rows=short_rows,
            lora=lora,
            word_vectors=word_vectors,
            seed=seed,
            precision=precision,
            checkpoint_steps=checkpoint_steps,
            fresh=fresh,
            say=lambda line: print(line, file=sys.stderr),
        )
    if processes().is_first:
        show_outcome(outcome)


def show_outcome(outcome: PretrainOutcome) -> None:
    """Print the curve, and where the model is."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [name for name in outcome.words if name != "perplexity"]
    for title in ("step", "tokens", "minutes", "training loss", *(outcome.words[name] for name in shown)):
        table.add_column(title, justify="right")
    every = max(1, len(outcome.curve) // 10)
    points = [*outcome.curve[::every][:-1], outcome.curve[-1]] if outcome.curve else []
    for point in points:
        values = [point.validation.get(name) for name in shown]
        cells = [_cell(name, value) for name, value in zip(shown, values, strict=True)]
        numbers = [f"{point.step:,}", f"{point.tokens / 1e6:,.1f} M", f"{point.seconds / 60:,.1f}"]
        table.add_row(*numbers, f"{point.train_loss:.3f}", *cells)
    console.print(table)
    speed = (
        f"{outcome.tokens_per_second:,.0f} tokens a second, {outcome.peak_share:.0%} of what this machine multiplies"
    )
    console.print(f"{speed}.", highlight=False)
    for note in outcome.notes:
        console.print(note, markup=False, highlight=False)
    console.print(f"\nModel: {outcome.directory}", markup=False, highlight=False)
    console.print(f"Use it: bothways train FILE --model {outcome.directory} -o DIR", markup=False, highlight=False)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if name.endswith("loss") else f"{value:.1%}"

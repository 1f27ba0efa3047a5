"""``bothways advise``: which model to take, from what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bothways.cli.answers import check_file_output

if TYPE_CHECKING:
    from bothways.comparing.advise import Advice


def advise_command(
    classes: Annotated[int, typer.Option(help="How many classes there are (of NER: types of entities).")],
    documents: Annotated[int, typer.Option(help="Texts to answer.")],
    latency_ms: Annotated[float | None, typer.Option(help="Milliseconds that one text may take.")] = None,
    gpu: Annotated[bool, typer.Option("--gpu/--no-gpu", help="Take the GPU if there is one.")] = True,
    tokens: Annotated[int, typer.Option(help="Tokens of a usual text; a page has about 500.")] = 128,
    languages: Annotated[str, typer.Option(help="Languages of the texts, such as en,de.")] = "en",
    task: Annotated[
        str, typer.Option(help="text-classification, ner, question-answering or zero-shot-classification.")
    ] = "text-classification",
    labels: Annotated[int | None, typer.Option(help="Labelled texts a class; by default all documents.")] = None,
    train_hours: Annotated[float, typer.Option(help="Hours that training may take.")] = 24.0,
    api_price: Annotated[float | None, typer.Option(help="Price of a million tokens at a provider.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON file for all numbers.")] = None,
) -> None:
    """Which family and size to take, why, and what it costs here, with the arithmetic. Measures for some seconds."""
    from dataclasses import asdict

    from bothways.comparing.advise import advise
    from bothways.files import write_json

    check_file_output(json_file)
    advice = advise(
        classes=classes,
        documents=documents,
        latency_ms=latency_ms,
        use_gpu=gpu,
        tokens=tokens,
        languages=languages.split(","),
        task=task,
        labels=labels,
        train_hours=train_hours,
        api_price=api_price,
        precision=precision,
    )
    _show(advice)
    if json_file is not None:
        write_json(json_file, asdict(advice))


def _show(advice: Advice) -> None:
    from rich.console import Console

    Console().print(_options(advice))
    print("\n".join(advice.sentences))
    chosen = advice.options[0 if advice.choice is None else advice.choice].candidate.name
    print("\n".join(["", f"The arithmetic, for {chosen}:", *(f"  {line}" for line in advice.arithmetic)]))


def _options(advice: Advice) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from bothways.evaluation.formats import UNKNOWN, seconds_text

    about = f"For {advice.question.tokens:,} tokens a text on {advice.machine.name}"
    title = f"{about}: computed from what was measured; SST-2 as published"
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("model", "weights", "one text", "texts/s", "training", "SST-2", "against it"):
        name = column in ("model", "against it")
        table.add_column(column, justify="left" if name else "right", no_wrap=column == "model")
    for number, option in enumerate(advice.options):
        training = option.cost.training.get(option.method or "", min(option.cost.training.values(), default=None))
        score = option.candidate.sst2
        table.add_row(
            Text(("→ " if number == advice.choice else "") + option.candidate.name.rpartition("/")[2]),
            f"{option.candidate.parameters / 1e6:,.0f} M",
            seconds_text(option.cost.latency),
            f"{option.cost.texts_per_second:,.3g}",
            UNKNOWN if training is None else f"{training / 3_600:,.1f} h",
            UNKNOWN if score is None else f"{score:.1f} %",
            Text(option.against),
        )
    return table

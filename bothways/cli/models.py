"""``bothways models``: which models are here, and which can be had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bothways.resolver import ModelEntry


def models_command(
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    download: Annotated[
        str | None,
        typer.Option(
            "--download", metavar="NAME", help="Put this model into the local store, downloading it if need be."
        ),
    ] = None,
) -> None:
    """List the models on this machine and those that can be downloaded."""
    from bothways.resolver import list_models

    if download is not None:
        path = _put_within_reach(download)
        _print_json({"name": download, "path": str(path)}) if json_output else print(f"{download} is in {path}")
        return
    entries = list_models()
    if json_output:
        _print_json([{**vars(entry), "path": None if entry.path is None else str(entry.path)} for entry in entries])
    else:
        _print_table(entries)


def _put_within_reach(name: str) -> Path:
    """Put a model into the store; of one in the box its encoder, as it lies in the package itself."""
    from bothways.errors import UsageError
    from bothways.resolver import resolve_model, store_directory, store_model
    from bothways.resolver.adapters import recorded_encoder
    from bothways.resolver.box import find_boxed
    from bothways.resolver.known import find_known

    if Path(name).is_dir():
        raise UsageError(f"{name} is a directory on this machine already. --download takes the name of a model.")
    path = resolve_model(name)
    boxed = find_boxed(name)
    if boxed is not None and path == boxed.path:
        encoder = recorded_encoder(path).name
        if not Path(encoder).is_dir():
            _put_within_reach(encoder)
        return path
    if path.is_relative_to(store_directory()):
        return path
    known = find_known(name)
    return store_model(path, name if known is None else known.name)


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(entries: list[ModelEntry]) -> None:
    from rich.console import Console
    from rich.table import Table

    from bothways.resolver import store_directory

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "where", "size", "parameters", "licence", "description"):
        right = title in ("size", "parameters")
        table.add_column(title, justify="right" if right else "left", no_wrap=title != "description", overflow="fold")
    boxed = [entry for entry in entries if entry.where == "box"]
    for entry in entries:
        if entry not in boxed:
            parameters = "" if entry.parameters is None else f"{entry.parameters / 1e6:,.1f} M"
            table.add_row(entry.name, entry.where, _megabytes(entry), parameters, entry.licence, entry.description)
    console.print(table)
    if boxed:
        console.print(_box_table(boxed))
    absent = [entry.name for entry in entries if entry.path is None]
    if absent:
        console.print(f"\nTo have one here: bothways models --download {absent[0]}", highlight=False)
    console.print(f"\nModel store: {store_directory()}", highlight=False, soft_wrap=True)


def _box_table(entries: list[ModelEntry]) -> Table:
    """The adapters that the package ships, with their scores."""
    from rich.table import Table

    table = Table(title="\nIn the box", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for title in ("name", "size", "description", "score"):
        table.add_column(title, justify="right" if title == "size" else "left", no_wrap=title in ("name", "size"))
    for entry in entries:
        table.add_row(entry.name, _megabytes(entry), entry.description, entry.score)
    return table


def _megabytes(entry: ModelEntry) -> str:
    return f"{entry.size_bytes / 1e6:,.1f} MB"

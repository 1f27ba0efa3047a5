"""``bothways shard``: files of texts become shards of tokens, once, for any number of trainings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bothways.corpus import ShardReport


def shard_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="TEXT...",
            help="Files of texts: plain (documents between blank lines), .jsonl, .csv, .parquet and so on; also .gz, "
            ".xz, .zst.",
        ),
    ],
    tokenizer: Annotated[str, typer.Option(help="Tokeniser, or model whose tokeniser it is: a name or a directory.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="SHARDS", help="Directory for the shards; new, or an unfinished one."),
    ],
    jobs: Annotated[
        int | None, typer.Option(help="Processes that tokenise; as many as there are cores if not given.")
    ] = None,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Keep documents that are equal to an earlier one, or nearly so.")
    ] = False,
    text_column: Annotated[str | None, typer.Option(help="Column of the text.")] = None,
    divide: Annotated[
        str, typer.Option(help="What a document of a plain file is: blank-lines (between them), lines (each) or file.")
    ] = "blank-lines",
    shard_tokens: Annotated[int, typer.Option(help="Tokens of a shard.")] = 100_000_000,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the files, if the names do not tell.")
    ] = None,
) -> None:
    """Turn files of texts into token shards for pretraining. The same command goes on where it was ended."""
    from bothways.corpus import build_shards, tokenizer_to_learn_with
    from bothways.data.opening import check_readable
    from bothways.errors import UsageError

    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs is {jobs}; expected a number of processes from 1 on.")
    if shard_tokens < 1:
        raise UsageError(f"--shard-tokens is {shard_tokens}; expected a number of tokens from 1 on.")
    for file in files:
        check_readable(file)
    engine = tokenizer_to_learn_with(tokenizer)
    try:
        report = build_shards(
            files,
            output,
            tokenizer=engine,
            jobs=jobs or _cores(),
            keep_duplicates=keep_duplicates,
            text_column=text_column,
            divide=divide,
            format=file_format,
            encoding=encoding,
            shard_tokens=shard_tokens,
            say=lambda note: print(f"note: {note}", file=sys.stderr),
        )
    except KeyboardInterrupt:
        print("Finished parts are kept: the same command goes on with them.", file=sys.stderr)
        raise
    _show(report)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _show(report: ShardReport) -> None:
    manifest = report.manifest
    shards, size = len(manifest.shards), sum(file.n_bytes for file in manifest.files)
    print(
        f"{manifest.n_documents:,} documents, {manifest.n_sentences:,} sentences, {manifest.n_tokens:,} tokens in "
        f"{shards:,} shard{'s' if shards != 1 else ''} ({size / 1e6:,.1f} MB): {report.directory}"
    )
    if dropped := manifest.n_exact_duplicates + manifest.n_near_duplicates:
        print(
            f"{dropped:,} documents were dropped: {manifest.n_exact_duplicates:,} equal to an earlier one, "
            f"{manifest.n_near_duplicates:,} nearly so."
        )
    if not report.n_parts:
        print("They were there already; nothing was done.")
        return
    if report.n_parts_before:
        print(f"{report.n_parts_before:,} of {report.n_parts:,} parts were done before.")
    seconds = max(report.seconds, 1e-9)
    print(
        f"{report.seconds:,.1f} s: {report.text_bytes / seconds / 1e6:,.1f} MB of text, "
        f"{report.n_documents / seconds:,.0f} documents, {report.n_tokens / seconds:,.0f} tokens a second."
    )

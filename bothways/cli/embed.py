"""``bothways embed``: vectors of any number of texts, in order, in constant memory; or the best matches for a query."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bothways.cli.answers import (
    check_file_output,
    check_long_input,
    chosen_dtype,
    report_long_inputs,
    writing,
)

if TYPE_CHECKING:
    import numpy as np

SHOWN = 100  # characters of a match in the terminal


def embed_command(
    file: Annotated[
        str, typer.Argument(help="Texts: a file as for train, a text a line in .txt, or - for standard input.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write: .npy for a table, else JSON lines; standard output if none."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Model that makes the vectors: a name or a directory.")] = "minilm-l6",
    pooling: Annotated[
        str | None, typer.Option(help="mean, cls (first token) or max; by default what the model's files say.")
    ] = None,
    normalize: Annotated[
        bool | None, typer.Option("--normalize/--no-normalize", help="Give vectors length 1; default as the model.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="Show the texts most similar to this one instead.")] = None,
    top_k: Annotated[int, typer.Option(help="How many texts to show for a query.")] = 5,
    text_column: Annotated[str | None, typer.Option(help="Column of the text.")] = None,
    long_input: Annotated[
        str, typer.Option(help="Texts longer than the model reads: window, truncate or error.")
    ] = "window",
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the file, if the name does not tell.")
    ] = None,
) -> None:
    """Turn texts into vectors for search and comparison."""
    from bothways.data import iter_texts
    from bothways.errors import UsageError

    check_file_output(output, file)
    check_long_input(long_input)
    if top_k < 1:
        raise UsageError(f"--top-k is {top_k}; expected a number of texts from 1 on.")
    if query is not None and not query.strip():
        raise UsageError("--query is blank; expected a text to compare with.")
    if query is not None and output is not None:
        raise UsageError("--query shows matches and writes no file: drop --output or --query.")
    texts = iter_texts(file, text_column=text_column, format=file_format, encoding=encoding)
    embedder = _load(model, pooling, normalize, precision)
    parts = _embedded(embedder, texts, long_input)
    if query is not None:
        _show_matches(embedder, query, parts, top_k)
    elif output is not None and output.suffix == ".npy":
        _write_table(output, parts, embedder.runner.model.config.hidden_size)
    else:
        _write_lines(output, parts)


def _load(model: str, pooling: str | None, normalize: bool | None, precision: str) -> Any:
    from bothways.engine.precision import best_device
    from bothways.models.auto import AutoModel
    from bothways.models.embedding import Embedder, embedding_settings
    from bothways.resolver import resolve_model
    from bothways.tokenizers import AutoTokenizer

    device = best_device()
    dtype = chosen_dtype(precision, device)
    directory = resolve_model(model)
    found = embedding_settings(directory)
    return Embedder(
        AutoModel.from_pretrained(directory).to(device),
        AutoTokenizer.from_pretrained(directory),
        pooling=found.pooling if pooling is None else pooling,
        normalize=found.normalize if normalize is None else normalize,
        dtype=dtype,
    )


def _embedded(embedder: Any, texts: Iterator[Any], long_input: str) -> Iterator[tuple[list[str], Any, Any]]:
    """(texts, vectors, account) of one chunk after another; says at the end how many texts were long."""
    from bothways.errors import DataError
    from bothways.pipelines.streaming import chunks
    from bothways.progress import progress_bar

    def read() -> Iterator[str]:
        for example in texts:
            if example.text_pair is not None:
                raise DataError(f"row {example.row} is a pair of texts; embed one column: --text-column NAME.")
            yield example.text

    first = windowed = truncated = 0
    with progress_bar("Embedding", None) as advance:
        for chunk in chunks(read()):
            vectors, encoded = embedder.embed(chunk, long_input=long_input, first=first)
            yield chunk, vectors, encoded
            first += len(chunk)
            windowed += sum(n > 1 for n in encoded.n_windows)
            truncated += sum(encoded.truncated)
            advance(len(chunk))
    report_long_inputs(first, windowed, truncated)


def _write_lines(output: Path | None, parts: Iterator[tuple[list[str], Any, Any]]) -> None:
    row = 0
    with writing(output) as out:
        for _, vectors, encoded in parts:
            for i, vector in enumerate(vectors.tolist()):
                row += 1
                out.write(json.dumps({"row": row, "embedding": vector, **encoded.account(i)}) + "\n")


def _write_table(output: Path, parts: Iterator[tuple[list[str], Any, Any]], size: int) -> None:
    """float32 (n, size); the number of rows is written into the header when it is known."""
    from numpy.lib import format as npy

    from bothways.files import replacing

    def header(rows: int) -> dict[str, Any]:
        return {"descr": "<f4", "fortran_order": False, "shape": (rows, size)}

    rows = 0
    with replacing(output) as temporary, temporary.open("wb") as out:
        npy.write_array_header_1_0(out, header(0))  # leaves room for the number of rows to grow
        begin = out.tell()
        for _, vectors, _account in parts:
            out.write(vectors.astype("<f4").tobytes())
            rows += len(vectors)
        out.seek(0)
        npy.write_array_header_1_0(out, header(rows))
        assert out.tell() == begin
    print(f"{rows:,} vectors of {size} numbers: {output}", file=sys.stderr)


def _show_matches(embedder: Any, query: str, parts: Iterator[tuple[list[str], Any, Any]], top_k: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    asked, _ = embedder.embed([query])
    table = Table(title=Text(query), title_justify="left")
    table.add_column("score", justify="right")
    table.add_column("row", justify="right")
    table.add_column("text")
    for score, row, text in _best_matches(asked[0], parts, top_k):
        shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        table.add_row(f"{score:.3f}", f"{row:,}", Text(" ".join(shown.split())))
    Console().print(table)


def _best_matches(
    asked: np.ndarray, parts: Iterator[tuple[list[str], Any, Any]], top_k: int
) -> list[tuple[float, int, str]]:
    """(score, row, text), best first; only the best so far are kept."""
    from bothways.tasks.similarity import semantic_search

    best: list[tuple[float, int, str]] = []
    first = 0
    for texts, vectors, _ in parts:
        found = semantic_search(asked, vectors, top_k)[0]
        best += [(match["score"], first + match["corpus_id"] + 1, texts[match["corpus_id"]]) for match in found]
        best = sorted(best, key=lambda match: (-match[0], match[1]))[:top_k]
        first += len(texts)
    return best

"""``bothways tokenizer train``: a vocabulary from texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bothways.tokenizers.new_tokenizer import TokenizerQuality

FIRST = 1000  # texts that a small corpus is judged by, which holds none out
LONGEST = 65_536  # characters of a text; longer lines are cut at white space

tokenizer_app = typer.Typer(help="Make a tokeniser from texts.", no_args_is_help=True, rich_markup_mode=None)


@tokenizer_app.callback()
def tokenizer_root() -> None:
    """Make a tokeniser from texts."""


@tokenizer_app.command("train")
def train_tokenizer_command(
    texts: Annotated[
        list[Path], typer.Argument(help="Plain text, CSV, TSV, JSONL, JSON (also .gz, .xz, .zst) or Parquet.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the tokeniser.")],
    kind: Annotated[str, typer.Option("--type", help="wordpiece, bpe or unigram.")] = "wordpiece",
    model_type: Annotated[
        str | None,
        typer.Option(
            help="Whose conventions: bert, distilbert or electra for wordpiece; roberta, gpt2, bart or llama for bpe; "
            "albert or t5 for unigram. By default the first of each."
        ),
    ] = None,
    vocab_size: Annotated[int, typer.Option(help="Entries, special tokens included.")] = 30_000,
    lowercase: Annotated[
        bool | None,
        typer.Option("--lowercase/--cased", help="By default lower-case for bert and its kin and for albert."),
    ] = None,
    min_frequency: Annotated[
        int | None, typer.Option(help="How often two pieces must meet to become one.  [default: 2]")
    ] = None,
    limit_alphabet: Annotated[
        int, typer.Option(help="Different characters to keep; byte-level bpe has no limit.")
    ] = 1000,
    special_token: Annotated[
        list[str] | None, typer.Option(help="A further special token; may be given several times.")
    ] = None,
    model_max_length: Annotated[
        int | None, typer.Option(help="Tokens of a row at most.  [default: as the first model of the family]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the files, if not UTF-8.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="Format of the files, if the name does not tell.")
    ] = None,
) -> None:
    """Learn a vocabulary from texts of any size; the same texts give the same files, byte by byte."""
    from bothways.tokenizers.held_texts import HeldTexts
    from bothways.tokenizers.new_tokenizer import MODEL_TYPES, find_family, measure_tokenizer, train_tokenizer
    from bothways.training.publish import TOKENIZER, check_output

    find_family(kind, model_type)
    _check_numbers({
        "--vocab-size": vocab_size,
        "--min-frequency": min_frequency,
        "--limit-alphabet": limit_alphabet,
        "--model-max-length": model_max_length,
    })  # fmt: skip
    check_output(output, texts, makes=TOKENIZER)
    reading = _Reading(texts, text_column=text_column, format=file_format, encoding=encoding)
    held = HeldTexts()
    choices: dict[str, Any] = {
        "kind": kind,
        "model_type": model_type or MODEL_TYPES[kind][0],
        "vocab_size": vocab_size,
        "lowercase": lowercase,
        "min_frequency": min_frequency,
        "limit_alphabet": limit_alphabet,
        "special_tokens": special_token or [],
        "model_max_length": model_max_length,
    }
    tokenizer = train_tokenizer(held.passing(reading), **choices)
    sample = held.texts or sorted(reading.first)
    quality = measure_tokenizer(tokenizer, sample)
    _write(output, tokenizer, choices, reading, quality, bool(held.texts))
    _show(output, tokenizer, quality, bool(held.texts))
    if len(tokenizer) < vocab_size:
        print(_too_few(vocab_size, tokenizer.get_vocab(), limit_alphabet), file=sys.stderr)


def _too_few(vocab_size: int, found: dict[str, int], limit_alphabet: int | None) -> str:
    """Why there are fewer entries than were asked for."""
    said = f"Asked for {vocab_size:,} entries, but the texts support {len(found):,}: "
    if limit_alphabet is not None and len(set("".join(found))) >= limit_alphabet:
        return (
            f"{said}letters beyond the {limit_alphabet:,} most frequent are unknown, and no pair of the others occurs "
            "often enough for more. Raise --limit-alphabet, or give more texts."
        )
    return f"{said}no pair of pieces occurs often enough for more. Give more texts, or expect a smaller vocabulary."


class _Reading:
    """The texts of all files, one at a time, with a progress bar; counts them and keeps the first ones."""

    def __init__(self, files: list[Path], **options: Any) -> None:
        from bothways.data.documents import iter_documents

        self._total = sum(path.stat().st_size for path in files if path.is_file())
        self._advance = lambda n: None
        self._documents = iter_documents(
            files, divide="lines", longest=LONGEST, advance=lambda n: self._advance(n), **options
        )
        self.n_texts = 0
        self.first: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        from bothways.progress import progress_bar

        with progress_bar("Reading", self._total, unit="bytes") as advance:
            self._advance = advance
            for document in self._documents:
                self.n_texts += 1
                if self.n_texts <= FIRST:
                    self.first.add(document.text)
                yield document.text
        print(f"{self.n_texts:,} texts are read; learning the vocabulary.", file=sys.stderr)


def _check_numbers(numbers: dict[str, int | None]) -> None:
    from bothways.errors import UsageError

    for name, value in numbers.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; a whole number from 1 on is expected.")


def _write(
    output: Path, tokenizer: Any, choices: dict[str, Any], reading: _Reading, quality: TokenizerQuality, held: bool
) -> None:
    """The ecosystem's files and ``bothways.json``, which has neither times nor paths: equal texts, equal bytes."""
    from bothways import __version__
    from bothways.directories import publishing
    from bothways.files import write_json
    from bothways.training.publish import MANIFEST, TOKENIZER_COMMAND

    with publishing(output) as directory:
        tokenizer.save_pretrained(directory)
        manifest = {
            "made_by": TOKENIZER_COMMAND,
            "version": __version__,
            "options": choices,
            "entries": len(tokenizer),
            "texts": reading.n_texts,
            "quality": {
                "on": "texts that were held out" if held else "texts that were trained on",
                "words": quality.n_words,
                "tokens_per_word": round(quality.tokens_per_word, 4),
                "unknown_words": quality.n_unknown,
            },
            "files": sorted(path.name for path in directory.iterdir()),
        }
        write_json(directory / MANIFEST, manifest)


def _show(output: Path, tokenizer: Any, quality: TokenizerQuality, held: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("class", type(tokenizer).__name__)
    table.add_row("entries", f"{len(tokenizer):,}")
    table.add_row("tokens per word", f"{quality.tokens_per_word:.3f}")
    table.add_row("unknown words", f"{100 * quality.unknown_share:.2f} %")
    where = "held-out texts" if held else "texts that were trained on"
    table.add_row("measured on", f"{quality.n_words:,} words of {where}")
    table.add_row("written to", str(output))
    Console().print(table)

"""``bothways explore``: what a model knows, for people who want to look, in the terminal or as a page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

Html = Annotated[Path | None, typer.Option("--html", help="Write a self-contained page to this file.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Name or directory of the model.")]

explore_app = typer.Typer(
    help="Look at what a model knows: words, gaps, attention, tokens.", no_args_is_help=True, rich_markup_mode=None
)


@explore_app.callback()
def explore_root() -> None:
    """Look at what a model knows."""


@explore_app.command("word")
def word_command(
    word: Annotated[str, typer.Argument(help="The word, in any case.")],
    sentences: Annotated[list[str], typer.Option("--in", help="A sentence with the word; give several.")],
    model: Model = "minilm-l6",
    html: Html = None,
) -> None:
    """One word in several sentences: how alike its vectors are, layer by layer, against its static vector."""
    _check_page(html)
    from bothways.explore import word as explore_word

    _answer(explore_word(word, sentences, model=model), html)


@explore_app.command("mask")
def mask_command(
    text: Annotated[str, typer.Argument(help="A text with [MASK] where a word is to be found.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A model with a masked-language head; by default the one in the box."),
    ] = None,
    top_k: Annotated[int, typer.Option(help="How many words for each view.")] = 5,
    word: Annotated[list[str] | None, typer.Option("--word", help="A further word to follow; give several.")] = None,
    html: Html = None,
) -> None:
    """The best words for a gap from both sides, from the left alone and from the right alone."""
    _check_page(html)
    from bothways.explore import mask

    _answer(mask(text, model=model, top_k=top_k, words=word or ()), html)


@explore_app.command("attention")
def attention_command(
    text: Annotated[str, typer.Argument(help="The text to read.")],
    model: Model = "minilm-l6",
    links: Annotated[int, typer.Option(help="How many of the strongest links to name for each head.")] = 2,
    html: Html = None,
) -> None:
    """Where every head looks: shares, entropy and strongest links; with --html also heat maps."""
    _check_page(html)
    from bothways.explore import attention

    _answer(attention(text, model=model, links=links), html)


@explore_app.command("tokens")
def tokens_command(
    text: Annotated[str, typer.Argument(help="The text to divide.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Name or directory; give several to compare.")
    ] = None,
    pair: Annotated[str | None, typer.Option(help="A second text, encoded with the first as one row.")] = None,
    html: Html = None,
) -> None:
    """Pieces, ids, type ids, mask, offsets, special and unknown tokens, for several tokenisers side by side."""
    _check_page(html)
    from bothways.explore import tokens

    _answer(tokens(text, pair=pair, models=model or ["minilm-l6"]), html)


@explore_app.command("pooling")
def pooling_command(
    files: Annotated[list[Path], typer.Argument(help="Pairs of texts with scores, or with two classes.")],
    model: Model = "minilm-l6",
    text_column: Annotated[str | None, typer.Option(help="Columns of the texts, as NAME,NAME.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="The class that means alike, where 1, yes or the like does not say it.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many pairs, the first.")] = None,
    html: Html = None,
) -> None:
    """First-token, mean and max pooling compared on labelled pairs, with intervals."""
    _check_page(html, *files)
    from bothways.explore import pooling

    columns = {"text_column": text_column, "label_column": label_column}
    _answer(pooling(files, model=model, positive=positive, limit=limit, **columns), html)


@explore_app.command("order")
def order_command(
    text: Annotated[str, typer.Argument(help="A text; with [MASK] for a word to be guessed.")],
    bidirectional: Annotated[
        str | None, typer.Option(help="Model that reads both ways, to measure and to ask; else BERT by definition.")
    ] = None,
    causal: Annotated[
        str | None, typer.Option(help="Model that reads to the left, to measure and to ask; else GPT-2 by definition.")
    ] = None,
    top_k: Annotated[int, typer.Option(help="How many words for the gap.")] = 5,
    html: Html = None,
) -> None:
    """What each position may see in BERT and in GPT-2, and what both expect in a gap."""
    _check_page(html)
    from bothways.explore import order

    _answer(order(text, bidirectional=bidirectional, causal=causal, top_k=top_k), html)


def _check_page(html: Path | None, *read: Path) -> None:
    """Refuse a place where no page can be written, before any work."""
    from bothways.errors import UsageError

    if html is None:
        return
    if html.is_dir():
        raise UsageError(f"--html {html} is a directory; give the name of a file.")
    parent = next(p for p in html.absolute().parents if p.exists())
    if not parent.is_dir():
        raise UsageError(f"--html {html} cannot be written: {parent} is a file; give a place in a directory.")
    if any(html.exists() and file.exists() and html.samefile(file) for file in read):
        raise UsageError(f"--html {html} is the file that is read; give another name.")


def _answer(report: Any, html: Path | None) -> None:
    """The page first: whoever reads the terminal's lines may stop reading."""
    from rich.console import Console

    from bothways.explore import to_html, to_terminal

    if html is not None:
        from bothways.files import write_text

        page = to_html(report)
        write_text(html, page)
        print(f"Page: {html} ({len(page.encode()) / 1e6:.2f} MB)", file=sys.stderr)
    console = Console()
    for part in to_terminal(report):
        console.print(part)

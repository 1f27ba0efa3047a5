"""A small tokeniser of each kind, and texts for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bothways.corpus import notes, plan, sources

WORDS = "the cat sat on a mat and dogs ran to old towns with red hats".split()  # noqa: SIM905
VOCABULARIES = Path(__file__).parent.parent / "tokenizers" / "vocabularies"


def wordpiece(directory: Path, *more: str) -> Any:
    from bothways.tokenizers import BertTokenizerFast

    path = directory / "vocab.txt"
    letters = "abcdefghijklmnopqrstuvwxyz.!?,"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{x}" for x in letters), *more]
    path.write_text("\n".join(dict.fromkeys(tokens)) + "\n", encoding="utf-8")
    return BertTokenizerFast(str(path))


def byte_level() -> Any:
    from bothways.tokenizers import RobertaTokenizerFast

    return RobertaTokenizerFast(str(VOCABULARIES / "vocab.json"), str(VOCABULARIES / "merges.txt"))


def unigram() -> Any:
    from bothways.tokenizers import AlbertTokenizerFast

    return AlbertTokenizerFast(str(VOCABULARIES / "spiece.model"))


def documents(count: int, seed: int = 0) -> list[str]:
    """Different documents of three sentences in two lines."""
    import random

    generator = random.Random(seed)

    def sentence() -> str:
        return " ".join(generator.choices(WORDS, k=8)).capitalize() + "."

    return [f"{sentence()} {sentence()}\n{sentence()}" for _ in range(count)]


def small_parts(patch: Any, characters: int = 200, longest: int | None = None) -> None:
    """Cut the work into parts of a few documents."""
    for module in (plan, sources):
        patch.setattr(module, "PART_CHARACTERS", characters)
    if longest is not None:
        for module in (notes, plan, sources):
            patch.setattr(module, "LONGEST", longest)


def contents(directory: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}

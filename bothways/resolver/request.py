"""What is looked for, and the answer "not here"."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bothways.resolver.known import KnownModel


@dataclass(frozen=True, kw_only=True)
class Request:
    """One model to find."""

    name: str
    """As asked, or the short name if the model is known."""
    known: KnownModel | None = None
    revision: str | None = None
    token: str | bool | None = None
    cache_dir: Path | None = None
    """The hub's cache; None leaves it to ``huggingface_hub``."""
    no_network: str | None = None
    """Why the network may not be used; None allows it."""


class Missed(Exception):  # noqa: N818 - an ordinary answer of a place, not a failure of the program
    """A place does not have the model. The message is half a sentence for the list of what was tried."""

    def __init__(self, reason: str, *, incomplete: Path | None = None) -> None:
        super().__init__(reason)
        self.incomplete = incomplete  # a directory without weights: still good for its tokenizer, if all else fails


def announce_download(request: Request, size_bytes: int | None, source: str) -> None:
    """One line on stderr before a download, terminal or not: somebody may wonder why the program waits."""
    if size_bytes is None:
        size = "it"
    else:
        size = f"{size_bytes / 1e6:,.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:,.0f} kB"
    print(f"{request.name} is not on this machine: downloading {size} from {source}.", file=sys.stderr, flush=True)

"""Errors that users meet. Each message says what came, what was expected and what to do."""

from __future__ import annotations


class BothwaysError(Exception):
    """Base of all errors raised on purpose. The command line prints the message and exits with ``exit_code``."""

    exit_code = 1


class UsageError(BothwaysError, ValueError):
    """The request itself is wrong: an unknown option value, a column or file that is not there."""

    exit_code = 2


class OutOfMemoryError(BothwaysError, MemoryError):
    """More memory is held than the user allows."""


class ToldElsewhereError(BothwaysError):
    """One of several processes fails because another does, which tells why: the command line is silent about it."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended long work after saving it. The message says what was saved and how to go on.

    Attributes:
        exit_code: 128 and the number of the signal.
    """

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ConfigError(BothwaysError, ValueError):
    """A model configuration is impossible, unsafe or of an unknown architecture."""


class CheckpointError(BothwaysError, ValueError):
    """Weights or their index are damaged, unsafe or do not fit the model."""


class DataError(BothwaysError, ValueError):
    """The content of a data file cannot be used as asked."""


class TokenizerError(BothwaysError, ValueError):
    """Tokeniser files or a tokeniser call are impossible."""


class ModelNotFoundError(BothwaysError, OSError):
    """A model name or directory leads nowhere. An ``OSError``, as in the ecosystem."""

    exit_code = 2


class InputError(BothwaysError, ValueError):
    """An argument of a Python call has an impossible type, shape or value."""


class PipelineException(BothwaysError):  # noqa: N818 - the ecosystem's name
    """A pipeline cannot answer this input (for example: no mask token in a fill-mask text)."""


def nearest(name: str, known: list[str] | tuple[str, ...], most: int = 3, *, likeness: float = 0.5) -> list[str]:
    """The known names most like ``name``, best first and at least so like (0 to 1), for "did you mean" sentences."""
    import difflib

    folded = {k.lower(): k for k in known}
    return [folded[k] for k in difflib.get_close_matches(name.lower(), list(folded), n=most, cutoff=likeness)]

"""How much the library says, under the ecosystem's names: ``from bothways import logging``.

All warnings go through Python's logger ``bothways``.
"""

from __future__ import annotations

import logging
import sys
from logging import CRITICAL, DEBUG, ERROR, FATAL, INFO, NOTSET, WARN, WARNING

from bothways.progress import bars_are_shown, show_bars

log_levels = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR, "critical": CRITICAL}
_ROOT = __name__.partition(".")[0]
_LINE = "[%(levelname)s|%(filename)s:%(lineno)s] %(asctime)s >> %(message)s"
_handler: logging.Handler | None = None


def get_logger(name: str | None = None) -> logging.Logger:
    """The logger of that name; the library's without one."""
    return logging.getLogger(_ROOT if name is None else name)


def get_verbosity() -> int:
    """The lowest level that is shown, as Python's ``logging`` counts them."""
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    """Show messages from this level on: ``logging.ERROR``."""
    get_logger().setLevel(verbosity)


def set_verbosity_error() -> None:
    """Errors only."""
    set_verbosity(ERROR)


def set_verbosity_warning() -> None:
    """Warnings and errors."""
    set_verbosity(WARNING)


def set_verbosity_info() -> None:
    """What happens, too."""
    set_verbosity(INFO)


def set_verbosity_debug() -> None:
    """Everything."""
    set_verbosity(DEBUG)


def enable_default_handler() -> None:
    """Write messages to standard error, whatever the program has set up."""
    global _handler
    if _handler is None:
        _handler = logging.StreamHandler(sys.stderr)
        get_logger().addHandler(_handler)


def disable_default_handler() -> None:
    """Undo ``enable_default_handler``."""
    global _handler
    if _handler is not None:
        get_logger().removeHandler(_handler)
        _handler = None


def add_handler(handler: logging.Handler) -> None:
    """Send messages there, too."""
    get_logger().addHandler(handler)


def remove_handler(handler: logging.Handler) -> None:
    """Undo ``add_handler``."""
    get_logger().removeHandler(handler)


def enable_propagation() -> None:
    """Let the program's own handlers see messages: the default."""
    get_logger().propagate = True


def disable_propagation() -> None:
    """Keep messages from the program's own handlers."""
    get_logger().propagate = False


def enable_explicit_format() -> None:
    """Level, place and time before each message of the library's handlers."""
    for handler in get_logger().handlers:
        handler.setFormatter(logging.Formatter(_LINE))


def reset_format() -> None:
    """Undo ``enable_explicit_format``."""
    for handler in get_logger().handlers:
        handler.setFormatter(None)


def disable_progress_bar() -> None:
    """Show no bars in long work of this program."""
    show_bars(False)


def enable_progress_bar() -> None:
    """Show bars at a terminal: the default."""
    show_bars(True)


def is_progress_bar_enabled() -> bool:
    """Whether bars are shown at a terminal."""
    return bars_are_shown()


def captureWarnings(capture: bool) -> None:  # noqa: N802
    """Send what Python's ``warnings`` says through the library's handlers, or no longer."""
    logger = logging.getLogger("py.warnings")
    for handler in get_logger().handlers:
        (logger.addHandler if capture else logger.removeHandler)(handler)
    logging.captureWarnings(capture)


__all__ = [
    "CRITICAL",
    "DEBUG",
    "ERROR",
    "FATAL",
    "INFO",
    "NOTSET",
    "WARN",
    "WARNING",
    "add_handler",
    "captureWarnings",
    "disable_default_handler",
    "disable_progress_bar",
    "disable_propagation",
    "enable_default_handler",
    "enable_explicit_format",
    "enable_progress_bar",
    "enable_propagation",
    "get_logger",
    "get_verbosity",
    "is_progress_bar_enabled",
    "log_levels",
    "remove_handler",
    "reset_format",
    "set_verbosity",
    "set_verbosity_debug",
    "set_verbosity_error",
    "set_verbosity_info",
    "set_verbosity_warning",
]

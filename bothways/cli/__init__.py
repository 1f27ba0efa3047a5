"""The command line: one file per verb; errors are sentences, never tracebacks."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys

import typer

from bothways.cli.train import StoppedError
from bothways.errors import BothwaysError, ToldElsewhereError
from bothways.progress import request_stop

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130

# in the order of the help; each in the file of its name, as NAME_command or NAME_app
VERBS = (
    *("train", "shard", "pretrain", "predict", "evaluate", "report", "calibrate", "compare", "diff", "advise"),
    *("generate", "embed", "audit", "models", "demo", "reproduce", "verify-resume", "tokenizer", "explore"),
)

SPINS = 10_000
"""How often a thread of OpenMP looks whether there is work again before it sleeps: a third of a millisecond.

GNU's default is thirty times that. Where other programs want the same cores, threads that look so long keep from work
the very threads that they wait for: beside two busy processes a training was more than three times as slow. Alone there
is no difference (``python -m benchmarks.shared_machine``).
"""

KERNELS = 128
"""Kernels in bfloat16 are made for one number of tokens each, which of full batches is hardly ever the same.

120 steps of a small BERT take 1.2 GB with so many kept, and 2.3 GB with the 1,024 of torch, in the same time; the
answers to 6,150 texts 0.9 and 1.8 GB.
"""

_stopped_by: int = signal.SIGINT


def application(verb: str | None = None) -> typer.Typer:
    """The command line with all its verbs, or with one: to make all takes a quarter of a second of every start."""
    app = typer.Typer(
        name="bothways",
        help="Language models that read in both directions: from a file of texts to an honest, fast model.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_root)
    for name in (verb,) if verb in VERBS else VERBS:
        file = name.replace("-", "_")
        module = importlib.import_module(f"bothways.cli.{file}")
        if hasattr(module, f"{file}_app"):
            app.add_typer(getattr(module, f"{file}_app"), name=name)
        else:
            app.command(name)(getattr(module, f"{file}_command"))
    return app


def _root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from bothways import __version__

        print(f"bothways {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 130 and 143 ended by Ctrl-C and by SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.unraisablehook = _without_interrupts
    open_closed_streams()
    wait_briefly()
    keep_few_kernels()
    sys.exit(run(arguments))


def open_closed_streams() -> None:
    """Give a process that was begun with closed streams, as by some daemons, others in their place.

    A file that is opened later would take the number of a closed one, and get what is meant for it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or _ClosedOutput()


class _ClosedOutput(io.TextIOBase):
    """Standard output that is closed: an answer must not be lost without a word."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "it is closed, and the answers would be lost; redirect it", "standard output")


def wait_briefly() -> None:
    """Set ``GOMP_SPINCOUNT``, unless the user has said how threads wait. OpenMP reads it when torch is loaded."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def keep_few_kernels() -> None:
    """Set how many kernels torch keeps for half precision on a CPU; it reads that when it is loaded."""
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(KERNELS))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = application(words[0] if words else None)(args=words, standalone_mode=False)
    except StoppedError as stop:
        return _say(str(stop), stop.exit_code, label="")
    except ToldElsewhereError as problem:
        return problem.exit_code
    except BothwaysError as problem:
        return _say(str(problem), problem.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED  # typer itself may turn the interrupt into this code
    except SystemExit as left:  # how typer ends when whoever read the output has gone, which is no error
        if isinstance(left.__context__, BrokenPipeError):
            return 0
        raise
    except OSError as problem:
        return _say(_os_sentence(problem), FAILED)
    except MemoryError:
        return _say("Not enough memory. Use a smaller --batch-size or a shorter --max-length.", FAILED)
    except Exception as problem:
        if _is_usage_error(problem):
            asked_nothing = type(problem).__name__ == "NoArgsIsHelpError"  # its message is the help
            return _say(problem.format_message(), WRONG_USE, label="" if asked_nothing else "error: ")  # type: ignore[attr-defined]
        if os.environ.get("BOTHWAYS_DEBUG"):
            raise
        text = f"{type(problem).__name__}: {problem}"
        return _say(f"unexpected problem: {text}. Set BOTHWAYS_DEBUG=1 to see where, and please report it.", FAILED)
    if code == INTERRUPTED:
        return _say("Stopped. Nothing half-written is left.", 128 + _stopped_by, label="")
    return code if isinstance(code, int) else 0


def _interrupt(number: int, frame: object) -> None:
    global _stopped_by
    _stopped_by = number
    request_stop()
    raise KeyboardInterrupt


def _without_interrupts(problem: sys.UnraisableHookArgs) -> None:
    """An interrupt that Python had to drop is no news: the request to stop stands."""
    if not issubclass(problem.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(problem)


def _is_usage_error(problem: Exception) -> bool:
    # typer may bring its own copy of click, so the class is recognised by what it can do
    return hasattr(problem, "format_message") and hasattr(problem, "exit_code")


def _os_sentence(problem: OSError) -> str:
    where = f" ({problem.filename})" if problem.filename else ""
    if problem.errno == errno.ENOSPC:
        return f"The disk is full{where}. Nothing half-written is left; free some space and run the command again."
    if problem.errno in (errno.EFBIG, getattr(errno, "EDQUOT", errno.EFBIG)):
        return (
            f"A limit on the size of files or on what a user may store was reached{where}. Nothing half-written is "
            "left; raise it ('ulimit -f', a quota) or write elsewhere, and run the command again."
        )
    if problem.errno in (errno.EACCES, errno.EROFS):
        return f"No permission to write{where}. Choose another --output, or change its permissions."
    return f"{problem.strerror or problem}{where}"


def _say(message: str, code: int, label: str = "error: ") -> int:
    print(f"{label}{message}", file=sys.stderr)
    return code

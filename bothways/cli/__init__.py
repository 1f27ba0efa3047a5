"""The command line: one file per verb; errors are sentences, never tracebacks."""

from __future__ import annotations

import errno
import os
import signal
import sys

import typer

from bothways.cli.advise import advise_command
from bothways.cli.audit import audit_command
from bothways.cli.calibrate import calibrate_command
from bothways.cli.compare import compare_command
from bothways.cli.demo import demo_command
from bothways.cli.diff import diff_command
from bothways.cli.embed import embed_command
from bothways.cli.evaluate import evaluate_command
from bothways.cli.explore import explore_app
from bothways.cli.generate import generate_command
from bothways.cli.models import models_command
from bothways.cli.predict import predict_command
from bothways.cli.pretrain import pretrain_command
from bothways.cli.report import report_command
from bothways.cli.reproduce import reproduce_command
from bothways.cli.shard import shard_command
from bothways.cli.tokenizer import tokenizer_app
from bothways.cli.train import StoppedError, train_command
from bothways.cli.verify_resume import verify_resume_command
from bothways.errors import BothwaysError, ToldElsewhereError
from bothways.progress import request_stop

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130

_stopped_by: int = signal.SIGINT

app = typer.Typer(
    name="bothways",
    help="Language models that read in both directions: from a file of texts to an honest, fast model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("train")(train_command)
app.command("shard")(shard_command)
app.command("pretrain")(pretrain_command)
app.command("predict")(predict_command)
app.command("evaluate")(evaluate_command)
app.command("report")(report_command)
app.command("calibrate")(calibrate_command)
app.command("compare")(compare_command)
app.command("diff")(diff_command)
app.command("advise")(advise_command)
app.command("generate")(generate_command)
app.command("embed")(embed_command)
app.command("audit")(audit_command)
app.command("models")(models_command)
app.add_typer(tokenizer_app, name="tokenizer")
app.add_typer(explore_app, name="explore")
app.command("demo")(demo_command)
app.command("reproduce")(reproduce_command)
app.command("verify-resume")(verify_resume_command)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    if version:
        from bothways import __version__

        print(f"bothways {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong use, 130 and 143 ended by Ctrl-C and by SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    sys.unraisablehook = _without_interrupts
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except StoppedError as stop:
        return _say(str(stop), stop.exit_code, label="")
    except ToldElsewhereError as problem:
        return problem.exit_code
    except BothwaysError as problem:
        return _say(str(problem), problem.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED  # typer itself may turn the interrupt into this code
    except OSError as problem:
        return _say(_os_sentence(problem), FAILED)
    except MemoryError:
        return _say("Not enough memory. Use a smaller --batch-size or a shorter --max-length.", FAILED)
    except Exception as problem:
        if _is_usage_error(problem):
            return _say(problem.format_message(), WRONG_USE)  # type: ignore[attr-defined]
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
    if problem.errno in (errno.EACCES, errno.EROFS):
        return f"No permission to write{where}. Choose another --output, or change its permissions."
    return f"{problem.strerror or problem}{where}"


def _say(message: str, code: int, label: str = "error: ") -> int:
    print(f"{label}{message}", file=sys.stderr)
    return code

"""Runs programs as people wrote them for version 4 under any library of that interface.

    python tests/contract/programs.py MODULE [DIRECTORY]

prints how many run under ``MODULE`` (``transformers``, ``bothways``) and the error of each that does not. The programs
are the functions in ``v4_programs/``; only the name of the library in their imports is replaced. DIRECTORY has the tiny
models that they read, and is filled by the reference library in version 4 if it is empty.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "v4_programs"


def programs(
    module: str, changes: Mapping[str, str] | None = None, sources: Path = SOURCES
) -> dict[str, Callable[[str], Any]]:
    """All programs by ``file.function``, with imports from ``module`` in place of ``transformers``.

    ``changes``: further pieces of text to replace. ``sources``: the directory of the programs.
    """
    found: dict[str, Callable[[str], Any]] = {}
    for path in sorted(sources.glob("[a-z]*.py")):
        text = path.read_text(encoding="utf-8")
        for old, new in {"from transformers": f"from {module}", **(changes or {})}.items():
            text = text.replace(old, new)
        names: dict[str, Any] = {}
        exec(compile(text, f"{path} with {module}", "exec", dont_inherit=True), names)  # noqa: S102 - our own files
        found |= {f"{path.stem}.{name}": value for name, value in names.items() if callable(value)}
    return found


def run_quietly(program: Callable[[str], Any], models: Path) -> Any:
    """What a program returns; its output and warnings are dropped."""
    silent = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with warnings.catch_warnings(), silent[0], silent[1]:
        warnings.simplefilter("ignore")
        return program(str(models))


def main(module: str, directory: str | None = None) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        models = Path(directory or temporary)
        if not any(models.glob("*/config.json")):
            sys.path.insert(0, str(Path(__file__).parents[2]))
            from tests.contract.models import make_all

            make_all(models)
        failures = {}
        every = programs(module)
        for name, program in every.items():
            try:
                run_quietly(program, models)
            except Exception as problem:  # noqa: BLE001 - the kind of failure is what is asked
                failures[name] = f"{type(problem).__name__}: {problem}".splitlines()[0][:150]
    version = getattr(__import__(module), "__version__", "?")
    for name, problem in failures.items():
        print(f"{name}: {problem}")
    print(f"{module} {version} runs {len(every) - len(failures)} of {len(every)} programs")
    return min(len(failures), 1)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))

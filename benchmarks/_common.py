"""What all benchmarks share: versions, the machine, tables, result files."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bothways.errors import UsageError
from bothways.files import write_json, write_text

RESULTS = Path(__file__).parent / "results"

LIBRARIES = (
    "bothways",
    "torch",
    "tokenizers",
    "numpy",
    "scikit-learn",
    "transformers",
    "accelerate",
    "ckpt-chaos",
    "sentence-transformers",
    "onnx",
    "onnxruntime",
    "openvino",
)
BF16_HELP = "measure bfloat16 too; auto: where the CPU has units for it (without them OpenVINO ignores the wish)"
CPU_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as text: the same cells on the terminal and in Markdown. The first column is left-aligned."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def add_common_options(parser: argparse.ArgumentParser, *, repeats: int | None = 5, data: bool = False) -> None:
    """``--threads``, ``--out``, and where they have a meaning ``--repeats`` and ``--data``."""
    parser.add_argument("--threads", type=at_least(1), default=os.cpu_count(), help="threads of every system")
    parser.add_argument("--out", type=Path, help="JSON file; by default one in benchmarks/results with the hardware")
    if repeats is not None:
        parser.add_argument("--repeats", type=at_least(1), default=repeats, help="repetitions of every system")
    if data:
        given = os.environ.get("BOTHWAYS_DATA")
        parser.add_argument("--data", type=Path, default=given, help="directory of data sets; or BOTHWAYS_DATA")


def at_least(smallest: int) -> Any:
    """A type for ``argparse``: a whole number from ``smallest``."""

    def number(text: str) -> int:
        if not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest}")
        return int(text)

    return number


def data_file(directory: Path | None, *parts: str) -> Path:
    """A file of the data directory.

    Raises:
        UsageError: no directory was given, or the file is not in it.
    """
    if directory is None:
        raise UsageError("no data directory. Pass --data DIR or set BOTHWAYS_DATA.")
    path = Path(directory, *parts)
    if not path.is_file():
        raise UsageError(f"there is no {'/'.join(parts)} in {directory}. Pass --data DIR or set BOTHWAYS_DATA.")
    return path


def is_installed(*modules: str) -> bool:
    """Whether all of these can be imported; nothing is imported to find out."""
    return all(importlib.util.find_spec(module) is not None for module in modules)


def versions() -> dict[str, str]:
    """Versions of Python and of those libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(cpuinfo: str | None = None) -> dict[str, Any]:
    """The processor, the cores that this process may use, memory in GiB, and vector and matrix units.

    Args:
        cpuinfo: text in the form of Linux's ``/proc/cpuinfo``; None reads that file, where there is one.
    """
    if cpuinfo is None:
        source = Path("/proc/cpuinfo")
        cpuinfo = source.read_text() if source.is_file() else ""
    fields = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", cpuinfo, flags=re.MULTILINE))
    flags = set(fields.get("flags", "").split())
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": _usable_cores(),
        "memory_gib": _memory_gib(),
        "features": [feature for feature in CPU_FEATURES if feature in flags],
        "system": platform.system(),
    }


def result_path(benchmark: str, machine: dict[str, Any], out: Path | None) -> Path:
    """Where the JSON of a benchmark goes. Example: ``results/predict-amd-epyc-2core.json``."""
    if out is not None:
        return out
    # "(R)", "(TM)", "CPU" and the clock say nothing that the name needs
    plain = re.sub(r"\((r|tm)\)|\bcpu\b|\bprocessor\b|@.*$", " ", machine["processor"].lower())
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    return RESULTS / f"{benchmark}-{slug}-{machine['cores']}core.json"


def write_result(
    benchmark: str, args: argparse.Namespace, tables: Sequence[Table], raw: dict[str, Any], **more: Any
) -> Path:
    """Print the tables, and write them beside the raw numbers: a JSON file and a Markdown file of the same name.

    Args:
        args: the options of the run; ``out`` names the JSON file.
        raw: all single measurements, with their units in the keys.
        more: further entries of the JSON file.
    """
    machine = hardware()
    path = result_path(benchmark, machine, args.out)
    options = {name: _plain(value) for name, value in vars(args).items() if name not in ("out", "data")}
    result = {
        "benchmark": benchmark,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "options": options,
        "hardware": machine,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "versions": versions(),
        **more,
        "tables": [vars(table) for table in tables],
        "raw": raw,
    }
    for table in tables:
        print_table(table)
    write_json(path, result)
    write_text(path.with_suffix(".md"), markdown_page(result, tables))
    print(f"\nWritten: {path} and {path.with_suffix('.md').name}")
    return path


def print_table(table: Table) -> None:
    """To standard output."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=escape(table.title), title_justify="left")
    for number, column in enumerate(table.columns):
        shown.add_column(escape(column), justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in table.rows:
        shown.add_row(*map(escape, row))
    # a file or a pipe has no width: leave room for every column
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(shown)
    for note in table.notes:
        console.print(note, markup=False, highlight=False)


def markdown_table(table: Table) -> str:
    """A heading, the table, and its notes."""
    lines = [
        f"## {table.title}",
        "",
        _markdown_row(table.columns),
        _markdown_row([":---", *["---:"] * (len(table.columns) - 1)]),
        *(_markdown_row(row) for row in table.rows),
    ]
    for note in table.notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def markdown_page(result: dict[str, Any], tables: Sequence[Table]) -> str:
    """The tables under the machine, the versions and the options that they hold for."""
    machine = result["hardware"]
    features = ", ".join(machine["features"]) or "no known vector units"
    options = ", ".join(f"{name} {_shown(value)}" for name, value in result["options"].items() if value is not None)
    about = [
        f"# {result['benchmark']}",
        "",
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {features}",
        f"- {', '.join(f'{name} {version}' for name, version in result['versions'].items())}",
        f"- {result['created']}, {options}",
        "",
    ]
    return "\n".join(about) + "\n" + "\n".join(map(markdown_table, tables))


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median and range. Example: ``12,600 (11,900 to 13,000)``."""
    middle = f"{statistics.median(values):,.{digits}f}"
    if len(values) < 2:
        return middle
    return f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times as fast ours is: the median over repetitions of their seconds by ours.

    Within one repetition both ran within moments of each other, so that noise of a shared machine mostly cancels.
    """
    return statistics.median(their / our for our, their in zip(ours, theirs, strict=True))


def fail(problem: Exception) -> None:
    """End a script with a sentence in place of a traceback."""
    print(f"error: {problem}", file=sys.stderr)
    sys.exit(getattr(problem, "exit_code", 1))


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)

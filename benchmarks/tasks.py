"""The tasks: our pipelines beside the reference's on the same weights, inputs and threads, tokenisation included.

    python -m benchmarks.tasks --data DIR [--only zero-shot,long-qa]

Zero-shot labels, entities, answers, gaps and embeddings, each library as its documentation calls it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._common import (
    Table,
    add_common_options,
    fail,
    is_installed,
    median_ratio,
    spread,
    write_result,
)
from benchmarks._models import HEADS, Maker
from benchmarks._task_inputs import CASES, Case, make_case, tagged_sentences
from benchmarks._task_systems import OURS, Answering, differences, systems_of
from benchmarks._texts import load_tokenizer
from benchmarks._workers import Worker, interleaved
from bothways.errors import BothwaysError

FITTED_SENTENCES = 500
"""Sentences of CoNLL-2003 that the head for entities is fitted on: enough that most words are no entity."""
COMPATIBLE = ("token-classification", "question-answering")
"""Tasks in which our own answers may be others than the reference's on purpose, and which know ``compat="v4"``."""


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        directories, tokenizer = prepare(args, Path(folder))
        cases = [make_case(name, args.data, tokenizer, args.share) for name in args.only]
        raw = {case.name: measure(args, case, directories[case.task]) for case in cases}
    left_out = {
        system.name: f"needs {system.needs}"
        for case in cases
        for system in systems_of(case)
        if not is_installed(system.needs)
    }
    inputs = {case.name: {"about": case.about, "count": len(case.inputs)} for case in cases}
    return write_result("tasks", args, [tasks_table(cases, raw, left_out)], raw, inputs=inputs, left_out=left_out)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, repeats=3, data=True)
    parser.add_argument("--only", default=",".join(CASES), help=f"cases, of {', '.join(CASES)}")
    parser.add_argument("--share", type=_share, default=1.0, help="part of the inputs, above 0 and up to 1, to try out")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    args = parser.parse_args(arguments)
    names = [name for name in args.only.split(",") if name]
    unknown = [name for name in names if name not in CASES]
    if unknown or not names:
        parser.error(f"--only {args.only!r} has unknown names ({', '.join(unknown)}). Known: {', '.join(CASES)}.")
    args.only = names
    return args


def prepare(args: argparse.Namespace, folder: Path) -> tuple[dict[str, Path], Any]:
    """The directory of the model for each task, and the tokeniser of all.

    Heads are random, for their time does not depend on what they say; only that for entities is fitted, because the
    number of entities has its price.
    """
    from bothways.resolver import resolve_model

    source = resolve_model(args.model)
    directories = {"embedding": source} | {task: folder / task for task in HEADS}
    with Worker("preparation", Maker, args.threads) as maker:
        for task in HEADS:
            maker.ask("with_head", source, directories[task], task)
        if "ner-mixed" in args.only:
            tagged = tagged_sentences(args.data)[-FITTED_SENTENCES:]
            fitted = [(example.surfaces, list(example.tags)) for example in tagged]
            maker.ask("fit_tags", directories["token-classification"], fitted)
    return directories, load_tokenizer(directories["fill-mask"])


def measure(args: argparse.Namespace, case: Case, directory: Path) -> dict[str, dict[str, Any]]:
    """For each system of a case the seconds of every repetition, the peak of its memory, and how many answers differ.

    Workers live for one case, so that a peak is the case's own.
    """
    workers: list[Worker] = []
    try:
        for system in systems_of(case):
            if is_installed(system.needs):
                made_of = {"system": system.name, "case": case, "directory": directory, "thread_count": args.threads}
                workers.append(Worker(system.name, Answering, args.threads, **made_of))
        for worker in workers:
            worker.wait_until_ready()
        interleaved(workers, 1, lambda worker: worker.ask("warm_up"))
        seconds = interleaved(workers, args.repeats, lambda worker: worker.ask("seconds"))
        # before answers are compared: only what was timed counts
        found: dict[str, dict[str, Any]] = {
            worker.name: {"seconds": seconds[worker.name], "peak_megabytes": worker.ask("peak_megabytes")}
            for worker in workers
        }
        compare(case, workers, found)
        found[OURS]["computed_sequences"] = workers[0].ask("computed_sequences")
    finally:
        for worker in workers:
            worker.close()
    return found


def compare(case: Case, workers: Sequence[Worker], found: dict[str, dict[str, Any]]) -> None:
    """Add to each peer how many of our answers are others, by default and, where there is that, as version 4."""
    ours, *peers = workers
    answers = ours.ask("answers")
    as_v4 = ours.ask("answers_v4") if peers and case.task in COMPATIBLE else None
    for peer in peers:
        theirs = peer.ask("answers")
        found[peer.name]["different"] = differences(case.task, answers, theirs)
        if as_v4 is not None:
            found[peer.name]["different_v4"] = differences(case.task, as_v4, theirs)


def tasks_table(cases: Sequence[Case], raw: dict[str, dict[str, dict[str, Any]]], left_out: dict[str, str]) -> Table:
    """One row for each case and peer."""
    rows = []
    for case in cases:
        ours = raw[case.name][OURS]
        peers = [system.name for system in systems_of(case)[1:] if system.name in raw[case.name]]
        for number, name in enumerate(peers):
            theirs = raw[case.name][name]
            ratio = median_ratio(ours["seconds"], theirs["seconds"])
            # what is promised is promised against defaults
            wanted = case.wanted if number == 0 else None
            digits = 4 if case.one_by_one else 2
            rows.append(
                (
                    f"{case.name}: {name}",
                    spread(ours["seconds"], digits),
                    spread(theirs["seconds"], digits),
                    f"{ratio:.2f}",
                    "–" if wanted is None else f"{wanted:.1f}",
                    "–" if wanted is None else "yes" if ratio >= wanted else "no",
                    f"{ours['peak_megabytes']:,.0f} / {theirs['peak_megabytes']:,.0f}",
                    _equal(len(case.inputs), theirs),
                )
            )
    notes = [f"{case.name}: {case.about}; rows computed by us: {_computed(raw[case.name])}." for case in cases]
    notes.append(
        "Medians (range) of seconds, from strings to answers; ratios are medians over repetitions in which the "
        "libraries ran one after the other. Random heads on one encoder, for entities a fitted one. Equal answers: the "
        "best label, the entities, the place of the answer, the five words, the vectors; in brackets those with "
        'compat="v4", since by default entities keep whole characters and answers share one distribution.'
    )
    notes += [f"Left out: {name} ({why})." for name, why in left_out.items()]
    return Table(
        title="Tasks",
        columns=("case: peer", "bothways, s", "peer, s", "ratio", "wanted", "reached", "peak, MB", "equal answers"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _equal(count: int, theirs: dict[str, Any]) -> str:
    shown = f"{count - theirs['different']} of {count}"
    return shown if "different_v4" not in theirs else f"{shown} ({count - theirs['different_v4']})"


def _computed(found: dict[str, dict[str, Any]]) -> str:
    return f"{found[OURS]['computed_sequences']:,}"


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1")
    return value


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)

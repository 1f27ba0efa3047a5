"""Prediction: Bothways and its peers on the same model, texts and threads; tokenisation included.

    python -m benchmarks.predict --data DIR

Short sentences (SST-2) and mixed passages (Wikipedia, 13 to 512 tokens). Real tokens a second: padding does not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks._common import (
    BF16_HELP,
    Table,
    add_common_options,
    at_least,
    fail,
    is_installed,
    median_ratio,
    spread,
    write_result,
)
from benchmarks._models import Maker
from benchmarks._systems import DEFAULT, OURS, OURS_BFLOAT16, REFERENCE, SPECS, Files, Spec, Timed
from benchmarks._texts import count_tokens, load_tokenizer, mixed_passages, sentences
from benchmarks._workers import Worker, interleaved
from bothways.errors import BothwaysError, UsageError

KINDS = ("short", "mixed")
AGREEMENT = "agreement"


def main(arguments: Sequence[str] | None = None) -> Path:
    """Run the benchmark and return the path of the JSON file."""
    args = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="bothways-bench-") as folder:
        return measure(args, Path(folder))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=(__doc__ or "").split("\n")[0])
    add_common_options(parser, data=True)
    names = [spec.name for spec in SPECS]
    parser.add_argument("--texts", default=",".join(KINDS), help=f"kinds of texts, of {', '.join(KINDS)}")
    parser.add_argument("--systems", default=",".join(names), help=f"systems, of {', '.join(names)}")
    parser.add_argument("--short", type=at_least(1), default=1024, help="number of short sentences")
    parser.add_argument("--mixed", type=at_least(1), default=512, help="number of mixed passages")
    parser.add_argument("--agreement", type=at_least(0), default=5000, help="sentences for the agreement of answers")
    parser.add_argument("--head-texts", type=at_least(4), default=1500, help="sentences that the head is fitted on")
    parser.add_argument("--model", default="minilm-l6", help="encoder: a name or a directory with vocab.txt")
    parser.add_argument("--bf16", choices=("auto", "yes", "no"), default="auto", help=BF16_HELP)
    args = parser.parse_args(arguments)
    args.texts = _choice("--texts", args.texts, KINDS)
    args.systems = _choice("--systems", args.systems, names)
    return args


def measure(args: argparse.Namespace, folder: Path) -> Path:
    """Make the model, start the systems, time them in turns, compare their answers, write the results."""
    all_sentences, labels = sentences(args.data)
    if len(all_sentences) <= args.head_texts:
        raise UsageError(f"--head-texts is {args.head_texts:,}, but there are only {len(all_sentences):,} sentences.")
    with Worker("preparation", Maker, args.threads) as maker:
        bfloat16 = args.bf16 == "yes" or (args.bf16 == "auto" and maker.ask("has_fast_bfloat16"))
        specs, left_out = choose(args.systems, bfloat16)
        files, head = prepare(maker, args, folder, all_sentences, labels, specs)
    tokenizer = load_tokenizer(files.directory)
    asked = all_sentences[: -args.head_texts]
    texts = {"short": asked[: args.short], AGREEMENT: asked[: args.agreement]}
    if "mixed" in args.texts:
        texts["mixed"] = mixed_passages(args.data, args.mixed, tokenizer)
    about = {kind: about_lengths(count_tokens(texts[kind], tokenizer)) for kind in args.texts}
    workers: list[Worker] = []
    try:
        for spec in specs:
            made_of = {"spec": spec, "files": files, "thread_count": args.threads, "texts": texts}
            workers.append(Worker(spec.name, Timed, args.threads, **made_of))
        for worker in workers:
            worker.wait_until_ready()
        seconds = {kind: time_in_turns(workers, kind, args.repeats) for kind in args.texts}
        answers = compare_answers(workers, specs, texts, args.texts)
    finally:
        for worker in workers:
            worker.close()
    tables = [speed_table(kind, specs, seconds[kind], about[kind], answers, left_out) for kind in args.texts]
    tables.append(targets_table(seconds, answers, len(texts[AGREEMENT])))
    raw = {"seconds": seconds, "answers": answers}
    return write_result("predict", args, tables, raw, texts=about, head=head, left_out=left_out)


def choose(names: Sequence[str], bfloat16: bool) -> tuple[list[Spec], dict[str, str]]:
    """The systems that can run here, and why others of ``names`` cannot."""
    chosen, left_out = [], {}
    for spec in SPECS:
        if spec.name not in names:
            continue
        if not is_installed(*spec.needs):
            left_out[spec.name] = f"needs {', '.join(spec.needs)}"
        elif spec.bfloat16 and not bfloat16:
            left_out[spec.name] = "this CPU has no bfloat16 units"
        else:
            chosen.append(spec)
    return chosen, left_out


def prepare(
    maker: Worker, args: argparse.Namespace, folder: Path, texts: list[str], labels: list[int], specs: Sequence[Spec]
) -> tuple[Files, dict[str, float]]:
    """Write the classifier that all systems read, and tell about its head: fitted on sentences that are not asked."""
    from bothways.resolver import resolve_model

    files = Files(directory=folder / "classifier", onnx=folder / "classifier.onnx", encoder=resolve_model(args.model))
    maker.ask("classifier", files.encoder, files.directory, 0)
    accuracy = maker.ask("fit_head", files.directory, texts[-args.head_texts :], labels[-args.head_texts :])
    if any("onnx" in spec.needs for spec in specs):
        maker.ask("onnx", files.directory, files.onnx)
    return files, {"texts": args.head_texts, "accuracy_on_them": accuracy}


def time_in_turns(workers: Sequence[Worker], kind: str, repeats: int) -> dict[str, list[float]]:
    """Seconds of every system in every repetition, after one that does not count: shapes are met, caches are warm."""
    interleaved(workers, 1, lambda worker: worker.ask("seconds", kind))
    return interleaved(workers, repeats, lambda worker: worker.ask("seconds", kind))


def compare_answers(
    workers: Sequence[Worker], specs: Sequence[Spec], texts: dict[str, list[str]], kinds: Sequence[str]
) -> dict[str, dict[str, float]]:
    """For each system: how far probabilities are from those of transformers in fp32, and the share of equal answers.

    On the texts that were timed for all; on the many sentences for bfloat16, with Bothways in fp32 beside it.
    """
    by_name = {worker.name: worker for worker in workers}
    if REFERENCE not in by_name:
        return {}
    many = [spec.name for spec in specs if spec.bfloat16 or spec.name == OURS] if texts[AGREEMENT] else []
    wanted = dict.fromkeys(kinds, list(by_name)) | {AGREEMENT: many}
    found: dict[str, dict[str, float]] = {name: {} for name in by_name}
    for kind, names in wanted.items():
        if not names:
            continue
        truth = by_name[REFERENCE].ask("probabilities", kind)
        for name in names:
            own = by_name[name].ask("probabilities", kind)
            if own is not None:
                found[name][f"max_difference_{kind}"] = float(np.abs(own - truth).max())
                found[name][f"agreement_{kind}"] = float((own.argmax(1) == truth.argmax(1)).mean())
    return found


def about_lengths(lengths: Sequence[int]) -> dict[str, float]:
    """Number of texts; sum, mean and range of their tokens."""
    return {
        "count": len(lengths),
        "tokens": sum(lengths),
        "mean": round(sum(lengths) / len(lengths), 1),
        "shortest": min(lengths),
        "longest": max(lengths),
    }


def speed_table(
    kind: str,
    specs: Sequence[Spec],
    seconds: dict[str, list[float]],
    about: dict[str, float],
    answers: dict[str, dict[str, float]],
    left_out: dict[str, str],
) -> Table:
    """Real tokens a second and ratios on one kind of texts, one system a row.

    Args:
        seconds: of every system, in each repetition.
        about: from ``about_lengths``.
    """
    ours = [spec for spec in specs if spec.name in (OURS, OURS_BFLOAT16)]
    rows = []
    for spec in specs:
        difference = answers.get(spec.name, {}).get(f"max_difference_{kind}")
        rows.append(
            (
                spec.title,
                spread([about["tokens"] / one for one in seconds[spec.name]]),
                *(f"{median_ratio(seconds[own.name], seconds[spec.name]):.2f}" for own in ours),
                "–" if difference is None else f"{difference:.1e}",
            )
        )
    notes = [
        f"{about['count']:,} texts of {about['shortest']} to {about['longest']} tokens, mean {about['mean']}. "
        "Medians (range) of real tokens a second, tokenisation included; ratios are medians over repetitions in which "
        "the systems ran one after the other. Δ p: largest difference of a probability from transformers in fp32."
    ]
    notes += [f"Left out: {name} ({why})." for name, why in left_out.items()]
    columns = ("system", "tokens/s", *(f"{own.title} ÷ it" for own in ours), "max Δ p")
    return Table(title=f"Prediction, {kind} texts", columns=columns, rows=tuple(rows), notes=tuple(notes))


def targets_table(
    seconds: dict[str, dict[str, list[float]]], answers: dict[str, dict[str, float]], compared: int
) -> Table:
    """What the library promises, and what was measured. Speed is judged on mixed texts where there are any."""
    kind = "mixed" if "mixed" in seconds else next(iter(seconds))
    times = seconds[kind]
    best = OURS_BFLOAT16 if OURS_BFLOAT16 in times else OURS
    promises = (
        (best, DEFAULT, 5.0),
        (OURS_BFLOAT16, "openvino-bf16", 1.3),
        (OURS, "onnxruntime", 1.5),
        (OURS, "onnxruntime-fused", 1.5),
        (OURS, "sentence-transformers", 1.5),
    )
    rows = []
    for own, peer, wanted in promises:
        if own in times and peer in times:
            ratio = median_ratio(times[own], times[peer])
            rows.append(
                (f"{own} against {peer}, {kind}", f"{wanted:.1f} ×", f"{ratio:.2f} ×", _verdict(ratio >= wanted))
            )
    agreement = answers.get(OURS_BFLOAT16, {}).get(f"agreement_{AGREEMENT}")
    if agreement is not None:
        rows.append(
            (
                f"bf16 answers as in fp32, {compared:,} sentences",
                "99.8 %",
                f"{agreement:.2%}",
                _verdict(agreement >= 0.998),
            )
        )
    return Table(title="Targets", columns=("what", "wanted", "measured", "reached"), rows=tuple(rows))


def _verdict(reached: bool) -> str:
    return "yes" if reached else "no"


def _choice(option: str, given: str, known: Sequence[str]) -> list[str]:
    chosen = [name for name in given.split(",") if name]
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        fail(UsageError(f"{option} {given!r} has unknown names ({', '.join(unknown)}). Known: {', '.join(known)}."))
    return chosen


if __name__ == "__main__":
    try:
        main()
    except BothwaysError as problem:
        fail(problem)
    except KeyboardInterrupt:
        sys.exit(130)

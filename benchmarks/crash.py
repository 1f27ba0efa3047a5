"""Training that is killed at every file event, and goes on: ours, and the reference Trainer in the same program.

    python -m benchmarks.crash                     # every point: hours on a slow machine
    python -m benchmarks.crash --points 60         # an even sample of each case

ckpt-chaos runs a program without a fault and counts what it does to files, then kills a new run at each of these
events: before it (``before``), with a file that is half written (``torn``), or by SIGTERM (``term``). It gives the same
command again and compares the weights at the end, byte by byte. A run that begins before the newest checkpoint that
was whole at the crash is lost work.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._common import Table, add_common_options, at_least, fail, write_result
from bothways.errors import BothwaysError, UsageError

PROGRAMS = Path(__file__).parent / "crash_programs"
WARM = Path(__file__).parent / "_warm.py"
VERDICTS = ("PASS", "HARD_FAIL", "SILENT_DIVERGENCE", "LOST_WORK")
FAIL_ON = "HARD_FAIL,SILENT_DIVERGENCE,LOST_WORK,CONTROL_FAIL"
PRELOADED = (
    *("bothways.cli", "bothways.training.job", "bothways.training.text_task", "bothways.trainer.trainer"),
    *("bothways.evaluation.table", "sklearn.linear_model", "sklearn.feature_extraction.text", "jinja2.ext"),
    *("rich.table", "ckpt_chaos.inject"),
)
REFERENCE = ("transformers", "transformers.trainer", "transformers.models.bert.modeling_bert", "accelerate")
TRAINING = ("--epochs", "3", "--batch-size", "16", "--checkpoint-steps", "2")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program to be killed.

    Attributes:
        program: in ``crash_programs``; {out} in its arguments is where it writes, {library} whose ``Trainer`` it takes.
        said: a pattern for the step that a run begins from.
        result: the file that must come out the same.
        checkpoints: a pattern for their names, or None where the program removes them itself.
        crash_rank: of ``ranks`` processes the one that is killed.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    said: str
    result: str
    checkpoints: str | None = None
    ranks: int = 1
    crash_rank: int = 0

    @property
    def has_reference(self) -> bool:
        return "{library}" in self.arguments


def _own_script(name: str, how: str, **more: Any) -> Case:
    return Case(
        name=name,
        program="own_script.py",
        arguments=("{library}", "{out}", how),
        said=r"training begins at step (\d+)",
        result="{out}/final/model.safetensors",
        checkpoints="{out}/checkpoint-*",
        **more,
    )


CASES = {
    "command": Case(
        name="bothways train",
        program="command_line.py",
        arguments=("train", "{data}", "-o", "{out}/model", "--model", "{model}", *TRAINING),
        said=r"Going on from step (\d+)",
        result="{out}/model/model.safetensors",
    ),
    "job": Case(
        name="bothways.training.train, all checkpoints kept",
        program="main_job.py",
        arguments=("{data}", "{out}/model", "{model}"),
        said=r"Going on from step (\d+)",
        result="{out}/model/model.safetensors",
        checkpoints="{out}/model.unfinished/checkpoint-*",
    ),
    "last": _own_script("Trainer, from get_last_checkpoint", "last"),
    "newest": _own_script("Trainer, resume_from_checkpoint=True", "newest"),
    "first-of-two": _own_script("Trainer, 2 processes, the first killed", "last", ranks=2),
    "second-of-two": _own_script("Trainer, 2 processes, the second killed", "last", ranks=2, crash_rank=1),
}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A model of a few thousand weights and texts to train it on."""

    model: Path
    data: Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_options(parser, repeats=None)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="programs to kill")
    parser.add_argument("--modes", default="before,torn,term", help="ways to be killed")
    parser.add_argument("--points", type=at_least(1), default=100_000, help="points of each case at most")
    parser.add_argument("--jobs", type=at_least(1), default=1, help="points at once")
    parser.add_argument("--kills", type=at_least(1), default=10, help="kill -9 at a random moment, so many times")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    try:
        _run(parser.parse_args(arguments))
    except BothwaysError as problem:
        fail(problem)


def _run(args: argparse.Namespace) -> None:
    raw: dict[str, Any] = {"points": {}}
    rows = []
    with tempfile.TemporaryDirectory(prefix="bothways-crash-") as place:
        inputs = make_inputs(Path(place))
        with preloaded(Path(place) / "socket", (*PRELOADED, *REFERENCE)) as python:
            for key in args.cases:
                for library in ("bothways", "transformers") if CASES[key].has_reference else ("bothways",):
                    work = Path(place) / f"{key}-{library}"
                    # several processes of the reference wait for each other for ever when they are forked
                    plain = library == "transformers" and CASES[key].ranks > 1
                    start = (sys.executable,) if plain else python
                    found = crash(CASES[key], work, inputs, start, library, args.points, args.modes, args.jobs)
                    raw["points"][f"{key} {library}"] = found
                    rows.append(_row(CASES[key], library, found))
                    print(*rows[-1], sep=" | ", flush=True)
                    shutil.rmtree(work)
        raw["kill_9"] = kills(Path(place) / "kills", inputs, args.kills, args.seed)
        raw["full_disk"] = full_disk(Path(place) / "full", inputs)
    columns = ("program", "library", "points", "same weights", "resume fails", "other weights", "lost work")
    notes = (
        "Every point: a run that is killed there, and the same command again. Same weights: byte by byte those of a "
        "run that was not killed, gone on from the newest whole checkpoint. The first point of each case is a control.",
        "A process that changes no file has no points: here only the first of two processes writes.",
        f"ckpt-chaos {importlib.metadata.version('ckpt-chaos')}, modes {args.modes}.",
    )
    table = Table(title="Killed at file events", columns=columns, rows=tuple(rows), notes=notes)
    write_result("crash", args, [table, _other_table(raw)], raw)


def _row(case: Case, library: str, found: list[dict[str, Any]]) -> tuple[str, ...]:
    counts = Counter(point["verdict"] for point in found)
    unknown = set(counts) - set(VERDICTS)
    assert not unknown, unknown
    lost = str(counts["LOST_WORK"]) if case.checkpoints else "–"
    return (case.name, library, str(len(found)), *(str(counts[verdict]) for verdict in VERDICTS[:3]), lost)


def _other_table(raw: dict[str, Any]) -> Table:
    killed, full = raw["kill_9"], raw["full_disk"]
    rows = [
        (
            f"bothways train, kill -9 at {killed['kills']} random moments",
            "same weights" if killed["same"] else "OTHER WEIGHTS",
        )
    ]
    rows.append(("bothways train on a full disk of 600 kB, then on 40 MB", full["outcome"]))
    return Table(title="Other ends", columns=("what", "outcome"), rows=tuple(rows), notes=(full["message"],))


def crash(
    case: Case,
    work: Path,
    inputs: Inputs,
    python: Sequence[str],
    library: str = "bothways",
    points: int = 100_000,
    modes: str = "before,torn,term",
    jobs: int = 1,
) -> list[dict[str, Any]]:
    """Let ckpt-chaos kill a program and judge.

    Args:
        python: the command that starts a program.

    Returns:
        For each point ``label``, ``verdict``, ``resumed_from_step`` and ``newest_complete_step``; the first is the
        control. Empty if the process to be killed changes no file.

    Raises:
        UsageError: ckpt-chaos could not run it, or its exit code is not what the verdicts say.
    """
    from ckpt_chaos.runner import rejudge

    words = [sys.executable, "-m", "ckpt_chaos", "run", "--fail-on", FAIL_ON, "--work", str(work), "--modes", modes]
    words += ["--max-points", str(points), "--jobs", str(jobs), "--timeout", "300"]
    words += ["--step-regex", case.said, "--result-file", case.result]
    words += ["--ranks", str(case.ranks), "--crash-rank", str(case.crash_rank)]
    if case.checkpoints is not None:  # sizes differ between two runs: a checkpoint notes the seconds
        words += ["--checkpoint-glob", case.checkpoints, "--ckpt-ignore-size"]
    names = {"{library}": library, "{data}": str(inputs.data), "{model}": str(inputs.model)}
    command = [*python, str(PROGRAMS / case.program), *(names.get(word, word) for word in case.arguments)]
    done = subprocess.run([*words, "--", *command], capture_output=True, text=True, env=_environment())
    if "the command made no file changes" in done.stdout + done.stderr:
        return []
    found = rejudge(work) if work.exists() else []
    bad = any(point.verdict != "PASS" for point in found)
    if not found or bool(done.returncode) != bad:
        raise UsageError(f"ckpt-chaos ended with {done.returncode}: {(done.stdout + done.stderr)[-2_000:]}")
    return [
        {
            "label": _without_random(point.label),
            "verdict": point.verdict,
            "resumed_from_step": point.outcome.resumed_from_step,
            "newest_complete_step": point.outcome.newest_complete_step,
        }
        for point in found
    ]


def kills(work: Path, inputs: Inputs, count: int, seed: int) -> dict[str, Any]:
    """Give ``bothways train`` again and again, killed at random moments, and compare what comes out.

    Every second moment is within the training, where the files say that it has begun.
    """
    work.mkdir()
    command = [sys.executable, "-m", "bothways", "train", str(inputs.data), "--model", str(inputs.model), *TRAINING]
    command += ["--epochs", "40", "-o"]  # 120 steps and 59 checkpoints
    whole, killed = work / "whole", work / "killed"
    subprocess.run([*command, str(whole)], check=True, capture_output=True, env=_environment())
    chance = random.Random(seed)
    moments = []
    while len(moments) < count and not killed.exists():
        process = subprocess.Popen([*command, str(killed)], env=_environment(), stderr=subprocess.DEVNULL, stdout=-3)
        newest, wanted = _newest(killed), chance.randint(0, 100 // count)
        while process.poll() is None and _newest(killed) < newest + wanted:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.005)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=chance.random() / 5)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            moments.append(_newest(killed))
    subprocess.run([*command, str(killed)], check=True, capture_output=True, env=_environment())
    files = [directory / "model.safetensors" for directory in (whole, killed)]
    return {"kills": len(moments), "newest_checkpoint": moments, "same": files[0].read_bytes() == files[1].read_bytes()}


def _newest(output: Path) -> int:
    with suppress(OSError):
        names = os.listdir(output.with_name(output.name + ".unfinished"))
        return max((int(name[11:]) for name in names if re.fullmatch(r"checkpoint-\d+", name)), default=0)
    return 0


def full_disk(work: Path, inputs: Inputs) -> dict[str, Any]:
    """Train on a disk that becomes full, give it more room, and go on. Needs the right to mount one."""
    work.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(work)], capture_output=True)
    if mounted.returncode:
        return {"outcome": "not measured: only root may mount a small disk", "message": ""}
    command = [sys.executable, "-m", "bothways", "train", str(inputs.data), "--model", str(inputs.model), *TRAINING]
    command += ["-o", str(work / "model")]
    try:
        full = subprocess.run(command, capture_output=True, text=True, env=_environment())
        subprocess.run(["mount", "-o", "remount,size=40m", str(work)], check=True)
        more = subprocess.run(command, capture_output=True, text=True, env=_environment())
    finally:
        subprocess.run(["umount", str(work)], check=True)
    step = re.search(r"Going on from step (\d+)", more.stderr)
    outcome = f"exit {full.returncode}, then exit {more.returncode}, from step {step[1] if step else 0}"
    return {"outcome": outcome, "message": _last_line(full.stderr).replace(str(work), "DISK")}


def make_inputs(place: Path) -> Inputs:
    """Write a tiny encoder and sixty labelled texts."""
    import torch

    from bothways import BertConfig, BertModel, BertTokenizerFast

    words = "good bad fine awful film book play the a was it very not really story plot".split()  # noqa: SIM905
    model = place / "tiny"
    model.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (model / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=16,
    )
    BertModel(config).save_pretrained(model)
    BertTokenizerFast(vocab_file=str(model / "vocab.txt")).save_pretrained(model)
    chance = random.Random(0)
    texts = {" ".join([chance.choice(words[:4]), *chance.sample(words[4:], 5)]) for _ in range(60)}
    rows = [f"{text},{'pos' if text.split()[0] in ('good', 'fine') else 'neg'}\n" for text in sorted(texts)]
    data = place / "reviews.csv"
    data.write_text("text,label\n" + "".join(rows))
    return Inputs(model=model, data=data)


@contextmanager
def preloaded(place: Path, modules: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A command in place of ``python`` that starts programs without the seconds for imports. Linux only."""
    server = subprocess.Popen(
        [sys.executable, str(WARM), "serve", str(place), *modules],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    try:
        if server.stdout is None or server.stdout.readline() != "ready\n":
            raise UsageError("the process that starts the programs has ended; its message is above.")
        yield (sys.executable, "-I", "-S", str(WARM), str(place))
    finally:
        server.kill()
        server.communicate()


def _environment() -> dict[str, str]:
    quiet = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, "OMP_NUM_THREADS": "1", **quiet}


def _without_random(label: str) -> str:
    """``.config.json.x4k2q9.tmp`` → ``config.json``."""
    return re.sub(r":\.(.+?)\.[^. ]+\.(tmp|old)\b", r":\1", label)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:400] if lines else ""


if __name__ == "__main__":
    main()

"""The proof that a resume changes nothing, on runs of the command, with real processes and a real kill -9."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.state_files import load_state, save_state
from bothways.errors import BothwaysError, UsageError
from bothways.training import rerun, verify
from bothways.training.verify import compare_states, verify_resume
from tests.conftest import sentences

STEPS = 12  # 96 examples to train on, 24 a step: 4 an epoch, 3 epochs
OPTIONS = ["--epochs", "3", "--batch-size", "24", "--precision", "float32"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model, reviews) -> Path:
    """A finished run, small."""
    from bothways.cli import run

    output = tmp_path_factory.mktemp("runs") / "model"
    assert run(["train", str(reviews), "-o", str(output), "--model", str(tiny_model), *OPTIONS]) == 0
    return output


@pytest.fixture
def copied(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


@pytest.fixture
def here(monkeypatch):
    """What processes would do happens in this one, quickly: nothing waits for the disk."""
    calls = []
    monkeypatch.setattr("os.fsync", lambda handle: None)

    def start(order: Path, processes: int) -> int:
        calls.append(rerun.Order(**json.loads(order.read_text())))

        def leave(outcome: rerun.Outcome) -> None:
            Path(f"{order}.outcome").write_text(json.dumps(vars(outcome)))

        killed = []
        rerun.rerun(calls[-1], leave, lambda: killed.append(True))
        return -9 if killed else 0

    monkeypatch.setattr(verify, "start_process", start)
    return calls


def changed(directory: Path, change) -> None:
    """Change the manifest of a run."""
    manifest = json.loads((directory / "bothways.json").read_text())
    change(manifest)
    (directory / "bothways.json").write_text(json.dumps(manifest))


def listing(directory: Path) -> list[tuple]:
    return sorted((p.relative_to(directory), p.stat().st_mtime_ns) for p in directory.rglob("*"))


def test_a_finished_run_is_proved_with_real_processes(run, command):
    before = listing(run.parent)
    code, out, err = command("verify-resume", run, "--at", 6, "--steps", 4)
    assert code == 0, err
    manifest = json.loads((run / "bothways.json").read_text())
    digests = dict(manifest["training"]["digests"])
    assert sorted(digests) == [4, 8, 12]
    assert out.count("identical") == 4  # parameters, optimizer, and the ends of two epochs
    assert out.count(digests[4][:12]) == out.count(digests[8][:12]) == 2
    flat = " ".join(out.split())
    assert "Identical: killed (kill -9) after step 6 and gone on with in a new process" in flat
    assert (
        "after step 10 the same bits in all 164 tensors" in flat and f"your run of {manifest['created'][:10]}" in flat
    )
    assert "after step 4, 8." in flat and "then kill -9" in err
    assert listing(run.parent) == before


def test_the_steps_end_with_the_run_and_no_evaluation_is_made(run, here, monkeypatch):
    from bothways.training.text_task import TextTask

    monkeypatch.setattr(TextTask, "answer", None)
    proof = verify_resume(run, 11)
    assert (proof.killed_at, proof.step, proof.holds) == (11, STEPS, True)
    assert [step for step, *_ in proof.own] == [4, 8, 12]
    assert [(o.until, o.killed) for o in here] == [(12, False), (11, True), (12, False)]
    assert here[1].checkpoints == here[2].checkpoints != here[0].checkpoints
    assert {part.what: part.tensors for part in proof.compared} == {"parameters": 41, "optimizer state": 123}


def test_tensors_that_differ_are_named_and_the_command_fails(run, here, command, monkeypatch):
    """As if the checkpoint had lost a bit of one moment of the optimizer, which its hashes do not show."""
    start = verify.start_process

    def spoiling(order: Path, processes: int) -> int:
        code = start(order, processes)
        if code == -9:
            store = CheckpointStore(here[-1].checkpoints)
            found = store.newest()
            state = load_state(found.path, "optimizer")
            first = next(iter(state["state"].values()))
            first["exp_avg"].view(-1)[0] += 1.0

            def write(place: Path) -> None:
                shutil.copytree(found.path, place, dirs_exist_ok=True)
                (place / "checkpoint.json").unlink()
                save_state(place, "optimizer", state)

            store.save(found.step, write)
        return code

    monkeypatch.setattr(verify, "start_process", spoiling)
    code, out, err = command("verify-resume", run, "--at", 2, "--steps", 1)
    flat = " ".join(out.split())
    assert code == 1 and "Different: killed (kill -9) after step 2" in flat
    assert "after step 3 other bits in 2 of 164 tensors than without a stop" in flat and "state.0.exp_avg" in flat


def test_a_run_of_the_user_that_has_other_bits_is_told(copied, here, command):
    def change(manifest):
        manifest["training"]["digests"][0][1] = "0" * 64

    changed(copied, change)
    code, out, _ = command("verify-resume", copied, "--at", 4, "--steps", 1)
    flat = " ".join(out.split())
    assert code == 1 and "had other parameters after step 4 (sha256 000000000000…, now" in flat

    changed(copied, lambda manifest: manifest["versions"].update(torch="1.0"))
    code, out, _ = command("verify-resume", copied, "--at", 4, "--steps", 1)
    flat = " ".join(out.split())
    assert code == 0 and "it was made elsewhere (torch 1.0, now" in flat


def test_an_unfinished_run(tiny_model, reviews, here, tmp_path):
    unfinished = _stopped(tiny_model, reviews, tmp_path / "out", at=6)
    for name in ("out", "out.unfinished"):
        proof = verify_resume(tmp_path / name, 3, steps=4)
        assert proof.holds and proof.step == 7 and [step for step, *_ in proof.own] == [4]
    assert (unfinished / "checkpoint-6").is_dir()


def _stopped(model: Path, data: Path, output: Path, at: int, **options) -> Path:
    from bothways import train
    from bothways.errors import Interrupted
    from bothways.training import job

    fit = job.fit
    try:
        job.fit = lambda *args, **more: fit(*args, **more, stop_after=at)
        with pytest.raises(Interrupted):
            train(data, output, model=model, epochs=3, batch_size=24, precision="float32", **options)
    finally:
        job.fit = fit
    return output.with_name(output.name + ".unfinished")


def test_a_run_against_the_clock_is_repeated_by_its_notes(tiny_model, reviews, here, tmp_path, monkeypatch):
    from bothways.engine.clock import Clock

    # the time as a function of the step: what a clock would say, without waiting for it
    monkeypatch.setattr(Clock, "is_over", lambda self, progress: False)
    plain = Clock.share

    def share(self, progress):
        if self.replayed is None:
            progress.seconds = progress.step * 3.0
        return plain(self, progress)

    monkeypatch.setattr(Clock, "share", share)
    directory = _stopped(tiny_model, reviews, tmp_path / "out", at=8, minutes=1.0)
    past = verify.read_past_run(directory)
    assert past.clock == tuple((step, step * 50) for step in range(1, 8)) and past.steps == 8
    proof = verify_resume(directory, 5)
    assert proof.holds and proof.step == 8 and [step for step, *_ in proof.own] == [4]
    with pytest.raises(UsageError, match=r"--at is 8, but the run in .* has 8 steps: give 1 to 7\."):
        verify_resume(directory, 8)


@pytest.mark.parametrize("at", [-3, 0, 12, 4000])
def test_a_step_outside_the_run(run, command, at):
    code, _, err = command("verify-resume", run, "--at", at)
    assert code == 2 and f"--at is {at}, but the run in {run} has 12 steps: give 1 to 11." in err


def test_no_steps_to_compare(run, command):
    code, _, err = command("verify-resume", run, "--at", 3, "--steps", 0)
    assert code == 2 and "--steps is 0; expected a whole number from 1." in err


def test_a_directory_without_a_run(tmp_path, tiny_model, command):
    for directory in (tmp_path / "nothing", tiny_model):
        code, _, err = command("verify-resume", directory, "--at", 3)
        assert code == 2 and "is no run of bothways train: there is no bothways.json in it, and no run.json" in err


@pytest.mark.parametrize(("part", "missing"), [("digests", "digests"), ("clock", "clock"), ("options", "options")])
def test_a_result_of_an_older_version(copied, command, part, missing):
    changed(copied, lambda manifest: (manifest["training"] if part in manifest["training"] else manifest).pop(part))
    code, _, err = command("verify-resume", copied, "--at", 3)
    assert code == 2 and f"was written by an older version of bothways: it does not have {missing}" in err
    changed(copied, lambda manifest: manifest.pop("training"))
    assert "older version" in command("verify-resume", copied, "--at", 3)[2]


def test_a_manifest_that_was_changed(copied, command):
    changed(copied, lambda manifest: manifest["settings"].update(colour="blue"))
    code, _, err = command("verify-resume", copied, "--at", 3)
    assert code == 2 and "has settings that this version does not know: colour." in err
    changed(copied, lambda manifest: (manifest["hardware"].pop("threads"), manifest["settings"].pop("colour")))
    code, _, err = command("verify-resume", copied, "--at", 3)
    assert code == 1 and "was changed and cannot be used (KeyError('threads'))." in err


def test_changed_data(tiny_model, here, command, tmp_path):
    data = tmp_path / "own.csv"
    rows = [f"{text},{label}\n" for text, label in sentences(60, seed=2)]
    data.write_text("text,label\n" + "".join(rows))
    assert command("train", data, "-o", tmp_path / "out", "--model", tiny_model, "--epochs", 1)[0] == 0
    data.write_text("text,label\n" + "".join(rows[:50]))
    code, out, err = command("verify-resume", tmp_path / "out", "--at", 1)
    assert code == 2 and out == "" and "the data has changed since this run of 20" in err
    assert "it trained on 48 examples (sha256 " in err and "gives 40 (sha256 " in err
    data.unlink()
    code, _, err = command("verify-resume", tmp_path / "out", "--at", 1)
    assert code == 2 and f"{data} was read by this run of 20" in err and f"seen from {Path.cwd()}" in err


def test_a_changed_starting_model(tiny_model, reviews, here, command, tmp_path):
    model = Path(shutil.copytree(tiny_model, tmp_path / "start"))
    assert command("train", reviews, "-o", tmp_path / "out", "--model", model, "--epochs", 1)[0] == 0
    from bothways import AutoModel

    changed_model = AutoModel.from_pretrained(model)
    with torch.no_grad():
        next(changed_model.parameters()).add_(1)
    changed_model.save_pretrained(model)
    code, _, err = command("verify-resume", tmp_path / "out", "--at", 1)
    assert code == 2 and f"the starting model {model} has changed since this run of 20" in err


def test_a_process_that_comes_to_nothing_is_told(run, monkeypatch):
    monkeypatch.setattr(verify, "start_process", lambda order, processes: -11)
    with pytest.raises(BothwaysError, match=r"from step 0 to step 8 ended by signal 11, before it was there"):
        verify_resume(run, 3, steps=5)


def test_a_process_that_did_not_go_on_but_began_again_is_no_proof(run, here, monkeypatch):
    start = verify.start_process

    def forgetful(order: Path, processes: int) -> int:
        if len(here) == 2:
            shutil.rmtree(here[-1].checkpoints)
        return start(order, processes)

    monkeypatch.setattr(verify, "start_process", forgetful)
    with pytest.raises(BothwaysError, match="from step 3 to step 5 ended with code 0; it began at step 0"):
        verify_resume(run, 3, steps=2)


def test_states_are_compared_bit_by_bit():
    one = {"a": torch.tensor([0.0, 1.0]), "b": {"c": [torch.tensor(3), 0.1]}}
    same = {"a": torch.tensor([0.0, 1.0]), "b": {"c": [torch.tensor(3), 0.1]}}
    found = compare_states("parameters", 1, one, same)
    assert (found.tensors, found.differing, found.whole) == (2, (), found.resumed)
    negative = {"a": torch.tensor([-0.0, 1.0]), "b": {"c": [torch.tensor(3.0), 0.1]}}  # equal as numbers
    found = compare_states("parameters", 1, one, negative)
    assert found.differing == ("a", "b.c.0") and found.whole != found.resumed
    assert compare_states("parameters", 1, one, {"a": one["a"], "b": {"c": [torch.tensor(3), 0.2]}}).differing == (
        "b.c.1",
    )

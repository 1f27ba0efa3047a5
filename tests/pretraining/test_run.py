"""A run goes on from any checkpoint to the bits of one that was never stopped, with the same curve."""

from __future__ import annotations

import shutil
import signal
from dataclasses import asdict, replace

import pytest
import torch

from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.clock import Clock
from bothways.engine.loop import Progress
from bothways.engine.processes import Processes
from bothways.engine.saving import Saver
from bothways.errors import BothwaysError, CheckpointError, Interrupted
from bothways.pretraining.run import LEAST_RATE, Watch, pretrain_model, rate_factor
from bothways.pretraining.settings import CurvePoint, PretrainState
from bothways.pretraining.steps import validation_parts
from bothways.training.fit_state import digest_of
from tests.pretraining.small import documents_with, goal_for, model_for, settings_for, tokenizer_for

LENGTHS = [30, 44, 7, 60, 21, 9, 50, 33]
HELD = [25, 18, 40]


@pytest.fixture(autouse=True)
def nothing_waits_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda handle: None)


class Runs:
    """Runs of one kind in directories of their own."""

    def __init__(self, directory, objective, **more):
        self.directory = directory
        self.settings = settings_for(objective, **{"ramp_steps": 2, "batch_tokens": 160, "evaluations": 4, **more})
        self.tokenizer = tokenizer_for(objective, directory / "tokenizer")
        self.goal = goal_for(self.settings, self.tokenizer)
        self.parts = validation_parts(documents_with(HELD, seed=9), self.goal, self.settings)
        self.said = []
        self.say = self.said.append

    def store(self, name):
        return CheckpointStore(self.directory / name)

    def run(self, name, **changes):
        """The state at the end, and the digest of the weights."""
        settings = replace(self.settings, **changes)
        model = model_for(settings, self.tokenizer, self.directory)
        watch = Watch(
            store=self.store(name),
            write_model=lambda place: None,
            going_on="Continue with: it",
            say=lambda line: self.say(line),
            peak=1e11,
            per_token=1e5,
        )
        torch.manual_seed(1234)  # nothing may hang on it
        documents = documents_with(LENGTHS)
        state = pretrain_model(
            model, self.goal, documents, self.parts, settings, watch, Processes(), show_progress=False
        )
        assert not model.training
        return state, digest_of(dict(model.named_parameters()))

    def left_at(self, name, step, new):
        """A directory as it is after a kill behind the checkpoint of that step."""
        kept = f"checkpoint-{step}"
        shutil.copytree(self.directory / name / kept, self.directory / new / kept)


def curve(state):
    return [{k: v for k, v in asdict(point).items() if k != "seconds"} for point in state.curve]


@pytest.mark.parametrize(
    ("objective", "more"),
    [
        ("mlm,nsp", {"epochs": 2, "steps": None}),
        ("mlm", {"steps": 6, "mask_rate": (0.4, 0.1)}),
        ("rtd", {"epochs": 1, "steps": None, "optimizer": "muon", "batch_tokens": 80}),
        ("clm", {"epochs": 2, "steps": 50, "max_tokens": 60}),
    ],
)
def test_from_every_checkpoint_to_the_same_bits(objective, more, tmp_path):
    """With dropout, a falling rate of hiding, over the ends of epochs and before each point of the curve."""
    runs = Runs(tmp_path, objective, **more)
    whole, digest = runs.run("whole", checkpoint_steps=1)
    steps = runs.store("whole").steps()
    count = whole.progress.step
    assert len(steps) >= count - 1 >= 3 and whole.progress.epoch == (more.get("epochs") or whole.progress.epoch)
    assert [point.step for point in whole.curve][-1] == count and 3 <= len(whole.curve) <= 5
    for step in steps:
        runs.left_at("whole", step, f"left-{step}")
        resumed, found = runs.run(f"left-{step}")
        assert found == digest, step
        assert curve(resumed) == curve(whole), step
        assert replace(resumed.progress, seconds=0.0) == replace(whole.progress, seconds=0.0)


def test_points_of_the_curve_are_of_a_sample_and_the_last_is_of_all(tmp_path, monkeypatch):
    runs = Runs(tmp_path, "mlm", steps=6, max_tokens=30)
    tokens = sum(part.total_tokens for part in runs.parts)
    assert len(runs.parts) > 3
    asked = []
    monkeypatch.setattr("bothways.pretraining.run.SAMPLE_TOKENS", tokens // 2)  # every second of them
    monkeypatch.setattr("bothways.pretraining.run.judge", lambda model, goal, parts, *rest: asked.append(parts) or {})
    runs.run("one")
    assert len(asked) > 2 and asked[-1] == runs.parts
    assert all(parts == runs.parts[::2] for parts in asked[:-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on_to_the_same_bits(number, tmp_path):
    runs = Runs(tmp_path, "mlm,nsp", epochs=2, steps=None)
    whole, digest = runs.run("whole")
    assert runs.store("whole").steps() == ()  # it was over before the first was due

    def stop(line):
        runs.said.append(line)
        signal.raise_signal(number)

    runs.say = stop
    for _ in range(len(whole.curve) + 2):
        try:
            resumed, found = runs.run("stopped")
        except Interrupted as problem:
            (step, *_) = reversed(runs.store("stopped").steps())
            assert f"Stopped after step {step}. " in str(problem) and f"checkpoint-{step} is saved" in str(problem)
            assert str(problem).endswith("Continue with: it") and problem.exit_code == 128 + number
        else:
            break
    assert found == digest and curve(resumed) == curve(whole)


def test_a_signal_while_it_judges_is_granted_at_once(tmp_path, monkeypatch):
    """At each point of the curve, the last of which may take minutes: the same bits, and the same curve."""
    runs = Runs(tmp_path, "mlm", steps=6)
    whole, digest = runs.run("whole")
    own, stopped_at = runs.goal.counts, set()
    runs.said.clear()

    def counts(model, part):
        if len(runs.said) not in stopped_at:  # a line is said of each point
            stopped_at.add(len(runs.said))
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("it went on")
        return own(model, part)

    monkeypatch.setattr(runs.goal, "counts", counts)
    for _ in whole.curve:
        with pytest.raises(Interrupted) as caught:
            runs.run("stopped")
        assert caught.value.exit_code == 143
    resumed, found = runs.run("stopped")
    assert found == digest and curve(resumed) == curve(whole)


def test_the_curve_has_the_mean_loss_of_the_steps_since(tmp_path):
    runs = Runs(tmp_path, "mlm", steps=12, evaluations=12)
    each = runs.run("each")[0].curve
    assert [point.step for point in each] == list(range(1, 13))
    thirds = runs.run("thirds", evaluations=3)[0].curve
    assert [point.step for point in thirds] == [4, 8, 12]
    for number, point in enumerate(thirds):
        own = [one.train_loss for one in each[4 * number : 4 * number + 4]]
        assert point.train_loss == pytest.approx(sum(own) / 4)
    assert thirds[-1].validation == each[-1].validation and set(thirds[-1].validation) == {
        "loss",
        "perplexity",
        "accuracy",
    }
    assert runs.said[-1].startswith("step 12, 0.0 M tokens, training loss ") and "hidden tokens right" in runs.said[-1]


def test_a_run_without_anything_to_judge_by_has_a_curve_too(tmp_path):
    runs = Runs(tmp_path, "mlm", steps=3)
    runs.parts = []
    found, _ = runs.run("alone")
    assert found.curve[-1].validation == {} and found.curve[-1].train_loss > 1
    assert runs.said[-1].count(",") == 2


def test_a_loss_that_is_no_number_names_the_step(tmp_path):
    runs = Runs(tmp_path, "mlm", learning_rate=0.9, warmup=0.0)
    runs.settings = replace(runs.settings, max_grad_norm=0.0, steps=200)
    broken = runs.goal.loss
    runs.goal.loss = lambda model, part: broken(model, part) * float("nan")
    with pytest.raises(BothwaysError, match=r"the loss is nan at step 1 .*learning rate \(now 0.9\)"):
        runs.run("nan")


def test_the_rate_rises_and_falls_in_straight_lines():
    assert [rate_factor(share, 0.1) for share in (0.05, 0.1, 0.55, 1.0)] == pytest.approx([0.5, 1, 0.5, LEAST_RATE])
    assert rate_factor(0.0, 0.1) == LEAST_RATE and rate_factor(0.0, 0.0) == 1.0


def test_the_state_of_a_run_survives_json(tmp_path):
    point = CurvePoint(step=3, tokens=9, seconds=1.5, train_loss=2.0, validation={"loss": 1.0})
    state = PretrainState(progress=Progress(step=3), curve=[point], clock=[(1, 5)], losses=(2.5, 2), judged=4)
    assert PretrainState.from_json(state.to_json()) == state
    with pytest.raises(CheckpointError, match="not the state of a pretraining run"):
        PretrainState.from_json({**state.to_json(), "judged": None})


# -- time ------------------------------------------------------------------------------------------------------------


def test_the_clock_notes_thousandths_where_they_change_and_repeats_them():
    noted = []
    clock = Clock(2.0, noted, Processes())
    shares = []
    for step, seconds in enumerate([0.0, 0.05, 30.0, 30.1, 119.99]):
        progress = Progress(step=step, seconds=seconds)
        shares.append((clock.share(progress), clock.share(progress)))
        assert not clock.is_over(progress)
    assert shares == [(s, s) for s in (0.0, 0.0, 0.25, 0.25, 0.999)] and noted == [(2, 250), (4, 999)]
    assert clock.is_over(Progress(seconds=120.0))
    again = Clock(2.0, [], Processes(), replayed=dict(noted))
    assert [again.share(Progress(step=step, seconds=500.0)) for step in range(6)] == [0, 0, 0.25, 0.25, 0.999, 0.999]
    assert not again.is_over(Progress(seconds=500.0))
    assert Clock(None, noted, Processes()).share(Progress(seconds=500.0)) == 0.0


def test_a_checkpoint_is_due_by_steps_or_by_time(tmp_path, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr("bothways.engine.saving.time.perf_counter", lambda: seconds[0])
    store = CheckpointStore(tmp_path / "store")
    every = Saver(store, Processes(), 3)
    assert [step for step in range(1, 8) if every.is_due(step)] == [3, 6]

    def write(place, took):
        (place / "weights").write_text("x")
        seconds[0] += took

    timed = Saver(store, Processes())
    seconds[0] = 59.0
    assert not timed.is_due(1)
    seconds[0] = 61.0
    assert timed.is_due(2)
    timed.save(2, lambda place: write(place, 5.0))  # a hundredth of the time: none for 500 s
    assert timed.step == 2 and store.steps() == (2,)
    seconds[0] += 499.0
    assert not timed.is_due(3)
    seconds[0] += 1.5
    assert timed.is_due(4)

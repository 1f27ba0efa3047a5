"""The search for settings over trainings that are only a formula: what is tried, judged, kept and said."""

from __future__ import annotations

import json
import math
import random
import signal
import sys
from dataclasses import replace

import pytest

from bothways.data import TextExample
from bothways.errors import CheckpointError, DataError, Interrupted, OutOfMemoryError, UsageError
from bothways.training.scoring import selection_score
from bothways.training.search import FailedTrialError, search
from bothways.training.settings import FitSettings
from bothways.training.task import Split
from bothways.training.text_task import TextTask
from bothways.training.trials import Space, Trial, best_of, check_search, suggest

DEFAULTS = FitSettings(epochs=4, learning_rate=5e-5, seed=7)


def a_job(train: int = 400, evaluation: int = 50) -> TextTask:
    def examples(count: int, where: str) -> list[TextExample]:
        # every fifth text occurs twice, in other letters
        names = [f"{where} text {i - i % 5 // 4}" for i in range(count)]
        return [TextExample(text=n.upper() if i % 2 else n, label=f"l{i // 2 % 2}", row=i) for i, n in enumerate(names)]

    split = Split(train=examples(train, "train"), evaluation=examples(evaluation, "final"), held_out=True)
    return TextTask(split, "single", ("l0", "l1"))


class Formula:
    """A training whose score is best at a rate of 1e-4; an epoch takes ``seconds`` on its own clock."""

    def __init__(self, seconds: float = 10.0) -> None:
        self.seconds, self.now = seconds, 0.0
        self.settings: list[FitSettings] = []
        self.jobs: list[TextTask] = []
        self.stop_in: int | None = None

    def clock(self) -> float:
        return self.now

    def __call__(self, job, settings, judged) -> bool:
        self.settings.append(settings)
        self.jobs.append(job)
        gold = job.gold()
        share = 0.9 - 0.2 * abs(math.log(settings.learning_rate / 1e-4))
        for epoch in range(1, settings.epochs + 1):
            if len(self.settings) == self.stop_in and epoch == 2:
                raise Interrupted("Stopped after step 3 of 40.", 143)
            self.now += self.seconds
            right = round(len(gold) * min(1.0, max(0.0, share - 0.1 / epoch)))
            answers = [g if i < right else {"l0": "l1", "l1": "l0"}[g] for i, g in enumerate(gold)]
            assert judged(answers) == selection_score("single", gold, answers, ("l0", "l1"))
        return False


def tried(formula: Formula) -> list[tuple]:
    return [(s.learning_rate, s.epochs, s.batch_size, s.warmup_ratio) for s in formula.settings]


def test_the_defaults_come_first_and_the_best_is_taken(tmp_path):
    formula, lines = Formula(), []
    found = search(12, a_job(), DEFAULTS, formula, tmp_path, say=lines.append, clock=formula.clock)
    assert tried(formula)[0] == (5e-5, 4, 16, 0.1) and len(formula.settings) == 12
    for rate, epochs, batch, warmup in tried(formula)[1:]:
        assert 1.7e-5 <= rate <= 1.5e-4 and 2 <= epochs <= 6 and batch in (8, 16, 32) and 0 <= warmup <= 0.2
        assert rate == float(f"{rate:.1e}") and warmup == round(warmup, 2)
    assert len(set(tried(formula))) == 12
    scores = [trial.score for trial in found.trials]
    assert found.best == best_of(found.trials) and scores[found.best] == max(s for s in scores if s is not None)
    values = found.trials[found.best].values
    assert found.settings == replace(DEFAULTS, **values) and values["learning_rate"] != 5e-5
    assert lines[0].startswith("Searching settings: 12 trials, trained on ") and len(lines) == 2 + 12
    assert lines[2].split()[:5] == ["1", "5.0e-05", "4", "16", "0.10"] and lines[2].endswith("(the defaults)")
    assert [line.endswith("(the best so far)") for line in lines[2:]].count(True) >= 1
    note = found.notes()[0]
    assert note.startswith(f"Of 12 trials, judged on {found.judge} of the 400 training texts, number {found.best + 1} ")
    assert f"learning rate {values['learning_rate']:.2g}" in note
    assert f"{max(scores[found.best], 0) * 100:.1f} % accuracy there; the defaults: {scores[0] * 100:.1f} %" in note
    assert found.notes()[-1] == "The search never saw the evaluation texts."


def test_trials_are_judged_on_a_part_of_the_training_part(tmp_path):
    job, formula = a_job(), Formula()
    found = search(3, job, DEFAULTS, formula, tmp_path)
    final = {example.text.lower() for example in job.split.evaluation}
    for inner in formula.jobs:
        train, judge = inner.split.train, inner.split.evaluation
        assert len(train) + len(judge) == 400 and 70 <= len(judge) <= 80
        texts = [{example.text.lower() for example in part} for part in (train, judge)]
        assert not texts[0] & texts[1] and not (texts[0] | texts[1]) & final
        assert (found.train, found.judge) == (len(train), len(judge))
    assert len(job.split.train) == 400 and len(job.split.evaluation) == 50


def test_the_same_seed_tries_the_same_and_another_seed_other_settings(tmp_path):
    runs = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        formula = Formula()
        random.seed(name)
        search(9, a_job(), replace(DEFAULTS, seed=seed), formula, tmp_path / name)
        runs.append(tried(formula))
    assert runs[0] == runs[1] and runs[0][0] == runs[2][0] and runs[0][1:] != runs[2][1:]


@pytest.mark.parametrize("stopped_in", [1, 2, 6, 9])
def test_an_interrupted_search_goes_on_without_repeating_a_trial(stopped_in, tmp_path):
    (tmp_path / "whole").mkdir()
    whole = Formula()
    expected = search(9, a_job(), DEFAULTS, whole, tmp_path / "whole", clock=whole.clock)
    formula = Formula()
    formula.stop_in = stopped_in
    with pytest.raises(Interrupted) as stop:
        search(9, a_job(), DEFAULTS, formula, tmp_path, going_on="Continue with: this.", clock=formula.clock)
    assert stop.value.exit_code == 143
    message = str(stop.value)
    assert message.startswith(f"Stopped in trial {stopped_in} of 9. ") and message.endswith("Continue with: this.")
    if stopped_in == 1:
        assert "No trial has come to its end yet." in message
    else:
        best = best_of(expected.trials[: stopped_in - 1])
        assert f"The best so far is number {best + 1}: learning rate " in message
        assert f"Finished trials are kept in {tmp_path / 'trials.json'}" in message
    again, lines = Formula(), []
    found = search(9, a_job(), DEFAULTS, again, tmp_path, say=lines.append, clock=again.clock)
    assert len(again.settings) == 9 - (stopped_in - 1) and len(lines) == 2 + 9
    assert tried(formula)[:-1] + tried(again) == tried(whole)
    assert found.trials == expected.trials and found.settings == expected.settings
    assert found.difference == expected.difference
    assert found.seconds >= expected.seconds + formula.seconds  # the interrupted trial took time too
    done = Formula()
    assert search(9, a_job(), DEFAULTS, done, tmp_path) == found and not done.settings


def test_a_signal_outside_of_fit_ends_the_trial_at_once(tmp_path):
    def train(job, settings, judged):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")

    with pytest.raises(Interrupted, match="Stopped in trial 1 of 9. No trial has come to its end yet.") as stop:
        search(9, a_job(), DEFAULTS, train, tmp_path)
    assert stop.value.exit_code == 143


def test_a_signal_between_trials_ends_the_search(tmp_path):
    formula = Formula()

    def say(line: str) -> None:
        if line.startswith("    3 "):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match="Stopped in trial 4 of 9") as stop:
        search(9, a_job(), DEFAULTS, formula, tmp_path, say=say)
    assert stop.value.exit_code == 143 and len(formula.settings) == 3


def test_the_search_has_its_share_of_the_minutes(tmp_path):
    formula = Formula(seconds=10.0)
    limited = replace(DEFAULTS, minutes=10.0)  # 420 s of search, some 40 s a trial
    found = search(100, a_job(), limited, formula, tmp_path, clock=formula.clock)
    assert 300 < formula.now <= 420 and found.seconds == formula.now
    assert found.settings.minutes == pytest.approx(10 - formula.now / 60)
    left = [s.minutes for s in formula.settings]
    assert left[0] == pytest.approx(7) and all(a > b for a, b in zip(left, left[1:], strict=False))
    assert f"{len(found.trials)} of 100 trials were made: the time was up." in found.notes()


def test_what_does_not_fit_the_time_gives_way_to_what_does(tmp_path):
    formula = Formula(seconds=10.0)  # of 112 s the final training needs 50, the defaults need 40
    limited = replace(DEFAULTS, minutes=112 / 60)
    found = search(9, a_job(), limited, formula, tmp_path, clock=formula.clock)
    assert [trial.values["epochs"] for trial in found.trials] == [4, 2]
    assert [trial.state for trial in found.trials] == ["complete"] * 2
    assert found.settings.minutes * 60 == pytest.approx(112 - 60)

    (tmp_path / "other").mkdir()
    formula = Formula(seconds=10.0)
    found = search(9, a_job(), replace(DEFAULTS, minutes=1.5), formula, tmp_path / "other", clock=formula.clock)
    assert len(found.trials) == 1 and found.notes()[0].startswith(f"Only the defaults were tried, on {found.judge} of")


def test_a_trial_that_meets_the_end_of_the_time_is_no_candidate(tmp_path):
    formula = Formula(seconds=10.0)
    found = search(5, a_job(), replace(DEFAULTS, minutes=0.5), formula, tmp_path, clock=formula.clock)
    assert [trial.state for trial in found.trials] == ["time"] and formula.now == 30.0
    assert {name: getattr(found.settings, name) for name in found.trials[0].values} == found.trials[0].values
    assert found.settings.minutes == pytest.approx(0.3 * 0.5)
    assert found.notes()[0].startswith("No trial came to its end, so that the settings are the defaults: learning rate")
    assert "1 of 5 trials were made: the time was up." in found.notes()


def test_fit_s_own_end_of_time_counts_too(tmp_path):
    found = search(3, a_job(), replace(DEFAULTS, minutes=1.0), lambda *given: True, tmp_path, clock=lambda: 0.0)
    assert [trial.state for trial in found.trials] == ["time"] * 3


def test_hopeless_trials_end_after_a_third_of_their_epochs(tmp_path):
    formula = Formula()
    found = search(16, a_job(), replace(DEFAULTS, epochs=6), formula, tmp_path)
    ended = [trial for trial in found.trials if trial.state == "hopeless"]
    assert ended and all(trial.score is None for trial in ended)
    assert all(len(trial.scores) >= max(2, trial.values["epochs"] / 3) for trial in ended)
    assert all(len(trial.scores) < trial.values["epochs"] for trial in ended)
    assert all(trial.state == "complete" for trial in found.trials[:4])
    finished = [trial for trial in found.trials if trial.state == "complete"]
    assert all(len(trial.scores) == trial.values["epochs"] for trial in finished)
    assert max(max(trial.scores) for trial in ended) < found.trials[found.best].score


def test_settings_that_do_not_work_end_a_trial_and_not_the_search(tmp_path):
    formula, lines = Formula(), []

    def train(job, settings, judged):
        if len(formula.settings) == 2:
            formula.settings.append(settings)
            raise FailedTrialError("the loss is nan")
        return formula(job, settings, judged)

    found = search(5, a_job(), DEFAULTS, train, tmp_path, say=lines.append)
    assert [trial.state for trial in found.trials] == ["complete", "complete", "failed", "complete", "complete"]
    assert lines[2 + 2].endswith("  failed: the loss is nan") and found.trials[2].problem == "the loss is nan"

    def too_large(*given):
        raise OutOfMemoryError("4,000 MB")

    (tmp_path / "other").mkdir()
    with pytest.raises(OutOfMemoryError):
        search(5, a_job(), DEFAULTS, too_large, tmp_path / "other")


def test_defaults_that_nothing_beats_are_kept_and_chance_is_called_chance(tmp_path):
    def level(job, settings, judged):
        judged(job.gold())
        for _ in range(settings.epochs - 1):
            judged(["l0"] * len(job.gold()))
        return False

    found = search(4, a_job(), DEFAULTS, level, tmp_path)
    assert found.best == 0 and found.settings == DEFAULTS and found.difference is None
    assert "none was better than the first, the defaults: learning rate 5e-05, 4 epochs" in found.notes()[0]

    calls = []

    def one_better(job, settings, judged):
        calls.append(settings)
        gold = job.gold()
        wrong = {"l0": "l1", "l1": "l0"}[gold[0]]
        answers = gold if len(calls) == 3 else [wrong, *gold[1:]]
        for _ in range(settings.epochs):
            judged(answers)
        return False

    (tmp_path / "other").mkdir()
    found = search(4, a_job(), DEFAULTS, one_better, tmp_path / "other")
    assert found.best == 2
    chance = [note for note in found.notes() if note.startswith("The defaults are as good, as far as ")]
    assert chance == [
        f"The defaults are as good, as far as {found.judge} texts can tell: the 95 % interval of the difference is "
        f"from {found.difference.low * 100:.1f} to {found.difference.high * 100:.1f} points of accuracy."
    ]
    assert found.difference.estimate == pytest.approx(1 / found.judge)


def test_what_the_user_gave_is_not_searched(tmp_path):
    formula = Formula()
    given = ("learning_rate", "epochs")
    search(6, a_job(), replace(DEFAULTS, learning_rate=3e-4), formula, tmp_path, given=given)
    assert {(rate, epochs) for rate, epochs, *_ in tried(formula)} == {(3e-4, 4)} and len(set(tried(formula))) == 6


def test_a_space_that_is_exhausted_ends_the_search():
    space = Space(learning_rate=None, epochs=(1, 2), batch_size=(16,), warmup_ratio=None)
    trials = []
    while (found := suggest(space, replace(DEFAULTS, epochs=2), trials, seed=3)) is not None:
        trials.append(Trial(values=found.values, state="complete", scores=(0.5,)))
    assert [trial.values["epochs"] for trial in trials] == [2, 1]


@pytest.mark.parametrize("epochs, bounds", [(1, (1, 2)), (2, (1, 3)), (3, (2, 4)), (4, (2, 6)), (8, (4, 12))])
def test_the_space_is_around_the_defaults(epochs, bounds):
    space = Space.around(replace(DEFAULTS, epochs=epochs, learning_rate=1e-4), ())
    assert space.epochs == bounds and space.learning_rate == (3.3e-5, 3e-4)
    assert space.batch_size == (8, 16, 32) and space.warmup_ratio == (0.0, 0.2)
    assert Space.around(replace(DEFAULTS, batch_size=24), ()).batch_size == (8, 16, 24, 32)


def test_a_damaged_journal_is_named(tmp_path):
    search(2, a_job(), DEFAULTS, Formula(), tmp_path)
    file = tmp_path / "trials.json"
    value = json.loads(file.read_text())
    value["trials"][0]["state"] = "fine"
    for content in (json.dumps(value), "[]", json.dumps(value | {"format": 9})):
        file.write_text(content)
        with pytest.raises(CheckpointError, match=r"trials\.json is no list of trials .*--fresh"):
            search(2, a_job(), DEFAULTS, Formula(), tmp_path)


def test_too_few_examples_and_impossible_numbers():
    with pytest.raises(DataError, match=r"2 texts to train on are too few .* Leave --tune out"):
        a_job(train=2).within_training(0)
    check_search(None)
    check_search(2)
    with pytest.raises(UsageError, match="tune is 1; expected a whole number of trials from 2"):
        check_search(1)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"--tune needs Optuna\. Install it: pip install 'bothways\[tune\]'"):
        check_search(10)

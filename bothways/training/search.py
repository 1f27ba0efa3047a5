"""The search for settings: trials on a part of the training data.

The training part of the job is divided again, into examples to train on and examples to judge trials on. The first
trial has the defaults, the others come from ``trials.suggest``. The evaluation examples are not in any of it, so that
the final score is as honest as without a search.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bothways.engine.interruption import Wish, stopping_gently
from bothways.engine.processes import Processes
from bothways.errors import Interrupted
from bothways.evaluation.intervals import Difference
from bothways.evaluation.scores import METRICS, Metric, count_outcomes, score_difference
from bothways.evaluation.verdict import is_shown
from bothways.training.scoring import selection_score
from bothways.training.settings import FitSettings
from bothways.training.task import TrainingTask
from bothways.training.trials import SEARCHED, Journal, Space, Suggestion, Trial, best_of, suggest

JOURNAL = "trials.json"
SEARCH_SHARE = 0.7
"""Share of the minutes that the search may take; the final training has the rest."""

Say = Callable[[str], None]


class Train(Protocol):
    """One training."""

    def __call__(self, job: TrainingTask, settings: FitSettings, judged: Callable[[Sequence[Any]], float]) -> bool:
        """Fit a new model to the training part of ``job``.

        Args:
            judged: called after every epoch with the answers to the evaluation part of ``job``; returns their score,
                and may raise to end the training.

        Returns:
            Whether the time of the settings ended it.

        Raises:
            FailedTrialError: these settings do not work.
        """


class FailedTrialError(Exception):
    """A training with these settings came to nothing; with others it may."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was searched and found.

    Attributes:
        settings: to train with now.
        trials: all of them; the first has the defaults.
        best: number of the one whose settings were taken, from 0.
        asked: how many trials the user asked for.
        seconds: that the search took.
        train, judge: examples that trials were trained and judged on.
        difference: score of the best minus that of the defaults, on those; None if they are the same trial.
    """

    settings: FitSettings
    trials: tuple[Trial, ...]
    best: int
    asked: int
    seconds: float
    train: int
    judge: int
    difference: Difference | None
    metric: Metric
    items: str

    def notes(self) -> tuple[str, ...]:
        """What the user should know, a sentence each."""
        first, best, metric = self.trials[0], self.trials[self.best], self.metric
        split = f"{self.judge:,} of the {self.train + self.judge:,} training {self.items}"
        found = []
        if best.score is None:
            found.append(f"No trial came to its end, so that the settings are the defaults: {values_text(best)}.")
        elif len(self.trials) == 1:
            found.append(
                f"Only the defaults were tried, on {split}: {values_text(best)}, {_amount(metric, best.score)} "
                f"{metric.title} there."
            )
        elif self.best == 0:
            found.append(
                f"Of {len(self.trials)} trials, judged on {split}, none was better than the first, the defaults: "
                f"{values_text(best)}, {_amount(metric, best.score)} {metric.title} there."
            )
        else:
            before = "did not come to their end" if first.score is None else f"{_amount(metric, first.score)}"
            found.append(
                f"Of {len(self.trials)} trials, judged on {split}, number {self.best + 1} was the best: "
                f"{values_text(best)}, {_amount(metric, best.score)} {metric.title} there; the defaults: {before}."
            )
        if self.difference is not None and not is_shown(self.difference):
            low, high = self.difference.low, self.difference.high
            bounds = f"{low * 100:.1f} to {high * 100:.1f} points" if metric.percent else f"{low:.3f} to {high:.3f}"
            found.append(
                f"The defaults are as good, as far as {self.judge:,} {self.items} can tell: the 95 % interval of the "
                f"difference is from {bounds} of {metric.title}."
            )
        if len(self.trials) < self.asked:
            why = "the time was up" if self.settings.minutes is not None else "no others were left to try"
            found.append(f"{len(self.trials)} of {self.asked} trials were made: {why}.")
        found.append(f"The search never saw the evaluation {self.items}.")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """For ``bothways.json``."""
        return {
            "asked": self.asked,
            "metric": self.metric.name,
            "train": self.train,
            "judge": self.judge,
            "seconds": self.seconds,
            "trials": [asdict(trial) | {"score": trial.score} for trial in self.trials],
            "best": self.best,
            "difference": None if self.difference is None else asdict(self.difference),
        }


def search(
    asked: int,
    job: TrainingTask,
    defaults: FitSettings,
    train: Train,
    directory: Path,
    *,
    given: Collection[str] = (),
    going_on: str = "",
    say: Say = lambda line: None,
    group: Processes | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Search:
    """Search settings; trials that an earlier process finished are not made again.

    Args:
        asked: number of trials.
        job: its training part is divided, its evaluation part is not looked at.
        defaults: settings of the first trial; ``minutes`` are those of search and final training together.
        train: makes one training.
        directory: of the run; the trials are kept there in ``trials.json``.
        given: settings that the user chose, which are not searched.
        going_on: the words that tell the user how to continue.
        clock: seconds from any start.

    Raises:
        DataError: too few examples to divide. CheckpointError: ``trials.json`` is damaged.
        Interrupted: Ctrl-C or SIGTERM; the finished trials are kept.
    """
    running = _Search(asked, job, defaults, train, directory, given, say, group or Processes(), clock)
    running.begin()
    with stopping_gently() as wish:
        running.wish = wish
        while not running.is_over():
            try:
                running.next()
            except KeyboardInterrupt as stop:
                code = stop.exit_code if isinstance(stop, Interrupted) else wish.exit_code if wish else 130
                raise Interrupted(f"{running.so_far()} {going_on}".strip(), code) from None
    return running.found()


class _EndedError(Exception):
    """Ends the training of a trial; ``state`` says why."""

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        self.state = state


class _Search:
    def __init__(
        self,
        asked: int,
        job: TrainingTask,
        defaults: FitSettings,
        train: Train,
        directory: Path,
        given: Collection[str],
        say: Say,
        group: Processes,
        clock: Callable[[], float],
    ) -> None:
        self.asked, self.defaults, self.train, self.say, self.group = asked, defaults, train, say, group
        self.job = group.all_do(lambda: job.within_training(defaults.seed))
        self.gold = self.job.gold()
        self.metric = METRICS[self.job.kind][0]
        self.space = Space.around(defaults, given)
        self.clock = clock
        self.journal = group.first_does(lambda: Journal.opened(directory / JOURNAL))
        self.seconds = None if defaults.minutes is None else defaults.minutes * 60 * SEARCH_SHARE
        self.suggestion: Suggestion | None = None
        self.wish = Wish()

    def begin(self) -> None:
        """Say what is going to happen, and what was there."""
        split, trials = self.job.split, self.journal.trials
        whole, limit = self.defaults.minutes, ""
        if self.seconds is not None:
            limit = f" in at most {self.seconds / 60:.3g} of {whole:g} minutes"
        self.say(
            f"Searching settings: {self.asked} trials{limit}, trained on {len(split.train):,} {self.job.items} of the "
            f"training part and judged on its other {len(split.evaluation):,}."
        )
        self.say(f"{'trial':>5} {'rate':>8} {'epochs':>6} {'batch':>5} {'warm-up':>7}  {self.metric.title}")
        for number, trial in enumerate(trials):
            self.say(self._line(number, trial, best_of(trials[: number + 1]) == number))

    def is_over(self) -> bool:
        """Whether no further trial is to be made; decides what the next one is."""
        journal = self.journal
        if not journal.done:
            self.suggestion = None
            if len(journal.trials) < self.asked:
                seed = self.defaults.seed
                self.suggestion = suggest(self.space, self.defaults, journal.trials, seed, self._has_time)
            if self.suggestion is None:
                journal.done = True
                self._write()
        return journal.done

    def next(self) -> None:
        """Make one trial."""
        assert self.suggestion is not None
        start = self._now()
        try:
            trial, answers = self._tried(self.suggestion, start)
        except BaseException:
            self.journal.spent += self.clock() - start
            self._write()
            raise
        trial = replace(trial, seconds=self._now() - start)
        trials, number = self.journal.trials, len(self.journal.trials)
        trials.append(trial)
        self.journal.spent += trial.seconds
        is_best = best_of(trials) == number
        if number == 0 or is_best:
            kept = {n: own for n, own in self.journal.answers.items() if n == 0}
            self.journal.answers = kept | {number: list(answers)}
        self._write()
        self.say(self._line(number, trial, is_best))

    def found(self) -> Search:
        """The result of the search."""
        trials, best = tuple(self.journal.trials), best_of(self.journal.trials)
        chosen = trials[best].values if best is not None else {name: getattr(self.defaults, name) for name in SEARCHED}
        settings = replace(self.defaults, **chosen)
        if self.defaults.minutes is not None:
            whole = self.defaults.minutes
            settings = replace(settings, minutes=max(whole * (1 - SEARCH_SHARE), whole - self.journal.spent / 60))
        if not trials:
            trials = (Trial(values=chosen, state="time"),)
        return Search(
            settings=settings,
            trials=trials,
            best=best or 0,
            asked=self.asked,
            seconds=self.journal.spent,
            train=len(self.job.split.train),
            judge=len(self.job.split.evaluation),
            difference=self._difference(best),
            metric=self.metric,
            items=self.job.items,
        )

    def so_far(self) -> str:
        """What is known when the search is interrupted."""
        trials, best = self.journal.trials, best_of(self.journal.trials)
        place = f"Stopped in trial {min(len(trials) + 1, self.asked)} of {self.asked}."
        if best is None:
            return f"{place} No trial has come to its end yet."
        score, first = trials[best].score, trials[0].score
        assert score is not None
        known = f"The best so far is number {best + 1}: {values_text(trials[best])}, {self._percent(score)}"
        if best and first is not None:
            known += f" (the defaults: {self._percent(first)})"
        return f"{place} {known}. Finished trials are kept in {self.journal.path}."

    # -- one trial -----------------------------------------------------------------------------------------------------

    def _tried(self, suggestion: Suggestion, start: float) -> tuple[Trial, Sequence[Any]]:
        settings = replace(self.defaults, **suggestion.values, checkpoint_steps=None)
        settings = replace(settings, minutes=None if self.seconds is None else max(1e-3, self._left() / 60))
        scores: list[float] = []
        best: Sequence[Any] = ()

        def judged(answers: Sequence[Any]) -> float:
            nonlocal best
            score = selection_score(self.job.kind, self.gold, answers, self.job.label_names)
            if not scores or score > max(scores):
                best = answers
            scores.append(score)
            if len(scores) < settings.epochs:
                if suggestion.is_hopeless(len(scores), score):
                    raise _EndedError("hopeless")
                if self.seconds is not None and self._now() - start > self._left():
                    raise _EndedError("time")
            return score

        state: Any = "complete"
        problem = ""
        try:
            with self.wish.at_once():
                if self.train(self.job, settings, judged):
                    state = "time"
        except _EndedError as ended:
            state = ended.state
        except FailedTrialError as found:
            state, problem = "failed", str(found)
        return Trial(values=suggestion.values, state=state, scores=tuple(scores), problem=problem), best

    # -- time ----------------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self.group.share(self.clock())

    def _left(self) -> float:
        assert self.seconds is not None
        return self.seconds - self.journal.spent

    def _has_time(self, values: dict[str, Any]) -> bool:
        """Whether a trial would end in time and leave enough for the final training, by the epochs of the last one."""
        if self.seconds is None:
            return True
        last = self.journal.trials[-1] if self.journal.trials else None
        epoch = last.seconds / len(last.scores) if last and last.scores else 0.0
        split = self.job.split
        final = epoch * max(values["epochs"], self.defaults.epochs) * (1 + len(split.evaluation) / len(split.train))
        left = min(self._left(), self.seconds / SEARCH_SHARE - self.journal.spent - final)
        return self.group.share(left > values["epochs"] * epoch)

    # -- words ---------------------------------------------------------------------------------------------------------

    def _line(self, number: int, trial: Trial, is_best: bool) -> str:
        values = trial.values
        row = (
            f"{number + 1:>5} {values['learning_rate']:>8.1e} {values['epochs']:>6} {values['batch_size']:>5} "
            f"{values['warmup_ratio']:>7.2f}  "
        )
        ended = {
            "complete": "",
            "hopeless": f", ended after epoch {len(trial.scores)}",
            "failed": f"failed: {trial.problem}",
            "time": ", the time was up" if trial.scores else "the time was up",
        }[trial.state]
        score = self._percent(max(trial.scores)) if trial.scores and trial.state != "failed" else ""
        remark = " (the defaults)" if number == 0 else " (the best so far)" if is_best else ""
        return f"{row}{score}{ended}{remark}"

    def _percent(self, score: float) -> str:
        return _amount(self.metric, score)

    def _difference(self, best: int | None) -> Difference | None:
        answers = self.journal.answers
        if not best or 0 not in answers or best not in answers or self.journal.trials[0].score is None:
            return None
        names = self.job.label_names if self.job.kind != "regression" else ()
        outcomes = count_outcomes(self.job.kind, self.gold, answers[best], answers[0], label_names=names)
        return score_difference(self.metric, outcomes, 0, 1, seed=self.defaults.seed)

    def _write(self) -> None:
        if self.group.is_first:
            self.journal.write()


def values_text(trial: Trial) -> str:
    """The settings of a trial in words."""
    values = trial.values
    epochs = f"{values['epochs']} epoch{'' if values['epochs'] == 1 else 's'}"
    return (
        f"learning rate {values['learning_rate']:.2g}, {epochs}, batch {values['batch_size']}, "
        f"warm-up {values['warmup_ratio']:.2f}"
    )


def _amount(metric: Metric, value: float) -> str:
    return f"{value * 100:.1f} %" if metric.percent else f"{value:.3f}"

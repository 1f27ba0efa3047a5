"""Trials of a search for settings: what may be tried, what was, and what to try next (Optuna).

A suggestion follows from the seed, its number and the trials before it. Hence a search that was interrupted goes on
as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from bothways.engine.seeds import seed_for
from bothways.errors import CheckpointError, UsageError
from bothways.files import read_json, write_json
from bothways.training.settings import FitSettings

SEARCHED = ("learning_rate", "epochs", "batch_size", "warmup_ratio")
"""Settings that are searched unless the user gave them."""
RATE_FACTOR = 3.0
BATCH_SIZES = (8, 16, 32)
MOST_WARMUP = 0.2
RANDOM_TRIALS = 5
"""Trials before the sampler learns from them, the first one (the defaults) included."""
JUDGED_EPOCH, JUDGED_SHARE = 2, 1 / 3
"""The first epoch after which a trial may be ended, and the least share of its epochs; while the rate rises, and soon
after, scores say little."""
JUDGED_TRIALS = 4
"""Finished trials that there must be before one is ended."""
ATTEMPTS = 100
"""Suggestions that may be thrown away, because they were tried or take too long, before the search ends."""
FORMAT = 1

State = Literal["complete", "hopeless", "failed", "time"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training with settings of its own.

    Attributes:
        values: of the settings in ``SEARCHED``.
        state: ``"complete"``; ``"hopeless"`` if it was ended as worse than half of the others; ``"failed"`` for the
            reason in ``problem``; ``"time"`` if the time of the search was up.
        scores: after each epoch, higher is better.
        seconds: that it took.
    """

    values: dict[str, Any]
    state: State
    scores: tuple[float, ...] = ()
    seconds: float = 0.0
    problem: str = ""

    @property
    def score(self) -> float | None:
        """That of its best epoch, as in every training; None of a trial that did not come to its end."""
        return max(self.scores) if self.state == "complete" else None


@dataclass(frozen=True, kw_only=True)
class Space:
    """What may be tried: from lowest to highest, both included. None holds the default.

    The bounds are a third and three times the default rate, half and one and a half times its epochs.
    """

    learning_rate: tuple[float, float] | None
    epochs: tuple[int, int] | None
    batch_size: tuple[int, ...] | None
    warmup_ratio: tuple[float, float] | None

    @classmethod
    def around(cls, defaults: FitSettings, given: Collection[str]) -> Space:
        """The space around the defaults; what the user gave stays as it is."""
        rate, epochs = defaults.learning_rate, defaults.epochs
        rates = (two_digits(rate / RATE_FACTOR), min(0.99, two_digits(rate * RATE_FACTOR)))
        return cls(
            learning_rate=None if "learning_rate" in given else rates,
            epochs=None if "epochs" in given else (max(1, epochs - epochs // 2), epochs + max(1, epochs // 2)),
            batch_size=None if "batch_size" in given else tuple(sorted({*BATCH_SIZES, defaults.batch_size})),
            warmup_ratio=None if "warmup_ratio" in given else (0.0, max(MOST_WARMUP, defaults.warmup_ratio)),
        )

    def distributions(self) -> dict[str, Any]:
        """For Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, Any] = {}
        if self.learning_rate:
            found["learning_rate"] = FloatDistribution(*self.learning_rate, log=True)
        if self.epochs:
            found["epochs"] = IntDistribution(*self.epochs)
        if self.batch_size:
            found["batch_size"] = CategoricalDistribution(self.batch_size)
        if self.warmup_ratio:
            found["warmup_ratio"] = FloatDistribution(*self.warmup_ratio)
        return found


class Suggestion:
    """Settings to try.

    Attributes:
        values: of the settings in ``SEARCHED``.
    """

    def __init__(self, values: dict[str, Any], trial: Any = None) -> None:
        self.values = values
        self._trial = trial

    def is_hopeless(self, epoch: int, score: float) -> bool:
        """Whether the best score so far is below the median of the finished trials after as many epochs."""
        if self._trial is None:
            return False
        self._trial.report(score, epoch)
        is_early = epoch < max(JUDGED_EPOCH, JUDGED_SHARE * self.values["epochs"])
        return not is_early and self._trial.should_prune()


def suggest(
    space: Space,
    defaults: FitSettings,
    trials: Sequence[Trial],
    seed: int,
    fits: Callable[[dict[str, Any]], bool] = lambda values: True,
) -> Suggestion | None:
    """The next settings to try: first the defaults, then what the trials let hope for.

    Args:
        space: what may be tried.
        defaults: the settings of the first trial.
        trials: all before, in their order.
        seed: of the search.
        fits: whether there is time for such settings.

    Returns:
        None if no others are left, or none that fit.

    Source: Bergstra et al. 2011, section 4 (TPE), as Optuna has it.
    """
    values = {name: getattr(defaults, name) for name in SEARCHED}
    if not trials:
        return Suggestion(values) if fits(values) else None
    tried = [trial.values for trial in trials]
    for attempt in range(ATTEMPTS):
        trial = _asked(space, trials, seed_for(seed, len(trials), attempt) % 2**32)
        found = values | {name: _shown(name, value) for name, value in trial.params.items()}
        if found not in tried and fits(found):
            return Suggestion(found, trial)
    return None


def check_search(trials: int | None) -> None:
    """Refuse, before any work, a search that cannot be.

    Raises:
        UsageError: fewer than two trials, or Optuna is not installed.
    """
    if trials is None:
        return
    if trials < 2:
        raise UsageError(f"tune is {trials}; expected a whole number of trials from 2, the first has the defaults.")
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UsageError("--tune needs Optuna. Install it: pip install 'bothways[tune]'") from None


@dataclass
class Journal:
    """The trials of a search in a file, written after each.

    Attributes:
        trials: finished ones.
        answers: of the first trial and of the best, to the examples that trials are judged on.
        spent: seconds of the search, those of interrupted trials included.
        done: whether the search is over.
    """

    path: Path
    trials: list[Trial] = field(default_factory=list)
    answers: dict[int, list[Any]] = field(default_factory=dict)
    spent: float = 0.0
    done: bool = False

    @classmethod
    def opened(cls, path: Path) -> Journal:
        """The journal of that file, empty if there is none.

        Raises:
            CheckpointError: the file is damaged.
        """
        if not path.exists():
            return cls(path)
        value = read_json(path, error=CheckpointError)
        try:
            if value["format"] != FORMAT:
                raise ValueError(f"format {value['format']!r:.20}, expected {FORMAT}")
            return cls(
                path=path,
                trials=[_trial_of(trial) for trial in value["trials"]],
                answers={int(number): list(map(_hashable, own)) for number, own in value["answers"].items()},
                spent=float(value["spent"]),
                done=bool(value["done"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise CheckpointError(
                f"{path} is no list of trials ({problem!r:.80}). Give --fresh to begin again."
            ) from None

    def write(self) -> None:
        """Whole or not at all."""
        write_json(
            self.path,
            {
                "format": FORMAT,
                "trials": [asdict(trial) for trial in self.trials],
                "answers": {str(number): own for number, own in self.answers.items()},
                "spent": self.spent,
                "done": self.done,
            },
        )


def best_of(trials: Sequence[Trial]) -> int | None:
    """The number of the best trial, of equal ones the first; None if none came to its end."""
    scores = [-math.inf if trial.score is None else trial.score for trial in trials]
    best = max(range(len(scores)), key=scores.__getitem__, default=None)
    return None if best is None or scores[best] == -math.inf else best


def two_digits(value: float) -> float:
    """Rounded to two significant digits: what is shown is what was tried."""
    return float(f"{value:.1e}")


def _shown(name: str, value: Any) -> Any:
    if name == "learning_rate":
        return two_digits(value)
    return round(value, 2) if name == "warmup_ratio" else value


def _asked(space: Space, trials: Sequence[Trial], seed: int) -> Any:
    """Optuna's next trial after those, in a study of its own."""
    import optuna

    pruner = optuna.pruners.MedianPruner(n_startup_trials=JUDGED_TRIALS, n_min_trials=3)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
    distributions = space.distributions()
    with _quiet():
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        for trial in trials:
            inside = {name: value for name, value in trial.values.items() if name in distributions}
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState["COMPLETE" if trial.score is not None else "PRUNED"],
                    value=trial.score,
                    params=inside,
                    distributions=distributions,
                    intermediate_values=dict(enumerate(trial.scores, 1)),
                )
            )
        return study.ask(distributions)


@contextmanager
def _quiet() -> Iterator[None]:
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _trial_of(value: dict[str, Any]) -> Trial:
    if set(value["values"]) != set(SEARCHED) or value["state"] not in get_args(State):
        raise ValueError(f"the trial {value!r:.60}")
    return Trial(**{**value, "scores": tuple(map(float, value["scores"]))})


def _hashable(answer: Any) -> Any:
    """Answers of several labels or tags are tuples, which JSON has not."""
    return tuple(answer) if isinstance(answer, list) else answer

"""The libraries that answer the cases of the benchmark of tasks, each with its pipeline, in a worker."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._clock import peak_megabytes
from benchmarks._task_inputs import Case

OURS = "bothways"
PIPELINE = "transformers pipeline"
BATCHED = "transformers pipeline, batch_size=32"
SENTENCES = "sentence-transformers"

CLOSE = 1e-4
"""Largest difference of two vectors that are the same answer."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A library that answers a case.

    Attributes:
        name: with its settings.
        needs: the module without which it is left out.
    """

    name: str
    needs: str = "transformers"


def systems_of(case: Case) -> list[System]:
    """Ours, then the peers; the first peer is the one that a promise is about."""
    ours = System(name=OURS, needs="bothways")
    if case.task == "embedding":
        return [ours, System(name=SENTENCES, needs="sentence_transformers")]
    return [ours, System(name=PIPELINE), *([System(name=BATCHED)] if case.batched else [])]


class Answering:
    """A library with the inputs of one case.

    Args:
        system: its name.
        directory: of the model that all read.
    """

    def __init__(self, system: str, case: Case, directory: Path, thread_count: int) -> None:
        import torch

        torch.set_num_threads(thread_count)
        self.system = system
        self.case = case
        self.call = dict(case.options) | ({"batch_size": 32} if system == BATCHED else {})
        self.pipe = _pipe(system, case.task, directory)
        self.found: list[Any] = []

    def warm_up(self) -> None:
        """Answer a tenth of the inputs, at least one of each kind of call."""
        self._run(self.case.inputs[: max(1, len(self.case.inputs) // 10)], self.call)

    def seconds(self) -> float:
        """Time for all inputs, from strings to answers; or the median time of one, see ``Case``."""
        if not self.case.one_by_one:
            start = time.perf_counter()
            self.found = self._run(self.case.inputs, self.call)
            return time.perf_counter() - start
        taken = []
        self.found = []
        for one in self.case.inputs:
            start = time.perf_counter()
            self.found.append(self.pipe(one, **self.call))
            taken.append(time.perf_counter() - start)
        return statistics.median(taken)

    def answers(self) -> list[Any]:
        """Those of the last timed run, in a form that compares."""
        return [comparable(self.case.task, one) for one in self.found]

    def answers_v4(self) -> list[Any]:
        """Those under ``compat="v4"``: ours as the reference's version 4 computes them."""
        found = self._run(self.case.inputs, {**self.call, "compat": "v4"})
        return [comparable(self.case.task, one) for one in found]

    def peak_megabytes(self) -> float:
        """Largest resident memory of this process so far, in 10^6 bytes."""
        return peak_megabytes()

    def computed_sequences(self) -> int:
        """Rows that our model has computed for one run of the inputs: equal ones count once."""
        before = self.pipe.runner.computed_sequences
        self._run(self.case.inputs, self.call)
        return self.pipe.runner.computed_sequences - before

    def _run(self, inputs: list[Any], call: dict[str, Any]) -> list[Any]:
        found = self.pipe(inputs, **call)
        # some pipelines give the answer itself for a list of one
        return list(found) if isinstance(found, (list, np.ndarray)) and len(found) == len(inputs) else [found]


def differences(task: str, ours: Sequence[Any], theirs: Sequence[Any]) -> int:
    """How many answers are not the same."""
    if task == "embedding":
        return int(sum(np.abs(a - b).max() > CLOSE for a, b in zip(ours, theirs, strict=True)))
    return sum(a != b for a, b in zip(ours, theirs, strict=True))


def comparable(task: str, answer: Any) -> Any:
    """What of an answer should be the same everywhere: labels, places, words; no scores."""
    if task == "zero-shot-classification":
        return answer["labels"][0]
    if task == "token-classification":
        return [(one["entity_group"], one["start"], one["end"]) for one in answer]
    if task == "question-answering":
        return answer["start"], answer["end"]
    if task == "fill-mask":
        return [one["token"] for one in answer]
    return np.asarray(answer, dtype=np.float32)


class OurVectors:
    """Our embedder as something that is called."""

    def __init__(self, directory: Path) -> None:
        from bothways import AutoModel, AutoTokenizer, Embedder
        from bothways.models.embedding import embedding_settings

        found = embedding_settings(directory)
        self.embedder = Embedder(
            AutoModel.from_pretrained(directory),
            AutoTokenizer.from_pretrained(directory),
            pooling=found.pooling,
            normalize=found.normalize,
        )
        self.runner = self.embedder.runner

    def __call__(self, texts: list[str]) -> np.ndarray:
        return self.embedder.embed(texts)[0]


class TheirVectors:
    """sentence-transformers as something that is called."""

    def __init__(self, directory: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(directory), device="cpu")
        self.model.max_seq_length = 512  # ours reads whole passages too

    def __call__(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, batch_size=32, show_progress_bar=False)


def _pipe(system: str, task: str, directory: Path) -> Any:
    if task == "embedding":
        return OurVectors(directory) if system == OURS else TheirVectors(directory)
    if system == OURS:
        from bothways import pipeline

        return pipeline(task, model=str(directory))
    import transformers

    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore", FutureWarning)  # that version 5 will take lists of questions in another form
    return transformers.pipeline(task, model=str(directory), device="cpu")

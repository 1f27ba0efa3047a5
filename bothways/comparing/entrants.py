"""Models that are judged on the same file: each loaded with its tokeniser, and with its own view of the data."""

from __future__ import annotations

import copy
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bothways.engine.memory import resident_bytes
from bothways.engine.precision import PRECISIONS, best_device, resolve_precision
from bothways.errors import BothwaysError, DataError, InputError, UsageError
from bothways.evaluation.baseline import Predictions
from bothways.families.bert import BertConfig
from bothways.models.auto import AutoConfig
from bothways.models.bert import BertModel
from bothways.models.runner import PackedRunner
from bothways.pipelines.build import infer_task, load_model
from bothways.pipelines.registry import find_pipeline
from bothways.pipelines.tokenizer_fit import check_tokenizer
from bothways.resolver import resolve_model
from bothways.resolver.adapters import ADAPTER_WEIGHTS, find_encoder, is_adapter
from bothways.tasks.encoded import position_limit
from bothways.tokenizers import AutoTokenizer
from bothways.training.known_tasks import TASKS, find_task
from bothways.training.task import TrainingTask

_FIRST = 8
"""Examples that are answered after loading, so that all that a model holds in use is there when memory is read."""
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A loaded model.

    Attributes:
        name: for tables; short where short names differ.
        model: as it was asked for.
        job: the data as this model reads them.
        parameters: each counted once, those of an adapter's encoder included.
        megabytes: weights on the disk, those of an adapter's encoder included (10^6 bytes).
        memory_megabytes: what loading and answering the first examples added to this process; None where the system
            does not say.
    """

    name: str
    model: str
    runner: Any
    tokenizer: Any
    job: TrainingTask
    parameters: int
    megabytes: float
    memory_megabytes: float | None

    def encode(self, job: TrainingTask) -> Any:
        """The evaluation part of ``job``, tokenised for this model."""
        return job.encode_evaluation(self.tokenizer, position_limit(self.runner.model.config))

    def answer(self) -> Predictions:
        """Answers to all examples."""
        return self.job.answer(self.runner, self.encode(self.job))


@dataclass(frozen=True, kw_only=True)
class Field:
    """Those that take part, and a sentence for each that cannot."""

    task: str
    entrants: tuple[Entrant, ...]
    left_out: tuple[str, ...] = ()


def open_entrants(
    models: Sequence[str], data: Path, *, task: str | None, precision: str, reading: Mapping[str, Any]
) -> Field:
    """Load models for one task and let each read the data.

    Args:
        models: directories or names.
        data: a labelled file, as for ``train``.
        task: which one; by default that of the first model.
        precision: auto, float32 or bfloat16.
        reading: ``text_column``, ``label_column``, ``format``, ``encoding``.

    Raises:
        UsageError: an unknown task or precision, or a model given twice. ModelNotFoundError: a name that leads nowhere.
        BothwaysError: no model can take part; the message says why for each.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"--precision is {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    twice = sorted({model for model in models if list(models).count(model) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} is given more than once; name each model once.")
    directories = [resolve_model(model) for model in models]
    made_for = [_made_for(directory) for directory in directories]
    wanted = _wanted(task, made_for)
    task_class, head = find_task(wanted), find_pipeline(wanted)[1].model_task
    entrants: list[Entrant] = []
    left_out = []
    for name, model, directory, own in zip(short_names(models), models, directories, made_for, strict=True):
        if find_pipeline(own)[1].model_task != head:
            left_out.append(f"{name} is left out: it is made for {own}, and the others answer {wanted}.")
            continue
        try:
            entrant = _load(name, model, directory, wanted, task_class, data, precision, reading)
            _check_like(entrant, entrants)
        except (DataError, InputError) as problem:
            left_out.append(f"{name} is left out: {problem}")
            continue
        entrants.append(entrant)
    if not entrants:
        raise BothwaysError(f"no model can be judged on {data}. {' '.join(left_out)}")
    return Field(task=wanted, entrants=tuple(entrants), left_out=tuple(left_out))


def part_of(job: TrainingTask, numbers: Sequence[int]) -> TrainingTask:
    """The same task with some of its evaluation examples."""
    part = copy.copy(job)
    part.split = replace(job.split, evaluation=[job.split.evaluation[i] for i in numbers])
    return part


def short_names(models: Sequence[str]) -> list[str]:
    """The last part of each name, or the whole where several end alike."""
    last = [Path(model).name or model for model in models]
    return [model if last.count(name) > 1 else name for model, name in zip(models, last, strict=True)]


def _wanted(task: str | None, made_for: Sequence[str]) -> str:
    if task is not None:
        return find_pipeline(task)[0]
    known = [name for name in made_for if name in TASKS]
    if not known:
        raise UsageError(
            f"the models are made for {', '.join(sorted(set(made_for)))}, which no labelled file can judge. Give "
            f"models with a head for {', '.join(TASKS)}, or name the task: --task."
        )
    return known[0]


def _made_for(directory: Path) -> str:
    """The task that a model's head is for; ``"feature-extraction"`` without a head."""
    return infer_task(str(directory), AutoConfig.from_pretrained(directory), {})


def _load(
    name: str,
    model: str,
    directory: Path,
    task: str,
    task_class: type[TrainingTask],
    data: Path,
    precision: str,
    reading: Mapping[str, Any],
) -> Entrant:
    device = best_device()
    given = {key: value for key, value in reading.items() if value is not None}
    job = task_class.load_evaluation(data, AutoConfig.from_pretrained(directory), **given)
    _warm_up()
    before = resident_bytes()
    loaded = load_model(directory, find_pipeline(task)[1]).to(device)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    check_tokenizer(loaded, tokenizer)
    runner = PackedRunner(loaded, dtype=resolve_precision(precision, device))
    entrant = Entrant(
        name=name,
        model=model,
        runner=runner,
        tokenizer=tokenizer,
        job=job,
        parameters=sum(p.numel() for p in loaded.parameters()),
        megabytes=_weights_megabytes(directory),
        memory_megabytes=None,
    )
    first = part_of(entrant.job, range(min(_FIRST, len(entrant.job.split.evaluation))))
    first.answer(runner, entrant.encode(first))
    after = resident_bytes()
    if before is None or after is None:
        return entrant
    return replace(entrant, memory_megabytes=max(0, after - before) / 1e6)


def _warm_up() -> None:
    """Let the process take what any model needs, threads and kernels, so that it is not charged to the first one."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    PackedRunner(BertModel(BertConfig(vocab_size=8, **sizes))).pooled([[1, 2, 3]])
    gc.collect()


def _check_like(entrant: Entrant, others: Sequence[Entrant]) -> None:
    """Refuse a model that reads other answers from the file than the first one does."""
    if not others:
        return
    first = others[0]
    if entrant.job.kind != first.job.kind:
        raise InputError(
            f"its answers are of the kind {entrant.job.kind!r} and those of {first.name} of the kind "
            f"{first.job.kind!r}; compare them in two calls."
        )
    if entrant.job.gold() != first.job.gold():
        raise InputError(f"it reads other answers from the file than {first.name}; compare them in two calls.")


def _weights_megabytes(directory: Path) -> float:
    if is_adapter(directory):
        return (directory / ADAPTER_WEIGHTS).stat().st_size / 1e6 + _weights_megabytes(find_encoder(directory))
    for pattern in _WEIGHTS:
        sizes = [path.stat().st_size for path in directory.glob(pattern)]
        if sizes:
            return sum(sizes) / 1e6
    return 0.0


__all__ = ["Entrant", "Field", "open_entrants", "part_of", "short_names"]

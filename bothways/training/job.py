"""The main job: labelled examples in, an honest model directory out.

read ─► split ─► baseline ─► encode ─► fit ─► score both ─► compare ─► directory (model, bothways.json, report)

What differs between tasks is in a ``TrainingTask``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bothways.engine.interruption import interruptible
from bothways.engine.memory import parse_size, resident_bytes, token_budget
from bothways.engine.precision import resolve_precision
from bothways.engine.processes import Processes, processes
from bothways.errors import UsageError
from bothways.models.auto import AutoConfig
from bothways.resolver import DEFAULT_MODEL, resolve_model
from bothways.tasks.encoded import position_limit
from bothways.training.advice import advice
from bothways.training.arguments import check_arguments
from bothways.training.calibrating import calibrate_run
from bothways.training.evidence import gather
from bothways.training.features import MAX_TOKENS, MAX_TOKENS_ELSEWHERE
from bothways.training.findings import token_lengths
from bothways.training.fit import Keeping, fit
from bothways.training.judge import Judge
from bothways.training.known_tasks import find_task
from bothways.training.label_watch import label_watch
from bothways.training.learner import Lesson, choose_parameters, load_learner, make_lesson, write_model, write_result
from bothways.training.manifest import command_line, json_options, model_identity, unfinished_manifest
from bothways.training.method import Method
from bothways.training.news import about, plan
from bothways.training.objectives import weights_text
from bothways.training.publish import check_encoder_stays, check_output
from bothways.training.results import Run, TrainOutcome, write_results
from bothways.training.run_directory import RunDirectory, identity_of
from bothways.training.settings import FitSettings, make_settings
from bothways.training.task import TrainingSet, TrainingTask, check_further
from bothways.training.trials import check_search
from bothways.training.tune import tune as search_settings

OPTION_NAMES = {"evaluation": "eval"}  # where the command line has another word

Say = Callable[[str], None]


def train(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    prefix: str | None = None,
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    task: str = "text-classification",
    kind: str | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    max_length: int | None = None,
    seed: int = 42,
    minutes: float | None = None,
    tune: int | None = None,
    max_memory: str | None = None,
    checkpoint_steps: int | None = None,
    fresh: bool = False,
    warmup: float | None = None,
    weight_decay: float | None = None,
    layer_decay: float | None = None,
    class_weights: str | Mapping[str, float] | None = None,
    label_smoothing: float | None = None,
    lora: int | None = None,
    lora_targets: str | Sequence[str] | None = None,
    freeze: bool = False,
    teacher: str | os.PathLike[str] | None = None,
    teacher_weight: float | None = None,
    temperature: float | None = None,
    teacher_vectors: float | None = None,
    dropout: float | None = None,
    precision: str = "auto",
    encoding: str | None = None,
    format: str | None = None,
    say: Say = lambda line: None,
) -> TrainOutcome:
    """Train a model for a task, compare it with honest baselines, and write it with its report.

    While it trains, ``<output>.unfinished`` holds checkpoints. A run that was ended, in whatever way, goes on when the
    same call is made again, to the same weights that it would have had.

    Args:
        data: files with labelled examples.
        output: directory to write; an earlier result there is replaced when the new one is complete.
        text_column, label_column: recognised if not given; ``"a,b"`` names a pair of texts. Where a text is written
            from another one they are the source and the target.
        evaluation: file to score on; by default a part of the data is held out.
        target: for ``data`` with a source a line, as many files with their targets: ``train.en.gz``, ``train.de.gz``.
            The targets of ``evaluation`` are looked for beside it by the same names.
        prefix: is put before each source; by default what the model's configuration has for the task.
        model: a name or directory to start from.
        task: one of ``TASKS``.
        kind: of text labels: ``"single"``, ``"multi"`` or ``"regression"``; recognised if not given.
        epochs: passes over the data; None takes what suits the task and their number.
        learning_rate, batch_size: see ``FitSettings``; None takes what suits the task.
        max_length: tokens of a text that training reads; by default all that the model can.
        seed: of the split, the new head, the order and dropout.
        minutes: stop training after this time and keep the best epoch.
        tune: search settings first, with as many trials on a part of the training part, in at most 70 % of
            ``minutes``; what is given here is not searched. Needs Optuna.
        max_memory: such as ``"4GB"``: what the process may hold; steps are divided to fit.
        checkpoint_steps: steps between checkpoints; None writes one now and then, for one per cent of the time.
        fresh: begin anew, though an unfinished run is there.
        warmup: share of the steps in which the rate rises.
        weight_decay, layer_decay: see ``FitSettings``.
        class_weights: ``"balanced"``, or what a label weighs by its name: ``"pos=2,neg=1"`` or a dictionary.
        label_smoothing: probability that is given to all classes alike.
        lora: rank, such as 8: the encoder stays as it is, thin matrices beside it learn, and the result is an adapter.
            Of an adapter its own rank: it goes on.
        lora_targets: beside which layers: ends of their paths, as for ``add_lora``; ``"query,value"`` if not given, and
            all with ``"query,key,value,dense"``. With pairs of texts the vectors that tell the second from the first
            learn, too.
        freeze: train only the head; the encoder reads every text once, whatever the number of epochs.
        teacher: a larger classifier with the same labels, whose answers are learned too.
        teacher_weight, temperature: share of its answers in the loss (0.5), and what divides the logits (2).
        teacher_vectors: weight of the distance of the vectors that the heads read, where both are of one width.
        dropout: share of numbers that are set to zero while training; None takes the model's own, mostly 0.1.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        encoding, format: of the files, where they do not tell.
        say: called with a line of news now and then.

    Raises:
        UsageError: a wrong option, or another run is at work in the directory. DataError: data that cannot be used.
        ModelNotFoundError, ConfigError, CheckpointError: about the model, or a checkpoint that could not be written.
        Interrupted: Ctrl-C or SIGTERM while training; it is saved. KeyboardInterrupt: before that.
    """
    given = dict(locals())
    group = processes()
    group.all_do(lambda: check_arguments(given))
    options = _plain({name: value for name, value in given.items() if name not in ("data", "output", "say", "fresh")})
    files = [Path(file) for file in ([data] if isinstance(data, (str, os.PathLike)) else data)]
    directory = Path(output).resolve()
    inputs = [*files, *map(Path, options["target"] or ()), *([Path(evaluation)] if evaluation else [])]
    group.all_do(lambda: _check(options, directory, inputs))
    if not group.is_first:
        say = _silent
    run_directory = RunDirectory(directory)
    with ExitStack() as opened:

        def begin() -> None:
            identity = identity_of(_of_the_run(options), inputs, model_identity(str(model), resolve_model(model)))
            if teacher is not None:
                identity["teacher_weights"] = model_identity(str(teacher), resolve_model(teacher))["sha256"]
            opened.enter_context(run_directory.opened(identity, fresh=fresh))

        group.first_does(begin)
        if not group.is_first:
            run_directory.join()
        start = time.perf_counter()
        prepared = group.all_do(lambda: prepare(files, options, say, group))
        command = command_line([str(file) for file in files], {"output": output, **_named(options)})
        outcome = _train(prepared, run_directory, directory, command, say, start)
        group.first_does(run_directory.finish)
    return outcome


def _check(options: dict[str, Any], directory: Path, inputs: Sequence[Path]) -> None:
    """Refuse before any work what cannot be."""
    check_further(find_task(options["task"]), options)
    make_settings(options)
    Method.of(options)
    check_search(options["tune"])
    check_output(directory, inputs)
    check_encoder_stays(directory, options["model"], options["lora"])


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All that is there before training begins.

    Attributes:
        most: tokens that the model reads. limit: those of an example that training reads.
        lesson: what the learner is taught; its features are those of the training set.
        model_facts: name and hash of the model it starts from.
    """

    files: tuple[str, ...]
    options: dict[str, Any]
    job: TrainingTask
    method: Method
    settings: FitSettings
    source: Path
    most: int | None
    limit: int
    tokenizer: Any
    learner: Any
    training_set: TrainingSet
    lesson: Lesson
    model_facts: dict[str, Any]
    group: Processes


def prepare(files: Sequence[Path], options: dict[str, Any], say: Say, group: Processes) -> Prepared:
    """Read the data, load the model, encode the examples.

    Args:
        options: of ``train``.
    """
    held = options["evaluation"]
    reading = {name: options[name] for name in ("kind", "text_column", "label_column", "encoding", "format")}
    task = find_task(options["task"])
    reading |= {name: options[name] for name in task.further}
    job = task.load(list(files), None if held is None else Path(held), seed=options["seed"], **reading)
    method = Method.of(options)
    method.check_task(job)
    settings = make_settings(options, asdict(method.defaults(job.defaults())))
    say(about(job))
    source = resolve_model(options["model"])
    most = position_limit(AutoConfig.from_pretrained(source))
    limit = job.limit(_checked_limit(options["max_length"], most), most)
    learner, tokenizer = load_learner(source, job, options["seed"], group, merge=method.lora is None)
    training_set = job.training_set(tokenizer, limit, learner.config)
    choose_parameters(learner, method, source, training_set.features)
    lesson = make_lesson(learner, job, training_set.features, method, settings, limit, group)
    if lesson.seconds:
        say(f"Vectors and answers that training needs took {lesson.seconds:,.1f} s; they are computed once.")
    return Prepared(
        files=tuple(map(str, files)),
        options=options,
        job=job,
        method=method,
        settings=settings,
        source=source,
        most=most,
        limit=limit,
        tokenizer=tokenizer,
        learner=learner,
        training_set=replace(training_set, features=lesson.features),
        lesson=lesson,
        model_facts=model_identity(str(options["model"]), source),
        group=group,
    )


def _train(
    prepared: Prepared, run_directory: RunDirectory, directory: Path, command: str, say: Say, start: float
) -> TrainOutcome:
    job, learner, group, lesson = prepared.job, prepared.learner, prepared.group, prepared.lesson
    settings = replace(prepared.settings, max_tokens=_budget(prepared, run_directory))
    advised = advice(
        settings, prepared.method.defaults(job.defaults()), learner, len(lesson.features), processes=group.count
    )
    for sentence in advised:
        say(sentence)
    search = None
    if prepared.options["tune"] is not None:
        search = search_settings(prepared, settings, run_directory.path, command, say)
        settings = search.settings
    encoded = job.encode_evaluation(prepared.tokenizer, prepared.most)
    judge = Judge(learner, job, encoded, settings, group, frozen=prepared.method.freeze)
    if group.is_first and "run" not in run_directory.facts:
        precision = resolve_precision(settings.precision, learner.device)
        run_directory.note(run=unfinished_manifest(prepared, settings, precision, _named(prepared.options)))
    say(plan(settings, len(lesson.features), job.taught or job.items, judge.runner.dtype, group))
    found = run_directory.store.newest()
    for name, reason in run_directory.store.problems() if found is None else found.skipped:
        say(f"{name} was skipped: {reason}.")
    if found is not None:
        say(f"Going on from step {found.step:,} ({found.path}).")
    keeping = Keeping(
        store=run_directory.store,
        write_model=lambda place, weights: write_model(place, learner, prepared.tokenizer, weights),
        going_on=f"Continue with: {command}",
    )
    watch = label_watch(job, len(lesson.features), learner)
    result = fit(
        learner,
        lesson.features,
        settings,
        judge.score,
        objective=lesson.objective,
        watch=watch,
        keeping=keeping,
        group=group,
    )
    with interruptible(keeping.going_on):
        predictions, seconds = judge.timed()
    for field, value in job.learned(predictions).items():
        setattr(learner.config, field, value)

    def publish() -> TrainOutcome:
        run = Run(
            options=_named(prepared.options),
            files=prepared.files,
            task=job,
            settings=settings,
            method=prepared.method,
            class_weights=lesson.weights,
            result=replace(result, seconds=result.seconds + lesson.seconds),
            model=prepared.model_facts,
            limit=prepared.limit,
            training_set=prepared.training_set,
            windowed=job.windowed(judge.encoded),
            evaluation_tokens=token_lengths(judge.encoded),
            predictions=predictions,
            baseline=job.baseline(settings.seed),
            predict_seconds=seconds,
            total_seconds=time.perf_counter() - start,
            processes=group.count,
            search=search,
            advice=advised,
            watched=None if watch is None else watch.means(),
            calibrated=calibrate_run(job, learner, predictions, settings.seed),
            evidence=gather(
                job, learner, prepared.tokenizer, prepared.most, judge.runner.dtype, tokens_trained=result.tokens
            ),
        )
        return write_results(
            directory,
            run,
            lambda place: write_result(place, learner, prepared.tokenizer, prepared.method, prepared.model_facts),
        )

    with interruptible(keeping.going_on):
        return group.first_does(publish)


def _budget(prepared: Prepared, run_directory: RunDirectory) -> int:
    """Tokens at once. Dropout depends on it, so that a run that goes on must have the one it began with."""
    noted = run_directory.facts.get("max_tokens")
    if isinstance(noted, int):
        return noted
    learner, limit = prepared.learner, prepared.options["max_memory"]
    most = MAX_TOKENS.get(learner.device.type, MAX_TOKENS_ELSEWHERE)
    held = resident_bytes()
    if limit is not None and held is not None and not prepared.method.freeze:
        trained = learner.num_parameters(only_trainable=True)
        if prepared.options["tune"] is not None:
            held += sum(p.nbytes for p in learner.parameters())  # trials train copies
        most = token_budget(learner.config, trained, parse_size(limit), held, most)
    most = prepared.group.share(most)
    if prepared.group.is_first:
        run_directory.note(max_tokens=most)
    return most


def _of_the_run(options: dict[str, Any]) -> dict[str, Any]:
    """Options that decide what comes out."""
    apart = ("checkpoint_steps", "evaluation", "model")
    return json_options({name: value for name, value in options.items() if name not in apart})


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as the command line has them."""
    weights, target = options["class_weights"], options["target"]
    if target is not None:
        target = [os.fspath(file) for file in ([target] if isinstance(target, (str, os.PathLike)) else target)]
    layers = options["lora_targets"]
    return options | {
        "target": target,
        "lora_targets": layers if layers is None or isinstance(layers, str) else ",".join(layers),
        "class_weights": weights_text(weights) if isinstance(weights, Mapping) else weights,
        "freeze": options["freeze"] or None,
    }


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {OPTION_NAMES.get(name, name): value for name, value in options.items()}


def _silent(line: str) -> None:
    """Say nothing."""


def _checked_limit(asked: int | None, most: int | None) -> int | None:
    if asked is not None and (asked < 4 or (most is not None and asked > most)):
        raise UsageError(f"max_length is {asked}; this model reads from 4 to {most} tokens.")
    return asked

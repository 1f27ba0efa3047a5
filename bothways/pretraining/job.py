"""Pretraining from end to end: shards of tokens in, a language model with its curve out.

open corpus ─► hold some out ─► model ─► steps until the time is up ─► directory (model, tokeniser, bothways.json)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from bothways.corpus import build_shards, is_shards, open_shards, tokenizer_to_learn_with
from bothways.engine.interruption import interruptible
from bothways.engine.peak import measured_peak
from bothways.engine.precision import best_device
from bothways.engine.processes import Processes, processes
from bothways.errors import BothwaysError, DataError, UsageError
from bothways.models.auto import AutoConfig
from bothways.nn.dropout import set_dropout
from bothways.pretraining.documents import Documents, documents_of, held_out
from bothways.pretraining.exercise import Exercise
from bothways.pretraining.goal_table import GOALS, WORDS, objective_named
from bothways.pretraining.goals import Goal, GoalSettings
from bothways.pretraining.models import known_model, make_config, new_model
from bothways.pretraining.options import check, command_options, identity_of, paths, plain_paths, settings_of
from bothways.pretraining.peak import operations_per_token
from bothways.pretraining.results import PretrainOutcome, write_checkpoint, write_outcome
from bothways.pretraining.run import Watch, pretrain_model
from bothways.pretraining.settings import PretrainSettings, parse_rate
from bothways.pretraining.steps import validation_parts
from bothways.pretraining.word_vectors import begin_with_word_vectors
from bothways.resolver import resolve_model
from bothways.tasks.encoded import position_limit
from bothways.tokenizers import AutoTokenizer
from bothways.training.manifest import command_line, json_options, model_identity
from bothways.training.run_directory import RunDirectory

Say = Callable[[str], None]

SHARDS = "shards"
SHARDS_TO_JUDGE_BY = "shards-evaluation"
SHARDS_OF = ("data", "evaluation", "name", "sha256")
"""What of a run's identity decides on its shards: the texts, and the model whose tokeniser it takes."""


def pretrain(
    data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    objective: str = "mlm",
    config: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    evaluation: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    max_length: int | None = None,
    batch_tokens: int | None = None,
    batch_ramp: int | None = None,
    learning_rate: float | None = None,
    warmup: float = 0.05,
    optimizer: str = "adamw",
    weight_decay: float = 0.01,
    dropout: float = 0.0,
    mask_rate: str | float | tuple[float, float] = 0.15,
    whole_words: bool = False,
    short_rows: float = 0.0,
    lora: int | None = None,
    word_vectors: bool = True,
    seed: int = 42,
    precision: str = "auto",
    checkpoint_steps: int | None = None,
    fresh: bool = False,
    say: Say = lambda line: None,
) -> PretrainOutcome:
    """Make a language model from text alone, or go on with one on other text.

    While it trains, ``<output>.unfinished`` holds checkpoints. A run that was ended, in whatever way, goes on when the
    same call is made again, to the same weights that it would have had.

    Args:
        data: a directory of shards (``bothways shard``), or files of text, of which shards are made first.
        output: directory to write; an earlier result there is replaced when the new one is complete.
        objective: ``"mlm"``, ``"mlm,nsp"``, ``"mlm,sop"``, ``"rtd"``, ``"clm"`` or ``"span"``.
        config: ``"mini"`` (the default), ``"small"``, ``"base"`` or a ``config.json``, for random weights.
        model: a name or directory to go on with, in place of ``config``.
        tokenizer: a name or directory; by default that of the model, or of the shards.
        evaluation: shards or files to judge by; by default one per cent of the documents is held out.
        minutes, steps, epochs: the end, whichever comes first; one epoch if none is given. ``minutes`` is the time of
            making steps; judging and saving come on top of it.
        max_length: tokens of a row; 128, or all that the model of ``model`` or ``config`` reads if these are fewer.
        batch_tokens: tokens of a step, of all processes together.
        batch_ramp: steps in which a step grows from an eighth to that; 0 begins with all. By default 300, at most a
            quarter of ``steps``, and 0 with ``model``.
        learning_rate: the highest; by default what suits the size.
        warmup: share of the run in which the rate rises.
        optimizer: ``"adamw"`` or ``"muon"``.
        weight_decay: of matrices.
        dropout: share of numbers that are set to zero while training; 0 suits texts that are read once or twice
            (Geiping and Goldstein 2023, section 4.4). The configuration that is saved keeps its own, for fine-tuning.
        mask_rate: share of the tokens that is asked for; ``"0.3:0.15"`` falls from one to the other.
        whole_words: hide words as wholes.
        short_rows: share of the documents whose rows are shorter, of all lengths from 8 tokens on: for a model that is
            to read single sentences, too.
        lora: rank: ``model`` stays as it is, thin matrices beside it learn with the head; the result is an adapter.
        word_vectors: a new model that learns hidden words begins with word vectors counted from ``data``; False begins
            with random ones.
        seed: of new weights, order, what is asked, and dropout.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``.
        checkpoint_steps: steps between checkpoints; None writes one now and then, for one per cent of the time.
        fresh: begin anew, though an unfinished run is there.
        say: called with a line of news now and then.

    Raises:
        UsageError: a wrong option, or another run is at work in the directory.
        DataError, CheckpointError: shards that cannot be used.
        Interrupted: Ctrl-C or SIGTERM while training; it is saved.
    """
    options = {name: value for name, value in locals().items() if name not in ("data", "output", "say", "fresh")}
    options = json_options(options) | {"evaluation": plain_paths(evaluation) if evaluation is not None else None}
    group = processes()
    sources, (directory,) = paths(data), (path.resolve() for path in paths([output]))
    group.all_do(lambda: check(options, sources, directory))
    # the same run however it is written
    options |= {"objective": objective_named(objective), "mask_rate": list(parse_rate(mask_rate))}
    if not group.is_first:
        say = _silent
    run_directory = RunDirectory(directory, prepared=(SHARDS, SHARDS_TO_JUDGE_BY), of=SHARDS_OF)
    command = command_line(
        [], {"data": plain_paths(data), "output": output, **command_options(options, pretrain)}, verb="pretrain"
    )
    with ExitStack() as opened:
        group.first_does(
            lambda: opened.enter_context(run_directory.opened(identity_of(options, sources), fresh=fresh)) and None
        )
        if not group.is_first:
            run_directory.join()
        start = time.perf_counter()
        prepared = _prepare(options, sources, run_directory, say, group)
        outcome = _run(prepared, run_directory, directory, command, say, start, group)
        group.first_does(run_directory.finish)
    return outcome


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """All that is there before the first step.

    Attributes:
        facts: what it starts from, for the manifest.
        held: documents to judge by.
    """

    options: dict[str, Any]
    settings: PretrainSettings
    goal: Goal
    model: Any
    tokenizer: Any
    corpus: Any
    documents: Documents
    held: Documents | None
    facts: dict[str, Any]


def _prepare(
    options: dict[str, Any], sources: list[Path], run_directory: RunDirectory, say: Say, group: Processes
) -> Prepared:
    learner = group.all_do(lambda: _learner(options, sources, group))
    tokenizer = learner["tokenizer"]
    corpus = _corpus(sources, tokenizer, run_directory.path / SHARDS, say, group)
    if options["evaluation"] is None:
        documents, held = held_out(corpus, options["seed"])
    else:
        place = run_directory.path / SHARDS_TO_JUDGE_BY
        documents = documents_of(corpus)
        held = documents_of(_corpus(paths(options["evaluation"]), tokenizer, place, say, group))
    group.all_do(lambda: learner["goal"].check(documents))
    return Prepared(options=options, corpus=corpus, documents=documents, held=held, **learner)


def _learner(options: dict[str, Any], sources: list[Path], group: Processes) -> dict[str, Any]:
    """What of ``Prepared`` needs no text: whatever is wrong with it is told before shards are made."""
    source = None if options["model"] is None else resolve_model(options["model"])
    tokenizer = tokenizer_to_learn_with(_tokenizer_place(options, sources, source))
    objective = options["objective"]
    cls = GOALS[objective]
    if source is None:
        config = make_config(str(options["config"]), objective, tokenizer, options["max_length"])
        facts = {
            "config": options["config"],
            "word_vectors": "counted" if options["word_vectors"] and cls.begins_with_word_vectors else "random",
        }
    else:
        config = AutoConfig.from_pretrained(source)
        facts = model_identity(str(options["model"]), source)
        _check_vocabulary(tokenizer, config, str(options["model"]))
        if options["tokenizer"] is not None:
            _check_ids(tokenizer, source, str(options["model"]))
    if cls.has_pairs and getattr(config, "type_vocab_size", 2) < 2:
        raise UsageError(
            f"--objective {objective} has two texts in a row, and with type_vocab_size 1 the model cannot tell them "
            "apart. Take a configuration with 2, or --objective mlm."
        )
    settings = settings_of(options, objective, position_limit(config))
    asked = GoalSettings(**{field.name: getattr(settings, field.name) for field in fields(GoalSettings)})
    goal = cls(tokenizer, asked)
    if source is None:
        model = new_model(config, cls, settings.seed)
    else:
        model = known_model(source, cls, settings.seed, options["lora"])
    set_dropout(model, settings.dropout)
    model.to(best_device(group.local_rank))
    return {"settings": settings, "goal": goal, "model": model, "tokenizer": tokenizer, "facts": facts}


def _check_vocabulary(tokenizer: Any, config: Any, name: str) -> None:
    if len(tokenizer) > config.vocab_size:
        raise UsageError(
            f"the tokeniser has {len(tokenizer):,} tokens, and --model {name} has word vectors for "
            f"{config.vocab_size:,}. Leave --tokenizer out, or begin anew with --config."
        )


def _check_ids(tokenizer: Any, source: Path, name: str) -> None:
    """Words that stand in place of others, as of ``[unused7]``, are as good as new; known ones must keep their ids.

    Raises:
        UsageError: some have others.
    """
    try:
        own = AutoTokenizer.from_pretrained(source).get_vocab()
    except BothwaysError:
        return  # a model without a tokeniser of its own
    given = tokenizer.get_vocab()
    moved = sorted((own[token], token) for token, i in given.items() if own.get(token, i) != i)
    if moved:
        known, token = moved[0]
        raise UsageError(
            f"--tokenizer gives {len(moved):,} of its {len(given):,} tokens other ids than --model {name} learned them "
            f"with: {token!r} has {given[token]}, there {known}. Its word vectors would be those of other words. Leave "
            "--tokenizer out, or begin anew with --config."
        )


def _run(
    prepared: Prepared,
    run_directory: RunDirectory,
    directory: Path,
    command: str,
    say: Say,
    start: float,
    group: Processes,
) -> PretrainOutcome:
    settings, goal, model = prepared.settings, prepared.goal, prepared.model
    parts: list[Exercise] = []
    if prepared.held is not None and len(prepared.held):
        parts = validation_parts(prepared.held, goal, settings)
    device = next(model.parameters()).device
    mean_length = min(settings.max_length, prepared.documents.n_tokens / max(1, len(prepared.documents)))
    watch = Watch(
        store=run_directory.store,
        write_model=lambda place: write_checkpoint(place, model, prepared.tokenizer),
        going_on=f"Continue with: {command}",
        say=say,
        peak=measured_peak(settings.precision, device),
        per_token=operations_per_token(model, goal.asked_share(), mean_length),
    )
    for line in _news(prepared, watch, parts, group) + _cautions(prepared, parts):
        say(line)
    found = run_directory.store.newest()
    if found is not None:
        say(f"Going on from step {found.step:,} ({found.path}).")
    elif prepared.facts.get("word_vectors") == "counted":
        say("Counting which words stand near each other: the model begins with vectors of them.")
        begin_with_word_vectors(model, prepared.documents, group)
    state = pretrain_model(model, goal, prepared.documents, parts, settings, watch, group)
    with interruptible(watch.going_on):
        return group.first_does(
            lambda: write_outcome(
                directory, prepared, state, watch, command, seconds=time.perf_counter() - start, processes=group.count
            )
        )


def _news(prepared: Prepared, watch: Watch, parts: list[Exercise], group: Processes) -> list[str]:
    """What a run says before it trains."""
    settings, documents = prepared.settings, prepared.documents
    count = sum(p.numel() for p in prepared.model.parameters())
    held = sum(part.total_tokens for part in parts)
    judged = f"{held:,} more to judge by" if held else "none to judge by: they are fewer than four; give --eval"
    end = [f"{value:,g} {name}" for name in ("minutes", "steps", "epochs") if (value := getattr(settings, name))]
    several = f" on {group.count} processes" if group.count > 1 else ""
    return [
        f"{documents.n_tokens:,} tokens of {len(documents):,} documents to train on, {judged}.",
        f"Learning {WORDS[settings.objective]} with {count / 1e6:,.1f} million parameters in {settings.precision}"
        f"{several}, for {' or '.join(end)}; rows of {settings.max_length} tokens, {settings.batch_tokens:,} a step.",
        f"This machine multiplies {watch.peak / 1e9:,.0f} GFLOP/s; a token takes {watch.per_token / 1e6:,.0f} MFLOP.",
    ]


def _cautions(prepared: Prepared, parts: list[Exercise]) -> list[str]:
    """What one must know to read the figures that will come."""
    found = []
    held = prepared.held if prepared.options["evaluation"] is not None else None
    if held is not None and held.corpus.content_sha256 == prepared.corpus.content_sha256:
        found.append("--eval holds the texts that it trains on: the figures will say how well it remembers them.")
    relations = [part.relation for part in parts if part.relation is not None]
    if relations:
        share = float(torch.cat(relations).float().mean())
        found.append(f"Of the pairs to judge by {max(share, 1 - share):.1%} have the same answer.")
    return found


def _corpus(sources: list[Path], tokenizer: Any, place: Path, say: Say, group: Processes) -> Any:
    """The shards, made of text files first if need be."""
    if len(sources) == 1 and is_shards(sources[0]):
        place = sources[0]
    else:
        group.first_does(lambda: _build(sources, place, tokenizer, say))

    def opened() -> Any:
        corpus = open_shards(place, verify=group.is_first)
        corpus.check_tokenizer(tokenizer)
        return corpus

    return group.all_do(opened)


def _build(sources: list[Path], place: Path, tokenizer: Any, say: Say) -> None:
    try:
        build_shards(sources, place, tokenizer=tokenizer, say=say)
    except (UsageError, DataError) as problem:
        if " --" not in str(problem) and "(--" not in str(problem):
            raise
        raise type(problem)(
            f"{problem} That is an option of 'bothways shard', whose shards --data takes, too."
        ) from None


def _tokenizer_place(options: dict[str, Any], sources: list[Path], source: Path | None) -> str | Path:
    if options["tokenizer"] is not None:
        return options["tokenizer"]
    if source is not None:
        return source
    inside = sources[0] / "tokenizer"
    if len(sources) == 1 and inside.is_dir():
        return inside
    raise UsageError(
        "no tokeniser: give --tokenizer DIR, or --model to go on with one. To learn a vocabulary from the same text: "
        "bothways tokenizer train FILES -o DIR."
    )


def _silent(line: str) -> None:
    """Say nothing."""


__all__ = ["pretrain"]

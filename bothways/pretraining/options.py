"""What was asked of pretraining: checked before any work, as settings, as what makes a run this run, as a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from bothways.corpus import content_of, is_shards
from bothways.engine.precision import PRECISIONS, best_device, resolve_precision
from bothways.errors import UsageError
from bothways.pretraining.goal_table import objective_named
from bothways.pretraining.models import learning_rate
from bothways.pretraining.settings import PretrainSettings, parse_rate
from bothways.resolver import resolve_model
from bothways.training.features import MAX_TOKENS, MAX_TOKENS_ELSEWHERE
from bothways.training.manifest import model_identity
from bothways.training.publish import check_encoder_stays, check_output

MAX_LENGTH = 128
BATCH_TOKENS = 16_384
"""Of a step; a short run takes many small steps (Geiping and Goldstein 2023, section 4.4)."""
RAMP_STEPS = 300
RAMP_PART = 4
"""At most one step in so many."""


def settings_of(options: dict[str, Any], objective: str, limit: int | None) -> PretrainSettings:
    """The settings of a run of a model that reads at most ``limit`` tokens (None: not known yet).

    Raises:
        UsageError: impossible ones.
    """
    asked = options["max_length"]
    if asked is not None and limit is not None and asked > limit:
        raise UsageError(f"max_length is {asked}; this model reads at most {limit} tokens.")
    ends = {name: options[name] for name in ("minutes", "steps", "epochs")}
    if not any(value is not None for value in ends.values()):
        ends["epochs"] = 1
    device = best_device()
    going_on = options["model"] is not None
    rate = options["learning_rate"]
    named = None if going_on else str(options["config"] or "mini")
    ramp = options["batch_ramp"]
    if ramp is None:  # a run of few steps must not end in the middle of it
        steps = ends["steps"] if isinstance(ends["steps"], int) and ends["steps"] > 0 else RAMP_PART * RAMP_STEPS
        ramp = 0 if going_on else min(RAMP_STEPS, steps // RAMP_PART)
    return PretrainSettings(
        objective=objective,
        max_length=min(MAX_LENGTH, limit or MAX_LENGTH) if asked is None else asked,
        batch_tokens=BATCH_TOKENS if options["batch_tokens"] is None else options["batch_tokens"],
        ramp_steps=ramp,
        learning_rate=rate if rate is not None else learning_rate(named, options["lora"]),
        warmup=options["warmup"],
        optimizer=options["optimizer"],
        weight_decay=options["weight_decay"],
        dropout=options["dropout"],
        mask_rate=parse_rate(options["mask_rate"]),
        whole_words=bool(options["whole_words"]),
        short_rows=options["short_rows"],
        seed=options["seed"],
        precision=resolve_precision(options["precision"], device),
        max_tokens=MAX_TOKENS.get(device.type, MAX_TOKENS_ELSEWHERE),
        checkpoint_steps=options["checkpoint_steps"],
        **ends,
    )


def check(options: dict[str, Any], sources: list[Path], directory: Path) -> None:
    """Refuse before any work what cannot be.

    Raises:
        UsageError: which says what.
    """
    objective = objective_named(options["objective"])
    if not sources:
        raise UsageError("no data was given: a directory of shards, or files of text.")
    missing = [str(path) for path in (*sources, *paths(options["evaluation"] or [])) if not path.exists()]
    if missing:
        raise UsageError(f"{', '.join(missing[:3])}: no such file or directory.")
    if len(sources) > 1 and any(map(is_shards, sources)):
        raise UsageError(
            f"{len(sources)} places were given as --data, and one of them holds shards. Give one directory of shards, "
            "or texts alone."
        )
    if options["model"] is not None and options["config"] is not None:
        raise UsageError("--config is for random weights and --model goes on with some: give one of them.")
    if options["lora"] is not None and options["model"] is None:
        raise UsageError("--lora learns beside a model that is there: name it with --model.")
    if options["precision"] not in PRECISIONS:
        raise UsageError(f"precision is {options['precision']!r}; expected one of {', '.join(PRECISIONS)}.")
    if options["config"] is None and options["model"] is None:
        options["config"] = "mini"
    if options["whole_words"] and objective in ("clm", "span"):
        raise UsageError(f"--whole-words is about masked words, and --objective {objective} hides none. Drop it.")
    if options["short_rows"] and objective not in ("mlm", "rtd"):
        raise UsageError(
            f"--short-rows is for mlm and rtd; --objective {objective} has rows of its own (a tenth of pairs is "
            "shorter). Drop it."
        )
    settings = settings_of(options, objective, None)
    if objective == "clm" and settings.mask_rate != (0.15, 0.15):
        raise UsageError("--mask-rate is about what is hidden, and --objective clm hides nothing. Drop it.")
    if objective == "rtd" and options["lora"] is not None:
        raise UsageError("--lora trains beside one model, and rtd trains two. Drop it, or take --objective mlm.")
    check_output(directory, sources)
    check_encoder_stays(directory, options["model"], options["lora"])


def identity_of(options: dict[str, Any], sources: list[Path]) -> dict[str, Any]:
    """What makes a run this run."""
    apart = ("checkpoint_steps", "model", "config", "tokenizer")
    identity = {name: value for name, value in options.items() if name not in apart and value is not None}
    identity["data"] = content_of(sources)
    if options["model"] is not None:
        identity |= model_identity(str(options["model"]), resolve_model(options["model"]))
    elif options["config"] is not None:
        path = Path(options["config"])
        identity["config"] = path.read_text("utf-8") if path.is_file() else str(options["config"])
    return identity


def paths(data: Any) -> list[Path]:
    """One path or several as a list.

    Raises:
        UsageError: something else.
    """
    several = [data] if isinstance(data, (str, os.PathLike)) else data
    if not isinstance(several, Sequence) or not all(isinstance(path, (str, os.PathLike)) for path in several):
        raise UsageError(f"{data!r:.60} was given; expected the path of a file or directory, or a list of them.")
    return [Path(path) for path in several]


def plain_paths(data: Any) -> list[str]:
    """The same as text."""
    return [str(path) for path in paths(data)]


def command_options(options: dict[str, Any], call: Callable[..., Any]) -> dict[str, Any]:
    """Options as the command line has them, less those that ``call`` has by itself."""
    start, end = options["mask_rate"]
    renamed = options | {"mask_rate": f"{start}:{end}" if start != end else start}
    renamed["no_word_vectors"] = not renamed.pop("word_vectors")
    renamed["eval"] = renamed.pop("evaluation")
    defaults = {name: own.default for name, own in signature(call).parameters.items()}
    return {
        name: value  # 0 is a value, and equal to False
        for name, value in renamed.items()
        if value is not None and value is not False and value != defaults.get(name)
    }

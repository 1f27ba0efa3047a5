"""What a ``Trainer`` writes into a checkpoint, and how it goes on from one.

A checkpoint is an ordinary model directory with, beside the model: ``optimizer``, ``scheduler`` and ``progress`` as
safetensors and JSON, and ``trainer_state.json``. Nothing in it can run code.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bothways.checkpoints.weights import open_weights
from bothways.engine.checkpoint_store import CheckpointStore
from bothways.engine.loop import Progress
from bothways.engine.state_files import load_state, save_state
from bothways.errors import CheckpointError, UsageError
from bothways.files import read_json, write_json
from bothways.models.base import PreTrainedModel
from bothways.nn.lora import lora_layers
from bothways.trainer.state import TrainerState

logger = logging.getLogger("bothways")

STATE = "trainer_state.json"
TRAINED = "trained"
"""Parameters as they are trained, where the model's own files hold something else (adapters that are merged)."""


def write_model(
    model: nn.Module,
    directory: Path,
    tokenizer: Any = None,
    args: Any = None,
    state_dict: dict[str, torch.Tensor] | None = None,
) -> None:
    """The model's files (of ``state_dict`` if given), those of its tokeniser and the arguments, in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    if callable(save := getattr(model, "save_pretrained", None)):
        save(directory, **({} if state_dict is None else {"state_dict": state_dict}))
    else:
        from safetensors.torch import save_model

        save_model(model, str(directory / "model.safetensors"))
    if tokenizer is not None and hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(directory)
    if args is not None:
        write_json(directory / "training_args.json", args.to_sanitized_dict())


def write_checkpoint(trainer: Any, progress: Progress, directory: Path) -> None:
    """Everything that a run needs to go on."""
    trainer.save_model(str(directory), _internal_call=True)
    if not trainer.args.save_only_model:
        if not _has_own_files(trainer.model):
            save_state(directory, TRAINED, dict(trainer.model.state_dict()))
        save_state(directory, "optimizer", trainer.optimizer.state_dict())
        save_state(directory, "scheduler", trainer.lr_scheduler.state_dict())
        write_json(directory / "progress.json", progress.to_json())
    trainer.state.save_to_json(directory / STATE)


def read_model(model: nn.Module, directory: Path) -> None:
    """Give ``model`` the weights of a checkpoint, in place.

    Raises:
        CheckpointError: no weights, or weights of another model.
    """
    if (directory / f"{TRAINED}.json").is_file():
        weights = load_state(directory, TRAINED)
    elif isinstance(model, PreTrainedModel) and _has_own_files(model):
        weights = type(model).from_pretrained(directory, config=model.config).state_dict()
    else:
        with open_weights(directory) as stored:
            weights = {name: stored.load(name) for name in stored.names()}
    result = model.load_state_dict(weights, strict=False)
    tied = {name for name in result.missing_keys if not _is_stored(model, name, weights)}
    if tied or result.unexpected_keys:
        raise CheckpointError(
            f"{directory} holds another model: {len(tied)} weights are missing ({', '.join(sorted(tied)[:3])}) and "
            f"{len(result.unexpected_keys)} are too many ({', '.join(result.unexpected_keys[:3])})."
        )


def read_checkpoint(trainer: Any, directory: Path) -> Progress:
    """Put model, optimizer, schedule and state back to where the checkpoint was written.

    Raises:
        CheckpointError: a checkpoint with weights only; a resume would silently be another run.
    """
    read_model(trainer.model, directory)
    missing = [name for name in (STATE, "progress.json", "optimizer.json") if not (directory / name).is_file()]
    if missing:
        raise CheckpointError(
            f"{directory} has no {', '.join(missing)}: training cannot go on from it, only begin with its weights. "
            f"Load it with from_pretrained({str(directory)!r}) and call train() without resume_from_checkpoint."
        )
    progress = Progress.from_json(read_json(directory / "progress.json", error=CheckpointError))
    trainer.optimizer.load_state_dict(load_state(directory, "optimizer"))
    trainer.lr_scheduler.load_state_dict(load_state(directory, "scheduler"))
    state = TrainerState.load_from_json(directory / STATE)
    state.stateful_callbacks = state.stateful_callbacks or {}
    trainer.state = state
    return progress


def batch_size_of(directory: Path) -> int | None:
    """The batch that a run had when it wrote a checkpoint; None if it does not say."""
    state = directory / STATE
    return TrainerState.load_from_json(state).train_batch_size if state.is_file() else None


def find_checkpoint(store: CheckpointStore, asked: str | bool) -> Path:
    """The checkpoint to go on from: the newest that verifies, or the one that was named.

    Raises:
        CheckpointError: the named one is damaged; or none is good. UsageError: there is none.
    """
    if isinstance(asked, (str, Path)):
        store.verify(asked)
        return Path(asked)
    found = store.newest()
    if found is None and not store.steps():
        raise NoCheckpointError(f"no valid checkpoint found in the output directory ({store.directory}).")
    if found is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in store.problems())
        raise CheckpointError(f"no checkpoint in {store.directory} can be trusted. {reasons}.")
    for name, reason in found.skipped:
        logger.warning("%s was skipped: %s. Going on from %s.", name, reason, found.path.name)
    return found.path


class NoCheckpointError(UsageError, ValueError):
    """``resume_from_checkpoint=True`` where no checkpoint is. A ``ValueError``, as in the ecosystem."""


def _has_own_files(model: nn.Module) -> bool:
    """Whether the model's own files give back exactly the parameters that are trained."""
    if isinstance(model, PreTrainedModel):
        return not any(True for _ in lora_layers(model))
    return not hasattr(model, "save_pretrained")


def _is_stored(model: nn.Module, name: str, weights: Any) -> bool:
    """Whether a missing weight shares its memory with one that is there."""
    own = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    tensor = own.get(name)
    return isinstance(tensor, torch.Tensor) and any(own.get(other) is tensor for other in weights)

"""``TrainingArguments``: everything about a run that is not the model and not the data."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bothways.errors import UsageError
from bothways.trainer.argument_checks import complete_and_check
from bothways.trainer.argument_fields import argument
from bothways.trainer.argument_groups import ArgumentGroups
from bothways.trainer.argument_names import AcceptsOldNames, OldName
from bothways.trainer.outputs import ParallelMode

if TYPE_CHECKING:
    import torch

_LEVELS = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error", "critical")}


@dataclasses.dataclass
class TrainingArguments(ArgumentGroups, metaclass=AcceptsOldNames):
    """The arguments of a ``Trainer``, under the names and with the defaults of the ecosystem's versions 4 and 5.

    Older spellings are accepted as keyword arguments and as attributes. Names that cannot be honoured are accepted at
    their defaults and refused otherwise. Nothing is written and torch is not imported until ``device`` is asked for.

    ``report_to``: ``None``, ``"none"`` and ``"all"`` report nowhere; ``"tensorboard"`` needs that package. Every log is
    also in ``state.log_history`` and in ``trainer_state.json``.

    Raises:
        ArgumentNameError: (also a ``TypeError``) unknown names, with the nearest known ones.
        UsageError: (also a ``ValueError``) values that are impossible, contradict each other or are not supported.
    """

    evaluation_strategy = OldName("eval_strategy")
    no_cuda = OldName("use_cpu", True)
    group_by_length = OldName("train_sampling_strategy", "group_by_length")
    adafactor = OldName("optim", "adafactor")
    include_inputs_for_metrics = OldName("include_for_metrics", "inputs", member=True)
    torchdynamo = OldName("torch_compile_backend")

    def __post_init__(self) -> None:
        self.output_dir = os.path.expanduser("trainer_output" if self.output_dir is None else self.output_dir)
        if self.disable_tqdm is None:
            self.disable_tqdm = False
        complete_and_check(self)
        if self.local_rank == -1:
            self.local_rank = self.local_process_index

    def __str__(self) -> str:
        shown = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        hidden = {name: f"<{name.upper()}>" if name.endswith("_token") else value for name, value in shown.items()}
        lines = [f"{n}={v},\n" for n, v in sorted(hidden.items()) if not n.startswith("per_gpu_")]
        return f"{type(self).__name__}(\n{''.join(lines)})"

    __repr__ = __str__

    @property
    def train_batch_size(self) -> int:
        """Examples in a training batch of this process. A process uses one device."""
        return self.per_gpu_train_batch_size or self.per_device_train_batch_size

    @property
    def eval_batch_size(self) -> int:
        """Examples in an evaluation batch of this process."""
        return self.per_gpu_eval_batch_size or self.per_device_eval_batch_size

    @property
    def device(self) -> torch.device:
        """Where this process computes: its GPU, Apple's GPU or the CPU; chosen once.

        Raises:
            UsageError: float16 or TF32 is asked for where no GPU can do it.
        """
        return self._setup_devices

    @cached_property
    def _setup_devices(self) -> torch.device:
        import torch

        device = torch.device("cpu")
        if not self.use_cpu and torch.cuda.is_available():
            device = torch.device("cuda", self.local_process_index)
            torch.cuda.set_device(device)
        elif not self.use_cpu and torch.backends.mps.is_available():
            device = torch.device("mps")
        for name in ("fp16", "fp16_full_eval"):
            if getattr(self, name) and device.type == "cpu":
                raise UsageError(
                    f"{name}=True needs a GPU, but the device is cpu. Use {name.replace('fp', 'bf')}=True."
                )
        if self.tf32 is not None:
            if self.tf32 and (device.type != "cuda" or torch.cuda.get_device_capability(device)[0] < 8):
                raise UsageError(
                    f"tf32=True needs an Ampere or newer GPU, but the device is {device.type}. Leave it out."
                )
            torch.backends.cuda.matmul.allow_tf32 = self.tf32
            torch.backends.cudnn.allow_tf32 = self.tf32
        return device

    @property
    def n_gpu(self) -> int:
        """GPUs of this process: 1 or 0. For more, start one process for each with torchrun."""
        return int(self.device.type == "cuda")

    @property
    def parallel_mode(self) -> ParallelMode:
        """Whether several processes train together."""
        return ParallelMode.DISTRIBUTED if self.world_size > 1 else ParallelMode.NOT_PARALLEL

    @property
    def world_size(self) -> int:
        """How many processes train together."""
        group = _process_group()
        return group.get_world_size() if group else _environment("WORLD_SIZE", 1)

    @property
    def process_index(self) -> int:
        """Number of this process among all."""
        group = _process_group()
        return group.get_rank() if group else _environment("RANK", 0)

    @property
    def local_process_index(self) -> int:
        """Number of this process on its machine."""
        return _environment("LOCAL_RANK", 0)

    @property
    def should_log(self) -> bool:
        """Whether this process speaks."""
        return (self.local_process_index if self.log_on_each_node else self.process_index) == 0

    @property
    def should_save(self) -> bool:
        """Whether this process writes files."""
        return (self.local_process_index if self.save_on_each_node else self.process_index) == 0

    @property
    def place_model_on_device(self) -> bool:
        """Whether the ``Trainer`` moves the model; subclasses may say no."""
        return True

    @property
    def ddp_timeout_delta(self) -> timedelta:
        """``ddp_timeout`` as torch.distributed takes it."""
        return timedelta(seconds=self.ddp_timeout)

    def get_process_log_level(self) -> int:
        """The level for ``logging``: ``log_level`` where this process speaks, else ``log_level_replica``."""
        level = self.log_level if self.should_log else self.log_level_replica
        return _LEVELS.get(level, logging.getLogger("bothways").getEffectiveLevel())

    @contextlib.contextmanager
    def main_process_first(self, local: bool = True, desc: str = "work") -> Iterator[None]:
        """Let the first process do something before the others, for example fill a cache.

        Args:
            local: the first of each machine; False: the first of all, for a file system that all share.
            desc: what is done, for people who read the program.
        """
        group = _process_group()
        is_first = (self.local_process_index if local else self.process_index) == 0
        if group and not is_first:
            group.barrier()
        try:
            yield
        finally:
            if group and is_first:
                group.barrier()

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Steps in which the learning rate rises, of ``num_training_steps``."""
        if self.warmup_steps >= 1:
            return int(self.warmup_steps)
        return math.ceil(num_training_steps * (self.warmup_steps or self.warmup_ratio))

    def to_dict(self) -> dict[str, Any]:
        """Field → value, as JSON can say it; tokens are left out."""
        return {f.name: _plain(f.name, getattr(self, f.name)) for f in dataclasses.fields(self) if f.init}

    def to_json_string(self) -> str:
        """``to_dict`` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_sanitized_dict(self) -> dict[str, Any]:
        """Field → number, truth value or text, for TensorBoard's table of hyperparameters."""
        values = {**self.to_dict(), "train_batch_size": self.train_batch_size, "eval_batch_size": self.eval_batch_size}
        return {name: v if type(v) in (bool, int, float, str) else str(v) for name, v in values.items()}


@dataclasses.dataclass
class Seq2SeqTrainingArguments(TrainingArguments):
    """``TrainingArguments`` with the fields of ``Seq2SeqTrainer``."""

    sortish_sampler: bool = argument(False, "No effect, as in the ecosystem; see train_sampling_strategy.")
    predict_with_generate: bool = argument(False, "Evaluate what the model writes, not its scores of the labels.")
    generation_max_length: int | None = argument(None, "Longest text written in evaluation, in tokens.")
    generation_num_beams: int | None = argument(None, "Beams in evaluation.")
    generation_config: Any = argument(None, "A GenerationConfig for evaluation, or the name or path of one.")


def _process_group() -> Any:
    """torch.distributed if processes have been joined. It is not imported for the question."""
    distributed = sys.modules.get("torch.distributed")
    return (
        distributed if distributed is not None and distributed.is_available() and distributed.is_initialized() else None
    )


def _environment(name: str, default: int) -> int:
    """A number that torchrun left in the environment."""
    value = os.environ.get(name)
    return int(value) if value and value.isdigit() else default


def _plain(name: str, value: Any) -> Any:
    if name.endswith("_token"):
        return f"<{name.upper()}>"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain("", inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain("", inner) for inner in value]
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if type(value).__module__ == "torch" and type(value).__name__ == "dtype":
        return str(value).removeprefix("torch.")
    return value

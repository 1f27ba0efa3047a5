"""The part of a ``Trainer`` that writes: the model, the log, figures in files and on the screen, a model card."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from torch import nn

from bothways.errors import DataError, UsageError
from bothways.files import read_json, write_json, write_text
from bothways.trainer.arguments import TrainingArguments
from bothways.trainer.evaluation import plain
from bothways.trainer.model_card import CardFacts, model_card
from bothways.trainer.outputs import speed_metrics
from bothways.trainer.state import TrainerControl, TrainerState


class Reports:
    """What a trainer writes; only the first process does."""

    args: TrainingArguments
    model: nn.Module
    processing_class: Any
    state: TrainerState
    control: TrainerControl
    callback_handler: Any
    train_dataset: Any
    eval_dataset: Any

    def save_state(self) -> None:
        """``trainer_state.json`` in the output directory."""
        if self.is_world_process_zero():
            self._directory.mkdir(parents=True, exist_ok=True)
            self.state.save_to_json(self._directory / "trainer_state.json")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add a line to the history, and show it.

        Args:
            start_time: of training; where tokens are counted, the line also says how many came per second.
        """
        if self.state.epoch is not None:
            logs["epoch"] = self.state.epoch
        if self.args.include_num_input_tokens_seen not in ("no", False):
            logs["num_input_tokens_seen"] = self.state.num_input_tokens_seen
            if start_time is not None:
                logs.update(speed_metrics("train", start_time, num_tokens=self.state.num_input_tokens_seen))
        self.state.log_history.append({**{n: plain(v) for n, v in logs.items()}, "step": self.state.global_step})
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def metrics_format(self, metrics: dict[str, float]) -> dict[str, Any]:
        """Metrics as people read them: times as hours, minutes and seconds, four decimals, bytes as MB."""
        return {name: _readable(name, value) for name, value in metrics.items()}

    def log_metrics(self, split: str, metrics: dict[str, float]) -> None:
        """Print metrics as a table.

        Args:
            split: what they are of: ``train``, ``eval``, ``test``.
        """
        if not self.is_world_process_zero():
            return
        shown = {name: str(value) for name, value in self.metrics_format(metrics).items()}
        print(f"***** {split} metrics *****")
        left, right = (max((len(text) for text in texts), default=0) for texts in (shown, shown.values()))
        for name in sorted(shown):
            print(f"  {name: <{left}} = {shown[name]:>{right}}")

    def save_metrics(self, split: str, metrics: dict[str, float], combined: bool = True) -> None:
        """``<split>_results.json`` in the output directory.

        Args:
            combined: also add them to ``all_results.json``.

        Raises:
            DataError: the ``all_results.json`` that is there is no JSON object; it stays as it is.
        """
        if not self.is_world_process_zero():
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        found = {name: plain(value) for name, value in sorted(metrics.items())}
        write_json(self._directory / f"{split}_results.json", found)
        if not combined:
            return
        path = self._directory / "all_results.json"
        before = read_json(path, error=DataError) if path.is_file() else {}
        if not isinstance(before, dict):
            raise DataError(f"{path} holds a {type(before).__name__}, expected an object. Remove it or combined=True.")
        write_json(path, dict(sorted((before | found).items())))

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """``README.md`` in the output directory: what the log says of the run, and what nobody has said yet.

        Arguments are written as they are given; nothing is looked up elsewhere.
        """
        if not self.is_world_process_zero():
            return
        facts = CardFacts(
            name=model_name or self._directory.name,
            model_class=type(self.model).__name__,
            finetuned_from=finetuned_from or getattr(self.model, "name_or_path", "") or None,
            language=language,
            license=license,
            tags=_listed(tags),
            tasks=_listed(tasks),
            datasets=_listed(dataset) or _listed(dataset_tags),
            dataset_arguments=_listed(dataset_args),
        )
        self._directory.mkdir(parents=True, exist_ok=True)
        write_text(self._directory / "README.md", model_card(facts, self.args, self.state))

    def push_to_hub(self, *_: Any, **__: Any) -> None:
        """Refused: this library sends nothing away."""
        raise UsageError(
            "push_to_hub is not supported: nothing is sent away from this machine. "
            "Save with save_model() and upload the directory with a tool of your choice."
        )

    def is_world_process_zero(self) -> bool:
        """Whether this process writes files and speaks."""
        raise NotImplementedError

    @property
    def _directory(self) -> Path:
        return Path(self.args.output_dir or "trainer_output")


def _readable(name: str, value: Any) -> Any:
    if "_mem_" in name:
        return f"{int(value) >> 20}MB"
    if "_runtime" in name:
        hundredths = int(abs(value - int(value)) * 100)  # as the reference cuts them
        return f"{timedelta(seconds=int(value))}.{hundredths:02d}"
    if name == "total_flos":
        return f"{int(value) >> 30}GF"
    return round(value, 4) if isinstance(value, float) else value


def _listed(value: str | list[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())

"""The part of a ``Trainer`` that holds its callbacks."""

from __future__ import annotations

from typing import Any

from bothways.trainer.arguments import TrainingArguments
from bothways.trainer.callback_handler import CallbackHandler
from bothways.trainer.callbacks import DefaultFlowCallback, PrinterCallback, ProgressCallback, TensorBoardCallback
from bothways.trainer.state import ExportableState, TrainerControl, TrainerState, states_by_class


def callbacks_of(args: TrainingArguments, own: list[Any] | None) -> list[Any]:
    """The callbacks of a run in their order: flow, reports, the caller's, and the one that shows progress."""
    reports = [TensorBoardCallback] if "tensorboard" in (args.report_to or ()) else []
    return [DefaultFlowCallback, *reports, *(own or []), PrinterCallback if args.disable_tqdm else ProgressCallback]


class HasCallbacks:
    """Callbacks: added, removed, and their states written and read."""

    args: TrainingArguments
    state: TrainerState
    control: TrainerControl
    callback_handler: CallbackHandler

    def add_callback(self, callback: Any) -> None:
        """A class or an instance."""
        self.callback_handler.add_callback(callback)

    def pop_callback(self, callback: Any) -> Any:
        """Remove a callback and return it."""
        return self.callback_handler.pop_callback(callback)

    def remove_callback(self, callback: Any) -> None:
        """Remove a callback."""
        self.callback_handler.remove_callback(callback)

    def callback_states(self) -> dict[str, Any]:
        """The states of callbacks that keep one, as they go into a checkpoint."""
        return states_by_class(self._exportable())

    def _exportable(self) -> list[ExportableState]:
        return [cb for cb in [*self.callback_handler.callbacks, self.control] if isinstance(cb, ExportableState)]

    def _restore_callbacks(self) -> None:
        """Give callbacks the states that a checkpoint has for their classes, if the arguments ask for it."""
        if not self.args.restore_callback_states_from_checkpoint:
            return
        kept = {
            name: list(found) if isinstance(found, list) else [found]
            for name, found in self.state.stateful_callbacks.items()
        }
        for callback in self._exportable():
            found = kept.get(type(callback).__name__)
            if not found or isinstance(callback, TrainerControl):
                continue
            fresh = type(callback).from_state(found.pop(0))
            callback.__dict__.update(fresh.__dict__)

"""Callbacks: the points of a run at which code of others is called, and who calls it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from typing import Any

from bothways.errors import InputError, nearest
from bothways.trainer.state import TrainerControl, TrainerState

logger = logging.getLogger(__name__)


class TrainerCallback:
    """What happens at each point; derive from it and define the methods you need.

    Each gets the arguments, the state, the control, and by name ``model``, ``processing_class``, ``optimizer``,
    ``lr_scheduler``, ``train_dataloader``, ``eval_dataloader``; ``on_evaluate`` and ``on_predict`` also ``metrics``,
    ``on_log`` also ``logs``. A method that moves switches of the control may return it or return nothing.
    """

    decides_the_flow = False
    """Whether it says when to log, evaluate, save and stop; one callback of a run must."""

    def on_init_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """The ``Trainer`` has been made."""

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """Training begins."""

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """Training has ended."""

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """An epoch begins."""

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """An epoch has ended."""

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """A step begins; it may have several batches."""

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """Gradients are complete and scaled to ``max_grad_norm``; parameters have not changed yet."""

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """Parameters have changed; gradients are still there."""

    def on_substep_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """A batch of a step is done, and more follow."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """A step has ended."""

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """An evaluation has ended; its ``metrics`` are there."""

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl, metrics: Any, **kwargs: Any) -> Any:
        """A prediction has ended."""

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """A checkpoint has been written."""

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """Something has been logged: ``logs``."""

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """A batch of an evaluation is done."""

    def on_push_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """An upload begins; never called here, where nothing is uploaded."""


HOOKS = tuple(name for name in vars(TrainerCallback) if name.startswith("on_"))


class CallbackHandler(TrainerCallback):
    """Calls callbacks in their order.

    Args:
        callbacks: instances, or classes that are made without arguments.
        model, processing_class, optimizer, lr_scheduler: handed to every callback.
    """

    def __init__(
        self,
        callbacks: Iterable[Any],
        model: Any,
        processing_class: Any,
        optimizer: Any,
        lr_scheduler: Any,
    ) -> None:
        self.callbacks: list[Any] = []
        for callback in callbacks:
            self.add_callback(callback)
        self.model = model
        self.processing_class = processing_class
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.train_dataloader: Any = None
        self.eval_dataloader: Any = None
        if not any(callback.decides_the_flow for callback in self.callbacks if isinstance(callback, TrainerCallback)):
            logger.warning(
                "No DefaultFlowCallback among the callbacks (%s): nothing will log, evaluate, save or stop by itself.",
                self.callback_list.replace("\n", ", "),
            )

    def add_callback(self, callback: Any) -> None:
        """Append a callback, or a class of one.

        Raises:
            InputError: it has none of the methods of a callback.
        """
        made = callback() if isinstance(callback, type) else callback
        if not any(hasattr(made, hook) for hook in HOOKS):
            raise InputError(
                f"{made!r} is no callback: it has no method such as on_log. Derive it from TrainerCallback."
            )
        _warn_of_misspelt_hooks(type(made))
        if type(made) in [type(other) for other in self.callbacks]:
            logger.warning("A %s is added, but there is one already.", type(made).__name__)
        self.callbacks.append(made)

    def pop_callback(self, callback: Any) -> Any:
        """Take out the first callback of this class, or this one, and give it back; None if it is not there."""
        for found in self.callbacks:
            if isinstance(found, callback) if isinstance(callback, type) else found == callback:
                self.callbacks.remove(found)
                return found
        return None

    def remove_callback(self, callback: Any) -> None:
        """Take out the first callback of this class, or this one.

        Raises:
            InputError: this very callback is not there.
        """
        if self.pop_callback(callback) is None and not isinstance(callback, type):
            raise InputError(f"{callback!r} is not among the callbacks: {self.callback_list.replace(chr(10), ', ')}.")

    @property
    def callback_list(self) -> str:
        """The classes, one a line."""
        return "\n".join(type(callback).__name__ for callback in self.callbacks)

    def on_init_end(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_init_end", args, state, control)

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        control.should_training_stop = False
        return self.call_event("on_train_begin", args, state, control)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_train_end", args, state, control)

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        control.should_epoch_stop = False
        return self.call_event("on_epoch_begin", args, state, control)

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_epoch_end", args, state, control)

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        control.should_log = False
        control.should_evaluate = False
        control.should_save = False
        return self.call_event("on_step_begin", args, state, control)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_pre_optimizer_step", args, state, control)

    def on_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_optimizer_step", args, state, control)

    def on_substep_end(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_substep_end", args, state, control)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_step_end", args, state, control)

    def on_evaluate(self, args: Any, state: Any, control: TrainerControl, metrics: Any) -> Any:  # type: ignore[override]
        control.should_evaluate = False
        return self.call_event("on_evaluate", args, state, control, metrics=metrics)

    def on_predict(self, args: Any, state: Any, control: TrainerControl, metrics: Any) -> Any:  # type: ignore[override]
        return self.call_event("on_predict", args, state, control, metrics=metrics)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        control.should_save = False
        return self.call_event("on_save", args, state, control)

    def on_log(self, args: Any, state: Any, control: TrainerControl, logs: Any) -> Any:  # type: ignore[override]
        control.should_log = False
        return self.call_event("on_log", args, state, control, logs=logs)

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl) -> Any:  # type: ignore[override]
        return self.call_event("on_prediction_step", args, state, control)

    def call_event(self, event: str, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> Any:
        """Call one method of every callback; what one returns is the control for the next.

        Raises:
            InputError: a callback returned something that is no control.
        """
        for callback in self.callbacks:
            hook = getattr(callback, event, None)
            if hook is None:  # a callback of an older version that does not know this point
                continue
            result = hook(
                args,
                state,
                control,
                model=self.model,
                processing_class=self.processing_class,
                optimizer=self.optimizer,
                lr_scheduler=self.lr_scheduler,
                train_dataloader=self.train_dataloader,
                eval_dataloader=self.eval_dataloader,
                **kwargs,
            )
            if result is None:
                continue
            if not hasattr(result, "should_training_stop"):
                raise InputError(
                    f"{type(callback).__name__}.{event} returned {result!r}; it must return the control or nothing."
                )
            control = result
        return control


def _warn_of_misspelt_hooks(kind: type) -> None:
    for name in dir(kind):
        if name.startswith("on_") and name not in HOOKS and callable(getattr(kind, name)):
            like = nearest(name, HOOKS, most=1)
            hint = f" Did you mean {like[0]}?" if like else f" The hooks are {', '.join(HOOKS)}."
            warnings.warn(f"{kind.__name__}.{name} is never called: there is no such hook.{hint}", stacklevel=4)

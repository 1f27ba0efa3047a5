"""The ecosystem's ``Trainer`` over the engine: arguments, callbacks, collators and the class itself.

Names are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_OUTPUTS = (
    *("EvalPrediction", "EvalLoopOutput", "PredictionOutput", "TrainOutput", "IntervalStrategy", "SaveStrategy"),
    *("EvaluationStrategy", "HubStrategy", "ParallelMode", "get_last_checkpoint", "speed_metrics"),
    "enable_full_determinism",
)
_CALLBACKS = (
    *("TrainerCallback", "CallbackHandler", "DefaultFlowCallback", "EarlyStoppingCallback", "ProgressCallback"),
    *("PrinterCallback", "TensorBoardCallback"),
)

_WHERE: dict[str, str] = {
    **dict.fromkeys(_OUTPUTS, "outputs"),
    **dict.fromkeys(_CALLBACKS, "callbacks"),
    **dict.fromkeys(("TrainerState", "TrainerControl", "ExportableState"), "state"),
    **dict.fromkeys(("TrainingArguments", "Seq2SeqTrainingArguments"), "arguments"),
    "Seq2SeqTrainer": "seq2seq",
    **dict.fromkeys(("HfArgumentParser", "HfArg"), "argument_parser"),
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'bothways.trainer' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bothways.trainer.{_WHERE[name]}"), name)
    globals()[name] = value
    return value

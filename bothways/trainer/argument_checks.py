"""Completing and checking training arguments, before any work."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from bothways.engine.names import OptimizerNames, SchedulerType
from bothways.errors import UsageError, nearest
from bothways.trainer.argument_fields import DDP_BACKENDS, LOG_LEVELS, SAMPLING_STRATEGIES, ArgumentFields
from bothways.trainer.argument_names import defaults_of
from bothways.trainer.outputs import HubStrategy, IntervalStrategy, SaveStrategy, words

JSON_FIELDS = ("lr_scheduler_kwargs", "gradient_checkpointing_kwargs")

_UPLOAD = "Nothing is uploaded by itself: save_model() and then huggingface_hub.upload_folder() do it."
_PROCESSES = "To train on several GPUs start the program with torchrun; each process holds the whole model."
_TPU = "It trains on CPUs and on CUDA GPUs."
_DECODER = "It belongs to models that write text; those here read it."
_HUB = (
    *("push_to_hub", "hub_model_id", "hub_strategy", "hub_token", "hub_private_repo", "hub_always_push"),
    *("hub_revision", "push_to_hub_model_id", "push_to_hub_organization", "push_to_hub_token"),
)
REFUSED: dict[str, str] = {
    **dict.fromkeys(_HUB, _UPLOAD),
    **dict.fromkeys(("deepspeed", "fsdp", "fsdp_config", "fsdp_min_num_params"), _PROCESSES),
    **dict.fromkeys(("fsdp_transformer_layer_cls_to_wrap", "parallelism_config", "mp_parameters"), _PROCESSES),
    "accelerator_config": f"accelerate is not used. {_PROCESSES}",
    **dict.fromkeys(("tpu_num_cores", "tpu_metrics_debug"), _TPU),
    **dict.fromkeys(("past_index", "use_cache"), _DECODER),
    **dict.fromkeys(
        ("use_liger_kernel", "liger_kernel_config"), "Its kernels are for decoders; torch_compile=True is general."
    ),
    "debug": "For numbers that are not finite see torch.autograd.set_detect_anomaly(True).",
    "enable_jit_checkpoint": "Use save_steps and train(resume_from_checkpoint=True).",
    "jit_mode_eval": "Use torch_compile=True.",
    "optim_target_modules": f"GaLore and APOLLO are not here. Use optim= one of: {', '.join(words(OptimizerNames))}.",
    "ray_scope": "There is no hyperparameter search; call train() in a loop.",
    "skip_memory_metrics": "Ask torch.cuda.max_memory_allocated() after train().",
    "save_safetensors": "Weights are always written as safetensors, which every library of the ecosystem reads.",
}
"""Field → what to do instead of setting it."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "fsdp": ("", []),
    "fsdp_config": ({}, {"min_num_params": 0, "xla": False, "xla_fsdp_v2": False, "xla_fsdp_grad_ckpt": False}),
    "accelerator_config": (
        {},
        {
            "split_batches": False,
            "dispatch_batches": None,
            "even_batches": True,
            "use_seedable_sampler": True,
            "non_blocking": False,
            "gradient_accumulation_kwargs": None,
        },
    ),
    "debug": (None, []),
    "hub_token": ("<HUB_TOKEN>",),
    "push_to_hub_token": ("<PUSH_TO_HUB_TOKEN>",),
}
"""Further values of refused fields that mean nothing: what the reference writes into JSON where nothing was set."""


@dataclass(frozen=True)
class Range:
    """What a number may be. ``None`` is allowed where ``optional``; a whole number may come as 8.0."""

    low: float = 0
    high: float = math.inf
    whole: bool = False
    optional: bool = False
    open_end: bool = False  # ``high`` itself is not allowed

    def checked(self, name: str, value: Any) -> Any:
        """The number, whole ones as int.

        Raises:
            UsageError: not a number, or outside the range.
        """
        if value is None and self.optional:
            return None
        if isinstance(value, bool) or not isinstance(value, Real) or math.isnan(value):
            hint = (
                " Write it without quotation marks (in YAML 5.0e-5, with the point)." if isinstance(value, str) else ""
            )
            raise UsageError(f"{name} is {value!r}; it must be {self}.{hint}")
        if self.whole and not float(value).is_integer():
            raise UsageError(f"{name} is {value}; it must be {self}.")
        if not self.low <= float(value) <= self.high or (self.open_end and value == self.high):
            raise UsageError(f"{name} is {value}; it must be {self}.")
        return math.floor(value) if self.whole or isinstance(value, Integral) else float(value)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.high == math.inf:
            limits = "" if self.low == -math.inf else f" of at least {_figure(self.low)}"
        else:
            limits = f" from {_figure(self.low)} to {'below ' if self.open_end else ''}{_figure(self.high)}"
        return kind + limits + (" or None" if self.optional else "")


def _figure(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:g}"


COUNT = Range(1, whole=True)
SHARE = Range(0, 1)
SEED = Range(0, 2**32 - 1, whole=True)
NUMBERS: dict[str, Range] = {
    **dict.fromkeys(
        ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), COUNT
    ),
    **dict.fromkeys(("per_gpu_train_batch_size", "per_gpu_eval_batch_size"), Range(1, whole=True, optional=True)),
    **dict.fromkeys(("eval_accumulation_steps", "torch_empty_cache_steps"), Range(1, whole=True, optional=True)),
    **dict.fromkeys(("num_train_epochs", "learning_rate", "weight_decay", "adam_epsilon", "eval_delay"), Range()),
    **dict.fromkeys(("adam_beta1", "adam_beta2"), Range(0, 1, open_end=True)),
    **dict.fromkeys(("label_smoothing_factor", "warmup_ratio"), SHARE),
    **dict.fromkeys(("logging_steps", "save_steps"), Range(-math.inf)),
    "eval_steps": Range(-math.inf, optional=True),
    "max_steps": Range(-math.inf, whole=True),
    "max_grad_norm": Range(optional=True),
    "warmup_steps": Range(),
    "neftune_noise_alpha": Range(optional=True),
    "save_total_limit": Range(-math.inf, whole=True, optional=True),  # 0 and below: no limit, as in the reference
    "dataloader_num_workers": Range(whole=True),
    "dataloader_prefetch_factor": Range(1, whole=True, optional=True),
    "seed": SEED,
    "data_seed": Range(0, 2**32 - 1, whole=True, optional=True),
    "ddp_timeout": Range(1),
}


def complete_and_check(args: ArgumentFields) -> None:
    """Fill in what follows from other arguments and refuse what cannot be done, in place.

    Raises:
        UsageError: with the values that came and what to do instead.
    """
    _refuse(args)
    _check_words(args)
    for name, allowed in NUMBERS.items():
        setattr(args, name, allowed.checked(name, getattr(args, name)))
    _check_steps(args)
    _check_best_model(args)
    _check_precision(args)
    complete_reports(args)
    if args.use_cpu:
        args.dataloader_pin_memory = False
    if args.dataloader_num_workers == 0 and args.dataloader_prefetch_factor is not None:
        raise UsageError(
            f"dataloader_prefetch_factor is {args.dataloader_prefetch_factor} but dataloader_num_workers is 0: only "
            "worker processes prepare batches in advance. Set dataloader_num_workers to 1 or more."
        )


def _refuse(args: ArgumentFields) -> None:
    defaults = defaults_of(ArgumentFields)
    for name, instead in REFUSED.items():
        value = getattr(args, name)
        value = getattr(value, "value", value)
        if value != defaults[name] and value not in NEUTRAL.get(name, ()):
            raise UsageError(f"{name}={value!r} is not supported. {instead}")
        setattr(args, name, defaults[name])


def _check_words(args: ArgumentFields) -> None:
    args.eval_strategy = IntervalStrategy(_word(args.eval_strategy))
    args.logging_strategy = IntervalStrategy(_word(args.logging_strategy))
    args.save_strategy = SaveStrategy(_word(args.save_strategy))
    args.hub_strategy = HubStrategy(_word(args.hub_strategy))
    args.lr_scheduler_type = schedule_of(args.lr_scheduler_type)
    args.optim = optimizer_of(args.optim)
    _one_of("train_sampling_strategy", args.train_sampling_strategy, SAMPLING_STRATEGIES)
    _one_of("log_level", args.log_level, LOG_LEVELS)
    _one_of("log_level_replica", args.log_level_replica, LOG_LEVELS)
    if args.ddp_backend is not None:
        _one_of("ddp_backend", args.ddp_backend, DDP_BACKENDS)
    for name in JSON_FIELDS:
        setattr(args, name, _object(name, getattr(args, name)))
    counted = args.include_num_input_tokens_seen
    counted = {True: "all", False: "no"}.get(counted, counted) if isinstance(counted, bool) else counted
    args.include_num_input_tokens_seen = _one_of("include_num_input_tokens_seen", counted, ("all", "non_padding", "no"))
    for word in args.include_for_metrics:
        _one_of("include_for_metrics", word, ("inputs", "loss"))
    if args.eval_strategy != IntervalStrategy.NO:
        args.do_eval = True


def schedule_of(name: Any) -> SchedulerType:
    """Raises:
    UsageError: an unknown schedule; the known ones are listed.
    """
    return SchedulerType(_one_of("lr_scheduler_type", name, words(SchedulerType)))


def optimizer_of(name: Any) -> OptimizerNames:
    """Raises:
    UsageError: an unknown optimizer; the known ones are listed.
    """
    return OptimizerNames(_one_of("optim", "adamw_torch" if name == "adamw_hf" else name, words(OptimizerNames)))


def _check_steps(args: ArgumentFields) -> None:
    """Intervals: whole from 1 on, shares of the run below 1."""
    if args.eval_strategy == IntervalStrategy.STEPS and not args.eval_steps:
        args.eval_steps = args.logging_steps
    used = {
        "logging_steps": args.logging_strategy == IntervalStrategy.STEPS,
        "eval_steps": args.eval_strategy == IntervalStrategy.STEPS,
    }
    for name, is_used in used.items():
        value = getattr(args, name)
        if is_used and not value > 0:
            raise UsageError(
                f"{name} is {value:g}; it must be above 0 while its strategy is 'steps' (below 1: a share of the run). "
                "Set it, or the strategy to 'epoch' or 'no'."
            )
    used["save_steps"] = args.save_strategy == SaveStrategy.STEPS
    for name in (*used, "warmup_steps"):
        value = getattr(args, name)
        if used.get(name, True) and value > 1:  # 1.0 stays what it is, as in the reference
            if value != int(value):
                raise UsageError(
                    f"{name} is {value:g}; from 1 on it must be a whole number, below 1 a share of the run."
                )
            setattr(args, name, int(value))


def _check_best_model(args: ArgumentFields) -> None:
    """The best model can only be kept where each checkpoint has an evaluation."""
    needs_metric = args.load_best_model_at_end or args.save_strategy == SaveStrategy.BEST
    if (needs_metric or args.lr_scheduler_type == "reduce_lr_on_plateau") and args.metric_for_best_model is None:
        args.metric_for_best_model = "loss"
    if args.greater_is_better is None and args.metric_for_best_model is not None:
        args.greater_is_better = not args.metric_for_best_model.endswith("loss")
    for reason, is_given in (
        ("lr_scheduler_type='reduce_lr_on_plateau'", args.lr_scheduler_type == "reduce_lr_on_plateau"),
        ("save_strategy='best'", args.save_strategy == SaveStrategy.BEST),
    ):
        if is_given and args.eval_strategy == IntervalStrategy.NO:
            raise UsageError(f"{reason} needs evaluations, but eval_strategy is 'no'. Set eval_strategy='epoch'.")
    if not args.load_best_model_at_end or args.save_strategy == SaveStrategy.BEST:
        return
    evaluates, saves = _word(args.eval_strategy), _word(args.save_strategy)
    if evaluates != saves:
        raise UsageError(
            f"load_best_model_at_end needs the same eval_strategy and save_strategy, but they are {evaluates!r} and "
            f"{saves!r}. Set both to 'epoch', or save_strategy to 'best'."
        )
    if evaluates == "steps" and args.save_steps > 0:  # 0 and below: a checkpoint at the end only
        _check_multiple(args.save_steps, args.eval_steps or 0)


def _check_multiple(save_steps: float, eval_steps: float) -> None:
    if (save_steps < 1) != (eval_steps < 1):
        raise UsageError(
            "load_best_model_at_end needs save_steps to be a multiple of eval_steps, but save_steps is "
            f"{save_steps:g} and eval_steps is {eval_steps:g}: "
            "one is a share of the run and the other a number of steps. Use one form."
        )
    scale = 1_000_000 if save_steps < 1 else 1  # shares as whole millionths: 0.3 is no exact multiple of 0.1
    if round(save_steps * scale) % round(eval_steps * scale):
        raise UsageError(
            "load_best_model_at_end needs save_steps to be a multiple of eval_steps, but "
            f"{save_steps:g} is not a multiple of {eval_steps:g}."
        )


def _check_precision(args: ArgumentFields) -> None:
    """What needs no look at the machine; ``TrainingArguments.device`` checks the rest."""
    for half, brain in (("fp16", "bf16"), ("fp16_full_eval", "bf16_full_eval")):
        if getattr(args, half) and getattr(args, brain):
            raise UsageError(f"{half} and {brain} are both True; choose one.")
        if getattr(args, half) and args.use_cpu:
            raise UsageError(f"{half}=True needs a GPU, but use_cpu is True. Use {brain}=True.")
    for name in ("half_precision_backend", "fp16_backend"):
        if getattr(args, name) == "apex":
            raise UsageError(f"{name}='apex' is not supported. Use 'auto': torch's own mixed precision.")
    if args.torch_compile_backend is not None or args.torch_compile_mode is not None:
        args.torch_compile = True
    if args.torch_compile and args.torch_compile_backend is None:
        args.torch_compile_backend = "inductor"


def complete_reports(args: ArgumentFields) -> None:
    """``report_to`` becomes a list. ``all`` is none: a program does not send anything because a package is there."""
    if args.logging_dir is None:
        args.logging_dir = os.path.join(args.output_dir or "", "runs")
    args.logging_dir = os.path.expanduser(args.logging_dir)
    asked = [args.report_to] if isinstance(args.report_to, str) else list(args.report_to or [])
    args.report_to = [name for name in asked if name not in ("none", "all")]
    for name in args.report_to:
        if name != "tensorboard":
            raise UsageError(
                f"report_to={name!r} is not supported. Use 'tensorboard' or 'none'; every log is also in "
                "state.log_history and in trainer_state.json, and a TrainerCallback with on_log can send it anywhere."
            )
        if importlib.util.find_spec("tensorboard") is None:
            raise UsageError("report_to='tensorboard' needs the package tensorboard: pip install tensorboard.")


def _object(name: str, value: Any) -> Any:
    """A JSON object in a text, as the command line gives it."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except json.JSONDecodeError as problem:
        raise UsageError(f'{name} is {value!r}, which is not JSON: {problem.msg}. Write {{"name": 1}}.') from None
    if not isinstance(found, dict):
        raise UsageError(f'{name} is {value!r}; it must be a JSON object such as {{"name": 1}}.')
    return found


def _one_of(name: str, value: Any, known: Sequence[str]) -> str:
    word = _word(value)
    if word not in known:
        like = nearest(str(word), list(known), most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise UsageError(f"{name}={word!r} is not supported. Choose one of: {', '.join(known)}.{hint}")
    return word


def _word(value: Any) -> Any:
    return getattr(value, "value", value)

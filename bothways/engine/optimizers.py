"""Optimizers under the ecosystem's names, and which parameters decay and learn how fast."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bothways.errors import InputError, nearest

NORMS = (nn.LayerNorm, nn.RMSNorm)
_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
LATE = 2.0**20
"""A step at which nothing is left to correct: the decay to that power is 0 in float32."""
_FUSED_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class AdamW(torch.optim.AdamW):
    """torch's AdamW with the ecosystem's defaults and arguments. Source: Loshchilov and Hutter 2019.

    ``correct_bias=False`` is BERT's own form, which many of its programs ask for: averages that begin at 0 count as
    they are, so that the first steps are longer (Mosbach et al. 2021, section 5, on what that does).

    The fused form makes one pass over each parameter (measured: half the time of the default on a CPU). Parameters of
    other kinds than it knows, such as complex ones, are updated by torch's plain form.
    """

    grad_scale: Tensor
    """() float32, if set: gradients are divided by it inside ``step``. Set it before each step."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        correct_bias: bool = True,
        no_deprecation_warning: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)
        if not all(p.dtype in _FUSED_DTYPES for group in self.param_groups for p in group["params"]):
            self.defaults["fused"] = None
            for group in self.param_groups:
                group["fused"] = None
            self.register_step_pre_hook(_divide_gradients)
        if not correct_bias:
            self.register_step_pre_hook(_begin_late)


class Adafactor(torch.optim.Optimizer):
    """Second moments of matrices as the product of a row and a column: memory of n + m numbers in place of n * m.

    Source: Shazeer and Stern 2018; arguments, defaults and rounding are the reference's.

    Args:
        lr: the rate; None with ``relative_step``.
        eps: added to squared gradients; smallest scale of a parameter.
        clip_threshold: largest root mean square of an update before the rate (section 6).
        decay_rate: the second moments' decay at step t is 1 - t**decay_rate (section 7).
        beta1: decay of the first moment; None keeps none.
        weight_decay: as a multiple of the rate.
        scale_parameter: the rate is a multiple of the parameter's own root mean square (section 8).
        relative_step: the rate follows from the step: min(0.01, 1 / sqrt(t)) (section 9).
        warmup_init: with ``relative_step``: 1e-6 * t at first.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | None = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ) -> None:
        if lr is not None and relative_step:
            raise InputError(f"lr is {lr}, but relative_step=True makes the rate itself. Pass relative_step=False.")
        if warmup_init and not relative_step:
            raise InputError("warmup_init=True is a form of relative_step=True, which is False here.")
        super().__init__(params, {
            "lr": lr,
            "eps": eps,
            "clip_threshold": clip_threshold,
            "decay_rate": decay_rate,
            "beta1": beta1,
            "weight_decay": weight_decay,
            "scale_parameter": scale_parameter,
            "relative_step": relative_step,
            "warmup_init": warmup_init,
        })  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; half-precision parameters are updated in float32 and rounded."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                grad = parameter.grad
                if grad is None:
                    continue
                if grad.is_sparse:
                    raise InputError("Adafactor has no sparse form. Use embeddings with sparse=False.")
                self._update(group, parameter, grad, self.state[parameter])
        return loss

    def _update(self, group: dict[str, Any], parameter: Tensor, grad: Tensor, state: dict[str, Any]) -> None:
        low = parameter.dtype in (torch.float16, torch.bfloat16)
        value = parameter.float() if low else parameter
        grad = grad.float() if low else grad
        state["step"] = state.get("step", 0) + 1
        state["RMS"] = _rms(value)
        rate = self._get_lr(group, state)
        decay = 1.0 - math.pow(state["step"], group["decay_rate"])
        update = self._scaled(grad, state, decay, group["eps"][0])
        update.div_((_rms(update) / group["clip_threshold"]).clamp_(min=1.0)).mul_(rate)
        if group["beta1"] is not None:
            update = _average(state, "exp_avg", update, group["beta1"])
        if group["weight_decay"] != 0:
            value.add_(value, alpha=-group["weight_decay"] * float(rate))
        value.sub_(update)
        if low:
            parameter.copy_(value)

    @staticmethod
    def _scaled(grad: Tensor, state: dict[str, Any], decay: float, eps: float) -> Tensor:
        """The gradient over the root of its second moment."""
        square = grad**2 + eps
        if grad.ndim < 2:
            return _average(state, "exp_avg_sq", square, decay).rsqrt().mul_(grad)
        row = _average(state, "exp_avg_sq_row", square.mean(dim=-1), decay)
        column = _average(state, "exp_avg_sq_col", square.mean(dim=-2), decay)
        scale = (row / row.mean(dim=-1, keepdim=True)).rsqrt_().unsqueeze(-1) * column.unsqueeze(-2).rsqrt()
        return scale.mul_(grad)

    @staticmethod
    def _get_lr(param_group: dict[str, Any], param_state: dict[str, Any]) -> Any:
        """The rate of one parameter at its present step; ``AdafactorSchedule`` asks too."""
        rate = param_group["lr"]
        if param_group["relative_step"]:
            ceiling = 1e-6 * param_state["step"] if param_group["warmup_init"] else 1e-2
            rate = min(ceiling, 1.0 / math.sqrt(param_state["step"]))
        if not param_group["scale_parameter"]:
            return rate
        return rate * max(param_group["eps"][1], param_state["RMS"])


OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adamw_torch": AdamW,
    "adamw_torch_fused": AdamW,
    "adamw_hf": AdamW,
    "adafactor": Adafactor,
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
}
"""By the names of ``TrainingArguments.optim``."""

_ELSEWHERE = (
    # (names of the ecosystem that begin so, the package they need, what to use here)
    ("adamw_torch_xla", "torch_xla", "adamw_torch"),
    ("adamw_torch_npu", "torch_npu", "adamw_torch_fused"),
    ("adamw_apex", "apex", "adamw_torch_fused"),
    ("adamw_anyprecision", "torchdistx", "adamw_torch"),
    ("adamw_torch_4bit", "torchao", "adamw_torch"),
    ("adamw_torch_8bit", "torchao", "adamw_torch"),
    ("rmsprop_bnb", "bitsandbytes", "rmsprop"),
    (("ademamix", "adamw_bnb", "adamw_8bit", "lion", "paged_"), "bitsandbytes", "adamw_torch"),
    ("galore_adafactor", "galore_torch", "adafactor"),
    ("galore_adamw", "galore_torch", "adamw_torch"),
    (("lomo", "adalomo"), "lomo_optim", "adafactor"),
    ("grokadamw", "grokadamw", "adamw_torch"),
    ("schedule_free_sgd", "schedulefree", "sgd"),
    ("schedule_free", "schedulefree", "adamw_torch"),
    ("apollo_adamw", "apollo_torch", "adamw_torch"),
    ("stable_adamw", "torch-optimi", "adamw_torch"),
)


def build_optimizer(
    name: str,
    groups: Iterable[Any],
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    **extra: Any,
) -> torch.optim.Optimizer:
    """An optimizer by its name in ``TrainingArguments.optim``; see ``optimizer_kind``.

    Args:
        groups: parameters, or groups such as those of ``parameter_groups``, whose own ``lr`` goes first.
        name, learning_rate, betas, eps, **extra: as for ``optimizer_kind``.
    """
    kind, settings = optimizer_kind(name, learning_rate=learning_rate, betas=betas, eps=eps, **extra)
    return kind(groups, **settings)


def optimizer_kind(
    name: str,
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    **extra: Any,
) -> tuple[Any, dict[str, Any]]:
    """The class of an optimizer by its name in ``TrainingArguments.optim``, and its arguments.

    Args:
        name: one of ``OPTIMIZERS``, or an enum member with such a value.
        learning_rate: of groups that do not have one.
        betas, eps: of the AdamW forms; the others keep their defaults, as in the reference.
        **extra: further arguments of the optimizer's class, also as the strings of ``parse_optim_args``.

    Raises:
        InputError: an optimizer that torch alone does not have, an unknown name, or an argument it does not take.
    """
    name = str(getattr(name, "value", name))
    if name not in OPTIMIZERS:
        raise InputError(_unknown(name))
    kind = OPTIMIZERS[name]
    settings: dict[str, Any] = {"lr": learning_rate}
    if kind is AdamW:
        settings |= {"betas": betas, "eps": eps}
    elif kind is Adafactor:
        settings |= {"scale_parameter": False, "relative_step": False}
    known = [parameter for parameter in inspect.signature(kind).parameters if parameter not in ("params", "lr")]
    if wrong := [key for key in extra if key not in known]:
        raise InputError(f"{name} does not take {', '.join(wrong)}. It takes {', '.join(known)}.")
    settings |= {key: _value(value) if isinstance(value, str) else value for key, value in extra.items()}
    return kind, settings


def parse_optim_args(text: str | None) -> dict[str, str]:
    """``"momentum=0.9,nesterov=true"`` of ``TrainingArguments.optim_args`` as a dictionary; values stay strings."""
    found: dict[str, str] = {}
    for part in (text or "").replace(" ", "").split(","):
        key, equals, value = part.partition("=")
        if not text:
            break
        if not equals or not key or "=" in value:
            raise InputError(f"optim_args has {part!r}, expected name=value, several joined by commas: {text!r}.")
        found[key] = value
    return found


def decay_parameter_names(model: nn.Module) -> list[str]:
    """Names of the parameters that weight decay is for: all but biases and those of norms.

    Norms are found by the type of their module and by name, as the reference does; tied parameters come by each name.
    """
    norms = {id(p) for module in model.modules() if isinstance(module, NORMS) for p in module.parameters()}
    named = model.named_parameters(remove_duplicate=False)
    return [name for name, p in named if id(p) not in norms and not _NO_DECAY.search(name.lower())]


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    weight_decay: float,
    head_factor: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups for an optimizer: biases and norms do not decay; a new head may learn faster than the body, and the upper
    layers faster than the lower ones.

    Groups with decay come before those without, slow ones before fast ones. Parameters that are frozen are in none.

    Args:
        model: a task model; its body is ``base_model``. Any module will do while both factors are 1.
        learning_rate: highest rate of the body.
        weight_decay: of matrices.
        head_factor: rate of the parameters outside the body, as a multiple of ``learning_rate``.
        layer_decay: layer i of L, from 0, has the rate ``learning_rate * layer_decay**(L - i)``, the embeddings that
            with the power L + 1; pooler and head have it undiminished. Layers that share their parameters (ALBERT) are
            one layer. Source: Clark et al. 2020, appendix; Sun et al. 2019, section 5.3.4.

    Raises:
        InputError: a factor other than 1 for a module whose body or layers cannot be told.
    """
    factors = _rate_factors(model, head_factor, layer_decay)
    decaying = set(decay_parameter_names(model))
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((factors.get(id(parameter), head_factor), name not in decaying), []).append(parameter)
    return [
        {"params": parameters, "lr": learning_rate * factor, "weight_decay": 0.0 if spared else weight_decay}
        for (factor, spared), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _rate_factors(model: nn.Module, head_factor: float, layer_decay: float) -> dict[int, float]:
    """Multiple of the learning rate by the id of each parameter of the body."""
    if not 0 < layer_decay <= 1:
        raise InputError(f"layer_decay is {layer_decay}, expected a number above 0 and at most 1; 1 switches it off.")
    if head_factor == layer_decay == 1:
        return {}
    body = getattr(model, "base_model", None)
    if not isinstance(body, nn.Module):
        raise InputError(
            f"head_factor is {head_factor} and layer_decay {layer_decay}, but {type(model).__name__} has no base_model "
            "that would tell its body from its head. Leave both at 1, or give the optimizer groups of your own."
        )
    factors = {id(p): 1.0 for p in body.parameters()}
    if layer_decay == 1:
        return factors
    layers = getattr(getattr(body, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(body, "embeddings"):
        raise InputError(
            f"layer_decay is {layer_decay}, but {type(body).__name__} has no embeddings and encoder.layer that would "
            "tell the layer of a parameter. Leave it at 1, or give the optimizer groups of your own."
        )
    parts: list[Any] = [*reversed(layers), body.embeddings]
    for below_top, part in enumerate(parts, start=1):
        factors |= {id(p): layer_decay**below_top for p in part.parameters()}
    return factors


def _divide_gradients(optimizer: Any, args: Any, kwargs: Any) -> None:
    """What the fused form does inside, for torch's plain form, which refuses a ``grad_scale``."""
    scale = optimizer.__dict__.pop("grad_scale", None)
    if scale is not None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.div_(scale)


def _begin_late(optimizer: Any, args: Any, kwargs: Any) -> None:
    """Let parameters begin at a step so late that averages are taken as they are."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter] if parameter.grad is not None else None
            if state is not None and not state:
                device = parameter.device if group["fused"] else "cpu"
                state["step"] = torch.full((), LATE, dtype=torch.float32, device=device)
                for name in ("exp_avg", "exp_avg_sq"):
                    state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)


def _rms(tensor: Tensor) -> Tensor:
    return tensor.norm(2) / (tensor.numel() ** 0.5)


def _average(state: dict[str, Any], key: str, value: Tensor, decay: float) -> Tensor:
    """The running average ``state[key]`` with one more value, in place; it starts at 0."""
    if key not in state:
        state[key] = torch.zeros_like(value)
    state[key] = state[key].to(value)  # a loaded state may have another dtype or device
    return state[key].mul_(decay).add_(value, alpha=1.0 - decay)


def _unknown(name: str) -> str:
    for starts, package, instead in _ELSEWHERE:
        if name.startswith(starts):
            return f"optim {name!r} needs {package}, which this library does not use. Use {instead!r}."
    like = nearest(name, list(OPTIMIZERS))
    hint = f" Did you mean {like[0]!r}?" if like else ""
    return f"unknown optim {name!r}. Known: {', '.join(OPTIMIZERS)}.{hint}"


def _value(text: str) -> Any:
    """``"true"``, ``"3"``, ``"0.9"`` and ``"none"`` as what they say; other words stay."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


__all__ = [
    "OPTIMIZERS",
    "Adafactor",
    "AdamW",
    "build_optimizer",
    "decay_parameter_names",
    "parameter_groups",
    "parse_optim_args",
]

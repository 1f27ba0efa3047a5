"""Weights of a directory into a model, and back."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bothways.checkpoints.config import COMMON_KEYS
from bothways.checkpoints.load_report import LoadReport, load_tensors
from bothways.checkpoints.weights import open_weights
from bothways.checkpoints.weights_writer import write_weights
from bothways.errors import InputError, nearest
from bothways.nn.lora import merged_state

if TYPE_CHECKING:
    from bothways.models.base import PreTrainedModel

logger = logging.getLogger("bothways")


def fill_from_directory(
    model: PreTrainedModel,
    directory: Path,
    *,
    dtype: torch.dtype | str | None,
    ignore_mismatched_sizes: bool,
    allow_pickle: bool,
    source: str,
) -> LoadReport:
    """Give a model that was built on the meta device its weights; what the file lacks is newly initialised.

    Raises:
        CheckpointError: damaged or unsafe files, or shapes that do not fit.
    """
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    with open_weights(directory, allow_pickle=allow_pickle) as weights:
        tensors, report = load_tensors(
            weights,
            model.family.key_map_for(model.config),
            wanted,
            base_prefix=model.family.base_prefix,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            source=source,
        )
    fill(model, tensors, parse_dtype(dtype, tensors))
    return replace(
        report,
        missing=tuple(n for n in report.missing if not n.endswith(model.family.may_lack)),
        unexpected=tuple(n for n in report.unexpected if not n.startswith(model.leaves_out)),
    )


def fill(model: PreTrainedModel, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Assign ``tensors`` in ``dtype``; parameters and buffers on the meta device that got none begin anew, or as zeros.

    Those of a user's own class are not on the meta device, and keep what its constructor gave them.
    """
    cast = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    model.load_state_dict(cast, strict=False, assign=True)
    model.tie_weights()
    for path, module in model.named_modules():
        own = list(module.named_parameters(recurse=False))
        missing = [name for name, parameter in own if parameter.is_meta]
        if missing:
            for name in missing:
                empty = torch.empty(getattr(module, name).shape, dtype=dtype)
                setattr(module, name, nn.Parameter(empty))
            kept = {name: p.detach().clone() for name, p in own if name not in missing}
            model.initialise(path, module)
            for name, value in kept.items():
                getattr(module, name).data.copy_(value)
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(module, name, torch.zeros(buffer.shape, dtype=dtype))
    model.tie_weights()
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.dtype != dtype:
            tensor.data = tensor.data.to(dtype)


def in_our_names(model: PreTrainedModel, state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dictionary under the names of the model's parameters; it may have those of published files."""
    renamed: dict[str, torch.Tensor] = {}
    key_map = model.family.key_map_for(model.config)
    for step in key_map.to_ours(state_dict).steps:
        renamed |= step.apply([state_dict[name] for name in step.theirs])
    own = model.state_dict(keep_vars=True)
    for tie in key_map.ties:  # a file may hold one of two names for the same parameter
        if tie.to in renamed and tie.name in own and own[tie.name] is own.get(tie.to):
            renamed.setdefault(tie.name, renamed[tie.to])
    return renamed


def save(
    model: PreTrainedModel,
    save_directory: str | os.PathLike[str],
    *,
    max_shard_size: int | str,
    state_dict: dict[str, torch.Tensor] | None,
) -> None:
    """Write ``config.json`` and the weights under the ecosystem's names, each tied tensor once, LoRA merged."""
    directory = Path(save_directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; save_pretrained needs a directory.")
    directory.mkdir(parents=True, exist_ok=True)
    model.config.architectures = [type(model).__name__]
    model.config.torch_dtype = str(model.dtype).removeprefix("torch.")
    model.config.save_pretrained(directory)
    weights = merged_state(model, model.state_dict() if state_dict is None else state_dict)
    vocabulary = f"{model.family.output_embeddings}.weight"
    if vocabulary in weights and not model.config.tie_word_embeddings:
        weights[vocabulary] = weights[vocabulary].clone()  # the matrices may still be one, if untied after building
    tensors = model.family.key_map_for(model.config).to_theirs(weights)
    write_weights(directory, tensors, max_shard_size=max_shard_size)


def parse_dtype(dtype: torch.dtype | str | None, tensors: dict[str, torch.Tensor] | None = None) -> torch.dtype:
    """None is fp32; ``"auto"`` the dtype of the file; a string its torch name."""
    if dtype is None:
        return torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        floating = [t.dtype for t in (tensors or {}).values() if t.is_floating_point()]
        return floating[0] if floating else torch.float32
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"dtype {dtype!r} is unknown. Pass float32, bfloat16, float16 or auto.")
    return found


NO_EFFECT = (
    *(
        "trust_remote_code",
        "low_cpu_mem_usage",
        "attn_implementation",
        "use_cache",
        "force_download",
        "resume_download",
    ),
    *("proxies", "weights_only", "use_auth_token", "max_memory", "offload_folder", "mirror"),
    *("offload_state_dict", "_fast_init", "_from_auto", "_from_pipeline", "_commit_hash"),
)
"""Arguments of the ecosystem that change nothing here: nothing in a model is ever run, and there is one attention."""

ONLY_UNSET = (
    *("variant", "from_tf", "from_flax", "quantization_config", "load_in_8bit", "load_in_4bit"),
    *("key_mapping", "generation_config", "gguf_file", "tp_plan"),
)
"""Arguments that would have to change something, and cannot."""


def without_ecosystem_options(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are left when those without effect are taken out.

    Raises:
        InputError: one that would need to have an effect, and has none here.
    """
    for name in ONLY_UNSET:
        if options.get(name):
            raise InputError(f"{name}={options[name]!r} is not supported: leave it out.")
    return {name: value for name, value in options.items() if name not in NO_EFFECT and name not in ONLY_UNSET}


def check_options(options: dict[str, Any], config: Any, class_name: str) -> None:
    """Refuse keyword arguments that neither a model nor its configuration has."""
    known = [k for k in vars(config) if not k.startswith("_")]
    known += [*COMMON_KEYS, *config.aliases]
    unknown = [k for k in options if k not in known]
    if unknown:
        like = nearest(unknown[0], known, most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise TypeError(f"{class_name}.from_pretrained() got an unexpected keyword argument {unknown[0]!r}.{hint}")

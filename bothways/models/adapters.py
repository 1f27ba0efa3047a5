"""LoRA on a model, and adapter directories: a few trained matrices in place of a whole model.

A directory has ``adapter_config.json`` and ``adapter_model.safetensors`` in the format of the ecosystem's library for
adapters (peft), and the model's ``config.json``. ``adapter_loading.py`` reads what this module writes.

Source: Hu et al. 2021, section 4.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bothways.checkpoints.key_map import same_values
from bothways.checkpoints.weights_writer import write_file
from bothways.errors import InputError
from bothways.files import replacing, write_json
from bothways.models.adapter_loading import PREFIX, TASK_TYPES, Site, is_below, published_weights
from bothways.models.loading import parse_dtype
from bothways.nn.lora import LoraLinear, check_rank, lora_layers, put_lora
from bothways.resolver.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, HASH_FIELD, WHOLE_MODELS, encoder_named

if TYPE_CHECKING:
    from bothways.models.base import PreTrainedModel


EIGHT_BITS = torch.float8_e4m3fn
SEGMENTS = "token_type_embeddings"
"""The vectors that tell second texts from first ones."""


def add_lora(
    model: PreTrainedModel,
    *,
    r: int = 8,
    alpha: float | None = None,
    dropout: float = 0.0,
    targets: str | Sequence[str] = ("query", "value"),
    modules_to_save: str | Sequence[str] = (),
) -> None:
    """Freeze a model's body, give linear layers of it LoRA, and leave its head trainable.

    The model computes what it did before: B begins with zeros. A is drawn from torch's global generator.

    Args:
        model: any model; of one without a head only LoRA is trained.
        r: rank of the products.
        alpha: they are scaled by ``alpha / r``; by default by 2.
        dropout: of what enters A, while training.
        targets: ends of the paths of layers in the encoder, in the house's names (the same for all families: ``query``,
            ``key``, ``value``, ``attention.output.dense``, ``intermediate.dense``) or in those of published files
            (``q_lin``, ``Wqkv``).
        modules_to_save: ends of the paths of modules that are trained, and saved, as wholes beside the head, in the
            house's names. ``"token_type_embeddings"`` for pairs of texts: two vectors, which an encoder that never saw
            a second text has at random, and for which no product can stand in.

    Raises:
        InputError: an impossible value, names that no layer or module has, or a model that has LoRA already.
    """
    chosen = _chosen(model, [targets] if isinstance(targets, str) else list(targets))
    whole = _named_modules(model, modules_to_save)
    check_rank(model, [path for paths in chosen for path in paths], r)
    alpha = 2.0 * r if alpha is None else alpha
    if not alpha > 0 or alpha == float("inf"):
        raise InputError(f"alpha is {alpha}, expected a number above 0.")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout is {dropout}, expected a number from 0 to below 1.")
    if has := len(list(lora_layers(model))):
        raise InputError(f"{has} layers of this {type(model).__name__} have LoRA already.")
    for paths in chosen:
        put_lora(model, paths, r, alpha=alpha, dropout=dropout)
    _train_only(model, whole)


def begin_lora(model: PreTrainedModel, *, r: int, targets: str | Sequence[str], pairs: bool) -> None:
    """Prepare a model for a run with LoRA: put it on a whole one, or go on with that of an adapter.

    Args:
        model: an adapter is loaded with ``merge=False``; whatever it holds learns, and the head also where it is new.
        r: of an adapter its own.
        targets: of ``add_lora``; an adapter has its own.
        pairs: whether the data has second texts. The vectors that tell them from the first learn then, if there are
            any: of the largest parts of a model tuned on SQuAD an adapter without them keeps an F1 of 0.72, with them
            0.79, as its encoder had only seen single texts.

    Raises:
        InputError: see ``add_lora``; or the adapter's rank is another one.
    """
    known = any(is_below(path, SEGMENTS) for path, _ in model.named_modules())
    whole = (SEGMENTS,) if pairs and known else ()
    ranks = Counter(layer.r for _, layer in lora_layers(model))
    if not ranks:
        add_lora(model, r=r, targets=targets, modules_to_save=whole)
        return
    has = ranks.most_common(1)[0][0]
    if r != has:
        told = f"the rank {has}" if len(ranks) == 1 else f"ranks from {min(ranks)} to {max(ranks)}"
        raise InputError(f"the adapter has {told}, which cannot change: to go on with it, pass {has}.")
    own = [p for p in model.parameters() if p.requires_grad]
    _train_only(model, [*own, *_named_modules(model, whole)])


def _train_only(model: PreTrainedModel, further: Iterable[nn.Parameter]) -> None:
    """LoRA, the head, and these."""
    kept = {id(parameter) for parameter in (*_head(model).values(), *further)}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(id(parameter) in kept or name.endswith((".lora_A", ".lora_B")))


def save_trained_adapter(model: PreTrainedModel, directory: Path, started_from: str, sha256: str | None) -> None:
    """``save_adapter`` for a run that began with a model of this name or path, and hash: an encoder or an adapter."""
    if model.adapter is not None:
        save_adapter(model, directory)
        return
    if Path(started_from).is_dir():
        started_from = str(Path(started_from).absolute())  # it was relative to the working directory
    save_adapter(model, directory, base_name=started_from, base_sha256=sha256)


def save_adapter(
    model: PreTrainedModel,
    directory: str | os.PathLike[str],
    *,
    base_name: str | None = None,
    base_sha256: str | None = None,
    dtype: torch.dtype | str | None = None,
) -> None:
    """Write LoRA, the head and whatever else is trained to a directory that ``from_pretrained`` loads on the encoder.

    Args:
        model: with LoRA.
        directory: created if need be; an earlier adapter in it is replaced.
        base_name: name or path of the encoder, a path relative to ``directory`` or absolute; by default where the model
            was loaded from.
        base_sha256: of the encoder's ``model.safetensors``; by default computed.
        dtype: in which numbers are written; by default that of the model. Half of it is read back as fp32 again, with
            the precision that is left. ``"float8_e4m3fn"`` is for A and B, twice the rank in the same bytes; all else
            is in fp16 then.

    Raises:
        InputError: a model without LoRA or of a merged adapter, a directory that holds a whole model, an encoder that
            is not known, or numbers that ``dtype`` cannot hold.
    """
    target = Path(directory)
    _check_target(target)
    if not any(True for _ in lora_layers(model)):
        raise InputError(f"this {type(model).__name__} has no LoRA: call add_lora first, or save_pretrained.")
    if model.is_merged:
        raise InputError(
            f"this {type(model).__name__} was loaded from the adapter {model.name_or_path}, which is merged into it, "
            "and no encoder is the body of that. Save it whole with save_pretrained; to go on with the adapter itself, "
            "load it with merge=False, which needs no add_lora."
        )
    target.mkdir(parents=True, exist_ok=True)
    if base_name is None or base_sha256 is None:
        base_name, base_sha256 = _encoder_of(model, target, base_name)
    sites = published_weights(model)
    tensors, ranks, alphas = _matrices(model, sites)
    own = _trained(model)
    settings = {
        "peft_type": "LORA",
        "task_type": TASK_TYPES.get(getattr(model, "task", "base")),
        "base_model_name_or_path": base_name,
        "auto_mapping": _mapping(model, base_sha256),
        "inference_mode": True,
        **_scales(ranks, alphas),
        "lora_dropout": next(layer.lora_dropout.p for _, layer in lora_layers(model)),
        "target_modules": _shortest(list(ranks), sites),
        "modules_to_save": _whole_modules(own, sites) or None,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
    }
    model.config.architectures = [type(model).__name__]
    model.config.torch_dtype = str(model.dtype).removeprefix("torch.")
    written = {PREFIX + name: tensor for name, tensor in _in_dtype(tensors, own, dtype).items()}
    with replacing(target / ADAPTER_WEIGHTS) as temporary:
        write_file(temporary, written, {"format": "pt"})
    model.config.save_pretrained(target)
    write_json(target / ADAPTER_CONFIG, settings)


def _chosen(model: PreTrainedModel, targets: Sequence[str]) -> list[tuple[str, ...]]:
    """Paths of the layers with LoRA; those that a published file joins to one matrix, and so share A, side by side."""
    encoder = {
        f"{path}.weight"
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".layer." in path
    }
    chosen, used, known = [], set(), set()
    for theirs, site in published_weights(model).items():
        inside = [name for name in site.ours if name in encoder]
        known |= {_last(name) for name in inside} | ({_last(theirs)} if inside else set())
        hits = {
            t: [n for n in inside if is_below(n, f"{t}.weight") or is_below(theirs, f"{t}.weight")] for t in targets
        }
        used |= {target for target, names in hits.items() if names}
        paths = tuple(n.removesuffix(".weight") for n in inside if any(n in names for names in hits.values()))
        if paths:
            chosen.append(paths)
    unused = [target for target in targets if target not in used]
    if unused or not targets:
        raise InputError(
            f"no linear layer in the encoder of this {type(model).__name__} is called "
            f"{' or '.join(map(repr, unused)) or 'nothing'}. Known: {', '.join(sorted(known))}."
        )
    return chosen


def _named_modules(model: PreTrainedModel, ends: str | Sequence[str]) -> list[nn.Parameter]:
    """The parameters of modules whose paths end so."""
    ends = [ends] if isinstance(ends, str) else ends
    modules = {path: list(module.parameters()) for path, module in model.named_modules()}
    found = {end: [p for path, own in modules.items() if is_below(path, end) for p in own] for end in ends}
    if unknown := [end for end, parameters in found.items() if not parameters]:
        raise InputError(
            f"no module with parameters in this {type(model).__name__} is called {' or '.join(map(repr, unknown))}. "
            f"Known: {', '.join(sorted({path.rpartition('.')[2] for path, own in modules.items() if path and own}))}."
        )
    return [parameter for parameters in found.values() for parameter in parameters]


def _last(name: str) -> str:
    return name.split(".")[-2]


def _head(model: PreTrainedModel) -> dict[str, nn.Parameter]:
    """The parameters that are not of the body. The pooler counts as the head's, which alone reads it."""
    if model.base_model is model:
        return {}
    body = {
        id(parameter)
        for name, child in model.base_model.named_children()
        if name != "pooler"
        for parameter in child.parameters()
    }
    return {name: parameter for name, parameter in model.named_parameters() if id(parameter) not in body}


def _check_target(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; save_adapter needs a directory.")
    whole = [name for name in WHOLE_MODELS if (directory / name).exists()]
    if whole:
        raise InputError(
            f"{directory} holds a whole model ({whole[0]}), which would be loaded: choose another directory."
        )


def _encoder_of(model: PreTrainedModel, directory: Path, name: str | None) -> tuple[str, str | None]:
    """Name and hash of the encoder: as the loaded adapter had them, or of the weights that lie under the name."""
    from bothways.resolver.verify import weights_sha256

    if name is None and model.adapter is not None:
        name, loaded_from = model.adapter.name, Path(model.name_or_path)
        if not _same_place(loaded_from / name, directory / name):
            name = os.path.abspath(loaded_from / name)  # it was relative to the adapter that was loaded
        return name, model.adapter.sha256
    if name is None:
        name = model.name_or_path
        if name and Path(name).is_dir():
            name = str(Path(name).absolute())  # it was relative to the working directory
    if not name:
        raise InputError(f"the encoder of this {type(model).__name__} is not known. Pass base_name=.")
    return name, weights_sha256(encoder_named(name, directory))


def _same_place(first: Path, second: Path) -> bool:
    """Whether a path means the same directory, or none in either case: a name."""
    return first.resolve() == second.resolve() if first.is_dir() else True


def _matrices(
    model: PreTrainedModel, sites: Mapping[str, Site]
) -> tuple[dict[str, Tensor], dict[str, int], dict[str, float]]:
    """A and B under published names; rank and alpha by published path."""
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for theirs, site in sites.items():
        modules: list[Any] = [model.get_submodule(name.rpartition(".")[0]) for name in site.ours]
        layers = [module for module in modules if isinstance(module, LoraLinear)]
        if not layers or not theirs.endswith(".weight"):
            continue
        path, first = theirs.removesuffix(".weight"), layers[0]
        if not all(same_values(layer.lora_A, first.lora_A) and layer.scaling == first.scaling for layer in layers):
            raise InputError(f"{path} is one matrix in published files, but its {len(layers)} parts have an A each.")
        parts = [
            module.lora_B if isinstance(module, LoraLinear) else first.lora_B.new_zeros(module.weight.shape[0], first.r)
            for module in modules
        ]
        tensors[f"{path}.lora_A.weight"] = first.lora_A
        tensors[f"{path}.lora_B.weight"] = torch.cat([part.detach() for part in parts])
        ranks[path], alphas[path] = first.r, first.alpha
    return tensors, ranks, alphas


def _trained(model: PreTrainedModel) -> dict[str, Tensor]:
    """The head and whatever else is trained beside LoRA, under published names."""
    head = {id(parameter) for parameter in _head(model).values()}
    lora = (".lora_A", ".lora_B")
    state = {
        name: parameter.detach()
        for name, parameter in model.named_parameters(
            remove_duplicate=False
        )  # the key map knows which of two is written
        if not name.endswith(lora) and (parameter.requires_grad or id(parameter) in head)
    }
    return model.family.key_map_for(model.config).to_theirs(state)


def _in_dtype(
    matrices: Mapping[str, Tensor], own: Mapping[str, Tensor], dtype: torch.dtype | str | None
) -> dict[str, Tensor]:
    """A, B and all else as they are written."""
    if dtype is None:
        return {**matrices, **own}
    wanted = parse_dtype(dtype)
    if wanted != EIGHT_BITS:
        return {name: _cast(tensor, wanted) for name, tensor in (*matrices.items(), *own.items())}
    whole = {name: _cast(tensor, torch.float16) for name, tensor in own.items()}
    return {name: _cast(tensor, wanted) for name, tensor in _balanced(matrices).items()} | whole


def _balanced(matrices: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same products from rows of A as long as their columns of B: neither is lost below what 8 bits tell from 0."""
    balanced: dict[str, Tensor] = {}
    for name, lora_A in matrices.items():
        if not name.endswith(".lora_A.weight"):
            continue
        other = f"{name.removesuffix('.lora_A.weight')}.lora_B.weight"
        lora_B = matrices[other].detach().float()
        factor = (lora_B.norm(dim=0) / lora_A.detach().float().norm(dim=1)).sqrt()
        factor = torch.where((factor > 0) & factor.isfinite(), factor, 1.0)  # one that never learned has zeros in B
        balanced |= {name: lora_A.detach().float() * factor[:, None], other: lora_B / factor}
    return balanced


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    cast = tensor.detach().to(dtype)
    if not bool(cast.float().isfinite().all()):
        raise InputError(f"values up to {float(tensor.abs().max()):.3g} do not fit into {dtype}. Pass bfloat16.")
    return cast


def _scales(ranks: Mapping[str, int], alphas: Mapping[str, float]) -> dict[str, Any]:
    """The commonest rank and alpha, and the paths of those that differ."""
    r, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "r": r,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "rank_pattern": {path: own for path, own in ranks.items() if own != r},
        "alpha_pattern": {path: own for path, own in alphas.items() if own != alpha},
    }


def _shortest(paths: Sequence[str], sites: Mapping[str, Site]) -> list[str]:
    """Last segments of the paths where these mean no other layer; else the paths."""
    ends = sorted({path.rpartition(".")[2] for path in paths})
    meant = [name for name in sites if any(is_below(name, f"{end}.weight") for end in ends)]
    return ends if len(meant) == len(paths) else list(paths)


def _whole_modules(names: Iterable[str], sites: Mapping[str, Site]) -> list[str]:
    """The largest modules all of whose parameters are among ``names``: what other readers have to copy as a whole."""
    saved, found = set(names), []
    for name in names:
        parts = name.split(".")
        above = [".".join(parts[:i]) for i in range(1, len(parts))]
        whole = [m for m in above if all(n in saved for n in sites if n.startswith(f"{m}."))]
        found += whole[:1]
    return list(dict.fromkeys(found))


def _mapping(model: PreTrainedModel, sha256: str | None) -> dict[str, Any]:
    module = model.family.model_type.replace("-", "_")
    return {
        "base_model_class": type(model).__name__,
        "parent_library": f"transformers.models.{module}.modeling_{module}",
        HASH_FIELD: sha256,
    }

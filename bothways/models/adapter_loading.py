"""Adapter directories read: the encoder's weights with the adapter laid over them, merged or open for more training.

Everything is checked before a product is computed: names, ranks and shapes against the model.

Shapes: I in_features, O out_features, r rank.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bothways.checkpoints.config import CONFIG_NAME, read_config
from bothways.checkpoints.load_report import LoadReport, load_tensors
from bothways.checkpoints.prefix import without_wrappers
from bothways.checkpoints.safetensors_header import shown
from bothways.checkpoints.weights import StoredTensor, Weights, open_safetensors, open_weights
from bothways.errors import CheckpointError
from bothways.models import loading
from bothways.nn.lora import put_lora
from bothways.resolver.adapters import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    adapter_settings,
    check_encoder,
    find_encoder,
    is_adapter,
    recorded_encoder,
)

if TYPE_CHECKING:
    from bothways.models.base import PreTrainedModel

PREFIX = "base_model.model."
TASK_TYPES = {
    "base": "FEATURE_EXTRACTION",
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
}
MAX_RANK = 4_096
MAX_ALPHA = 1e6

_LORA = re.compile(r"(.+)\.lora_([AB])\.weight")
_PLAIN_PATH = re.compile(r"\^?[\w.-]+\$?")
_HEADS = ("classifier.weight", "classifier.out_proj.weight", "score.weight")
_UNSUPPORTED = (
    *("use_dora", "lora_bias", "layer_replication", "trainable_token_indices", "target_parameters"),
    *("alora_invocation_tokens", "arrow_config", "use_qalora", "fan_in_fan_out", "monteclora_config"),
)
"""Settings that change what the matrices mean; they have to be unset."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """One tensor of published files.

    Attributes:
        ours: the parameters that it holds, one below the other.
        shape: of the whole.
    """

    ours: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Product:
    """A (r, I) and B (O, r) of one published matrix, not read yet."""

    lora_A: StoredTensor
    lora_B: StoredTensor
    alpha: float

    @property
    def r(self) -> int:
        return self.lora_A.shape[0]


def is_below(name: str, end: str) -> bool:
    """Whether a dotted path ends with these whole segments."""
    return f".{name}".endswith(f".{end}")


def published_weights(model: PreTrainedModel) -> dict[str, Site]:
    """What this model's published file would hold, tied parameters under both names; LoRA is no part of it."""
    key_map = model.family.key_map
    for tie in key_map.ties:
        key_map = key_map.without_tie(tie.name)
    state = {
        name: torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")  # empty_like there imports sympy, 0.8 s
        for name, tensor in model.state_dict().items()
        if not name.endswith((".lora_A", ".lora_B"))
    }
    theirs = key_map.to_theirs(state)
    return {
        step.theirs[0]: Site(ours=step.ours, shape=tuple(theirs[step.theirs[0]].shape))
        for step in key_map.to_ours(theirs).steps
    }


def model_config(directory: Path, **routes: Any) -> dict[str, Any]:
    """``config.json`` of a model; of an adapter without one that of its encoder, with the adapter's head.

    Args:
        directory: of a model or an adapter.
        **routes: as for ``resolve_model``.
    """
    if not is_adapter(directory) or (directory / CONFIG_NAME).is_file():
        return read_config(directory)
    values = read_config(find_encoder(directory, **_encoder_routes(routes)))
    settings = adapter_settings(directory)
    mapping = settings.get("auto_mapping")
    named = mapping.get("base_model_class") if isinstance(mapping, dict) else None
    head = named if isinstance(named, str) else _class_for(values.get("model_type"), settings.get("task_type"))
    if head is not None:
        values["architectures"] = [head]
    with open_safetensors(directory / ADAPTER_WEIGHTS) as weights:
        sizes = [
            weights.shape(n)[0] for n in weights.names() if any(is_below(n, e) for e in _HEADS) and weights.shape(n)
        ]
    labels = values.get("id2label")
    if sizes and not (isinstance(labels, dict) and len(labels) == sizes[0]):
        values |= {"id2label": {str(i): f"LABEL_{i}" for i in range(min(sizes[0], 1_000_000))}}
        values.pop("label2id", None)
    return values


def find_adapted_encoder(directory: Path, **routes: Any) -> Path | None:
    """The encoder of an adapter, proved by its hash; None if ``directory`` is no adapter.

    Raises:
        CheckpointError: another encoder lies under the recorded name. ModelNotFoundError: none does.
    """
    if not is_adapter(directory):
        return None
    encoder = find_encoder(directory, **_encoder_routes(routes))
    check_encoder(directory, encoder)
    if recorded_encoder(directory).sha256 is None:
        loading.logger.warning(
            "%s does not record the hash of its encoder: that %s is the one it was trained on cannot be checked.",
            directory,
            encoder,
        )
    return encoder


def fill_from_adapter(
    model: PreTrainedModel,
    directory: Path,
    encoder: Path,
    *,
    dtype: torch.dtype | str | None,
    ignore_mismatched_sizes: bool,
    allow_pickle: bool,
    merge: bool,
    source: str,
    base: Weights | None = None,
) -> LoadReport:
    """Give a model on the meta device the encoder's weights and the adapter's.

    Args:
        merge: add the products to the weights: an ordinary model. False keeps them apart, with only the adapter's own
            parameters trainable.
        base: the encoder's weights, where they are not to be read from its directory.

    Raises:
        CheckpointError: settings, names or shapes that do not fit.
    """
    settings = _checked_settings(directory)
    sites = {_without_base(name, model): site for name, site in published_weights(model).items()}
    with (
        open_safetensors(directory / ADAPTER_WEIGHTS) as added,
        open_weights(encoder, allow_pickle=allow_pickle) if base is None else base as encoder_weights,
    ):
        products, own = _parts(added, model, settings)
        _check_products(directory, products, own, sites)
        overlay = _overlay(encoder_weights, model, own, products, merge=merge)
        tensors, report = load_tensors(
            overlay,
            model.family.key_map_for(model.config),
            {name: tensor.shape for name, tensor in model.state_dict().items()},
            base_prefix=model.family.base_prefix,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            source=source,
        )
        loading.fill(model, tensors, loading.parse_dtype(dtype, tensors))
        if not merge:
            _attach(model, products, sites, float(settings["lora_dropout"]))
    if not merge:
        trained = {id(model.get_parameter(name)) for part in own if part in sites for name in sites[part].ours}
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(id(parameter) in trained or name.endswith((".lora_A", ".lora_B")))
    # what the encoder's own head had is no news
    return replace(report, unexpected=tuple(name for name in report.unexpected if name in own))


def _encoder_routes(routes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in routes.items() if key != "revision"}  # that is the adapter's


def _class_for(model_type: Any, task_type: Any) -> str | None:
    from bothways.models.auto import MODEL_CLASSES

    task = next((task for task, name in TASK_TYPES.items() if name == task_type), None)
    cls = MODEL_CLASSES.get((model_type, task)) if isinstance(model_type, str) and task is not None else None
    return None if cls is None else cls.__name__


def _checked_settings(directory: Path) -> dict[str, Any]:
    """The settings that matter here, with defaults.

    Raises:
        CheckpointError: all problems together.
    """
    values = {"r": 8, "lora_alpha": 8, "lora_dropout": 0.0, "bias": "none", **adapter_settings(directory)}
    problems = [f"{name} is {values[name]!r:.60}, which is not supported" for name in _UNSUPPORTED if values.get(name)]
    if values.get("peft_type") != "LORA":
        problems.append(f"peft_type is {values.get('peft_type')!r:.60}, expected 'LORA'")
    if values["bias"] != "none":
        problems.append(f"bias is {values['bias']!r:.60}, expected 'none'")
    if values.get("init_lora_weights") not in (None, True, False, "gaussian", "orthogonal", "eva"):
        problems.append(f"init_lora_weights is {values['init_lora_weights']!r:.60}: the encoder's weights were changed")
    for name in ("rank_pattern", "alpha_pattern"):
        pattern = values[name] = values.get(name) or {}
        if not isinstance(pattern, dict) or not all(_PLAIN_PATH.fullmatch(key) for key in pattern):
            problems.append(f"{name} is {pattern!r:.60}, expected an object of plain paths")
            values[name] = {}
    problems += [p for value in (values["r"], *values["rank_pattern"].values()) if (p := _rank_problem(value))]
    problems += [
        p for value in (values["lora_alpha"], *values["alpha_pattern"].values()) if (p := _alpha_problem(value))
    ]
    p = values["lora_dropout"]
    if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
        problems.append(f"lora_dropout is {p!r:.60}, expected a number from 0 to below 1")
    if problems:
        raise CheckpointError(f"{directory / ADAPTER_CONFIG}: {'; '.join(problems)}.")
    return values


def _rank_problem(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_RANK:
        return None
    return f"r is {value!r:.60}, expected a whole number from 1 to {MAX_RANK:,}"


def _alpha_problem(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= MAX_ALPHA:
        return None
    return f"lora_alpha is {value!r:.60}, expected a number above 0, up to {MAX_ALPHA:,.0f}"


def _parts(
    weights: Weights, model: PreTrainedModel, settings: Mapping[str, Any]
) -> tuple[dict[str, Product], dict[str, StoredTensor]]:
    """The products by path and the other tensors by name, both as published and without the body's prefix."""
    halves: dict[str, dict[str, StoredTensor]] = {}
    own: dict[str, StoredTensor] = {}
    for name in weights.names():
        full = name.removeprefix(PREFIX)
        stored = StoredTensor(shape=weights.shape(name), dtype=weights.dtype(name), read=partial(weights.load, name))
        if match := _LORA.fullmatch(full):
            halves.setdefault(match[1], {})[match[2]] = stored
        elif "lora_" in full:
            raise CheckpointError(f"{weights.source}: {shown(name)} is no matrix of LoRA on a linear layer.")
        else:
            own[_without_base(full, model)] = stored
    products = {}
    for path, pair in halves.items():
        if set(pair) != {"A", "B"}:
            raise CheckpointError(f"{weights.source}: {shown(path)} has lora_{min(pair)} only; A and B are expected.")
        products[_without_base(path, model)] = _product(weights.source, path, pair["A"], pair["B"], settings)
    if not products:
        raise CheckpointError(f"{weights.source} has {len(own)} tensors and no matrices of LoRA (lora_A, lora_B).")
    return products, own


def _product(source: str, path: str, a: StoredTensor, b: StoredTensor, settings: Mapping[str, Any]) -> Product:
    r = _for_path(settings["rank_pattern"], path, settings["r"])
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != r or b.shape[1] != r:
        raise CheckpointError(
            f"{source}: lora_A and lora_B of {shown(path)} are {a.shape} and {b.shape}; with r={r} from "
            f"{ADAPTER_CONFIG}, ({r}, in) and (out, {r}) are expected."
        )
    alpha = float(_for_path(settings["alpha_pattern"], path, settings["lora_alpha"]))
    # rank-stabilised: scaled by alpha / sqrt(r). Source: Kalajdzievski 2023
    return Product(lora_A=a, lora_B=b, alpha=alpha * math.sqrt(r) if settings.get("use_rslora") else alpha)


def _for_path(pattern: Mapping[str, Any], path: str, default: Any) -> Any:
    """The value of the first key that is the end of the path, by whole segments."""
    for key, value in pattern.items():
        plain = key.removeprefix("^").removesuffix("$")
        if path == plain or (is_below(path, plain) and not key.startswith("^")):
            return value
    return default


def _check_products(
    directory: Path, products: Mapping[str, Product], own: Mapping[str, Any], sites: Mapping[str, Site]
) -> None:
    """Raise unless every product has a matrix of its shape in the model."""
    lost = [path for path in products if f"{path}.weight" not in sites]
    if lost:
        raise CheckpointError(
            f"{directory}: {len(lost)} of {len(products)} LoRA matrices belong to no layer of this model, first "
            f"{shown(lost[0])}. Is it an adapter for another architecture, or with more layers?"
        )
    for path, product in products.items():
        rows, columns = product.lora_B.shape[0], product.lora_A.shape[1]
        if sites[f"{path}.weight"].shape != (rows, columns):
            raise CheckpointError(
                f"{directory}: lora_B lora_A of {shown(path)} is {rows}x{columns}, the model's matrix is "
                f"{'x'.join(map(str, sites[f'{path}.weight'].shape))}. Is it an adapter for another encoder?"
            )
        if f"{path}.weight" in own:
            raise CheckpointError(f"{directory}: {shown(path)} has LoRA and a whole weight; one of them is expected.")


def _overlay(
    base: Weights,
    model: PreTrainedModel,
    own: Mapping[str, StoredTensor],
    products: Mapping[str, Product],
    *,
    merge: bool,
) -> Weights:
    """The encoder's tensors with those of the adapter in their place, and products added if asked for."""
    tensors: dict[str, StoredTensor] = {}
    for name, plain in without_wrappers(base.names()).items():
        short = _without_base(plain, model)
        stored = StoredTensor(shape=base.shape(name), dtype=base.dtype(name), read=partial(base.load, name))
        tensors[plain if short in tensors else short] = stored
    lacking = [path for path in products if f"{path}.weight" not in tensors]
    if lacking:
        raise CheckpointError(f"{base.source} has no tensor {shown(lacking[0])}.weight, which the adapter changes.")
    for path, product in products.items() if merge else ():
        stored = tensors[f"{path}.weight"]
        tensors[f"{path}.weight"] = replace(stored, read=partial(_with_product, stored, product))
    return Weights(base.source, {**tensors, **own}, base.metadata, ExitStack())


def _with_product(stored: StoredTensor, product: Product) -> Tensor:
    """W + (alpha / r) B A in fp32 or better, whatever the dtype of the files."""
    weight, lora_A, lora_B = stored.read(), product.lora_A.read(), product.lora_B.read()
    wide = torch.promote_types(weight.dtype, torch.float32)
    return weight.to(wide) + product.alpha / product.r * (lora_B.to(wide) @ lora_A.to(wide))


def _attach(model: PreTrainedModel, products: Mapping[str, Product], sites: Mapping[str, Site], dropout: float) -> None:
    for path, product in products.items():
        paths = tuple(name.removesuffix(".weight") for name in sites[f"{path}.weight"].ours)
        layers = put_lora(model, paths, product.r, alpha=product.alpha, dropout=dropout)
        with torch.no_grad():
            layers[0].lora_A.copy_(product.lora_A.read())
            for layer, part in zip(layers, product.lora_B.read().chunk(len(layers)), strict=True):
                layer.lora_B.copy_(part)


def _without_base(name: str, model: PreTrainedModel) -> str:
    return name.removeprefix(f"{model.family.base_prefix}.")

"""Small names of the ecosystem that programs import and that belong to no part of this library.

Found by their paths there (``bothways.utils``, ``bothways.tokenization_utils_base``), see ``module_paths.py``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from json import dumps
from typing import Any

import torch
from tokenizers import AddedToken as AddedToken
from torch import Tensor, nn

from bothways.checkpoints.config import CONFIG_NAME as CONFIG_NAME
from bothways.engine.optimizers import NORMS
from bothways.nn.activations import ACTIVATIONS
from bothways.tokenizers.base import PreTrainedTokenizerBase
from bothways.trainer.outputs import Choice

ExplicitEnum = Choice
PreTrainedTokenizer = PreTrainedTokenizerBase
"""There the tokenisers in Python; here all are of one kind."""
ALL_LAYERNORM_LAYERS = list(NORMS)
WEIGHTS_NAME, SAFE_WEIGHTS_NAME = "pytorch_model.bin", "model.safetensors"
WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_INDEX_NAME = f"{WEIGHTS_NAME}.index.json", f"{SAFE_WEIGHTS_NAME}.index.json"
PREFIX_CHECKPOINT_DIR = "checkpoint"
_NEVER = (
    *("apex", "flax", "keras_nlp", "tf", "torch_hpu", "torch_mlu", "torch_musa", "torch_npu", "torch_tpu"),
    "torch_xla",
)
"""What some programs ask for and nothing here uses, installed or not."""
_MODULES = {"sklearn": "sklearn", "vision": "PIL"}
"""Where the name in the question is not that of the module."""


class PaddingStrategy(ExplicitEnum):
    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    DO_NOT_PAD = "do_not_pad"


class TruncationStrategy(ExplicitEnum):
    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"
    LONGEST_FIRST = "longest_first"
    DO_NOT_TRUNCATE = "do_not_truncate"


class TensorType(ExplicitEnum):
    PYTORCH = "pt"
    NUMPY = "np"


@dataclass
class InputExample:
    """One example of a classification data set, as old programs build them."""

    guid: str
    text_a: str
    text_b: str | None = None
    label: str | None = None

    def to_json_string(self) -> str:
        return dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True)
class InputFeatures:
    """One encoded example, as old programs build them."""

    input_ids: list[int]
    attention_mask: list[int] | None = None
    token_type_ids: list[int] | None = None
    label: int | float | None = None

    def to_json_string(self) -> str:
        return dumps(asdict(self)) + "\n"


class _Activation(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.function = name, ACTIVATIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.name


class GELUActivation(_Activation):
    """Source: Hendrycks and Gimpel 2016."""

    def __init__(self) -> None:
        super().__init__("gelu")


class NewGELUActivation(_Activation):
    """The same by a tanh, as GPT-2 has it."""

    def __init__(self) -> None:
        super().__init__("gelu_new")


gelu, gelu_new = GELUActivation(), NewGELUActivation()
ACT2FN: dict[str, nn.Module] = {name: _Activation(name) for name in ACTIVATIONS}


def get_activation(activation_string: str) -> nn.Module:
    """The activation of that name as a module.

    Raises:
        KeyError: no such activation.
    """
    if activation_string not in ACT2FN:
        raise KeyError(f"function {activation_string} not found in ACT2FN mapping {sorted(ACT2FN)}")
    return ACT2FN[activation_string]


def get_parameter_names(
    model: nn.Module, forbidden_layer_types: list[type], forbidden_layer_names: Any = None
) -> list[str]:
    """Names of the parameters outside layers of these types: those that weight decay is for, in old programs."""
    names = [
        f"{name}.{inner}"
        for name, child in model.named_children()
        if not isinstance(child, tuple(forbidden_layer_types))
        for inner in get_parameter_names(child, forbidden_layer_types)
    ]
    names += [name for name, _ in model.named_parameters(recurse=False)]
    return [name for name in names if not any(part in name.lower() for part in forbidden_layer_names or ())]


def shift_tokens_right(input_ids: Tensor, pad_token_id: int, decoder_start_token_id: int) -> Tensor:
    """What a decoder reads when it shall write ``input_ids``, int64 (B, L), of which -100 is padding.

    As ``models.bart.modeling_bart`` has it; models do it by themselves when they are given ``labels``.
    """
    moved = input_ids.roll(1, -1)
    moved[:, 0] = decoder_start_token_id
    return moved.masked_fill(moved == -100, pad_token_id)


def is_main_process(local_rank: int) -> bool:
    """Whether this is the first process, or the only one."""
    return local_rank in (-1, 0)


def check_min_version(min_version: str) -> None:
    """Nothing: programs ask for the version of a library that is not this one."""


def send_example_telemetry(example_name: str, *example_args: Any, framework: str = "pytorch") -> None:
    """Nothing: this library tells nobody anything."""


def require_version(requirement: str, hint: str | None = None) -> None:
    """Check that a package is there, such as ``"datasets>=1.8.0"``.

    Raises:
        ImportError: its version is another one. importlib.metadata.PackageNotFoundError: it is not there.
    """
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    further = f"\n{hint}" if hint else ""
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        raise metadata.PackageNotFoundError(
            f"{requirement} is required for a normal functioning of this module, and is not installed.{further}"
        ) from None
    if not wanted.specifier.contains(found, prereleases=True):
        raise ImportError(
            f"{requirement} is required for a normal functioning of this module, but found {wanted.name}=={found}."
            f"{further}"
        )


def is_torch_cuda_available() -> bool:
    """Whether torch finds a CUDA device."""
    return torch.cuda.is_available()


def __getattr__(name: str) -> Callable[..., bool]:
    """``is_datasets_available`` and its like: whether a package is installed."""
    asked = name.removeprefix("is_").removesuffix("_available")
    if name != f"is_{asked}_available" or not asked:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = asked not in _NEVER and importlib.util.find_spec(_MODULES.get(asked, asked)) is not None
    globals()[name] = answer = lambda *args, **kwargs: found
    return answer


__all__ = [
    *("ACT2FN", "ALL_LAYERNORM_LAYERS", "AddedToken", "ExplicitEnum", "InputExample", "InputFeatures"),
    *("PREFIX_CHECKPOINT_DIR", "PaddingStrategy", "PreTrainedTokenizer", "SAFE_WEIGHTS_INDEX_NAME"),
    *("SAFE_WEIGHTS_NAME", "TensorType", "TruncationStrategy", "WEIGHTS_INDEX_NAME", "WEIGHTS_NAME"),
    *("check_min_version", "get_activation", "get_parameter_names", "is_main_process", "is_torch_cuda_available"),
    *("require_version", "send_example_telemetry"),
]

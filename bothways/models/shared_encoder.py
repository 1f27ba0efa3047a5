"""One encoder in memory for any number of models: each keeps its LoRA and its head, and nothing else of its own.

A process has an encoder once for each hash of weights, device and dtype, as long as a model uses it. LoRA is applied
beside the shared products, so that also the form for inference exists once.

A model that is to change gets its own copy first: by ``train()``, ``requires_grad_()``, ``load_state_dict()`` and
``to()``. A write past all of these is noticed, and refused with a sentence when next a model is prepared.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bothways.checkpoints.load_report import LoadReport, load_tensors
from bothways.checkpoints.weights import StoredTensor, Weights, open_weights
from bothways.errors import InputError
from bothways.models import adapter_loading, loading
from bothways.nn.linear import Prepared, PreparedLinear
from bothways.nn.lora import LowRank, PreparedBeside, lora_layers
from bothways.resolver.adapters import recorded_encoder
from bothways.resolver.verify import weights_sha256

if TYPE_CHECKING:
    from bothways.models.base import PreTrainedModel

Key = tuple[str, str, str]
"""Hash of the weights (or the path of those that are no single file), device, dtype."""


def shared_model(
    name_or_path: str | os.PathLike[str],
    *,
    cls: Any = None,
    config: Any = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str | None = None,
    **routes: Any,
) -> Any:
    """Load an adapter, or an encoder itself, on the encoder that all models loaded this way have in common.

    The model answers as one from ``from_pretrained``, in evaluation mode. ``MixedRunner`` computes several of them in
    one batch.

    Args:
        name_or_path: as for ``from_pretrained``.
        cls: class of the model; by default the one that its configuration names.
        config: in place of the directory's.
        device: where the encoder is.
        dtype: of the parameters; fp32 by default, ``"auto"`` for that of the encoder's file.
        **routes: ``revision``, ``token``, ``local_files_only`` and ``cache_dir``, as for ``from_pretrained``.

    Raises:
        ModelNotFoundError, ConfigError, CheckpointError: as ``from_pretrained``.
    """
    from bothways.models.auto import MODEL_CLASSES, AutoConfig, model_class
    from bothways.resolver import resolve_model

    directory = resolve_model(name_or_path, **routes)
    routes.pop("revision", None)
    if config is None:
        config = AutoConfig.from_pretrained(directory, **routes)
    if cls is None:
        named = [known for known in MODEL_CLASSES.values() if known.__name__ in (config.architectures or [])]
        cls = named[0] if named else model_class(config.model_type, "base")
    adapted = adapter_loading.find_adapted_encoder(directory, **routes)
    encoder = SharedEncoder.of(directory if adapted is None else adapted, torch.device(device), dtype)
    config.name_or_path = str(name_or_path)
    with torch.device("meta"):
        model = cls(config)
    if adapted is None:
        model.load_report = encoder.fill(model)
        model.requires_grad_(False)
    else:
        model.load_report = adapter_loading.fill_from_adapter(
            model,
            directory,
            adapted,
            dtype=encoder.dtype,
            ignore_mismatched_sizes=False,
            allow_pickle=False,
            merge=False,
            source=str(name_or_path),
            base=encoder.weights(),
        )
        model.adapter = recorded_encoder(directory)
    if model.load_report.sentence():
        loading.logger.warning(model.load_report.sentence())
    model.to(encoder.device).eval()
    model.base_model._shared = encoder
    return model


class SharedEncoder:
    """The weights of an encoder, and the forms for inference made of them.

    Args:
        source: what to call it in messages.
        tensors: by the names of the file, all on one device and of one dtype.
    """

    def __init__(self, source: str, tensors: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
        self.source = source
        self.device = device
        self.dtype = dtype
        self._tensors = tensors
        self._versions = [tensor._version for tensor in tensors.values()]
        self._storages = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
        self._prepared: dict[Any, PreparedLinear] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, directory: Path, device: torch.device, dtype: torch.dtype | str | None = None) -> SharedEncoder:
        """The encoder of a directory: the one that is in memory, else read from its files."""
        directory = directory.resolve()
        name = weights_sha256(directory) or str(directory)
        with _LOADING:
            key = (name, str(device), "auto" if dtype == "auto" else str(loading.parse_dtype(dtype)))
            known = _ENCODERS.get(key)
            if known is None or known.was_written_to():
                known = _ENCODERS[key] = cls._read(directory, device, dtype)
            return known

    @classmethod
    def _read(cls, directory: Path, device: torch.device, dtype: torch.dtype | str | None) -> SharedEncoder:
        with open_weights(directory) as weights:
            read = {name: weights.load(name) for name in weights.names()}
        chosen = loading.parse_dtype(dtype, read)
        tensors = {n: t.to(device, chosen if t.is_floating_point() else None) for n, t in read.items()}
        return cls(str(directory), tensors, device, chosen)

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a model has weights of its own."""
        return type(None), ()

    def weights(self) -> Weights:
        """The tensors as those of a file that is open."""
        stored = {
            name: StoredTensor(
                shape=tuple(tensor.shape), dtype=tensor.dtype, read=partial(self._tensors.__getitem__, name)
            )
            for name, tensor in self._tensors.items()
        }
        return Weights(self.source, stored, {}, ExitStack())

    def fill(self, model: PreTrainedModel) -> LoadReport:
        """Give a model on the meta device these weights."""
        tensors, report = load_tensors(
            self.weights(),
            model.family.key_map_for(model.config),
            {name: tensor.shape for name, tensor in model.state_dict().items()},
            base_prefix=model.family.base_prefix,
        )
        loading.fill(model, tensors, self.dtype)
        return report

    def owns(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in this memory."""
        return tensor.untyped_storage().data_ptr() in self._storages

    def was_written_to(self) -> bool:
        """Whether a value changed since it was read, as far as torch counts writes (not through ``.data``)."""
        return [tensor._version for tensor in self._tensors.values()] != self._versions

    def prepared(self, layers: Sequence[nn.Linear], dtype: torch.dtype, *, blocks: bool = True) -> Prepared:
        """The form for inference of layers with the same input; see ``TransformerStack.prepare``.

        Raises:
            InputError: something was written to the shared weights.
        """
        shared = self.product(layers, dtype, blocks=blocks)
        if shared is None:
            return PreparedLinear(layers, dtype, blocks=blocks)
        low = LowRank.of(layers, dtype)
        return shared if low is None else PreparedBeside(shared, low)

    def product(self, layers: Sequence[nn.Linear], dtype: torch.dtype, *, blocks: bool = True) -> Prepared | None:
        """The products without LoRA, made once; None if a layer has weights of its own."""
        if self.was_written_to():
            raise InputError(
                f"the weights of {self.source}, which several models share, were changed in place: all of these models "
                "would answer differently. Load them anew, and call train() or requires_grad_() on the one to change "
                "before its parameters are given to an optimizer or edited: then it has a copy of its own."
            )
        parts = [t for layer in layers for t in (layer.weight, layer.bias) if t is not None]
        if not all(self.owns(tensor) for tensor in parts):
            return None
        key = (tuple(tensor.data_ptr() for tensor in parts), dtype, blocks)
        with self._lock:
            if key not in self._prepared:
                self._prepared[key] = PreparedLinear(layers, dtype, blocks=blocks, weight_of=_without_lora)
            return self._prepared[key]

    def release(self, model: PreTrainedModel) -> None:
        """Give a model its own copy of everything shared. Its parameters stay the same objects: optimizers keep them.

        What is trained then is, as after ``from_pretrained(merge=False)``, what the adapter holds; of an encoder all.
        """
        model.base_model._shared = None
        adapted = any(True for _ in lora_layers(model))
        for parameter in list(model.parameters()):
            if self.owns(parameter):
                trained = parameter.requires_grad or not adapted
                own = nn.Parameter(parameter.detach().clone(), requires_grad=trained)
                # not parameter.data = …, which would go on to count its writes together with the shared tensor's
                torch.utils.swap_tensors(parameter, own)
        for stack in model.stacks:
            stack.unprepare()


_ENCODERS: weakref.WeakValueDictionary[Key, SharedEncoder] = weakref.WeakValueDictionary()
_LOADING = threading.Lock()


def _without_lora(layer: nn.Linear) -> Tensor:
    return layer.weight.detach()

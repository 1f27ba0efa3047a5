"""What all models share: configuration, loading, saving, sizes, the form for inference."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bothways.batching import PackedBatch
from bothways.checkpoints.config import PretrainedConfig
from bothways.checkpoints.load_report import LoadReport
from bothways.errors import InputError, ModelNotFoundError
from bothways.families import FAMILIES, Family
from bothways.families.registry import family_of_own
from bothways.models import adapter_loading, loading
from bothways.models.initialising import WithFirstWeights
from bothways.models.inputs import ModelInputs
from bothways.models.parts import WithMasks
from bothways.models.vocabulary import WithVocabulary
from bothways.nn.stack import TransformerStack
from bothways.resolver.adapters import Encoder, recorded_encoder
from bothways.resolver.box import TASK_OF_HEAD, with_nearest

if TYPE_CHECKING:
    from bothways.models.shared_encoder import SharedEncoder

WRITING_HEADS = frozenset({"causal-lm", "seq2seq-lm"})


class PreTrainedModel(WithFirstWeights, WithVocabulary, WithMasks):
    """Base of all models. A subclass names its family and builds its modules in ``__init__``.

    ``named_parameters()`` and ``state_dict()`` have the house's names, which are BERT's: for BERT and RoBERTa with its
    namesakes those of published files. Freezing by ``"embeddings" in name`` or ``"encoder.layer.0." in name`` works for
    all families; what differs is DistilBERT's ``transformer.layer.0.`` and ModernBERT's ``layers.0.``, which are
    ``encoder.layer.0.`` here, and ALBERT's ``encoder.albert_layer_groups.0.albert_layers.0.``, ``encoder.layer.0.0.``
    here. ``load_state_dict`` takes both, ``save_pretrained`` writes the published names, and
    ``torch.save(model.state_dict())`` keeps ours.
    """

    family: ClassVar[Family]
    config_class: ClassVar[type[PretrainedConfig]]
    base_model_prefix: ClassVar[str]
    load_report: LoadReport | None = None
    adapter: Encoder | None = None
    """The encoder of an adapter that was loaded without merging."""
    is_merged: bool = False
    """Whether an adapter was loaded and merged, so that no encoder lies anywhere that is the body of this model."""
    leaves_out: ClassVar[tuple[str, ...]] = ()
    """Published names, or their beginnings, that a file of a larger model has and this class is known to do without."""
    config: Any
    _shared: SharedEncoder | None = None  # a body's
    main_input_name = "input_ids"
    framework = "pt"
    supports_gradient_checkpointing = True

    def __init__(self, config: PretrainedConfig) -> None:
        if not isinstance(config, self.family.config_class):
            raise InputError(
                f"{type(self).__name__} needs a {self.family.config_class.__name__}, got {type(config).__name__}. "
                f"To load weights use {type(self).__name__}.from_pretrained(directory)."
            )
        super().__init__()
        self.register_load_state_dict_pre_hook(_in_our_names)
        self.config = config
        self.name_or_path = config.name_or_path

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls).get("config_class")
        if own is not None and not (hasattr(cls, "family") and issubclass(own, cls.family.config_class)):
            cls.family = family_of_own(own, getattr(cls, "base_model_prefix", ""))  # a class of the user's own
        if "family" in vars(cls):
            cls.config_class = cls.family.config_class if own is None else own
            cls.base_model_prefix = cls.family.base_prefix

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *,
        config: PretrainedConfig | str | os.PathLike[str] | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        ignore_mismatched_sizes: bool = False,
        use_safetensors: bool | None = None,
        output_loading_info: bool = False,
        state_dict: dict[str, Tensor] | None = None,
        device_map: Any = None,
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
        subfolder: str = "",
        merge: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Load a model from a directory or by name, in evaluation mode.

        Args:
            pretrained_model_name_or_path: a directory, a name such as ``minilm-l6``, or a hub id; None with ``config``
                and ``state_dict``. An adapter (LoRA) is loaded on its encoder, whose hash is checked.
            config: a configuration to use in place of the directory's.
            dtype, torch_dtype: of the parameters; fp32 by default, ``"auto"`` for that of the file.
            ignore_mismatched_sizes: initialise parameters whose shape differs, instead of refusing.
            use_safetensors: False also reads a legacy pickle of plain tensors, without running anything in it.
            output_loading_info: return (model, dict of missing, unexpected and mismatched names).
            state_dict: weights to use in place of the directory's.
            device_map: a device to move the model to.
            subfolder: of the directory, in which the model lies.
            merge: of an adapter: add its products to the weights, which gives an ordinary model. False keeps them
                apart, and only what the adapter holds trainable.
            **kwargs: replace fields of the configuration (``num_labels=3``), or go to the class's own constructor.

        Raises:
            ModelNotFoundError, ConfigError, CheckpointError: with what was tried or found.
        """
        from bothways.resolver import resolve_model

        kwargs = loading.without_ecosystem_options(kwargs)
        accepted = inspect.signature(cls.__init__).parameters
        arguments = {name: kwargs.pop(name) for name in list(kwargs) if name in accepted}
        if pretrained_model_name_or_path is None:
            if state_dict is None or not isinstance(config, PretrainedConfig):
                raise InputError("without a name or directory from_pretrained needs config= and state_dict=.")
            directory = Path()
        else:
            routes: dict[str, Any] = {"token": token, "local_files_only": local_files_only, "cache_dir": cache_dir}
            try:
                directory = resolve_model(pretrained_model_name_or_path, revision=revision, **routes) / subfolder
            except ModelNotFoundError as problem:
                raise with_nearest(
                    problem, str(pretrained_model_name_or_path), TASK_OF_HEAD.get(getattr(cls, "task", ""))
                ) from None
            encoder = adapter_loading.find_adapted_encoder(directory, **routes) if state_dict is None else None
        config = cls._config_for(directory, config, kwargs)
        config.name_or_path = str(pretrained_model_name_or_path or "")
        ours = cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        with torch.device("meta") if ours else nullcontext():  # a program's own class may put values into itself
            model = cls(config, **arguments)
        dtype = torch_dtype if dtype is None else dtype
        if state_dict is not None:
            loading.fill(model, dict(state_dict), loading.parse_dtype(dtype, state_dict))
        else:
            options: dict[str, Any] = {
                "dtype": dtype,
                "ignore_mismatched_sizes": ignore_mismatched_sizes,
                "allow_pickle": use_safetensors is False,
                "source": str(pretrained_model_name_or_path),
            }
            if encoder is None:
                model.load_report = loading.fill_from_directory(model, directory, **options)
            else:
                model.load_report = adapter_loading.fill_from_adapter(model, directory, encoder, merge=merge, **options)
                model.adapter, model.is_merged = None if merge else recorded_encoder(directory), merge
            if model.load_report.sentence():
                loading.logger.warning(model.load_report.sentence())
        model.eval()
        if device_map is not None and device_map != "auto":
            model.to(device_map if isinstance(device_map, (str, int, torch.device)) else device_map[""])
        if output_loading_info:
            return model, (model.load_report or LoadReport(source="")).loading_info()
        return model

    @classmethod
    def from_config(
        cls,
        config: PretrainedConfig,
        *,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool | None = None,
    ) -> Any:
        """A model with random weights, fp32 by default. The last two arguments have no effect."""
        return cls(config).to(loading.parse_dtype(torch_dtype if dtype is None else dtype))

    @classmethod
    def _config_for(cls, directory: Path, config: Any, options: dict[str, Any]) -> PretrainedConfig:
        if isinstance(config, PretrainedConfig):
            loading.check_options(options, config, cls.__name__)
            for name, value in options.items():
                setattr(config, name, value)
            return config
        values = adapter_loading.model_config(directory if config is None else Path(config))
        loading.check_options(options, cls.config_class(), cls.__name__)
        found = values.get("model_type", cls.family.model_type)
        if found != cls.family.model_type:
            raise InputError(
                f"{directory} holds a model of type {found!r}, {cls.__name__} reads {cls.family.model_type!r}. "
                "AutoModel picks the class that fits."
            )
        return cls.config_class.from_dict(values, **options)

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        max_shard_size: int | str = "5GB",
        state_dict: dict[str, Tensor] | None = None,
        safe_serialization: bool = True,
        is_main_process: bool = True,
        push_to_hub: bool = False,
        token: str | bool | None = None,
        variant: str | None = None,
        save_peft_format: bool = True,
        save_function: Callable[..., Any] | None = None,
    ) -> None:
        """Write a directory that this library and the reference library load.

        Args:
            max_shard_size: largest file, in bytes or as ``"200MB"``.
            state_dict: weights to write in place of the model's, for example averaged ones.
            is_main_process: False writes nothing.
            safe_serialization, push_to_hub, token, variant, save_peft_format: of the ecosystem; only their defaults
                are possible.
            save_function: of the ecosystem, without effect: files are written under another name and renamed.

        Raises:
            InputError: a pickle, an upload or a variant was asked for.
        """
        if not safe_serialization or push_to_hub or variant:
            raise InputError("only safetensors are written, into a local directory: drop the other request.")
        if is_main_process:
            loading.save(self, save_directory, max_shard_size=max_shard_size, state_dict=state_dict)

    def packed(
        self,
        input_ids: Tensor | PackedBatch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> ModelInputs:
        """The arguments of ``forward`` in packed form; see ``ModelInputs.with_positions``."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        return ModelInputs.with_positions(self.family, self.config, *given)

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        tokenizer: Any = None,
        pooling: str | None = None,
        normalize: bool | None = None,
        max_length: int | None = None,
        long_input: str = "window",
    ) -> np.ndarray:
        """Vectors of texts, for search and comparison: float32 (n, hidden_size), or (hidden_size,) for one text.

        Args:
            texts: a text or a list of texts.
            tokenizer: of this model; by default the one in its directory.
            pooling: ``"mean"`` over tokens, ``"cls"`` (first token) or ``"max"``; None takes what the directory says
                (``1_Pooling``), else the mean.
            normalize: whether vectors get length 1; None takes what the directory says, else False.
            max_length: longest window in tokens; by default what the model reads.
            long_input: for longer texts ``"window"`` (the mean over windows, by tokens), ``"truncate"`` or ``"error"``.

        Raises:
            InputError: an unknown pooling, a text that is too long under ``"error"``, no tokeniser to be found.
        """
        from bothways.models.embedding import embed_texts

        return embed_texts(
            self,
            texts,
            tokenizer=tokenizer,
            pooling=pooling,
            normalize=normalize,
            max_length=max_length,
            long_input=long_input,
        )

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Keep only the input of each layer for the backward pass, compute the rest again: less memory, more time."""
        for stack in self.stacks:
            stack.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations again."""
        for stack in self.stacks:
            stack.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        return any(stack.gradient_checkpointing for stack in self.stacks)

    @property
    def stacks(self) -> list[TransformerStack]:
        """The stacks of blocks: an encoder, a decoder, or both. Empty in a model of the user's own without a body."""
        own = self.base_model._modules
        return [own[name] for name in ("encoder", "decoder") if isinstance(own.get(name), TransformerStack)]

    def can_generate(self) -> bool:
        """Whether the model writes text."""
        return False

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Only models with a head that writes can do this.

        Raises:
            InputError: says which can.
        """
        born = [f for f in FAMILIES.values() if not WRITING_HEADS.isdisjoint(f.heads) and not f.reads_both_ways]
        writers = sorted(f.model_type for f in born)
        raise InputError(
            f"{type(self).__name__} ({self.config.model_type}) does not write text. Models that do: "
            f"{', '.join(writers)}, loaded with AutoModelForCausalLM or AutoModelForSeq2SeqLM."
        )

    def get_memory_footprint(self) -> int:
        """Bytes of parameters and buffers."""
        return sum(t.numel() * t.element_size() for t in (*self.parameters(), *self.buffers()))

    @property
    def base_model(self) -> Any:
        return getattr(self, self.family.base_prefix, self)

    @property
    def shared_encoder(self) -> SharedEncoder | None:
        """What this model has in common with others in memory (``shared_model``), until it is to change."""
        return getattr(self.base_model, "_shared", None)  # a body may be a module of the user's own

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """The number of parameters; tied ones count once."""
        left_out = set()
        if exclude_embeddings:
            left_out = {id(m.weight) for m in self.modules() if isinstance(m, nn.Embedding)}
        chosen = [p for p in self.parameters() if id(p) not in left_out and (p.requires_grad or not only_trainable)]
        return sum(p.numel() for p in chosen)

    def prepare_for_inference(self, dtype: torch.dtype | str | None = None) -> Any:
        """Take, once, the form that predicts fastest: joined projections, in ``dtype``, blocked for this CPU.

        Parameters stay as they are; ``train()`` and loading weights undo it.

        Args:
            dtype: in which the blocks compute; by default that of the parameters.
        """
        self.eval()
        own: dict[str, Any] = {} if self.shared_encoder is None else {"make": self.shared_encoder.prepared}
        for stack in self.stacks:
            stack.prepare(self.dtype if dtype is None else loading.parse_dtype(dtype), **own)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        if requires_grad:
            self._leave_shared()
        return super().requires_grad_(requires_grad)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self._leave_shared()
        return super()._apply(fn, recurse)

    def _leave_shared(self) -> None:
        """Have weights of its own, if they are shared: they are about to change."""
        if self.shared_encoder is not None:
            self.shared_encoder.release(self)

    def train(self, mode: bool = True) -> Any:
        if mode:
            self._leave_shared()
        for stack in self.stacks if mode else ():
            stack.unprepare()
        return super().train(mode)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """As in torch; names of published files (``LayerNorm.gamma``) are accepted too."""
        self._leave_shared()
        for stack in self.stacks:
            stack.unprepare()
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _in_our_names(model: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename what is meant for a model, wherever in a program's own module it stands, before torch hands it on."""
    own = {name: state_dict.pop(name) for name in list(state_dict) if name.startswith(prefix)}
    plain = {name.removeprefix(prefix): value for name, value in own.items()}
    state_dict |= {prefix + name: value for name, value in loading.in_our_names(model, plain).items()}

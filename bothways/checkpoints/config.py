"""Configurations: the ecosystem's names and defaults, read as data and checked before anything is built.

A family declares only its own fields, with defaults, as annotated class attributes.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any, ClassVar

from bothways.errors import ConfigError, nearest
from bothways.files import read_json, write_json, write_text

CONFIG_NAME = "config.json"

MAX_SIZE = {
    "vocab_size": 2_000_000,
    "hidden_size": 32_768,
    "num_hidden_layers": 512,
    "num_attention_heads": 1_024,
    "intermediate_size": 262_144,
    "max_position_embeddings": 1_048_576,
    "type_vocab_size": 4_096,
}
"""The largest value of each size that is still a model; anything above is damage or an attack."""

MAX_PARAMETERS = 100_000_000_000

COMMON_DEFAULTS: dict[str, Any] = {
    "architectures": None,
    "problem_type": None,
    "output_hidden_states": False,
    "output_attentions": False,
    "return_dict": True,
    "torch_dtype": None,
    "tie_word_embeddings": True,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "task_specific_params": None,
    "finetuning_task": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "sep_token_id": None,
}


WITHOUT_A_VALUE: dict[str, Any] = {
    "max_length": 20,
    "min_length": 0,
    "do_sample": False,
    "early_stopping": False,
    "num_beams": 1,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "num_return_sequences": 1,
    "encoder_no_repeat_ngram_size": 0,
    "output_scores": False,
    "return_dict_in_generate": False,
    "remove_invalid_values": False,
    "exponential_decay_length_penalty": None,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "decoder_start_token_id": None,
    "pad_token_id": None,
    "prefix": None,
    "chunk_size_feed_forward": 0,
    "torchscript": False,
    "tie_encoder_decoder": False,
    "tokenizer_class": None,
    "cross_attention_hidden_size": None,
    "transformers_version": None,
}
"""What programs read of every configuration of version 4, and what it says until somebody sets it.

It stands in no file; a setting of generation that was set here is one of ``generate`` (``WritingModel``).
"""

COMMON_KEYS = {*COMMON_DEFAULTS, *WITHOUT_A_VALUE, "num_labels", "id2label", "label2id", "dtype"}


class PretrainedConfig:
    """Settings of a model, as attributes. Unknown keys of a file are kept as data and written again.

    Args:
        *args: values of the family's own fields, in their order.
        **kwargs: any field by name; ``num_labels``, ``id2label`` and ``label2id`` name the classes.

    Raises:
        ConfigError: an impossible or unbounded value; all problems are named together.
    """

    model_type: ClassVar[str] = ""
    aliases: ClassVar[dict[str, str]] = {}
    heads_divide_hidden_size: ClassVar[bool] = True
    """Whether the heads share the hidden size among them; otherwise a head has a size of its own."""
    further_sizes: ClassVar[dict[str, str]] = {}
    """Sizes besides those of ``MAX_SIZE``, and which of those each is bounded like: ``decoder_layers``."""
    default_num_labels: ClassVar[int] = 2
    name_or_path: str = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own = self.own_fields()
        if len(args) > len(own):
            raise ConfigError(f"{type(self).__name__} has {len(own)} fields, got {len(args)} positional values.")
        values = {**COMMON_DEFAULTS, **own, **dict(zip(own, args, strict=False))}
        num_labels, id2label = kwargs.pop("num_labels", None), kwargs.pop("id2label", None)
        label2id = kwargs.pop("label2id", None)
        kwargs.setdefault("torch_dtype", kwargs.pop("dtype", None))
        values |= {self.aliases.get(key, key): value for key, value in kwargs.items()}
        for key, value in values.items():
            known = vars(PretrainedConfig).get(key)
            if key not in own and known is not None and key not in _TOLD and not isinstance(known, property):
                raise ConfigError(
                    f"{key!r} is {value!r:.60}, but no field has that name: leave it out of {CONFIG_NAME}."
                )
            if not isinstance(getattr(type(self), key, None), property):  # what follows from other fields is not set
                setattr(self, key, copy.deepcopy(value))
        self._set_labels(num_labels, id2label, label2id)
        self.validate()

    @classmethod
    def own_fields(cls) -> dict[str, Any]:
        """The family's fields and their defaults, in order."""
        declared: dict[str, Any] = {}
        for owner in reversed(cls.__mro__):
            if issubclass(owner, PretrainedConfig) and owner is not PretrainedConfig:
                declared |= owner.__annotations__
        return {name: getattr(cls, name) for name, kind in declared.items() if not str(kind).startswith("ClassVar")}

    def __getattr__(self, name: str) -> Any:
        """A field under its other name, or one that has no value. Called only when there is no such attribute."""
        if name in type(self).aliases:
            return getattr(self, type(self).aliases[name])
        if name in WITHOUT_A_VALUE:
            return WITHOUT_A_VALUE[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(type(self).aliases.get(name, name), value)

    @property
    def _name_or_path(self) -> str:
        """The older name, which programs read."""
        return self.name_or_path

    @property
    def num_labels(self) -> int:
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self._set_labels(count, None, None)

    @property
    def first_position(self) -> int:
        """The row of the position table that the first token of a sequence takes."""
        return 0

    @property
    def longest_sequence(self) -> int | None:
        """Tokens of the longest sequence that the model reads; None if nothing limits it."""
        rows = getattr(self, "max_position_embeddings", None)
        return None if rows is None else rows - self.first_position

    @property
    def use_return_dict(self) -> bool:
        """Whether models return outputs with names; tuples otherwise."""
        return self.return_dict and not self.torchscript

    def validate(self) -> None:
        """Check sizes and that they fit together; families may add to it."""
        sizes = {**{name: name for name in MAX_SIZE}, **self.further_sizes}
        problems = [_size_problem(self, name, like) for name, like in sizes.items()]
        found = [p for p in problems if p]
        if not found:
            found = self._relations()
        if found:
            raise ConfigError("; ".join(found) + ".")

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values, under the ecosystem's names."""
        values = {k: copy.deepcopy(v) for k, v in vars(self).items() if not k.startswith("_") and k != "name_or_path"}
        values["model_type"] = self.model_type
        values["id2label"] = {str(i): name for i, name in self.id2label.items()}
        values["torch_dtype"] = None if self.torch_dtype is None else str(self.torch_dtype).removeprefix("torch.")
        return values

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write ``config.json`` into the directory. Fields at their default that say nothing are left out."""
        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        values = self.to_dict()
        if self.id2label == default_labels(2) and self.default_num_labels == 2:
            del values["id2label"], values["label2id"]
        own = self.own_fields()  # always written: None may differ from the family's default
        silent = {key for key, default in COMMON_DEFAULTS.items() if key not in own and values[key] == default}
        write_json(directory / CONFIG_NAME, {k: v for k, v in sorted(values.items()) if k not in silent})

    def to_diff_dict(self) -> dict[str, Any]:
        """What differs from a configuration with all defaults, and the family's name."""
        default = type(self)().to_dict()
        values = self.to_dict()
        return {k: v for k, v in values.items() if k == "model_type" or k not in default or v != default[k]}

    def to_json_string(self, use_diff: bool = True) -> str:
        """``to_diff_dict`` or ``to_dict`` as JSON text."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write ``to_json_string`` to a file."""
        write_text(json_file_path, self.to_json_string(use_diff))

    def update(self, config_dict: dict[str, Any]) -> None:
        """Set several attributes."""
        for name, value in config_dict.items():
            setattr(self, name, value)

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> PretrainedConfig:
        """Read a configuration file by its path."""
        return cls.from_dict(read_json(json_file, error=ConfigError))

    @classmethod
    def from_dict(cls, values: dict[str, Any], **overrides: Any) -> PretrainedConfig:
        """Build from JSON values. Keys that begin with an underscore, and keys that name code, are dropped."""
        safe = {k: v for k, v in values.items() if not k.startswith("_") and k not in _NAMES_CODE}
        if "num_labels" in overrides and "id2label" not in overrides and "id2label" in safe:
            if len(safe["id2label"]) != overrides["num_labels"]:
                safe.pop("id2label"), safe.pop("label2id", None)
        elif "id2label" in overrides or "label2id" in overrides:
            safe.pop("id2label", None), safe.pop("label2id", None)
        return cls(**{**safe, **overrides})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Read ``config.json`` of a model, or that file. Keyword arguments replace its values.

        With ``return_unused_kwargs=True`` the arguments that are no fields come back: (config, dict).
        """
        from bothways.resolver import resolve_model

        routes = {k: kwargs.pop(k) for k in ("revision", "token", "local_files_only", "cache_dir") if k in kwargs}
        unused = kwargs.pop("return_unused_kwargs", False)
        path = Path(pretrained_model_name_or_path)
        values = (
            read_json(path, error=ConfigError)
            if path.is_file()
            else read_config(resolve_model(pretrained_model_name_or_path, **routes))
        )
        fields = {*COMMON_KEYS, *cls.own_fields(), *cls.aliases}
        known = {k: v for k, v in kwargs.items() if not unused or k in fields}
        config = cls.from_dict(values, **known)
        config.name_or_path = str(pretrained_model_name_or_path)
        return (config, {k: v for k, v in kwargs.items() if k not in known}) if unused else config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PretrainedConfig) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"

    def _relations(self) -> list[str]:
        hidden, heads = getattr(self, "hidden_size", None), getattr(self, "num_attention_heads", None)
        found = []
        if self.heads_divide_hidden_size and hidden and heads and hidden % heads:
            found.append(f"hidden_size ({hidden}) must be divisible by num_attention_heads ({heads})")
        for name in [n for n in self.own_fields() if n.endswith(("_prob", "dropout"))]:
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 <= value < 1):
                found.append(f"{name} is {value!r}, expected a number from 0 to below 1")
        eps = getattr(self, "layer_norm_eps", 1e-12)
        if not (_is_number(eps) and 0 < eps < 1):
            found.append(f"layer_norm_eps is {eps!r}, expected a small positive number")
        parameters = _estimate_parameters(self)
        if parameters > MAX_PARAMETERS:
            found.append(
                f"the sizes ask for about {parameters:,} parameters ({parameters * 4 / 1e12:,.1f} TB in fp32); "
                f"models up to {MAX_PARAMETERS:,} are loaded"
            )
        return found

    def _set_labels(self, num_labels: int | None, id2label: Any, label2id: Any) -> None:
        if id2label is not None:
            if not isinstance(id2label, dict):
                if not isinstance(id2label, (list, tuple)):
                    raise ConfigError(
                        f"id2label is {id2label!r:.60}; expected an object of number and label, or a list."
                    )
                id2label = dict(enumerate(id2label))
            self.id2label = {_label_id(key): str(name) for key, name in id2label.items()}
            if sorted(self.id2label) != list(range(len(self.id2label))):
                raise ConfigError(f"id2label must number the labels from 0 without gaps, got {sorted(self.id2label)}.")
            if num_labels is not None and num_labels != len(self.id2label):
                raise ConfigError(f"num_labels is {num_labels} but id2label names {len(self.id2label)} labels.")
        elif label2id is not None and not isinstance(label2id, dict):
            raise ConfigError(f"label2id is {label2id!r:.60}; expected an object of label and number.")
        elif label2id is not None and (num_labels is None or num_labels == len(label2id)):
            self.id2label = {_label_id(i): str(name) for name, i in sorted(label2id.items(), key=lambda p: int(p[1]))}
        else:
            count = self.default_num_labels if num_labels is None else num_labels
            if not isinstance(count, int) or not 1 <= count <= 1_000_000:
                raise ConfigError(f"num_labels is {count!r}, expected a number from 1 to 1,000,000.")
            self.id2label = default_labels(count)
        self.label2id = {name: i for i, name in self.id2label.items()}


def default_labels(count: int) -> dict[int, str]:
    return {i: f"LABEL_{i}" for i in range(count)}


def read_config(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON object in a model directory's ``config.json``.

    Raises:
        ConfigError: no such file, not JSON, not an object.
    """
    path = Path(directory) / CONFIG_NAME
    if not path.is_file():
        raise ConfigError(
            f"{directory} has no {CONFIG_NAME}: it is not a model directory. "
            f"It holds: {', '.join(sorted(p.name for p in Path(directory).iterdir())[:8]) or 'nothing'}."
        )
    values = read_json(path, error=ConfigError)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}, expected an object with the model's settings.")
    return values


def unknown_model_type(model_type: Any, known: list[str]) -> ConfigError:
    """The error for an architecture that the library does not have."""
    like = nearest(str(model_type), known)
    hint = f" Did you mean {like[0]!r}?" if like else ""
    return ConfigError(f"model_type is {model_type!r}. Known architectures: {', '.join(known)}.{hint}")


_NAMES_CODE = frozenset(
    {"auto_map", "custom_pipelines", "trust_remote_code", "attn_implementation", "model_type", "transformers_version"}
)


_TOLD = ("model_type", "name_or_path")
"""What a configuration says of itself and a file may repeat. A field with the name of a method would take its place."""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _label_id(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{value!r} is not the number of a label.") from None


def _size_problem(config: PretrainedConfig, name: str, like: str) -> str | None:
    value = getattr(config, name, None)
    if value is None:
        return None
    least, most = 0 if like in ("num_hidden_layers", "type_vocab_size") else 1, MAX_SIZE[like]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        return f"{name} is {value!r}, expected a whole number from {least} to {most:,}"
    return None


def _estimate_parameters(config: PretrainedConfig) -> int:
    def size(name: str) -> int:
        return getattr(config, name, None) or 0

    def largest(kind: str) -> int:
        return max(size(name) for name in (kind, *(own for own, like in config.further_sizes.items() if like == kind)))

    hidden = size("hidden_size")
    layers = size("num_hidden_layers") + size("decoder_layers") + size("num_decoder_layers")
    rows = size("vocab_size") + size("max_position_embeddings") + size("type_vocab_size") + config.num_labels
    return hidden * rows + layers * (4 * hidden * hidden + 2 * hidden * largest("intermediate_size"))

"""Settings of generation: the ecosystem's names, defaults and file, and one of our own, ``seed``."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bothways.errors import ConfigError, InputError, ModelNotFoundError
from bothways.files import read_json, write_text
from bothways.generation.settings import DEFAULTS, EXTRA_OUTPUT_FLAGS, NONE_MEANS_DEFAULT
from bothways.generation.settings_checks import idle_settings, problems_of

GENERATION_CONFIG_NAME = "generation_config.json"

_METADATA = ("transformers_version", "_from_model_config", "_commit_hash", "_original_object_hash")


class GenerationMode(str, Enum):
    """Ways to write, under the ecosystem's names."""

    CONTRASTIVE_SEARCH = "contrastive_search"
    GREEDY_SEARCH = "greedy_search"
    SAMPLE = "sample"
    ASSISTED_GENERATION = "assisted_generation"
    BEAM_SEARCH = "beam_search"
    BEAM_SAMPLE = "beam_sample"
    CONSTRAINED_BEAM_SEARCH = "constrained_beam_search"
    GROUP_BEAM_SEARCH = "group_beam_search"


class GenerationConfig:
    """How ``generate`` writes, as attributes. Unknown keys are kept as data and written again.

    Args:
        **kwargs: any setting of ``DEFAULTS`` by name; ``seed`` makes draws repeatable, one number, or one for each
            prompt, and what a prompt gets does not depend on the others.

    Raises:
        InputError: an impossible value, or values that exclude each other; all problems are named together.
    """

    def __init__(self, **kwargs: Any) -> None:
        self._from_model_config = bool(kwargs.pop("_from_model_config", False))
        for name, default in DEFAULTS.items():
            value = kwargs.pop(name, default)
            setattr(self, name, copy.copy(default) if value is None and name in NONE_MEANS_DEFAULT else value)
        if not self._from_model_config:
            for name, value in kwargs.items():
                if name in vars(type(self)):
                    raise InputError(f"{name!r} is {value!r:.60}, but no setting has that name: leave it out.")
                if name not in _METADATA:
                    setattr(self, name, value)
        self.validate()

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        """Called only when there is no attribute of that name."""
        raise AttributeError(f"{type(self).__name__} has no setting {name!r}")

    def validate(self, strict: bool = False) -> None:
        """Check every value, and that they fit together.

        Args:
            strict: refuse settings that do nothing, too.

        Raises:
            InputError: naming all problems.
        """
        found = problems_of(self)
        idle = idle_settings(self) if strict and not found else None
        if idle:
            found.append(idle)
        if found:
            raise InputError(" ".join(found))

    def update(self, **kwargs: Any) -> dict[str, Any]:
        """Set those of the values that are settings here, all or, where one is impossible, none.

        Returns:
            The others.
        """
        known = {k: v for k, v in kwargs.items() if k in vars(self)}
        tried = copy.copy(self)
        for name, value in known.items():
            value = DEFAULTS[name] if value is None and name in NONE_MEANS_DEFAULT else value
            setattr(tried, name, value)
        tried.validate()
        vars(self).update(vars(tried))
        return {k: v for k, v in kwargs.items() if k not in known}

    def get_generation_mode(self, assistant_model: Any = None) -> GenerationMode:
        """The way to write that follows from the settings."""
        if self.constraints is not None or self.force_words_ids is not None:
            return GenerationMode.CONSTRAINED_BEAM_SEARCH
        if self.num_beams > 1:
            if self.num_beam_groups > 1:
                return GenerationMode.GROUP_BEAM_SEARCH
            return GenerationMode.BEAM_SAMPLE if self.do_sample else GenerationMode.BEAM_SEARCH
        if not self.do_sample and (self.penalty_alpha or 0) > 0 and (self.top_k or 0) > 1:
            return GenerationMode.CONTRASTIVE_SEARCH
        if assistant_model is not None or self.prompt_lookup_num_tokens is not None:
            return GenerationMode.ASSISTED_GENERATION
        return GenerationMode.SAMPLE if self.do_sample else GenerationMode.GREEDY_SEARCH

    def to_dict(self) -> dict[str, Any]:
        """All settings."""
        return {k: copy.deepcopy(v) for k, v in vars(self).items() if not k.startswith("_")}

    @property
    def from_model(self) -> bool:
        """Whether these are the settings of a model's configuration, and not somebody's choice besides."""
        return self._from_model_config

    def to_diff_dict(self) -> dict[str, Any]:
        """The settings that differ from the defaults."""
        return {k: v for k, v in self.to_dict().items() if k not in DEFAULTS or v != DEFAULTS[k]}

    def to_json_string(self, use_diff: bool = True, ignore_metadata: bool = False) -> str:
        """``to_diff_dict`` or ``to_dict`` as JSON text; and, without ``ignore_metadata``, whether it is ``from_model``.

        Raises:
            InputError: a value that JSON has not, as objects in ``constraints`` or infinite numbers.
        """
        values = self.to_diff_dict() if use_diff else self.to_dict()
        if self.from_model and not ignore_metadata:
            values["_from_model_config"] = True
        if isinstance(values.get("sequence_bias"), dict):  # keys of JSON are texts
            values["sequence_bias"] = [[list(ids), bias] for ids, bias in values["sequence_bias"].items()]
        try:
            return json.dumps(values, indent=2, sort_keys=True, allow_nan=False) + "\n"
        except (TypeError, ValueError) as problem:
            raise InputError(
                f"these settings cannot be written as JSON: {problem}. Reset what is no plain data."
            ) from None

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write ``to_json_string`` to a file."""
        write_text(json_file_path, self.to_json_string(use_diff))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], config_file_name: str | None = None, **kwargs: Any
    ) -> None:
        """Write ``generation_config.json``, the settings that differ from the defaults, into a directory.

        ``kwargs`` are accepted for compatibility; nothing is sent anywhere.
        """
        if kwargs.get("push_to_hub"):
            raise InputError("push_to_hub=True: this library sends nothing. Save, and upload the directory yourself.")
        self.validate()
        directory = Path(save_directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.to_json_file(directory / (config_file_name or GENERATION_CONFIG_NAME))

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name: str | os.PathLike[str], config_file_name: str | None = None, **kwargs: Any
    ) -> Any:
        """Read ``generation_config.json`` of a model, or that file. Keyword arguments replace its values.

        With ``return_unused_kwargs=True`` the arguments that are no settings come back: (config, dict).

        Raises:
            ModelNotFoundError: no such model, or it has no such file.
            ConfigError: the file is not a JSON object.
            InputError: it holds impossible settings.
        """
        routes = ("revision", "token", "local_files_only", "cache_dir")
        given = {name: kwargs.pop(name) for name in routes if name in kwargs}
        for name in ("force_download", "resume_download", "proxies", "subfolder", "trust_remote_code"):
            kwargs.pop(name, None)
        path = _find(Path(pretrained_model_name), config_file_name or GENERATION_CONFIG_NAME, given)
        values = read_json(path, error=ConfigError)
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds a {type(values).__name__}, expected an object with settings.")
        return cls.from_dict(values, **kwargs)

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Build from values; keyword arguments replace them.

        With ``return_unused_kwargs=True`` the arguments that are no settings come back: (config, dict).
        """
        wants_unused = kwargs.pop("return_unused_kwargs", False)
        known = {k: v for k, v in kwargs.items() if not wants_unused or k in DEFAULTS or k in config_dict}
        config = cls(**{**config_dict, **known})
        return (config, {k: v for k, v in kwargs.items() if k not in known}) if wants_unused else config

    @classmethod
    def from_model_config(cls, model_config: Any) -> GenerationConfig:
        """The settings that older models have in their ``config.json``.

        Args:
            model_config: a ``PretrainedConfig``.
        """
        values = {k: v for k, v in model_config.to_dict().items() if v is not None and k in DEFAULTS}
        config = cls(**values, _from_model_config=True)
        if any(getattr(config, name) for name in EXTRA_OUTPUT_FLAGS):
            config.return_dict_in_generate = True
        return config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.to_diff_dict().items())
        return f"{type(self).__name__}({settings})"


def _find(path: Path, name: str, routes: dict[str, Any]) -> Path:
    """The file with the settings: ``path`` itself, in that directory, or in the model of that name."""
    from bothways.resolver import resolve_model

    if path.is_file():
        return path
    if (path / name).is_file():
        return path / name
    directory = resolve_model(path, **routes)
    if not (directory / name).is_file():
        raise ModelNotFoundError(
            f"{directory} has no {name}. The settings of older models are in config.json: "
            "GenerationConfig.from_model_config(AutoConfig.from_pretrained(...)) reads them."
        )
    return directory / name

"""What models that write have besides ``forward``: their generation settings, and the form in which they write fast."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from bothways.checkpoints.config import WITHOUT_A_VALUE
from bothways.generation.configuration import GENERATION_CONFIG_NAME, GenerationConfig
from bothways.generation.generate import GenerationMixin
from bothways.generation.settings import DEFAULTS
from bothways.nn.linear import PreparedLinear, is_plain
from bothways.nn.stack import MOST_IN_BLOCKS


class WritingModel(GenerationMixin):
    """Mixed into a ``PreTrainedModel`` before its other bases."""

    base_model: Any
    config: Any
    training: bool
    _generation_config: GenerationConfig | None = None
    _from_config: tuple[GenerationConfig | None, GenerationConfig | None] = (None, None)
    """The settings that came from the configuration, and what it said then."""
    _prepared_head: tuple[tuple[int, int], PreparedLinear] | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As for every model; ``generation_config.json`` is read where there is one."""
        from bothways.resolver import resolve_model

        generation = kwargs.pop("generation_config", None)
        routes = {k: kwargs[k] for k in ("revision", "token", "local_files_only", "cache_dir") if k in kwargs}
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)  # type: ignore[misc]
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if generation is None and pretrained_model_name_or_path is not None:
            path = resolve_model(pretrained_model_name_or_path, **routes) / GENERATION_CONFIG_NAME
            generation = GenerationConfig.from_pretrained(path) if path.is_file() else None
        model._generation_config = generation
        if generation is not None and generation.from_model:
            model._from_config = (copy.deepcopy(generation), generation)
        return loaded

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """As for every model, with ``generation_config.json``."""
        super().save_pretrained(save_directory, **kwargs)  # type: ignore[misc]
        if kwargs.get("is_main_process", True):
            self.generation_config.save_pretrained(Path(save_directory))

    @property
    def generation_config(self) -> GenerationConfig:
        """How ``generate`` writes unless it is told otherwise.

        Settings that came from the model's configuration, as their file says, follow it (``model.config.max_length =
        7``), until one of them is changed here.
        """
        own, (untouched, then) = self._generation_config, self._from_config
        if own is None or (own == untouched and self._sets_generation()):
            made = GenerationConfig.from_model_config(self.config)
            if own is None or made != then:
                self._generation_config, self._from_config = made, (copy.deepcopy(made), made)
        return cast(GenerationConfig, self._generation_config)

    @generation_config.setter
    def generation_config(self, value: GenerationConfig) -> None:
        self._generation_config = value

    def _sets_generation(self) -> bool:
        """Whether the configuration holds settings of generation besides those that its family begins with."""
        fields = self.config.own_fields()
        found = ((name, vars(self.config).get(name)) for name in DEFAULTS if name in WITHOUT_A_VALUE)
        return any(value is not None and value != fields.get(name) for name, value in found)

    def can_generate(self) -> bool:
        """Whether the model writes text."""
        return True

    @property
    def longest_output(self) -> int | None:
        """Tokens of the longest row that the decoder can read; None if nothing limits it."""
        return self.config.longest_sequence

    def bytes_per_token(self) -> int:
        """Bytes that the decoder remembers of each token of a row."""
        stack = self.base_model.writer
        specs = stack.specs()
        size = (stack.compute_dtype or self.dtype).itemsize  # type: ignore[attr-defined]
        return sum(2 * spec.key_value_heads * spec.head_dim * size for spec in specs)

    def make_ready_to_write(self) -> None:
        """Take the form for inference once, unless the model trains or has it."""
        for stack in () if self.training else self.stacks:  # type: ignore[attr-defined]
            if not stack.is_prepared:
                stack.prepare(stack.compute_dtype or self.dtype)  # type: ignore[attr-defined]

    @contextmanager
    def fast_scores(self) -> Iterator[None]:
        """Let the vocabulary projection use its form for inference. Only inside: it has no gradients."""
        head: Any = self.get_output_embeddings()  # type: ignore[attr-defined]
        if self.training or torch.is_grad_enabled() or not is_plain(head) or head.weight.numel() > MOST_IN_BLOCKS:
            yield
            return
        version = (head.weight.data_ptr(), head.weight._version)
        if self._prepared_head is None or self._prepared_head[0] != version:
            self._prepared_head = version, PreparedLinear([head], head.weight.dtype)
        head.prepared = self._prepared_head[1]
        try:
            yield
        finally:
            head.prepared = None

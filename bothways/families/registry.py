"""What a family of models is, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import Tensor, nn

from bothways.batching import SeqLens
from bothways.checkpoints.config import PretrainedConfig, unknown_model_type
from bothways.checkpoints.key_map import KeyMap

Reads = Literal["pooled", "first", "last", "eos", "mean", "tokens"]


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a task puts on top of the body.

    Attributes:
        reads: what enters: the pooled first token (B, N), the first or the last token (B, N), the last end-of-text
            token (B, N), the mean of a sequence's tokens (B, N), or all tokens (T, N); or a function of the
            configuration that says which.
        build: the head's modules, by attribute name.
        logits: (model, features) to logits; with several outputs, a tuple.
    """

    reads: Reads | Callable[[Any], Reads]
    build: Callable[[Any], dict[str, nn.Module]]
    logits: Callable[[Any, Tensor], Tensor]

    def of(self, config: PretrainedConfig) -> Head:
        """The head with ``reads`` decided."""
        return replace(self, reads=self.reads(config)) if callable(self.reads) else self


@dataclass(frozen=True, kw_only=True)
class Family:
    """All that the rest of the library knows of a family.

    Attributes:
        config_class: its configuration; ``model_type`` is the family's name.
        base_prefix: attribute of the body in a task model (``model.bert``).
        build_backbone: (config, add_pooling_layer) to ``embeddings``, ``encoder`` and perhaps ``pooler``.
        heads: task name to head.
        key_map: names in published files to names of the house.
        output_embeddings: attribute path of the vocabulary projection, for tying and resizing.
        other_names: attributes of published classes whose modules have another path here.
        initialise: (path of a module, module, config) draws the module's first weights and returns True, or returns
            False where they are drawn as BERT's.
        key_map_of: the key map of a configuration, where files differ with it; ``key_map`` is that of the defaults.
        may_lack: endings of names of ours that files may do without, since what the model begins with is right.
        positions: (config, ids (T,), seqlens) to the positions (T,) of the tokens, counted from 0; None where they
            are the columns.
    """

    config_class: type[PretrainedConfig]
    base_prefix: str
    build_backbone: Callable[[Any, bool], dict[str, nn.Module]]
    heads: Mapping[str, Head]
    key_map: KeyMap
    output_embeddings: str | None = None
    other_names: Mapping[str, str] = field(default_factory=dict)
    initialise: Callable[[str, nn.Module, Any], bool] | None = None
    key_map_of: Callable[[Any], KeyMap] | None = None
    may_lack: tuple[str, ...] = ()
    positions: Callable[[Any, Tensor, SeqLens], Tensor] | None = None

    @property
    def model_type(self) -> str:
        return self.config_class.model_type

    @property
    def reads_both_ways(self) -> bool:
        """Whether it was made to fill gaps; such a family may write, too, but is not meant to."""
        return "masked-lm" in self.heads

    def key_map_for(self, config: PretrainedConfig) -> KeyMap:
        """The key map of a model with this configuration: with ``tie_word_embeddings=False`` both matrices count."""
        key_map = self.key_map if self.key_map_of is None else self.key_map_of(config)
        if config.tie_word_embeddings or self.output_embeddings is None:
            return key_map
        return key_map.without_tie(f"{self.output_embeddings}.weight")


FAMILIES: dict[str, Family] = {}


def register(family: Family) -> Family:
    """Add a family to the table."""
    FAMILIES[family.model_type] = family
    return family


def family_of_own(config_class: type[PretrainedConfig], base_prefix: str = "") -> Family:
    """The family that a configuration class belongs to, or one for a program's own kind of model.

    A configuration of a program's own has a ``model_type`` of its own; its models have no parts of ours but those that
    they put into themselves, and their files the names of their parameters.
    """
    known = FAMILIES.get(config_class.model_type)
    if known is not None and issubclass(config_class, known.config_class):
        return known
    return Family(
        config_class=config_class,
        base_prefix=base_prefix,
        build_backbone=lambda config, pooled: {},
        heads={},
        key_map=KeyMap(base_prefix=base_prefix),
    )


def family_of(model_type: Any) -> Family:
    """The family of that ``model_type``.

    Raises:
        ConfigError: unknown architecture; the message names the known ones.
    """
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise unknown_model_type(model_type, sorted(FAMILIES))
    return FAMILIES[model_type]

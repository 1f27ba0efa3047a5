"""The model of a run: from a size, a configuration file, or another model to go on with.

Sizes mini, small and base are those of Turc et al. 2019, "Well-read students learn better", table 1 (4, 4 and 12
layers of 256, 512 and 768).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bothways.errors import BothwaysError, ConfigError, UsageError, nearest
from bothways.families import FAMILIES, family_of
from bothways.files import read_json
from bothways.models.adapters import begin_lora
from bothways.models.auto import AutoConfig, model_class
from bothways.models.causal_models import check_direction
from bothways.pretraining.goal_table import FAMILY_OF, GOALS, WORDS
from bothways.pretraining.goals import Goal
from bothways.pretraining.masked_goals import GeneratorAndDiscriminator, MaskedWords, ReplacedWords

SIZES: dict[str, tuple[int, int]] = {"mini": (4, 256), "small": (4, 512), "base": (12, 768)}
"""Layers and hidden size; a head has 64 columns, and the inside of a feed-forward is 4 times as wide."""
RATES = {"mini": 1e-3, "small": 7e-4, "base": 4e-4}
"""Highest learning rates of runs from random weights with AdamW."""
RATE = 3e-4
"""Of a configuration from a file."""
RATE_GOING_ON = 1e-4
"""Of a model that goes on, as Gururangan et al. 2020 have it for adapting to a domain (appendix, 1e-4)."""
RATE_LORA = 1e-3
SLIP = 0.9
"""How like two names are, 0 to 1, of which one is a slip: num_hiden_layers, but not initializer_factor."""
GENERATOR_SHARE = 4
"""Width of ELECTRA's discriminator over that of its generator. Source: Clark et al. 2020, section 3.2: 1/4 to 1/2."""

LORA_TARGETS = (
    *("query", "key", "value", "attention.output.dense"),
    *("intermediate.dense", "output.dense"),
)


def class_for(config: Any, goal: type[Goal]) -> Any:
    """The class of a family with the head of an objective.

    Raises:
        UsageError: the family has none, or the configuration lets tokens see one side only.
    """
    objective = next(name for name, cls in GOALS.items() if cls is goal)
    if config.is_decoder and goal.model_task in ("masked-lm", "pretraining"):
        raise UsageError(
            f'with "is_decoder": true a token sees nothing behind it, and {WORDS[objective]} need both sides. Drop it '
            "from the configuration, or take --objective clm."
        )
    if goal.model_task == "pretraining" and config.model_type != FAMILY_OF[objective]:  # each has a head of its own
        raise UsageError(
            f"{config.model_type} has no head for {WORDS[objective]} ({objective}); {FAMILY_OF[objective]} has. "
            "Take another --objective, or a model of that family."
        )
    try:
        cls = model_class(config.model_type, goal.model_task)
        check_direction(cls, config)
        return cls
    except BothwaysError as problem:
        raise UsageError(f"{problem} Take another --objective, or a model of another family.") from None


def new_model(config: Any, goal: type[Goal], seed: int) -> Any:
    """A model with random weights, the same for the same seed.

    Raises:
        UsageError: its family has no head for the objective.
    """
    torch.manual_seed(seed)
    model = class_for(config, goal)(config)
    return _pair(model, config) if issubclass(goal, ReplacedWords) else model


def known_model(directory: Path, goal: type[Goal], seed: int, lora: int | None) -> Any:
    """A model that goes on. A head that it does not have begins with random weights.

    Raises:
        UsageError: its family has no head for the objective, or LoRA does not fit.
    """
    torch.manual_seed(seed)
    config = AutoConfig.from_pretrained(directory)
    model = class_for(config, goal).from_pretrained(directory, config=config, merge=lora is None)
    if issubclass(goal, ReplacedWords):
        other = directory / "generator"
        own = model_class(config.model_type, MaskedWords.model_task)
        return _pair(model, config, own.from_pretrained(other) if other.is_dir() else None)
    if lora is not None:
        try:
            begin_lora(model, r=lora, targets=LORA_TARGETS, pairs=goal.has_pairs)
        except BothwaysError as problem:
            raise UsageError(f"--lora {lora}: {problem}") from None
    return model


def make_config(named: str, objective: str, tokenizer: Any, max_length: int | None) -> Any:
    """A configuration from a size or a file, with the tokeniser's vocabulary.

    Args:
        named: a key of ``SIZES``, or a ``config.json``.
        max_length: tokens of a row; None takes what the configuration has, and 128 with a size.

    Raises:
        UsageError: neither a size nor a file, or a file of another vocabulary. ConfigError: impossible values in it.
    """
    if named in SIZES:
        return _sized(*SIZES[named], FAMILY_OF[objective], tokenizer, max_length or 128)
    path = Path(named)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        like = nearest(named, list(SIZES), most=1)
        hint = f" Did you mean {like[0]!r}?" if like else ""
        raise UsageError(f"--config is {named!r}; expected {', '.join(SIZES)} or a config.json file.{hint}")
    values = read_json(path, error=ConfigError)
    kind = values.get("model_type") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ConfigError(f"{path}: model_type is {kind!r:.60}; expected one of {', '.join(sorted(FAMILIES))}.")
    cls = family_of(kind).config_class
    _check_names(path, values, cls)
    config = cls.from_dict({**values, **_token_ids(tokenizer)})
    said = values.get("vocab_size")
    if said is not None and said < len(tokenizer):
        raise UsageError(
            f"{path} has vocab_size {said:,}, and the tokeniser has {len(tokenizer):,} tokens. Raise the one, or "
            "train the other with fewer: bothways tokenizer train --vocab-size."
        )
    config.vocab_size = len(tokenizer) if said is None else said
    return config


def _check_names(path: Path, values: dict[str, Any], cls: type[Any]) -> None:
    """A name that is nearly that of a field is a slip, and the field would silently have its default."""
    config = cls()
    missing = [name for name in vars(config) if name not in values]
    for name in values:
        like = nearest(name, missing, most=1, likeness=SLIP)
        if like and not hasattr(config, name):
            raise ConfigError(f"{path}: {name} is no field of {cls.__name__}. Did you mean {like[0]}?")


def learning_rate(named: str | None, lora: int | None) -> float:
    """What suits a size with AdamW; None is a model that goes on."""
    if lora is not None:
        return RATE_LORA
    return RATE_GOING_ON if named is None else RATES.get(named, RATE)


def _sized(layers: int, width: int, family: str, tokenizer: Any, max_length: int) -> Any:
    cls = family_of(family).config_class
    heads, inner = width // 64, 4 * width
    common = {"vocab_size": len(tokenizer), **_token_ids(tokenizer)}
    positions = max(512, max_length)
    if family == "gpt2":
        return cls(**common, n_layer=layers, n_embd=width, n_head=heads, n_positions=positions)
    if family == "t5":
        return cls(**common, num_layers=layers, d_model=width, d_kv=64, num_heads=heads, d_ff=inner)
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads}
    sizes |= {"intermediate_size": inner, "max_position_embeddings": positions}
    if family == "electra":
        sizes["embedding_size"] = width // 2
    return cls(**common, **sizes)


def _token_ids(tokenizer: Any) -> dict[str, int]:
    """The special tokens that a configuration names."""
    names = ("pad_token_id", "bos_token_id", "eos_token_id")
    found = {name: getattr(tokenizer, name) for name in names if getattr(tokenizer, name) is not None}
    if "pad_token_id" in found and tokenizer.eos_token_id is not None:
        found["decoder_start_token_id"] = found["pad_token_id"]
    return found


def _pair(discriminator: Any, config: Any, generator: Any = None) -> GeneratorAndDiscriminator:
    if generator is None:
        heads = max(1, config.num_attention_heads // GENERATOR_SHARE)
        width = heads * (config.hidden_size // config.num_attention_heads)
        small = type(config).from_dict(
            {**config.to_dict(), "hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width}
        )
        generator = model_class(config.model_type, MaskedWords.model_task)(small)
    return GeneratorAndDiscriminator(generator, discriminator)

"""What configuration files say of rotary positions, in the notations of transformers 4 and 5.

Version 4 has ``rope_theta`` and ``rope_scaling``, version 5 both in one field, ``rope_parameters``. Configurations keep
the former and read either.
"""

from __future__ import annotations

import math
from typing import Any

from bothways.checkpoints.config import PretrainedConfig
from bothways.errors import ConfigError
from bothways.nn.rotary import RotaryScaling

KINDS = ("default", "linear", "dynamic", "llama3")
NEEDED = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


def without_rope_parameters(values: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a configuration in the notation of transformers 4, from either.

    Raises:
        ConfigError: ``rope_parameters`` is no object of settings.
    """
    values = dict(values)
    nested = values.pop("rope_parameters", None)
    if nested is None:
        return values
    if not isinstance(nested, dict) or any(isinstance(value, dict) for value in nested.values()):
        raise ConfigError(f"rope_parameters is {nested!r:.200}, expected one set of settings for all layers.")
    settings = dict(nested)
    if "rope_theta" in settings:
        values["rope_theta"] = settings.pop("rope_theta")
    if "partial_rotary_factor" in settings:
        values["partial_rotary_factor"] = settings.pop("partial_rotary_factor")
    if _kind(settings) != "default":
        values["rope_scaling"] = settings
    return values


def rotary_scaling(config: Any) -> RotaryScaling | None:
    """How the angles of this model differ from the plain ones; None if they do not."""
    settings: Any = getattr(config, "rope_scaling", None)
    kind = _kind(settings)
    if kind == "default":
        return None
    factor = float(settings["factor"])
    if kind == "linear":
        return RotaryScaling(kind="linear", factor=factor, positions=config.max_position_embeddings)
    if kind == "dynamic":
        return RotaryScaling(kind="dynamic", factor=factor, positions=config.max_position_embeddings)
    return RotaryScaling(
        kind="llama3",
        factor=factor,
        positions=settings["original_max_position_embeddings"],
        low=float(settings["low_freq_factor"]),
        high=float(settings["high_freq_factor"]),
    )


def longest_readable(config: Any) -> int:
    """Tokens of the longest sequence: angles that grow with the text read ``factor`` times the positions."""
    scaling = rotary_scaling(config)
    grows = scaling is not None and scaling.kind == "dynamic"
    return int(config.max_position_embeddings * (scaling.factor if scaling is not None and grows else 1))


def rotary_problems(config: PretrainedConfig, head_dim: int) -> list[str]:
    """What is wrong with the settings of the positions, a sentence without a full stop for each."""
    found = []
    theta = getattr(config, "rope_theta", None)
    if not _number(theta, above=0, most=1e12):
        found.append(f"rope_theta is {theta!r}, expected a number above 0, up to 1e12")
    if head_dim % 2:
        found.append(f"{head_dim} values of each head cannot be paired: rotary positions need an even number")
    part = getattr(config, "partial_rotary_factor", None)
    if part not in (None, 1):
        found.append(f"partial_rotary_factor is {part!r}, but only whole heads are turned here: expected 1")
    return found + _scaling_problems(getattr(config, "rope_scaling", None), head_dim)


def _scaling_problems(settings: Any, head_dim: int) -> list[str]:
    if settings is None:
        return []
    if not isinstance(settings, dict):
        return [f"rope_scaling is {settings!r:.60}, expected an object with rope_type and factor, or null"]
    kind = _kind(settings)
    if kind not in KINDS:
        return [
            f"rope_scaling has the type {kind!r}; only {', '.join(KINDS)} are implemented, and another would give "
            "other numbers"
        ]
    if kind == "default":
        return []
    missing = [name for name in NEEDED[kind] if settings.get(name) is None]
    if missing:
        return [f"rope_scaling of the type {kind!r} lacks {', '.join(missing)}"]
    found = []
    if not _number(settings["factor"], above=0, most=1e6) or settings["factor"] < 1:
        found.append(f"factor of rope_scaling is {settings['factor']!r}, expected a number from 1 to 1e6")
    if kind == "dynamic" and head_dim < 4:
        found.append(f"rope_scaling of the type 'dynamic' needs heads of 4 values or more, these have {head_dim}")
    if kind == "llama3":
        low, high = settings["low_freq_factor"], settings["high_freq_factor"]
        if not (_number(low, above=0, most=1e6) and _number(high, above=0, most=1e6) and low < high):
            found.append(f"low_freq_factor is {low!r} and high_freq_factor {high!r}, expected 0 < low < high")
        first = settings["original_max_position_embeddings"]
        if not isinstance(first, int) or isinstance(first, bool) or not 1 <= first <= 2**30:
            found.append(f"original_max_position_embeddings is {first!r}, expected a whole number from 1 to {2**30:,}")
    return found


def _kind(settings: Any) -> Any:
    """The type of a scaling; ``type`` is its older name, and wins where both are given."""
    return (settings.get("type") or settings.get("rope_type") or "default") if isinstance(settings, dict) else "default"


def _number(value: Any, *, above: float, most: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return number and above < value <= most

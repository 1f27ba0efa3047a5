"""A box in miniature: a tiny encoder and an adapter for each task, in place of those of the package."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bothways import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    add_lora,
    save_adapter,
)

ALL = ("query", "key", "value", "dense")
LABELS = {
    "sentiment": ("NEGATIVE", "POSITIVE"),
    "ner": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "nli": ("entailment", "neutral", "contradiction"),
}
HEADS = {
    "sentiment": BertForSequenceClassification,
    "ner": BertForTokenClassification,
    "qa": BertForQuestionAnswering,
    "nli": BertForSequenceClassification,
    "fill-mask": BertForMaskedLM,
}


PAIRS = {"nli": "token_type_embeddings", "qa": "token_type_embeddings"}


def changed(model: torch.nn.Module, seed: int, spread: float = 0.15) -> None:
    """What training would change has other values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * spread)


def put_adapter(box: Path, encoder: Path, kind: str, seed: int = 0, **options) -> Path:
    """An adapter that was never trained, as ``minilm-l6-{kind}`` in a box."""
    labels = LABELS.get(kind)
    named = (
        {}
        if labels is None
        else {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    )
    torch.manual_seed(seed)
    model = HEADS[kind].from_pretrained(encoder, **named)
    add_lora(model, **{"r": 3, "targets": ALL, **options})
    changed(model, seed)
    directory = box / f"minilm-l6-{kind}"
    save_adapter(model, directory)
    card = {
        "format": 1,
        "scores": [{"data": "made-up", "metric": "accuracy", "value": 0.9125, "low": 0.9, "high": 0.925, "count": 872}],
        "licence": "Apache-2.0",
    }
    (directory / "card.json").write_text(json.dumps(card))
    return directory


@pytest.fixture(scope="session")
def filled_box(tmp_path_factory, tiny_model) -> Path:
    """One adapter for each task; the encoder is ``tiny_model``. Those for pairs tell second texts in their own way."""
    box = tmp_path_factory.mktemp("box")
    for seed, kind in enumerate(HEADS):
        put_adapter(box, tiny_model, kind, seed, modules_to_save=PAIRS.get(kind, ()))
    return box


@pytest.fixture
def own_store(tmp_path, monkeypatch):
    """Nothing of this machine's store, hub cache or network."""
    monkeypatch.setenv("BOTHWAYS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BOTHWAYS_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

"""Tiny random models with a small vocabulary, saved by the reference library and read by both."""

from __future__ import annotations

import os

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "big", "small", "red", "blue", "and"]
WORDS += ["saw", "it", "was", "good", "bad", "very", "not", "film", "bank"]
PIECES = ["##s", "##ed", "##ing", "##ly", "##er"]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *PIECES, ".", ",", "!", "'"]

TEXTS = [
    "The cat sat on the mat.",
    "A very good film!",
    "",
    "dogs ran under big blue trees, and it was not bad",
    "bank",
    "The cat sat on the mat.",
    "unknownword cats",
]


class Models:
    """Directories of tiny models by head, and pipelines of both libraries over them."""

    def __init__(self, root):
        self.root = root

    def directory(self, head: str, **changes) -> str:
        import transformers

        name = head + "".join(f"-{k}-{v}" for k, v in sorted(changes.items()) if k != "id2label")
        path = self.root / name
        if not path.exists():
            settings = {
                "vocab_size": len(VOCAB),
                "hidden_size": 24,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 40,
                "max_position_embeddings": 40,
                **changes,
            }
            torch.manual_seed(0)
            config = transformers.BertConfig(**settings)
            model = getattr(transformers, head)(config)
            with torch.no_grad():
                for parameter in model.parameters():  # spread the scores, so that an error shows
                    parameter.mul_(4).add_(torch.randn_like(parameter) * 0.1)
            model.save_pretrained(path)
            (path / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
            transformers.BertTokenizerFast(vocab_file=str(path / "vocab.txt")).save_pretrained(path)
        return str(path)

    def pair(self, task: str, head: str, *, config: dict | None = None, **options):
        """(reference pipeline, our pipeline) over one directory."""
        import transformers

        from bothways import pipeline

        path = self.directory(head, **(config or {}))
        return (
            transformers.pipeline(task, model=path, device=-1, **options),
            pipeline(task, model=path, device=-1, **options),
        )


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    return Models(tmp_path_factory.mktemp("models"))


CLASSIFIER = "BertForSequenceClassification"
THREE = {"id2label": {0: "no", 1: "maybe", 2: "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}


def same(expected, got, where="result", tolerance=1e-5):
    """Equal structure, types and words; numbers within the tolerance."""
    assert type(got) is type(expected), f"{where}: {type(got)} instead of {type(expected)}"
    if isinstance(expected, dict):
        assert list(got) == list(expected), where
        for key in expected:
            same(expected[key], got[key], f"{where}.{key}", tolerance)
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for i, (e, g) in enumerate(zip(expected, got, strict=True)):
            same(e, g, f"{where}[{i}]", tolerance)
    elif isinstance(expected, float):
        assert abs(got - expected) <= tolerance, f"{where}: {got} instead of {expected}"
    else:
        assert got == expected, f"{where}: {got!r} instead of {expected!r}"

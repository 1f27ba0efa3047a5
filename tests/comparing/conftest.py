"""Models that are known without training: one, its twin, its opposite, a larger one, and texts that the first knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import WORDS, sentences

SIZES = {"vocab_size": 0, "num_attention_heads": 2, "max_position_embeddings": 32, "initializer_range": 0.3}
LABELS = {0: "neg", 1: "pos"}


@pytest.fixture(scope="session")
def contest(tmp_path_factory, tiny_model) -> Path:
    """A directory with ``first``, ``twin``, ``opposite``, ``large``, ``body``, and ``texts.csv``, of whose 60 labels
    ``first`` gets all, so that ``opposite`` gets none; ``tagger`` with its twin and ``tags.jsonl``; ``reader`` with its
    opposite and ``questions.jsonl``.
    """
    import numpy as np
    import torch

    from bothways import (
        BertConfig,
        BertForQuestionAnswering,
        BertForSequenceClassification,
        BertForTokenClassification,
        BertModel,
    )
    from bothways.models.runner import PackedRunner
    from bothways.tokenizers import AutoTokenizer

    place = tmp_path_factory.mktemp("contest")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    texts = [text for text, _ in sentences(60, seed=3)]

    def config(width: int, layers: int, labels: dict[int, str]) -> BertConfig:
        sizes = SIZES | {"vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width}
        return BertConfig(num_hidden_layers=layers, id2label=labels, **sizes)

    def save(model, name: str) -> None:
        model.save_pretrained(place / name)
        tokenizer.save_pretrained(place / name)

    torch.manual_seed(0)
    model = BertForSequenceClassification(config(16, 1, LABELS))
    logits = PackedRunner(model).sequence_logits(tokenizer(texts)["input_ids"])
    with torch.no_grad():  # half of the texts on either side
        model.classifier.bias[0] += float(np.median(logits[:, 1] - logits[:, 0]))
    runner = PackedRunner(model)
    answers = [LABELS[int(i)] for i in runner.sequence_logits(tokenizer(texts)["input_ids"]).argmax(1)]
    save(model, "first")
    save(model, "twin")
    with torch.no_grad():
        model.classifier.weight.neg_()
        model.classifier.bias.neg_()
    save(model, "opposite")
    save(BertForSequenceClassification(config(64, 3, LABELS)), "large")
    tagger = BertForTokenClassification(config(16, 1, {0: "O", 1: "B-PER", 2: "I-PER"}))
    save(tagger, "tagger")
    save(tagger, "tagger_twin")
    reader = BertForQuestionAnswering(config(16, 1, LABELS))
    save(reader, "reader")
    with torch.no_grad():
        reader.qa_outputs.weight.neg_()
    save(reader, "reader_opposite")
    save(BertModel(config(16, 1, LABELS)), "body")
    lines = [f"{text},{label},{'ab'[i % 2]}" for i, (text, label) in enumerate(zip(texts, answers, strict=True))]
    (place / "texts.csv").write_text("\n".join(["text,label,site", *lines]) + "\n")
    rows = [{"tokens": WORDS[i : i + 4], "ner_tags": ["B-PER", "O", "O", "B-PER"]} for i in range(12)]
    (place / "tags.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    asked = []
    for i in range(10):
        context = " ".join(WORDS[i : i + 6])
        answers = {"text": [WORDS[i + 2]], "answer_start": [context.index(f" {WORDS[i + 2]}") + 1]}
        asked.append({"question": "was it very good", "context": context, "answers": answers})
    (place / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)) + "\n")
    return place

"""A program as tutorials write it: tokenise, pad, train by hand, save, load, ask. Only the import is ours."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from bothways import (
    AdamW,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
    pipeline,
    set_seed,
)

TEXTS = ["a good film", "a fine book", "bad plot", "awful story", "good actor", "fine play", "awful film", "bad book"]
LABELS = [1, 1, 0, 0, 1, 1, 0, 0]


def test_hand_written_fine_tuning(tiny_model, tmp_path):
    set_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_model, num_labels=2, id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1}
    )
    loader = DataLoader(list(zip(TEXTS, LABELS, strict=True)), batch_size=4, shuffle=True)
    optimizer = AdamW(model.parameters(), lr=3e-3)
    scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=2, num_training_steps=60)
    model.train()
    for _ in range(30):
        for texts, labels in loader:
            batch = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to("cpu")
            outputs = model(**batch, labels=labels)
            outputs.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    assert logits.argmax(-1).tolist() == LABELS

    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    classify = pipeline("sentiment-analysis", model=str(tmp_path))
    answers = classify(TEXTS)
    assert [a["label"] for a in answers] == ["POSITIVE" if label else "NEGATIVE" for label in LABELS]
    torch.testing.assert_close(
        [a["score"] for a in answers], logits.softmax(-1).max(-1).values.tolist(), atol=1e-5, rtol=0
    )

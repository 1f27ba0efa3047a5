"""Small models and data sets for tests of ``Trainer``."""

from __future__ import annotations

import torch
from torch import nn

import bothways


class Net(nn.Module):
    """A line through numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.linear = nn.Linear(3, 1)
        self.unused = nn.Linear(3, 1)

    def forward(self, x, labels=None):
        out = (self.linear(x) + self.unused(x) * 0.5).squeeze(-1)
        return {"loss": ((out - labels) ** 2).mean(), "out": out}


NUMBERS = [{"x": [i / 8, 1.0, -i / 4], "labels": i / 8} for i in range(8)]

WORDS = [{"input_ids": [2, *range(5, 6 + i), 3], "attention_mask": [1] * (i + 3), "labels": i % 2} for i in range(6)]
"""Rows of 3 to 8 tokens."""


def bert(**settings):
    torch.manual_seed(5)
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return bothways.BertForSequenceClassification(
        bothways.BertConfig(**sizes, intermediate_size=24, max_position_embeddings=12, **settings)
    )


def padded(rows):
    """A collator: zeros on the right."""
    width = max(len(row["input_ids"]) for row in rows)
    filled = {name: [row[name] + [0] * (width - len(row[name])) for row in rows] for name in list(rows[0])[:2]}
    return {name: torch.tensor(values) for name, values in {**filled, "labels": [r["labels"] for r in rows]}.items()}


def arguments(**settings):
    settings = {"report_to": "none", "save_strategy": "no", "max_steps": 2, "use_cpu": True, **settings}
    return bothways.TrainingArguments("out", **settings)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

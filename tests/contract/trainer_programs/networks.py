"""Modules of people's own that return a dictionary or a tuple. One batch holds all rows."""

SENTENCES = [
    "I love this film",
    "I hate this film",
    "a great book",
    "a terrible book",
    "good food",
    "bad food",
    "no",
    "yes",
]
LABELS = [1, 0, 1, 0, 1, 0, 0, 1]


def a_network_of_ones_own(models):
    """Any module that returns a dictionary with a loss; the collator is a function."""
    import torch
    from torch import nn
    from transformers import Trainer, TrainingArguments

    from tests.contract.training_facts import log, numbers, shape, weights

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.LayerNorm(8), nn.Linear(8, 3))
            for i, parameter in enumerate(self.parameters()):
                parameter.data = torch.linspace(-0.5, 0.7, parameter.numel()).sin().view_as(parameter) + 0.1 * i

        def forward(self, x, labels=None):
            logits = self.layers(x)
            if labels is None:
                return {"logits": logits}
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def collate(batch):
        return {"x": torch.stack([row[0] for row in batch]), "labels": torch.tensor([row[1] for row in batch])}

    data = torch.arange(48).float().sin().view(12, 4)
    dataset = torch.utils.data.TensorDataset(data, torch.arange(12) % 3)
    args = TrainingArguments(
        "out", per_device_train_batch_size=12, max_steps=5, learning_rate=1e-2, weight_decay=0.1, logging_steps=1,
        eval_strategy="steps", eval_steps=5, save_steps=5, report_to="none", lr_scheduler_type="cosine",
    )  # fmt: skip
    model = Net()
    trainer = Trainer(
        model, args, data_collator=collate, train_dataset=dataset, eval_dataset=dataset,
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )  # fmt: skip
    result = trainer.train()
    output = trainer.predict(dataset)
    decayed = trainer.get_decay_parameter_names(model)
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "weights": weights(model),
        "predicted": [shape(output.predictions), shape(output.label_ids), numbers(output.metrics)],
        "decayed": sorted(decayed),
    }


def a_network_that_returns_a_tuple(models):
    from torch import nn
    from transformers import AutoModel, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, shape

    class SentimentClassifier(nn.Module):
        def __init__(self, name, n_classes):
            super().__init__()
            self.bert = AutoModel.from_pretrained(name)
            self.out = nn.Linear(self.bert.config.hidden_size, n_classes)
            nn.init.constant_(self.out.weight, 0.05)
            nn.init.zeros_(self.out.bias)

        def forward(self, input_ids, attention_mask, labels=None):
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            logits = self.out(hidden[:, 0])
            loss = None
            if labels is not None:
                loss = nn.CrossEntropyLoss()(logits, labels)
            return (loss, logits) if loss is not None else (logits,)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/all-minilm")
    model = SentimentClassifier(f"{models}/all-minilm", 2)
    rows = [{**tokenizer(text), "labels": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    result = trainer.train()
    test = [{k: v for k, v in row.items() if k != "labels"} for row in rows]
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "with labels": shape(trainer.predict(rows).predictions),
        "without": shape(trainer.predict(test).predictions),
    }

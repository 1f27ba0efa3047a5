"""Losses of people's own, as subclasses and as functions. One batch holds all rows, or they come in a fixed order."""

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


def classes_of_unequal_weight(models):
    """The subclass of a thousand notebooks, with ``**kwargs`` as version 4.46 made necessary."""
    import torch
    from torch import nn
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    class_weights = torch.tensor([0.3, 0.7])

    class WeightedLossTrainer(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
            labels = inputs.get("labels")
            outputs = model(**inputs)
            logits = outputs.get("logits")
            loss_fct = nn.CrossEntropyLoss(weight=class_weights.to(model.device))
            loss = loss_fct(logits.view(-1, self.model.config.num_labels), labels.view(-1))
            return (loss, outputs) if return_outputs else loss

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        output_dir="out", num_train_epochs=4, learning_rate=1e-3, logging_strategy="epoch", eval_strategy="epoch",
        save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = WeightedLossTrainer(
        model=model, args=args, train_dataset=rows, eval_dataset=rows[:3], processing_class=tokenizer
    )
    trainer.train()
    return {"log": log(trainer), "weights": sorted(weights(model).values())}


def focal_loss_with_the_number_of_items(models):
    import torch
    import torch.nn.functional as F
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    seen = []

    class FocalTrainer(Trainer):
        def __init__(self, *args, gamma=2.0, **kwargs):
            super().__init__(*args, **kwargs)
            self.gamma = gamma

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            cross_entropy = F.cross_entropy(outputs.logits, labels, reduction="none")
            loss = ((1 - torch.exp(-cross_entropy)) ** self.gamma * cross_entropy).mean()
            seen.append(num_items_in_batch is None)
            return (loss, outputs) if return_outputs else loss

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = FocalTrainer(model, args, train_dataset=rows, processing_class=tokenizer, gamma=1.5)
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer), "calls": len(seen)}


def a_function_as_the_loss(models):
    """``compute_loss_func`` gets the outputs, the labels and the number of labels in all accumulated batches."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    items = []

    def loss_function(outputs, labels, num_items_in_batch=None):
        items.append(int(num_items_in_batch))
        loss = torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")
        return loss / num_items_in_batch

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            while True:
                yield from ({**tokenizer(text), "labels": label} for text, label in zip(SENTENCES, LABELS, strict=True))

    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none",
        per_device_train_batch_size=3, gradient_accumulation_steps=2,
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=Stream(), processing_class=tokenizer, compute_loss_func=loss_function)
    result = trainer.train()
    return {"items": items, "loss of training": result.training_loss, "log": log(trainer), "weights": weights(model)}


def smoothed_labels(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/roberta-large-mnli")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/roberta-large-mnli")
    rows = [{**tokenizer(text), "label": i % 3} for i, text in enumerate(SENTENCES)]
    args = TrainingArguments(
        "out", num_train_epochs=3, label_smoothing_factor=0.1, learning_rate=1e-3, logging_steps=1,
        eval_strategy="epoch", save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows[:4], processing_class=tokenizer)
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer)}

"""Classes, several labels at once and scores of texts. One batch holds all rows where numbers are compared."""

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


def chapter_three_of_the_course(models):
    """``DataCollatorWithPadding``, ``compute_metrics`` and an evaluation after every epoch."""
    import numpy as np
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import Table, checkpoints, counters, log_keys, numbers

    checkpoint = f"{models}/bert-base-mrpc"
    raw_datasets = {
        "train": Table({"sentence1": SENTENCES, "sentence2": SENTENCES[::-1], "label": LABELS, "idx": list(range(8))}),
        "validation": Table(
            {"sentence1": SENTENCES[:5], "sentence2": SENTENCES[3:], "label": LABELS[:5], "idx": [0] * 5}
        ),
    }
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def tokenize_function(example):
        return tokenizer(example["sentence1"], example["sentence2"], truncation=True)

    tokenized_datasets = {name: rows.map(tokenize_function, batched=True) for name, rows in raw_datasets.items()}
    data_collator = DataCollatorWithPadding(tokenizer=tokenizer)

    def compute_metrics(eval_preds):
        logits, labels = eval_preds
        predictions = np.argmax(logits, axis=-1)
        return {"accuracy": (predictions == labels).mean(), "rows": len(labels)}

    training_args = TrainingArguments("test-trainer", eval_strategy="epoch", report_to="none")
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=2)
    trainer = Trainer(
        model,
        training_args,
        train_dataset=tokenized_datasets["train"],
        eval_dataset=tokenized_datasets["validation"],
        data_collator=data_collator,
        processing_class=tokenizer,
        compute_metrics=compute_metrics,
    )
    before = trainer.predict(tokenized_datasets["validation"])
    preds = np.argmax(before.predictions, axis=-1)
    result = trainer.train()
    return {
        "predictions": before.predictions.tolist(),
        "label_ids": before.label_ids.tolist(),
        "test metrics": numbers(before.metrics),
        "classes": preds.tolist(),
        "log": log_keys(trainer),
        "output": [result.global_step, sorted(result.metrics)],
        "state": counters(trainer),
        "checkpoints": checkpoints("test-trainer"),
    }


def imdb_as_a_torch_dataset(models):
    """The fine-tuning page of version 4: padded encodings, warm-up, weight decay, ``logging_steps``."""
    import torch
    from transformers import DistilBertForSequenceClassification, DistilBertTokenizerFast, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, numbers, weights

    tokenizer = DistilBertTokenizerFast.from_pretrained(f"{models}/distilbert-sst-2")
    train_encodings = tokenizer(SENTENCES, truncation=True, padding=True)

    class IMDbDataset(torch.utils.data.Dataset):
        def __init__(self, encodings, labels):
            self.encodings = encodings
            self.labels = labels

        def __getitem__(self, idx):
            item = {key: torch.tensor(val[idx]) for key, val in self.encodings.items()}
            item["labels"] = torch.tensor(self.labels[idx])
            return item

        def __len__(self):
            return len(self.labels)

    train_dataset = IMDbDataset(train_encodings, LABELS)
    val_dataset = IMDbDataset(train_encodings, LABELS[::-1])
    training_args = TrainingArguments(
        output_dir="./results",
        num_train_epochs=6,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=3,
        learning_rate=1e-3,
        warmup_steps=2,
        weight_decay=0.01,
        logging_dir="./logs",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
    )
    model = DistilBertForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    trainer = Trainer(model=model, args=training_args, train_dataset=train_dataset, eval_dataset=val_dataset)
    before = trainer.evaluate()
    result = trainer.train()
    return {
        "before": numbers(before),
        "training_loss": result.training_loss,
        "metrics": numbers(result.metrics),
        "log": log(trainer),
        "after": numbers(trainer.evaluate()),
        "weights": sorted(weights(model).values()),
        "state": counters(trainer),
    }


def roberta_with_plain_sgd_and_clipping(models):
    from transformers import RobertaForSequenceClassification, RobertaTokenizerFast, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    tokenizer = RobertaTokenizerFast.from_pretrained(f"{models}/roberta-large-mnli")
    model = RobertaForSequenceClassification.from_pretrained(f"{models}/roberta-large-mnli")
    encoded = tokenizer(SENTENCES[:6], SENTENCES[2:], padding="max_length", max_length=24, truncation=True)
    dataset = [
        {"input_ids": i, "attention_mask": m, "label": label}
        for i, m, label in zip(encoded["input_ids"], encoded["attention_mask"], [0, 1, 2, 0, 1, 2], strict=True)
    ]
    args = TrainingArguments(
        output_dir="out",
        optim="sgd",
        learning_rate=0.05,
        max_grad_norm=0.5,
        max_steps=5,
        per_device_train_batch_size=6,
        lr_scheduler_type="constant",
        logging_steps=2,
        logging_first_step=True,
        save_strategy="no",
        report_to=[],
    )
    trainer = Trainer(model=model, args=args, train_dataset=dataset)
    trainer.train()
    return {"log": log(trainer), "weights": weights(model)}


def emotions_all_at_once(models):
    """Several labels: floats as labels, sigmoid and a threshold in the metrics."""
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        EvalPrediction,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import log, numbers

    labels = ["anger", "joy", "fear", "love"]
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModelForSequenceClassification.from_pretrained(
        f"{models}/bert-emotions",
        problem_type="multi_label_classification",
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: idx for idx, label in enumerate(labels)},
    )
    matrix = np.array([[i % 2, (i + 1) % 2, i % 3 == 0, 0] for i in range(8)], dtype=float)
    encoding = tokenizer(SENTENCES, padding="max_length", truncation=True, max_length=16)
    rows = [{**{k: v[i] for k, v in encoding.items()}, "labels": matrix[i].tolist()} for i in range(8)]

    def multi_label_metrics(predictions, labels, threshold=0.5):
        probs = torch.nn.Sigmoid()(torch.Tensor(predictions))
        y_pred = np.zeros(probs.shape)
        y_pred[np.where(probs >= threshold)] = 1
        return {"hamming": float((y_pred == labels).mean()), "exact": float((y_pred == labels).all(-1).mean())}

    def compute_metrics(p: EvalPrediction):
        preds = p.predictions[0] if isinstance(p.predictions, tuple) else p.predictions
        return multi_label_metrics(predictions=preds, labels=p.label_ids)

    args = TrainingArguments(
        "bert-finetuned-sem_eval-english",
        eval_strategy="epoch",
        save_strategy="no",
        learning_rate=1e-3,
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        num_train_epochs=3,
        weight_decay=0.01,
        report_to="none",
    )
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer, compute_metrics=compute_metrics
    )
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer), "evaluated": numbers(trainer.evaluate())}


def emotions_with_a_loss_of_ones_own(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    class MultilabelTrainer(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            logits = outputs.logits
            loss_fct = torch.nn.BCEWithLogitsLoss()
            loss = loss_fct(logits.view(-1, self.model.config.num_labels), labels.float().view(-1, 4))
            return (loss, outputs) if return_outputs else loss

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-emotions")
    rows = [{**tokenizer(text), "labels": [i % 2, 1, 0, i % 3 == 0]} for i, text in enumerate(SENTENCES)]
    args = TrainingArguments(
        "out",
        max_steps=3,
        learning_rate=1e-3,
        logging_steps=1,
        eval_strategy="steps",
        save_strategy="no",
        report_to="none",
    )
    trainer = MultilabelTrainer(model, args, train_dataset=rows, eval_dataset=rows[:5], processing_class=tokenizer)
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer)}


def scores_of_pairs(models):
    """STS: one label, floats, Pearson's correlation; ``problem_type`` is found from the number of labels."""
    import numpy as np
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import log, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModelForSequenceClassification.from_pretrained(
        f"{models}/bert-base-mrpc", num_labels=1, ignore_mismatched_sizes=True
    )
    model.classifier.weight.data.fill_(0.1)
    model.classifier.bias.data.zero_()
    rows = [
        {**tokenizer(a, b, truncation=True), "label": i / 2}
        for i, (a, b) in enumerate(zip(SENTENCES, SENTENCES[::-1], strict=True))
    ]

    def compute_metrics(eval_pred):
        predictions, labels = eval_pred
        predictions = predictions[:, 0]
        return {
            "pearson": float(np.corrcoef(predictions, labels)[0, 1]),
            "mse": float(((predictions - labels) ** 2).mean()),
        }

    args = TrainingArguments(
        output_dir="stsb",
        eval_strategy="steps",
        eval_steps=2,
        logging_steps=2,
        max_steps=4,
        learning_rate=1e-3,
        per_device_train_batch_size=8,
        save_strategy="no",
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=rows,
        eval_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
    )
    result = trainer.train()
    predictions = trainer.predict(rows)
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "shapes": [shape(predictions.predictions), shape(predictions.label_ids)],
        "problem": model.config.problem_type,
    }


def a_frozen_body(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    for param in model.base_model.parameters():
        param.requires_grad = False
    before = weights(model.base_model)
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", num_train_epochs=3, learning_rate=1e-2, logging_steps=1, report_to="none")
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    groups = [len(group["params"]) for group in trainer.optimizer.param_groups]
    return {
        "log": log(trainer),
        "same": before == weights(model.base_model),
        "weights": weights(model.classifier),
        "groups": groups,
        "trainable": trainer.get_num_trainable_parameters(),
    }


def lightly_drawn_hyperparameters(models):
    """``model_init``: every call of ``train`` starts from the same new weights."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    calls = []

    def model_init():
        calls.append(1)
        return AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")

    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", num_train_epochs=2, learning_rate=1e-3, save_strategy="no", report_to="none")
    trainer = Trainer(
        model_init=model_init, args=args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer
    )
    first = trainer.train().training_loss
    one = numbers(trainer.evaluate())
    second = trainer.train().training_loss
    return {
        "losses": [first, second],
        "equal": abs(first - second) < 1e-6,
        "calls": len(calls),
        "state": counters(trainer),
        "one": one,
    }


def a_rare_class_drawn_more_often(models):
    """``get_train_dataloader`` with a weighted sampler."""
    import torch
    from torch.utils.data import DataLoader, WeightedRandomSampler
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log_keys

    drawn = []

    class BalancedTrainer(Trainer):
        def get_train_dataloader(self):
            labels = torch.tensor([row["label"] for row in self.train_dataset])
            weights = torch.where(labels == 1, 0.0, 1.0)
            sampler = WeightedRandomSampler(weights, num_samples=len(labels), replacement=True)
            return DataLoader(
                self.train_dataset,
                batch_size=self.args.train_batch_size,
                sampler=sampler,
                collate_fn=self.data_collator,
                drop_last=self.args.dataloader_drop_last,
            )

        def training_step(self, model, inputs, num_items_in_batch=None):
            drawn.extend(inputs["labels"].tolist())
            return super().training_step(model, inputs, num_items_in_batch)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=2, per_device_train_batch_size=3, logging_steps=2, save_strategy="no", report_to="none"
    )
    trainer = BalancedTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    return {"drawn": drawn, "log": log_keys(trainer), "state": counters(trainer)}

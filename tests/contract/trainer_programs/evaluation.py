"""``evaluate`` and ``predict``: keys, shapes and numbers."""

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


def prefixes_and_other_sets(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log_keys, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", per_device_eval_batch_size=3, report_to="none")
    trainer = Trainer(
        model, args, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"accuracy": (p.predictions.argmax(-1) == p.label_ids).mean(), "test_kept": 1},
    )  # fmt: skip
    found = {
        "own": numbers(trainer.evaluate()),
        "other": numbers(trainer.evaluate(rows[:2])),
        "test": numbers(trainer.evaluate(eval_dataset=rows[:5], metric_key_prefix="test")),
        "sets": numbers(trainer.evaluate({"a": rows[:3], "b": rows[3:]})),
        "predicted": numbers(trainer.predict(rows[:4], metric_key_prefix="dev").metrics),
        "before training": log_keys(trainer),
    }
    assert trainer.state.epoch is None
    return found


def several_sets_during_training(models):
    """A dictionary of evaluation sets; the best checkpoint is chosen by the loss of one of them."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, log, log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=3, learning_rate=1e-3, eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="eval_matched_loss", report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model,
        args,
        train_dataset=rows,
        eval_dataset={"matched": rows[:5], "mismatched": rows[5:]},
        processing_class=tokenizer,
    )
    trainer.train()
    return {
        "keys": log_keys(trainer),
        "log": log(trainer),
        "best": [trainer.state.best_metric, trainer.state.best_model_checkpoint],
        "greater": args.greater_is_better,
        "checkpoints": checkpoints("out"),
        "all": sorted(key for key in trainer.evaluate() if "preparation" not in key),
    }


def predictions_with_and_without_labels(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    with_labels = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    without = [dict(tokenizer(text)) for text in SENTENCES]
    trainer = Trainer(model, TrainingArguments("out", report_to="none"), processing_class=tokenizer)
    trainer_by_default = Trainer(model=model, processing_class=tokenizer)
    a = trainer.predict(with_labels)
    b = trainer.predict(without)
    predictions, label_ids, metrics = trainer_by_default.predict(test_dataset=without[:3])
    return {
        "a": [a.predictions.tolist(), a.label_ids.tolist(), numbers(a.metrics)],
        "b": [b.predictions.tolist(), b.label_ids, numbers(b.metrics)],
        "c": [shape(predictions), label_ids, numbers(metrics)],
        "directory": trainer_by_default.args.output_dir,
    }


def logits_reduced_before_they_are_kept(models):
    """``preprocess_logits_for_metrics``, as in the masked language modelling script."""
    from transformers import (
        AutoModelForMaskedLM,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModelForMaskedLM.from_pretrained(f"{models}/bert-base-uncased")
    rows = []
    for text in SENTENCES:
        ids = tokenizer(text)["input_ids"]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [-100, *ids[1:-1], -100]})
    seen = []

    def preprocess_logits_for_metrics(logits, labels):
        if isinstance(logits, tuple):
            logits = logits[0]
        seen.append((list(logits.shape), list(labels.shape)))
        return logits.argmax(dim=-1)

    def compute_metrics(eval_preds):
        preds, labels = eval_preds
        labels = labels.reshape(-1)
        preds = preds.reshape(-1)
        mask = labels != -100
        return {"accuracy": float((preds[mask] == labels[mask]).mean()), "tokens": int(mask.sum()), "all": len(mask)}

    trainer = Trainer(
        model,
        TrainingArguments("out", per_device_eval_batch_size=3, report_to="none"),
        eval_dataset=rows,
        data_collator=DataCollatorForTokenClassification(tokenizer),
        compute_metrics=compute_metrics,
        preprocess_logits_for_metrics=preprocess_logits_for_metrics,
    )
    metrics = trainer.evaluate()
    predictions, labels, _ = trainer.predict(rows)
    found = predictions[labels != -100].tolist()
    return {"metrics": numbers(metrics), "seen": seen, "shape": shape(predictions), "found": found}


def inputs_and_losses_among_the_metrics(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    seen = {}

    def compute_metrics(eval_pred):
        seen["shapes"] = [shape(eval_pred.inputs), shape(eval_pred.losses), shape(eval_pred.predictions)]
        seen["rows"] = [row[row != -100].tolist() for row in eval_pred.inputs]
        seen["losses"] = [round(float(loss), 5) for loss in eval_pred.losses]
        return {"mean": float(eval_pred.losses.mean())}

    args = TrainingArguments(
        "out", per_device_eval_batch_size=4, include_for_metrics=["inputs", "loss"], report_to="none"
    )
    trainer = Trainer(model, args, eval_dataset=rows, processing_class=tokenizer, compute_metrics=compute_metrics)
    metrics = numbers(trainer.evaluate())
    return {"metrics": metrics, "seen": seen}


def metrics_batch_by_batch(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    calls = []

    class Accuracy:
        def __init__(self):
            self.right = self.total = 0

        def __call__(self, eval_pred, compute_result):
            logits, labels = eval_pred
            self.right += int((logits.argmax(-1) == labels).sum())
            self.total += len(labels)
            calls.append((type(logits).__name__, tuple(logits.shape), bool(compute_result)))
            if compute_result:
                result = {"accuracy": self.right / self.total, "rows": self.total}
                self.right = self.total = 0
                return result
            return None

    args = TrainingArguments("out", per_device_eval_batch_size=3, batch_eval_metrics=True, report_to="none")
    trainer = Trainer(model, args, eval_dataset=rows, processing_class=tokenizer, compute_metrics=Accuracy())
    return {"first": numbers(trainer.evaluate()), "second": numbers(trainer.evaluate()), "calls": calls}


def predictions_moved_in_parts(models):
    """``eval_accumulation_steps``, hidden states among the predictions, and ``ignore_keys``."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc", output_hidden_states=True)
    encoded = tokenizer(SENTENCES, padding=True)
    rows = [{**{k: v[i] for k, v in encoded.items()}, "label": LABELS[i]} for i in range(8)]
    args = TrainingArguments("out", per_device_eval_batch_size=3, eval_accumulation_steps=2, report_to="none")
    trainer = Trainer(
        model,
        args,
        eval_dataset=rows,
        compute_metrics=lambda p: {"parts": len(p.predictions), "rows": len(p.label_ids)},
    )
    output = trainer.predict(rows)
    return {
        "all": shape(output.predictions),
        "logits alone": shape(trainer.predict(rows, ignore_keys=["hidden_states"]).predictions),
        "metrics": numbers(trainer.evaluate()),
    }


def several_lengths_in_one_array(models):
    """Batches of different lengths: predictions and labels are padded with −100 to the longest."""
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/xlm-roberta-ner")
    model = AutoModelForTokenClassification.from_pretrained(f"{models}/xlm-roberta-ner")
    rows = []
    for text in ["the sea", "the keeper wrote a letter and the boat took it", "wind", "a letter to the boat"]:
        ids = tokenizer(text)["input_ids"]
        rows.append({"input_ids": ids, "labels": [i % 7 for i in range(len(ids))]})
    trainer = Trainer(
        model,
        TrainingArguments("out", per_device_eval_batch_size=1, report_to="none"),
        data_collator=DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=4),
        eval_dataset=rows,
    )
    predictions, labels, metrics = trainer.predict(rows)
    return {
        "shapes": [shape(predictions), shape(labels)],
        "labels": labels.tolist(),
        "padded": (predictions == -100).all(-1).tolist(),
        "values": predictions[labels != -100].tolist(),
        "metrics": numbers(metrics),
    }


def evaluations_by_steps_and_from_the_start(models):
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        IntervalStrategy,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import counters, log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    found = {}
    for name, settings in {
        "steps": {"eval_strategy": "steps", "eval_steps": 3, "logging_steps": 2},
        "as often as the log": {"eval_strategy": IntervalStrategy.STEPS, "logging_steps": 4},
        "from the start": {"eval_strategy": "epoch", "eval_on_start": True, "logging_strategy": "epoch"},
        "late": {"eval_strategy": "epoch", "eval_delay": 2, "logging_strategy": "no", "num_train_epochs": 3},
        "late by steps": {"eval_strategy": "steps", "eval_steps": 2, "eval_delay": 5, "logging_first_step": True},
        "as a share": {"eval_strategy": "steps", "eval_steps": 0.25, "logging_steps": 0.5},
    }.items():
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        settings = {"num_train_epochs": 2, **settings}
        args = TrainingArguments("out", per_device_train_batch_size=2, save_strategy="no", report_to="none", **settings)
        trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
        trainer.train()
        found[name] = [log_keys(trainer), counters(trainer)]
    return found


def a_prediction_step_of_ones_own(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import numbers, shape

    class ProbabilityTrainer(Trainer):
        def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
            loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
            return loss, None if logits is None else torch.softmax(logits, -1), labels

        def evaluate(self, *args, **kwargs):
            metrics = super().evaluate(*args, **kwargs)
            metrics["perplexity"] = 2 ** metrics["eval_loss"]
            return metrics

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out",
        max_steps=2,
        learning_rate=1e-4,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="no",
        report_to="none",
    )
    trainer = ProbabilityTrainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"sum": float(p.predictions.sum())},
    )  # fmt: skip
    trainer.train()
    return {"metrics": numbers(trainer.evaluate()), "shape": shape(trainer.predict(rows).predictions)}

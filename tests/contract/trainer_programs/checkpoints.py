"""What is kept on disk, which of it is the best, and going on from it."""

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


def the_best_at_the_end(models):
    """A metric that is made up gets worse after the second evaluation; its weights come back at the end."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, counters, log_keys, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    scores = iter([0.5, 0.9, 0.7, 0.6, 0.8])
    args = TrainingArguments(
        output_dir="out", num_train_epochs=5, learning_rate=1e-3, eval_strategy="epoch", save_strategy="epoch",
        save_total_limit=2, load_best_model_at_end=True, metric_for_best_model="f1", report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"f1": next(scores)},
    )  # fmt: skip
    trainer.train()
    again = AutoModelForSequenceClassification.from_pretrained("out/checkpoint-2")
    return {
        "best": [trainer.state.best_metric, trainer.state.best_model_checkpoint, trainer.state.best_global_step],
        "checkpoints": checkpoints("out"),
        "log": log_keys(trainer),
        "state": counters(trainer),
        "weights": weights(trainer.model),
        "read again": weights(again) == weights(trainer.model),
        "greater": [args.greater_is_better, args.metric_for_best_model],
    }


def the_smallest_loss_at_the_end(models):
    """Without a name the loss decides, and smaller is better."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, log

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        output_dir="out", max_steps=6, learning_rate=1e-3, eval_strategy="steps", eval_steps=2, save_steps=4,
        load_best_model_at_end=True, save_total_limit=1, report_to="none",
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    trainer.train()
    return {
        "best": [trainer.state.best_metric, trainer.state.best_model_checkpoint, trainer.state.best_global_step],
        "settings": [args.metric_for_best_model, args.greater_is_better],
        "log": log(trainer),
        "checkpoints": checkpoints("out"),
    }


def only_the_best_is_saved(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    scores = iter([3.0, 2.0, 2.5, 1.0, 4.0])
    args = TrainingArguments(
        output_dir="out", num_train_epochs=5, learning_rate=1e-4, eval_strategy="epoch", save_strategy="best",
        metric_for_best_model="perplexity", greater_is_better=False, report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"perplexity": next(scores)},
    )  # fmt: skip
    trainer.train()
    return {"best": trainer.state.best_metric, "checkpoints": checkpoints("out"), "log": log_keys(trainer)}


def few_checkpoints_of_many(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, counters

    found = {}
    for name, settings in {
        "by steps": {"save_steps": 3, "save_total_limit": 2},
        "by epoch": {"save_strategy": "epoch"},
        "no": {"save_strategy": "no"},
        "as a share": {"save_steps": 0.5},
        "beyond the end": {"save_steps": 100},
        "weights alone": {"save_steps": 4, "save_only_model": True},
    }.items():
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
        args = TrainingArguments(
            output_dir=name, num_train_epochs=2, per_device_train_batch_size=2, report_to="none", **settings
        )
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        trainer.train()
        found[name] = [checkpoints(name), counters(trainer)]
    return found


def resumed_from_the_last_checkpoint(models):
    """Half a run, and a new process that says ``resume_from_checkpoint=True``, give what the whole run gives."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from tests.contract.training_facts import checkpoints, counters, log, weights

    class Stop(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            control.should_training_stop = True

    def trainer_of(directory, callbacks=None):
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
        args = TrainingArguments(
            output_dir=directory, num_train_epochs=6, learning_rate=1e-3, warmup_steps=2, weight_decay=0.1,
            logging_steps=1, save_steps=3, report_to="none",
        )  # fmt: skip
        return Trainer(model, args, train_dataset=rows, processing_class=tokenizer, callbacks=callbacks)

    whole = trainer_of("whole")
    whole.train()
    first = trainer_of("parts", [Stop()])
    first.train()
    stopped = counters(first)
    second = trainer_of("parts")
    result = second.train(resume_from_checkpoint=True)
    same = [
        max(abs(x - y) for x, y in zip(a, b, strict=True)) < 1e-5
        for a, b in zip(weights(whole.model).values(), weights(second.model).values(), strict=True)
    ]
    return {
        "stopped": stopped,
        "steps": result.global_step,
        "log": log(second),
        "state": counters(second),
        "same weights": all(same),
        "checkpoints": checkpoints("parts"),
    }


def resumed_from_a_path_in_the_middle_of_an_epoch(models):
    import os

    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, counters, log_keys

    def trainer_of(epochs):
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
        rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
        args = TrainingArguments(
            output_dir="out", num_train_epochs=epochs, per_device_train_batch_size=2, save_steps=3, logging_steps=2,
            report_to="none",
        )  # fmt: skip
        return Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)

    trainer_of(1).train()
    before = checkpoints("out")
    trainer = trainer_of(2)
    result = trainer.train(resume_from_checkpoint=os.path.join("out", "checkpoint-3"))
    return {
        "before": before,
        "after": checkpoints("out"),
        "steps": result.global_step,
        "log": log_keys(trainer),
        "state": counters(trainer),
    }


def saved_and_read_again(models):
    """``save_model``, ``from_pretrained``, ``save_state``, ``log_metrics``, ``save_metrics`` and a model card."""
    import json
    import os

    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, pipeline

    from tests.contract.training_facts import checkpoints, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", num_train_epochs=1, learning_rate=1e-3, save_strategy="no", report_to="none")
    trainer = Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    train_result = trainer.train()
    trainer.save_model("final")
    trainer.save_model()
    metrics = train_result.metrics
    metrics["train_samples"] = len(rows)
    trainer.log_metrics("train", metrics)
    trainer.save_metrics("train", metrics)
    trainer.save_metrics("eval", trainer.evaluate())
    trainer.save_state()
    trainer.create_model_card(model_name="my model", language="en", tags="tiny", finetuned_from="distilbert-sst-2")
    again = AutoModelForSequenceClassification.from_pretrained("final")
    classifier = pipeline("text-classification", model="final", tokenizer="final")
    with open("out/all_results.json") as file:
        results = sorted(json.load(file))
    with open("out/trainer_state.json") as file:
        state = json.load(file)
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    return {
        "same": weights(again) == weights(model),
        "answer": classifier("I love this film"),
        "files": [wanted <= set(os.listdir("final")), wanted <= set(os.listdir("out"))],
        "results": results,
        "train_results": os.path.exists("out/train_results.json") and os.path.exists("out/eval_results.json"),
        "state": {key: state[key] for key in ("global_step", "max_steps", "epoch", "num_train_epochs", "best_metric")},
        "history": len(state["log_history"]),
        "card": os.path.exists("out/README.md"),
        "checkpoints": checkpoints("out"),
    }


def a_network_of_ones_own_saved(models):
    """A plain module has no ``save_pretrained``: its weights are one file, under their own names."""
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from transformers import Trainer, TrainingArguments

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 1)

        def forward(self, x, labels=None):
            out = self.linear(x).squeeze(-1)
            return {"loss": ((out - labels) ** 2).mean(), "out": out}

    rows = [{"x": [float(i), 1.0, -float(i)], "labels": float(i)} for i in range(8)]
    args = TrainingArguments("out", max_steps=2, learning_rate=0.1, save_steps=1, report_to="none")
    model = Net()
    trainer = Trainer(model, args, train_dataset=rows)
    trainer.train()
    trainer.save_model("final")
    state = load_file("final/model.safetensors")
    kept = torch.equal(state["linear.weight"], model.linear.weight)
    other = Net()
    more = TrainingArguments("out", max_steps=4, learning_rate=0.1, save_steps=1, report_to="none")
    result = Trainer(other, more, train_dataset=rows).train(resume_from_checkpoint=True)
    import os

    folders = sorted(name for name in os.listdir("out") if name.startswith("checkpoint"))
    return {"names": sorted(state), "kept": kept, "steps": result.global_step, "folders": folders}

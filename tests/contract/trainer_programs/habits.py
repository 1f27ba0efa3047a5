"""What people do around a ``Trainer``: loops over folds, two phases, loaders of their own, rarer switches."""

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


def every_family(models):
    """Two steps on one batch, with each family's own head."""
    from transformers import (
        AutoModelForMaskedLM,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import log, numbers

    texts = ["the keeper wrote a letter", "the boat took it to the sea"]
    found = {}
    for name, kind in {
        "albert-base": AutoModelForSequenceClassification,
        "roberta-large-mnli": AutoModelForSequenceClassification,
        "xlm-roberta-ner": AutoModelForTokenClassification,
        "camembert-base": AutoModelForMaskedLM,
        "distilroberta-base": AutoModelForMaskedLM,
        "modernbert-base": AutoModelForMaskedLM,
    }.items():
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/{name}")
        model = kind.from_pretrained(f"{models}/{name}")
        rows = [dict(tokenizer(text)) for text in texts]
        for i, row in enumerate(rows):
            words = [j % 5 for j in range(len(row["input_ids"]))]
            row["labels"] = i if kind is AutoModelForSequenceClassification else words
        collator = None if kind is AutoModelForSequenceClassification else DataCollatorForTokenClassification(tokenizer)
        args = TrainingArguments(
            "out",
            max_steps=2,
            learning_rate=1e-3,
            weight_decay=0.01,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
        )
        trainer = Trainer(
            model, args, train_dataset=rows, eval_dataset=rows, data_collator=collator, processing_class=tokenizer
        )
        result = trainer.train()
        found[name] = [result.training_loss, log(trainer), numbers(trainer.evaluate())]
    return found


def does_the_second_sentence_follow(models):
    from transformers import AutoTokenizer, BertForNextSentencePrediction, Trainer, TrainingArguments

    from tests.contract.training_facts import log, numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = BertForNextSentencePrediction.from_pretrained(f"{models}/bert-base-uncased")
    rows = [
        {**tokenizer(a, b), "labels": label} for a, b, label in zip(SENTENCES, SENTENCES[1:], LABELS[1:], strict=False)
    ]
    args = TrainingArguments(
        "out", max_steps=2, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    before = numbers(trainer.evaluate())
    result = trainer.train()
    return {
        "before": before,
        "loss of training": result.training_loss,
        "log": log(trainer),
        "shape": shape(trainer.predict(rows).predictions),
    }


def layers_of_distilbert_frozen_by_name(models):
    from transformers import DistilBertForSequenceClassification, DistilBertTokenizerFast, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    tokenizer = DistilBertTokenizerFast.from_pretrained(f"{models}/distilbert-sst-2")
    model = DistilBertForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    for name, param in model.named_parameters():
        if name.startswith(("distilbert.embeddings", "distilbert.transformer.layer.0")):
            param.requires_grad = False
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=2, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    return {"trainable": trainer.get_num_trainable_parameters(), "log": log(trainer)}


def the_head_first_and_then_everything(models):
    """Two trainers, one model, one directory."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import checkpoints, log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    logs = []
    for frozen, rate, epochs in ((True, 1e-2, 2), (False, 1e-4, 3)):
        for param in model.bert.parameters():
            param.requires_grad = not frozen
        args = TrainingArguments(
            "out", num_train_epochs=epochs, learning_rate=rate, save_strategy="epoch", logging_steps=1, report_to="none"
        )
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        trainer.train()
        logs.append(log(trainer))
    return {"logs": logs, "weights": weights(model), "checkpoints": checkpoints("out")}


def trained_again_with_one_trainer(models):
    """The optimizer goes on, the schedule and the counters begin again."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
    first = trainer.train().training_loss
    second = trainer.train().training_loss
    return {"losses": [first, second], "log": log(trainer), "weights": weights(model), "state": counters(trainer)}


def folds(models):
    import numpy as np
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = np.array([{**tokenizer(t), "label": y} for t, y in zip(SENTENCES, LABELS, strict=True)], dtype=object)
    parts = np.array_split(np.arange(8), 3)
    results = []
    for k, held in enumerate(parts):
        train = [rows[i] for i in range(8) if i not in held]
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        args = TrainingArguments(
            f"fold-{k}", num_train_epochs=2, learning_rate=1e-3, save_strategy="no", report_to="none", seed=k
        )
        trainer = Trainer(
            model, args, train_dataset=train, eval_dataset=[rows[i] for i in held], processing_class=tokenizer,
            compute_metrics=lambda p: {"accuracy": np.mean(p.predictions.argmax(1) == p.label_ids).item()},
        )  # fmt: skip
        trainer.train()
        results.append(numbers(trainer.evaluate()))
    return results


def loaders_of_ones_own(models):
    """All three loaders overridden with plain ``DataLoader``s in a known order."""
    from torch.utils.data import DataLoader
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, numbers, shape

    class Loaders(Trainer):
        def get_train_dataloader(self) -> DataLoader:
            return DataLoader(self.train_dataset, batch_size=3, shuffle=False, collate_fn=self.data_collator)

        def get_eval_dataloader(self, eval_dataset=None) -> DataLoader:
            rows = eval_dataset if eval_dataset is not None else self.eval_dataset
            return DataLoader(rows, batch_size=4, collate_fn=self.data_collator)

        def get_test_dataloader(self, test_dataset) -> DataLoader:
            return DataLoader(test_dataset, batch_size=2, collate_fn=self.data_collator)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=2, gradient_accumulation_steps=2, learning_rate=1e-3, logging_steps=1,
        eval_strategy="epoch", save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = Loaders(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    result = trainer.train()
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "state": counters(trainer),
        "evaluated": numbers(trainer.evaluate()),
        "predicted": shape(trainer.predict(rows[:5]).predictions),
    }


def switches_that_change_no_number(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    found = {}
    for name, settings in {
        "checkpointing": {"gradient_checkpointing": True},
        "found batch size": {"auto_find_batch_size": True},
        "workers": {"dataloader_num_workers": 1, "dataloader_pin_memory": False},
        "deterministic seed": {"data_seed": 5, "seed": 6},
        "tokens counted": {"include_num_input_tokens_seen": True},
        "real tokens counted": {"include_num_input_tokens_seen": "non_padding"},
        "loss only": {"prediction_loss_only": True, "eval_strategy": "epoch"},
        "no tensors kept": {"torch_empty_cache_steps": 1, "skip_memory_metrics": True},
    }.items():
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        args = TrainingArguments(
            "out",
            num_train_epochs=2,
            learning_rate=1e-3,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            **settings,
        )
        trainer = Trainer(
            model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
            compute_metrics=lambda p: {"rows": len(p.label_ids)},
        )  # fmt: skip
        trainer.train()
        entries = [{k: v for k, v in e.items() if not k.endswith("tokens_per_second")} for e in log(trainer)]
        found[name] = [entries, counters(trainer), numbers(trainer.evaluate())]
    return found


def noise_in_the_embeddings(models):
    """Only the frame of these runs can be compared, and that the noise is gone at the end."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=3, neftune_noise_alpha=5, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    result = trainer.train()
    model.train()
    same = model(**tokenizer("yes", return_tensors="pt")).logits.equal(
        model(**tokenizer("yes", return_tensors="pt")).logits
    )
    return {
        "log": log_keys(trainer),
        "state": counters(trainer),
        "same": same,
        "finite": 0.1 < result.training_loss < 3,
    }


def outputs_left_out_and_batches_kept_apart(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log_keys, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc", output_hidden_states=True)
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    seen = []

    def compute_metrics(p):
        seen.append(shape(p.predictions))
        return {"labels": len(p.label_ids)}

    args = TrainingArguments(
        "out", max_steps=2, eval_strategy="steps", eval_steps=1, per_device_eval_batch_size=3, save_strategy="no",
        eval_do_concat_batches=False, report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer, compute_metrics=compute_metrics
    )
    trainer.train(ignore_keys_for_eval=["hidden_states"])
    return {"log": log_keys(trainer), "seen": seen}


def settings_copied_and_changed(models):
    import copy
    import dataclasses
    import json

    from transformers import TrainingArguments

    args = TrainingArguments("a", learning_rate=1e-3, eval_strategy="epoch", report_to="none", num_train_epochs=2)
    other = dataclasses.replace(args, output_dir="b", learning_rate=2e-3)
    same = copy.deepcopy(args)
    same.num_train_epochs = 7
    changed = TrainingArguments("c", report_to="none")
    changed = changed.set_training(
        learning_rate=1e-4, batch_size=32, weight_decay=0.2, num_epochs=9, gradient_accumulation_steps=4
    )
    changed = changed.set_evaluate(strategy="steps", steps=7, batch_size=5)
    changed = changed.set_save(strategy="steps", steps=11, total_limit=2)
    changed = changed.set_logging(strategy="steps", steps=3, report_to=["none"])
    changed = changed.set_optimizer(name="adamw_torch", beta1=0.8)
    changed = changed.set_lr_scheduler(name="cosine", warmup_ratio=0.05)
    kept = ("output_dir", "learning_rate", "eval_strategy", "report_to")
    written = json.loads(json.dumps(args.to_dict()))
    again = TrainingArguments(**{name: written[name] for name in kept})
    return {
        "other": [other.output_dir, other.learning_rate * 1e3, other.eval_strategy == "epoch", other.num_train_epochs],
        "same": [args.num_train_epochs, same.num_train_epochs],
        "training": [
            changed.train_batch_size,
            changed.num_train_epochs,
            changed.weight_decay,
            changed.gradient_accumulation_steps,
        ],
        "evaluate": [changed.eval_strategy.value, changed.eval_steps, changed.eval_batch_size],
        "save": [changed.save_strategy.value, changed.save_steps, changed.save_total_limit],
        "log": [changed.logging_strategy.value, changed.logging_steps],
        "optimizer": [
            changed.optim == "adamw_torch",
            changed.adam_beta1,
            changed.lr_scheduler_type.value,
            changed.warmup_ratio,
        ],
        "again": [again.learning_rate * 1e3, again.eval_strategy.value],
        "sanitized": sorted({type(value).__name__ for value in args.to_sanitized_dict().values()} - {"NoneType"}),
    }


def what_a_trainer_answers(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=2, save_strategy="no", report_to="none")
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    before = [trainer.optimizer is None, trainer.lr_scheduler is None, trainer.is_in_train, trainer.state.epoch]
    trainer.create_optimizer_and_scheduler(num_training_steps=10)
    groups = [(len(group["params"]), group["weight_decay"]) for group in trainer.optimizer.param_groups]
    trainer.train()
    return {
        "before": before,
        "groups": groups,
        "process": [trainer.is_world_process_zero(), trainer.is_local_process_zero()],
        "same": [trainer.model is model, trainer.model_wrapped is model, trainer.args is args],
        "optimizer": isinstance(getattr(trainer.optimizer, "optimizer", trainer.optimizer), torch.optim.AdamW),
        "rate": trainer.lr_scheduler.get_last_lr(),
        "sets": [len(trainer.train_dataset), len(trainer.eval_dataset), trainer.label_names],
        "device": str(trainer.args.device),
        "state": [trainer.state.is_world_process_zero, trainer.state.is_hyper_param_search, trainer.state.trial_name],
        "size": trainer.num_examples(trainer.get_eval_dataloader()),
    }

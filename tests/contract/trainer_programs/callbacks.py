"""Hooks: their order, what they are given, and what they may change."""

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


def every_hook_in_order(models):
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from tests.contract.training_facts import counters

    events = []

    class Recorder(TrainerCallback):
        """All hooks of the interface, each with the step and what the default flow has asked for."""

        def record(self, name, args, state, control, **kwargs):
            asked = "".join(
                letter
                for letter, flag in zip(
                    "LESTX",
                    (
                        control.should_log,
                        control.should_evaluate,
                        control.should_save,
                        control.should_training_stop,
                        control.should_epoch_stop,
                    ),
                    strict=True,
                )
                if flag
            )
            events.append((name, state.global_step, round(state.epoch or 0.0, 4), asked))

        def on_init_end(self, *args, **kwargs):
            self.record("init_end", *args)

        def on_train_begin(self, *args, **kwargs):
            self.record("train_begin", *args)

        def on_train_end(self, *args, **kwargs):
            self.record("train_end", *args)

        def on_epoch_begin(self, *args, **kwargs):
            self.record("epoch_begin", *args)

        def on_epoch_end(self, *args, **kwargs):
            self.record("epoch_end", *args)

        def on_step_begin(self, *args, **kwargs):
            self.record("step_begin", *args)

        def on_pre_optimizer_step(self, *args, **kwargs):
            self.record("pre_optimizer_step", *args)

        def on_optimizer_step(self, *args, **kwargs):
            self.record("optimizer_step", *args)

        def on_substep_end(self, *args, **kwargs):
            self.record("substep_end", *args)

        def on_step_end(self, *args, **kwargs):
            self.record("step_end", *args)

        def on_evaluate(self, *args, **kwargs):
            self.record("evaluate", *args)

        def on_predict(self, *args, **kwargs):
            self.record("predict", *args)

        def on_save(self, *args, **kwargs):
            self.record("save", *args)

        def on_log(self, *args, **kwargs):
            self.record("log", *args)

        def on_prediction_step(self, *args, **kwargs):
            self.record("prediction_step", *args)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=2, per_device_train_batch_size=2, gradient_accumulation_steps=2, logging_steps=1,
        eval_strategy="epoch", save_strategy="steps", save_steps=3, report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows[:4], processing_class=tokenizer, callbacks=[Recorder()]
    )
    trainer.evaluate()
    trainer.train()
    trainer.predict(rows[:3])
    return {"events": events, "state": counters(trainer)}


def what_a_hook_is_given(models):
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    seen = {}

    class Curious(TrainerCallback):
        def on_init_end(self, args, state, control, **kwargs):
            seen["init"] = (kwargs.get("optimizer") is None, kwargs["model"] is model)

        def on_train_begin(self, args, state, control, model=None, **kwargs):
            seen["begin"] = (
                isinstance(kwargs["optimizer"], torch.optim.Optimizer) or hasattr(kwargs["optimizer"], "param_groups"),
                hasattr(kwargs["lr_scheduler"], "get_last_lr"),
                len(kwargs["train_dataloader"]),
                kwargs["processing_class"] is tokenizer,
                state.max_steps,
                args.learning_rate,
                state.is_world_process_zero,
                state.is_local_process_zero,
                model.training,
            )

        def on_log(self, args, state, control, logs=None, **kwargs):
            seen.setdefault("logs", []).append(sorted(logs))

        def on_evaluate(self, args, state, control, metrics=None, **kwargs):
            seen.setdefault("metrics", []).append(
                sorted(key for key in metrics if not key.endswith("preparation_time"))
            )
            seen["batches"] = len(kwargs["eval_dataloader"])

        def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
            grads = [p.grad is not None for n, p in model.named_parameters() if "classifier" in n]
            seen.setdefault("gradients", []).append(grads)

        def on_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
            seen.setdefault("rates", []).append(optimizer.param_groups[0]["lr"] * 1e4)

        def on_step_end(self, args, state, control, **kwargs):
            seen.setdefault("after", []).append((state.global_step, state.epoch, len(state.log_history)))

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=1, per_device_train_batch_size=4, per_device_eval_batch_size=3, learning_rate=1e-4,
        logging_steps=1, eval_strategy="steps", save_strategy="no", report_to="none",
    )  # fmt: skip
    Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer, callbacks=[Curious]).train()
    return seen


def stopping_early_of_ones_own(models):
    """Hooks that change the flow: an extra log and save, an epoch cut short, the end."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )

    from tests.contract.training_facts import checkpoints, counters, log_keys

    class Flow(TrainerCallback):
        def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs):
            if state.global_step == 2:
                control.should_epoch_stop = True
            if state.global_step == 4:
                control.should_log = True
                control.should_save = True
                control.should_evaluate = True
            if state.global_step == 5:
                control.should_training_stop = True
            return control

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", num_train_epochs=5, per_device_train_batch_size=2, report_to="none")
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer, callbacks=[Flow()]
    )
    result = trainer.train()
    return {
        "steps": result.global_step,
        "log": log_keys(trainer),
        "checkpoints": checkpoints("out"),
        "state": counters(trainer),
    }


def patience_of_early_stopping(models):
    """A learning rate of zero never gets better: two evaluations more, and it stops."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        EarlyStoppingCallback,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import checkpoints, counters, log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=10, learning_rate=1e-30, eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="accuracy", report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())},
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=0.01)],
    )  # fmt: skip
    result = trainer.train()
    return {
        "steps": result.global_step,
        "best": [trainer.state.best_metric, trainer.state.best_model_checkpoint, trainer.state.best_global_step],
        "log": log_keys(trainer),
        "checkpoints": checkpoints("out"),
        "state": counters(trainer),
        "greater": args.greater_is_better,
    }


def callbacks_added_and_removed(models):
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    called = []

    class A(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            called.append("A")

    class B(TrainerCallback):
        def __init__(self, name="B"):
            self.name = name

        def on_train_begin(self, args, state, control, **kwargs):
            called.append(self.name)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=1, save_strategy="no", report_to="none", disable_tqdm=True)
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer, callbacks=[A])
    trainer.add_callback(B)
    trainer.add_callback(B("C"))
    trainer.train()
    popped = trainer.pop_callback(A)
    trainer.remove_callback(PrinterCallback)
    called.append("|")
    trainer.train()
    return {"called": called, "popped": type(popped).__name__, "missing": trainer.pop_callback(A)}


def metrics_written_to_a_file_of_ones_own(models):
    """A subclass that overrides ``log``, and a callback that writes lines."""
    import json

    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class JsonLines(TrainerCallback):
        def on_log(self, args, state, control, logs=None, **kwargs):
            if state.is_local_process_zero:
                with open("log.jsonl", "a") as file:
                    file.write(json.dumps({**logs, "step": state.global_step}) + "\n")

    class Verbose(Trainer):
        def log(self, logs, start_time=None):
            logs["extra"] = self.state.global_step * 10
            super().log(logs, start_time)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=2, logging_steps=1, save_strategy="no", report_to="none")
    trainer = Verbose(model, args, train_dataset=rows, processing_class=tokenizer, callbacks=[JsonLines()])
    trainer.train()
    trainer.log({"mine": 1.5})
    with open("log.jsonl") as file:
        lines = [json.loads(line) for line in file]
    return {
        "keys": [sorted(line) for line in lines],
        "extra": [line["extra"] for line in lines],
        "last": trainer.state.log_history[-1],
    }

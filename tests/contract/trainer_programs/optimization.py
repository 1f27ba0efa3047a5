"""Optimizers, schedules and accumulation. One batch holds all rows, or the rows come in a fixed order."""

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


def every_schedule(models):
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        SchedulerType,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    found = {}
    for name, kwargs in {
        "linear": {},
        "cosine": {},
        "cosine_with_restarts": {"num_cycles": 2},
        "polynomial": {"power": 2.0},
        "constant": {},
        "constant_with_warmup": {},
        "inverse_sqrt": {},
        "cosine_with_min_lr": {"min_lr_rate": 0.1},
        "warmup_stable_decay": {"num_decay_steps": 2, "num_stable_steps": 1},
    }.items():
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        args = TrainingArguments(
            "out", max_steps=6, learning_rate=1e-3, lr_scheduler_type=name, lr_scheduler_kwargs=kwargs, warmup_steps=2,
            logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        trainer.train()
        found[name] = [log(trainer), weights(model.classifier), args.lr_scheduler_type == SchedulerType(name)]
    return found


def a_rate_that_waits_for_the_loss(models):
    """``reduce_lr_on_plateau`` steps after evaluations."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=5, learning_rate=1e-3, lr_scheduler_type="reduce_lr_on_plateau",
        lr_scheduler_kwargs={"patience": 0, "factor": 0.5}, metric_for_best_model="worse", greater_is_better=True,
        eval_strategy="epoch", logging_strategy="epoch", save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"worse": 0.5},
    )  # fmt: skip
    trainer.train()
    return {"log": log(trainer)}


def warm_up_as_a_share(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    found = {}
    for share in (0.1, 0.25, 0.5):
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
        args = TrainingArguments(
            "out", num_train_epochs=7, learning_rate=2e-4, warmup_ratio=share, logging_steps=1, save_strategy="no",
            report_to="none",
        )  # fmt: skip
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        result = trainer.train()
        found[str(share)] = [log(trainer), result.training_loss, args.get_warmup_steps(7)]
    return found


def accumulated_gradients_of_a_stream(models):
    """An iterable data set keeps its order: three batches make one step."""
    import torch
    from torch.utils.data import IterableDataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")

    class Stream(IterableDataset):
        def __iter__(self):
            for i in range(1000):
                yield {**tokenizer(SENTENCES[i % 8]), "labels": torch.tensor(LABELS[i % 8])}

    args = TrainingArguments(
        "out", max_steps=4, per_device_train_batch_size=2, gradient_accumulation_steps=3, learning_rate=1e-3,
        weight_decay=0.05, warmup_steps=1, logging_steps=2, save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=Stream(), processing_class=tokenizer)
    result = trainer.train()
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "weights": weights(model),
        "state": {key: value for key, value in counters(trainer).items() if key != "num_train_epochs"},
    }


def accumulation_with_a_remainder(models):
    """Seven rows, batches of two, three batches a step: the last step of an epoch has one batch."""
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, weights

    class InOrder(Trainer):
        def _get_train_sampler(self, *args):
            return SequentialSampler(self.train_dataset)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)][:7]
    args = TrainingArguments(
        "out", num_train_epochs=2, per_device_train_batch_size=2, gradient_accumulation_steps=3, learning_rate=1e-3,
        optim="sgd", logging_steps=1, save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = InOrder(model, args, train_dataset=rows, processing_class=tokenizer)
    result = trainer.train()
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "weights": weights(model),
        "state": counters(trainer),
    }


def optimizer_and_schedule_given(models):
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainingArguments,
        get_linear_schedule_with_warmup,
    )

    from tests.contract.training_facts import log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    optimizer = torch.optim.AdamW(
        [
            {"params": model.bert.parameters(), "lr": 1e-4},
            {"params": model.classifier.parameters(), "lr": 1e-2},
        ],
        weight_decay=0.0,
    )
    scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=1, num_training_steps=5)
    args = TrainingArguments("out", max_steps=5, logging_steps=1, save_strategy="no", report_to="none")
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer, optimizers=(optimizer, scheduler))
    result = trainer.train()
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "weights": weights(model),
        "rates": [rate * 1e3 for rate in trainer.get_learning_rates()],
    }


def an_optimizer_given_alone(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=4, logging_steps=1, warmup_steps=2, save_strategy="no", report_to="none")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer, optimizers=(optimizer, None))
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer)}


def a_class_of_optimizer(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=4, learning_rate=0.02, weight_decay=0.1, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(
        model, args, train_dataset=rows, processing_class=tokenizer,
        optimizer_cls_and_kwargs=(torch.optim.SGD, {"lr": 0.02, "momentum": 0.5}),
    )  # fmt: skip
    trainer.train()
    groups = [(len(g["params"]), g["weight_decay"], g["momentum"]) for g in trainer.optimizer.param_groups]
    return {"log": log(trainer), "weights": weights(model), "groups": groups}


def rates_by_layer(models):
    """``create_optimizer`` overridden: the deeper a layer, the smaller its rate."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    class LayerwiseTrainer(Trainer):
        def create_optimizer(self):
            if self.optimizer is None:
                layers = [self.model.bert.embeddings, *self.model.bert.encoder.layer, self.model.classifier]
                groups = [
                    {"params": layer.parameters(), "lr": self.args.learning_rate * 0.5 ** (len(layers) - 1 - depth)}
                    for depth, layer in enumerate(layers)
                ]
                self.optimizer = torch.optim.AdamW(groups, eps=self.args.adam_epsilon)
            return self.optimizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", max_steps=4, learning_rate=1e-3, logging_steps=2, save_strategy="no", report_to="none"
    )
    trainer = LayerwiseTrainer(model, args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    kept = {name: value for name, value in weights(model).items() if "bias" in name}
    return {"log": log(trainer), "weights": kept, "rates": [1e3 * r for r in trainer.get_learning_rates()]}


def schedule_overridden(models):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log

    asked = []

    class StepTrainer(Trainer):
        def create_scheduler(self, num_training_steps, optimizer=None):
            asked.append(num_training_steps)
            self.lr_scheduler = torch.optim.lr_scheduler.StepLR(optimizer or self.optimizer, step_size=2, gamma=0.1)
            return self.lr_scheduler

    class BothTrainer(Trainer):
        def create_optimizer_and_scheduler(self, num_training_steps):
            asked.append(-num_training_steps)
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=self.args.learning_rate)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 1 / (1 + step))

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    found = []
    for kind in (StepTrainer, BothTrainer):
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        args = TrainingArguments(
            "out", num_train_epochs=5, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
        )
        trainer = kind(model, args, train_dataset=rows, processing_class=tokenizer)
        result = trainer.train()
        found.append([log(trainer), result.training_loss])
    return {"asked": asked, "found": found}


def optimizers_by_name(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    found = {}
    for name, settings in {
        "adamw_torch": {"adam_beta1": 0.8, "adam_beta2": 0.99, "adam_epsilon": 1e-6, "weight_decay": 0.2},
        "adamw_torch_fused": {"weight_decay": 0.2},
        "adafactor": {},
        "adagrad": {},
        "rmsprop": {},
        "sgd": {"weight_decay": 0.2, "max_grad_norm": 0.0},
    }.items():
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        args = TrainingArguments(
            "out", optim=name, max_steps=4, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none",
            **settings,
        )  # fmt: skip
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        result = trainer.train()
        found[name] = [log(trainer), weights(model.classifier), result.training_loss]
    return found


def half_an_epoch_and_two_and_a_half(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    found = []
    for settings in (
        {"num_train_epochs": 0.5},
        {"num_train_epochs": 2.5},
        {"max_steps": 7, "num_train_epochs": 1},
        {"num_train_epochs": 2, "dataloader_drop_last": True, "per_device_train_batch_size": 3},
        {"num_train_epochs": 1, "gradient_accumulation_steps": 100},
    ):
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        settings = {"per_device_train_batch_size": 2, **settings}
        args = TrainingArguments("out", logging_steps=2, save_strategy="no", report_to="none", **settings)
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        result = trainer.train()
        found.append([result.global_step, sorted(result.metrics), counters(trainer), log_keys(trainer)])
    return found

"""Kinds of data sets, columns and collators."""

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


def columns_that_the_model_does_not_know(models):
    """Texts and numbers beside the inputs are left out, whatever kind of data set they are in."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import Table, log, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    table = Table({"text": SENTENCES, "label": LABELS, "source": ["web"] * 8, "length": [3] * 8})
    tokenized = table.map(lambda row: dict(tokenizer(row["text"])), batched=False)
    tokenized = Table({**table.columns, **{k: v for k, v in tokenized.columns.items() if k not in table.columns}})

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            return tokenized[i]

    found = {}
    for name, dataset in {"table": tokenized, "rows": list(tokenized), "torch": Rows()}.items():
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
        args = TrainingArguments(
            "out", max_steps=2, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
        )
        trainer = Trainer(model, args, train_dataset=dataset, eval_dataset=dataset, processing_class=tokenizer)
        trainer.train()
        found[name] = [log(trainer), shape(trainer.predict(dataset).predictions)]
    return found


def the_formats_of_a_table(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import Table, log, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    table = Table({"text": SENTENCES, "label": LABELS})
    dataset = table.map(lambda batch: tokenizer(batch["text"], padding="max_length", max_length=12), batched=True)
    dataset = dataset.rename_column("label", "labels").shuffle(seed=42)
    small = dataset.select(range(5))
    for part in (dataset, small):
        part.set_format("torch", columns=["input_ids", "attention_mask", "labels"])
    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model=model, args=args, train_dataset=dataset, eval_dataset=small)
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer), "evaluated": numbers(trainer.evaluate())}


def all_columns_for_the_collator(models):
    """``remove_unused_columns=False``: the collator gets texts and tokenises each batch."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    seen = set()

    def collate_fn(examples):
        seen.update(examples[0])
        batch = tokenizer([e["text"] for e in examples], padding=True, truncation=True, return_tensors="pt")
        import torch

        batch["labels"] = torch.tensor([e["label"] for e in examples])
        return batch

    rows = [{"text": t, "label": y, "id": str(i)} for i, (t, y) in enumerate(zip(SENTENCES, LABELS, strict=True))]
    args = TrainingArguments(
        "out",
        max_steps=3,
        learning_rate=1e-3,
        remove_unused_columns=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
    )
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, data_collator=collate_fn)
    result = trainer.train()
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "seen": sorted(seen),
        "evaluated": numbers(trainer.evaluate()),
    }


def a_stream_that_ends(models):
    """A finite stream with more steps than one pass: it is read again."""
    from torch.utils.data import IterableDataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log, numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")

    class Stream(IterableDataset):
        def __init__(self, n):
            self.n = n

        def __iter__(self):
            for text, label in list(zip(SENTENCES, LABELS, strict=True))[: self.n]:
                yield {**tokenizer(text), "label": label, "text": text}

    args = TrainingArguments(
        "out", max_steps=5, per_device_train_batch_size=4, per_device_eval_batch_size=3, learning_rate=1e-3,
        logging_steps=1, save_strategy="no", report_to="none", eval_strategy="steps", eval_steps=4,
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=Stream(8), eval_dataset=Stream(5), processing_class=tokenizer)
    result = trainer.train()
    return {
        "loss of training": result.training_loss,
        "log": log(trainer),
        "steps": result.global_step,
        "state": {key: value for key, value in counters(trainer).items() if key != "num_train_epochs"},
        "evaluated": numbers(trainer.evaluate()),
        "predicted": shape(trainer.predict(Stream(7)).predictions),
    }


def rows_of_one_length_together(models):
    """``group_by_length``: which rows meet is drawn; that a batch wastes little is not."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import counters, log_keys

    widths = []

    class Widths(Trainer):
        def training_step(self, model, inputs, num_items_in_batch=None):
            lengths = inputs["attention_mask"].sum(-1).tolist()
            widths.append(max(lengths) - min(lengths))
            return super().training_step(model, inputs, num_items_in_batch)

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    texts = ["love " * n for n in (1, 20, 2, 19, 3, 18, 4, 17)]
    rows = [{**tokenizer(text), "label": label} for text, label in zip(texts, LABELS, strict=True)]
    args = TrainingArguments(
        "out", num_train_epochs=2, per_device_train_batch_size=4, group_by_length=True, logging_steps=1,
        save_strategy="no", report_to="none",
    )  # fmt: skip
    trainer = Widths(model, args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    return {"widest": max(widths) <= 3, "log": log_keys(trainer), "state": counters(trainer)}


def collators_of_the_library(models):
    """What each makes of the same rows; nothing is trained."""
    from transformers import (
        AutoTokenizer,
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
        DefaultDataCollator,
        default_data_collator,
    )

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    words = [{"input_ids": [1, 2, 3], "labels": [0, 1, 2]}, {"input_ids": [4, 5], "labels": [3, 4]}]
    equal = [{"input_ids": [1, 2, 3], "label": 0.5, "name": "x"}, {"input_ids": [4, 5, 6], "label": 1.0, "name": "y"}]
    ids = [{"input_ids": [1, 2], "label_ids": [1, 0]}, {"input_ids": [3, 4], "label_ids": [0, 0]}]
    batches = {
        "padding": DataCollatorWithPadding(tokenizer)(rows),
        "multiple": DataCollatorWithPadding(tokenizer, padding="longest", pad_to_multiple_of=8)(rows),
        "fixed": DataCollatorWithPadding(tokenizer, padding="max_length", max_length=20)(rows[:1]),
        "words": DataCollatorForTokenClassification(tokenizer, label_pad_token_id=-1)(words),
        "default": default_data_collator(equal),
        "ids": DefaultDataCollator()(ids),
        "numpy": DefaultDataCollator(return_tensors="np")(equal),
    }
    return {
        name: {key: [str(value.dtype), value.tolist()] for key, value in sorted(batch.items())}
        for name, batch in batches.items()
    }


def loaders_asked_for_directly(models):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label, "text": text} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        "out", per_device_train_batch_size=3, per_device_eval_batch_size=5, dataloader_drop_last=True, report_to="none"
    )
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    train, evaluation, test = (
        trainer.get_train_dataloader(),
        trainer.get_eval_dataloader(),
        trainer.get_test_dataloader(rows[:2]),
    )
    first = next(iter(evaluation))
    return {
        "lengths": [len(train), len(evaluation), len(test)],
        "rows": trainer.num_examples(train),
        "keys": sorted(next(iter(train))),
        "first": {key: value.tolist() for key, value in sorted(first.items())},
    }

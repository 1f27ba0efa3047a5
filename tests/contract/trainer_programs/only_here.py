"""Published programs that the reference in version 4.57 does not run."""

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


def evaluation_strategy(models):
    """Renamed in 4.41 and removed in 4.46; in most notebooks that people find."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        output_dir="out", evaluation_strategy="epoch", save_strategy="epoch", num_train_epochs=2,
        load_best_model_at_end=True, report_to="none",
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows, tokenizer=tokenizer)
    trainer.train()
    return [sorted(keys) for _, _, keys in log_keys(trainer)], args.eval_strategy == "epoch"


def a_loss_without_further_arguments(models):
    """``compute_loss`` as it was written before 4.46."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    class CustomTrainer(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            logits = outputs[0]
            loss_fct = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]))
            loss = loss_fct(logits.view(-1, 2), labels.view(-1))
            return (loss, outputs) if return_outputs else loss

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=4, learning_rate=1e-3, save_strategy="no", report_to="none")
    trainer = CustomTrainer(model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    return before > trainer.evaluate()["eval_loss"] > 0


def a_batch_as_the_data_set(models):
    """What a tokeniser returns, with labels in it, given as ``train_dataset``."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    encodings = tokenizer(SENTENCES, truncation=True, padding=True)
    encodings["labels"] = LABELS
    args = TrainingArguments(
        "out", num_train_epochs=2, per_device_train_batch_size=4, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model=model, args=args, train_dataset=encodings, eval_dataset=encodings)
    result = trainer.train()
    return result.global_step, trainer.predict(encodings).predictions.shape


def a_finished_run_resumed(models):
    """Its last step is within an epoch. The reference trains one step more than it was asked to."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=2, per_device_train_batch_size=2, save_steps=1, report_to="none")
    steps = []
    for again in (None, True):
        model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        steps.append(trainer.train(resume_from_checkpoint=again).global_step)
    return steps


def an_old_name_of_a_path(models):
    """``model_path`` of ``train`` and ``AdamW`` of the library, in one program of version 3."""
    from transformers import AdamW, AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=2, per_gpu_train_batch_size=4, save_strategy="no", report_to="none")
    optimizer = AdamW(model.parameters(), lr=1e-3, correct_bias=True)
    trainer = Trainer(model, args, train_dataset=rows, tokenizer=tokenizer, optimizers=(optimizer, None))
    return trainer.train().global_step


def half_precision_without_a_gpu(models):
    """The reference wants ``use_cpu=True`` beside it, and keeps the precision for later runs of the process."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments("out", max_steps=2, bf16=True, save_strategy="no", report_to="none")
    trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
    loss = trainer.train().training_loss
    return 0.3 < loss < 2, sorted({str(p.dtype) for p in model.parameters()})

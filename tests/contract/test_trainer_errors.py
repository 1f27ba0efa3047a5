"""Mistakes that people make with a ``Trainer``, and what the messages tell them. Only this library is asked."""

from __future__ import annotations

import pytest

import bothways
from bothways.errors import BothwaysError

pytest.importorskip("transformers")  # it makes the models


TEXTS = ["i love this film", "i hate this film", "a good book", "no"]


@pytest.fixture(autouse=True)
def of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tokenizer(models):
    return bothways.AutoTokenizer.from_pretrained(models / "bert-base-mrpc")


@pytest.fixture
def model(models):
    return bothways.AutoModelForSequenceClassification.from_pretrained(models / "bert-base-mrpc")


@pytest.fixture
def rows(tokenizer):
    return [{**tokenizer(text), "label": i % 2} for i, text in enumerate(TEXTS)]


def arguments(**settings):
    return bothways.TrainingArguments("out", **{"report_to": "none", "save_strategy": "no", "max_steps": 2, **settings})


def refused(kind=BothwaysError):
    return pytest.raises(kind)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("learning_rat", "learning_rate"),
        ("num_epochs", "num_train_epochs"),
        ("batch_size", "per_device_train_batch_size"),
        ("per_device_batch_size", "per_device_train_batch_size"),
        ("eval_step", "eval_steps"),
        ("weight_deacy", "weight_decay"),
        ("logging_step", "logging_steps"),
    ],
)
def test_an_unknown_argument_names_the_one_that_was_meant(wrong, meant):
    with refused() as found:
        bothways.TrainingArguments(output_dir="out", **{wrong: 3})
    assert isinstance(found.value, TypeError)
    assert wrong in str(found.value) and meant in str(found.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"eval_strategy": "epochs"},
        {"eval_strategy": "each"},
        {"save_strategy": "always"},
        {"lr_scheduler_type": "linaer"},
        {"optim": "adamm"},
    ],
)
def test_an_unknown_word_lists_the_known_ones(settings):
    ((name, word),) = settings.items()
    with refused(ValueError) as found:
        bothways.TrainingArguments(output_dir="out", **settings)
    known = {"lr_scheduler_type": "linear", "optim": "adamw_torch"}.get(name, "epoch")
    assert word in str(found.value) and known in str(found.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": "5e-5x"},
        {"learning_rate": -1},
        {"per_device_train_batch_size": 0},
        {"per_device_train_batch_size": 2.5},
        {"gradient_accumulation_steps": 0},
        {"warmup_ratio": 2},
    ],
)
def test_an_impossible_number_is_named(settings):
    ((name, value),) = settings.items()
    with refused(ValueError) as found:
        bothways.TrainingArguments(output_dir="out", **settings)
    assert str(value) in str(found.value) and name in str(found.value)


def test_evaluations_without_a_set(model, rows):
    with refused() as found:
        bothways.Trainer(model, arguments(eval_strategy="epoch"), train_dataset=rows)
    assert "eval_dataset" in str(found.value) and "epoch" in str(found.value)


def test_the_best_of_different_times():
    with refused() as found:
        bothways.TrainingArguments("out", load_best_model_at_end=True, eval_strategy="epoch", save_strategy="steps")
    assert "epoch" in str(found.value) and "steps" in str(found.value)


def test_a_best_metric_that_is_not_there(model, tokenizer, rows):
    args = arguments(
        eval_strategy="epoch", save_strategy="epoch", load_best_model_at_end=True, metric_for_best_model="f1"
    )
    trainer = bothways.Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer,
        compute_metrics=lambda p: {"accuracy": 1.0},
    )  # fmt: skip
    with refused() as found:
        trainer.train()
    assert "f1" in str(found.value) and "eval_accuracy" in str(found.value)


def test_no_labels_so_no_loss(model, tokenizer):
    rows = [dict(tokenizer(text)) for text in TEXTS]
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    for column in ("input_ids", "attention_mask", "label"):
        assert column in str(found.value)


def test_labels_under_another_name(model, tokenizer):
    rows = [{**tokenizer(text), "target": i % 2} for i, text in enumerate(TEXTS)]
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert "label" in str(found.value) and "input_ids" in str(found.value)


@pytest.mark.parametrize("label", [2, 7, -1])
def test_a_label_out_of_range(model, tokenizer, rows, label):
    rows[2]["label"] = label
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert str(label) in str(found.value) and "2" in str(found.value)


def test_labels_that_are_words(model, tokenizer, rows):
    for row in rows:
        row["label"] = "good"
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert "label" in str(found.value)


@pytest.mark.parametrize("rows", [TEXTS, [{"text": text, "label": i % 2} for i, text in enumerate(TEXTS)]])
def test_texts_that_were_not_tokenised(model, tokenizer, rows):
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    message = str(found.value).lower()
    assert "token" in message and ("str" in message or "text" in message)


def test_rows_of_different_lengths_without_a_tokeniser(model, rows):
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows).train()
    message = str(found.value)
    assert "input_ids" in message and ("pad" in message.lower())


@pytest.mark.parametrize("empty", [[], None])
def test_nothing_to_train_on(model, tokenizer, empty):
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=empty, processing_class=tokenizer).train()
    assert "train_dataset" in str(found.value)


@pytest.mark.parametrize("settings", [{}, {"max_steps": -1, "num_train_epochs": 1}])
def test_an_empty_set_is_called_empty(model, tokenizer, settings):
    with refused() as found:
        bothways.Trainer(model, arguments(**settings), train_dataset=[], processing_class=tokenizer).train()
    assert "empty" in str(found.value)


def test_nothing_to_evaluate(model, tokenizer):
    trainer = bothways.Trainer(model, arguments(), processing_class=tokenizer)
    with refused() as found:
        trainer.evaluate()
    assert "eval_dataset" in str(found.value)


def test_fewer_rows_than_a_batch_that_must_be_whole(model, tokenizer, rows):
    args = arguments(dataloader_drop_last=True, per_device_train_batch_size=5)
    with refused() as found:
        bothways.Trainer(model, args, train_dataset=rows, processing_class=tokenizer).train()
    assert "batch" in str(found.value)


def test_no_column_is_left(model):
    rows = [{"inputs": [1, 2], "mask": [1, 1]}] * 4
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows).train()
    for word in ("inputs", "mask", "input_ids", "remove_unused_columns=False"):
        assert word in str(found.value)


def test_a_model_without_a_head(models, tokenizer, rows):
    body = bothways.AutoModel.from_pretrained(models / "bert-base-uncased")
    with refused() as found:
        bothways.Trainer(body, arguments(), train_dataset=rows, processing_class=tokenizer)
    assert "BertModel" in str(found.value) and "BertForSequenceClassification" in str(found.value)


def test_neither_model_nor_model_init(rows):
    with refused() as found:
        bothways.Trainer(args=arguments(), train_dataset=rows)
    assert "model_init" in str(found.value)


def test_a_stream_without_an_end_needs_steps(model, tokenizer, rows):
    import torch

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(rows)

    args = arguments(max_steps=-1, num_train_epochs=1)
    with refused() as found:
        bothways.Trainer(model, args, train_dataset=Stream(), processing_class=tokenizer).train()
    assert "max_steps" in str(found.value)


@pytest.mark.parametrize("where", [True, "out/checkpoint-12", "nowhere"])
def test_nothing_to_resume_from(model, tokenizer, rows, where):
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train(
            resume_from_checkpoint=where
        )
    assert ("out" if where is True else where.split("/")[-1]) in str(found.value)


def test_a_loss_that_is_no_number(model, tokenizer, rows):
    import torch

    class Broken(bothways.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
            loss = super().compute_loss(model, inputs) * torch.tensor(float("nan"))
            return (loss, None) if return_outputs else loss

    with refused() as found:
        Broken(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert "nan" in str(found.value).lower() or "finite" in str(found.value)


def test_several_labels_as_whole_numbers(models, tokenizer):
    """The reference wants floats. Here they train, or the message asks for floats."""
    model = bothways.AutoModelForSequenceClassification.from_pretrained(models / "bert-emotions")
    rows = [{**tokenizer(text), "labels": [1, 0, 0, i % 2]} for i, text in enumerate(TEXTS)]
    trainer = bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer)
    try:
        assert 0 < trainer.train().training_loss < 10
    except BothwaysError as problem:
        assert "float" in str(problem)


def test_several_labels_of_another_number(models, tokenizer):
    model = bothways.AutoModelForSequenceClassification.from_pretrained(models / "bert-emotions")
    rows = [{**tokenizer(text), "labels": [1.0, 0.0, 1.0]} for text in TEXTS]
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert "3" in str(found.value) and "4" in str(found.value)


def test_labels_of_words_without_their_collator(models, tokenizer):
    model = bothways.AutoModelForTokenClassification.from_pretrained(models / "bert-large-ner")
    rows = [dict(tokenizer(text)) for text in TEXTS]
    for row in rows:
        row["labels"] = [0] * len(row["input_ids"])
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert "labels" in str(found.value) and "DataCollatorForTokenClassification" in str(found.value)


def test_a_text_that_is_too_long(model, tokenizer):
    rows = [{**tokenizer("i love this film " * n), "label": 0} for n in (1, 40)]
    with refused() as found:
        bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert "162" in str(found.value) and "64" in str(found.value)


def test_a_collator_that_returns_something_else(model, rows):
    trainer = bothways.Trainer(model, arguments(), train_dataset=rows, data_collator=lambda batch: [1, 2])
    with refused() as found:
        trainer.train()
    assert "data_collator" in str(found.value)


def test_metrics_that_are_no_dictionary(model, tokenizer, rows):
    trainer = bothways.Trainer(
        model, arguments(), eval_dataset=rows, processing_class=tokenizer, compute_metrics=lambda p: 0.5
    )
    with refused() as found:
        trainer.evaluate()
    assert "compute_metrics" in str(found.value) and "float" in str(found.value)


def test_a_run_that_failed_leaves_the_directory_free(model, tokenizer, rows):
    bad = [*rows[:3], {**rows[3], "label": 9}]
    with refused():
        bothways.Trainer(model, arguments(), train_dataset=bad, processing_class=tokenizer).train()
    result = bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer).train()
    assert result.global_step == 2


def test_a_callback_that_fails_shows_its_own_error(model, tokenizer, rows):
    class Fails(bothways.TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            raise RuntimeError("mine")

    trainer = bothways.Trainer(model, arguments(), train_dataset=rows, processing_class=tokenizer, callbacks=[Fails()])
    with pytest.raises(RuntimeError, match="mine"):
        trainer.train()
    assert trainer.is_in_train is False


def test_nothing_is_sent_away():
    with refused() as found:
        bothways.TrainingArguments("out", push_to_hub=True)
    assert "push_to_hub" in str(found.value)

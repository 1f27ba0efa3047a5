"""Words, answers, choices and masked words. One batch holds all rows where numbers are compared."""


def entities_with_aligned_labels(models):
    """Token classification of the course: words, ``word_ids``, −100, and the collator that pads labels."""
    import numpy as np
    from seqeval.metrics import accuracy_score, f1_score
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import Table, log, log_keys, numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-large-ner")
    label_list = [model.config.id2label[i] for i in range(model.config.num_labels)]
    words = [
        ["Anna", "lives", "in", "London"],
        ["Peter", "Berg", "works"],
        ["a", "book"],
        ["New", "York", "and", "Paris"],
    ]
    tags = [[1, 0, 0, 3], [1, 2, 0], [0, 0], [3, 4, 0, 3]]
    raw = Table({"id": ["0", "1", "2", "3"], "tokens": words, "ner_tags": tags})

    def tokenize_and_align_labels(examples):
        tokenized_inputs = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
        labels = []
        for i, label in enumerate(examples["ner_tags"]):
            word_ids = tokenized_inputs.word_ids(batch_index=i)
            previous_word_idx = None
            label_ids = []
            for word_idx in word_ids:
                if word_idx is None:
                    label_ids.append(-100)
                elif word_idx != previous_word_idx:
                    label_ids.append(label[word_idx])
                else:
                    label_ids.append(-100)
                previous_word_idx = word_idx
            labels.append(label_ids)
        tokenized_inputs["labels"] = labels
        return tokenized_inputs

    tokenized = raw.map(tokenize_and_align_labels, batched=True)

    def compute_metrics(p):
        predictions, labels = p
        predictions = np.argmax(predictions, axis=2)
        found = [
            [label_list[p] for (p, l) in zip(prediction, label, strict=True) if l != -100]  # noqa: E741
            for prediction, label in zip(predictions, labels, strict=True)
        ]
        true = [[label_list[l] for l in label if l != -100] for label in labels]  # noqa: E741
        return {"f1": float(f1_score(true, found)), "accuracy": float(accuracy_score(true, found))}

    args = TrainingArguments(
        output_dir="my_awesome_wnut_model",
        learning_rate=1e-3,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=2,
        num_train_epochs=3,
        weight_decay=0.01,
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=tokenized,
        eval_dataset=tokenized,
        processing_class=tokenizer,
        data_collator=DataCollatorForTokenClassification(tokenizer=tokenizer),
        compute_metrics=compute_metrics,
    )
    before = numbers(trainer.evaluate())
    result = trainer.train()
    predictions, labels, metrics = trainer.predict(tokenized)
    return {
        "before": before,
        "loss of training": result.training_loss,
        "keys": log_keys(trainer),
        "log": log(trainer),
        "shapes": [shape(predictions), shape(labels)],
        "padding": [(labels == -100).sum(-1).tolist(), (predictions == -100).all(-1).sum(-1).tolist()],
        "metrics": sorted(numbers(metrics)),
    }


def answers_with_positions(models):
    """Question answering of the course: offsets, start and end, and predictions that are a tuple.

    All rows have one length: the reference counts padding among the possible answers in its loss.
    """
    from transformers import (
        AutoModelForQuestionAnswering,
        AutoTokenizer,
        DefaultDataCollator,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import Table, log, numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-squad")
    model = AutoModelForQuestionAnswering.from_pretrained(f"{models}/distilbert-squad")
    contexts = [
        "Anna was born in Paris and works in",
        "the film is about a cat and a",
        "we love good food at my school and",
    ]
    answers = [("Paris", 17), ("a cat", 18), ("good food", 8)]
    raw = Table(
        {
            "question": ["where was Anna born", "what is film about", "what is this food"],
            "context": contexts,
            "answers": [{"text": [text], "answer_start": [start]} for text, start in answers],
        }
    )

    def preprocess_function(examples):
        inputs = tokenizer(
            [q.strip() for q in examples["question"]],
            examples["context"],
            max_length=32,
            truncation="only_second",
            return_offsets_mapping=True,
        )
        offset_mapping = inputs.pop("offset_mapping")
        start_positions, end_positions = [], []
        for i, offset in enumerate(offset_mapping):
            answer = examples["answers"][i]
            start_char = answer["answer_start"][0]
            end_char = start_char + len(answer["text"][0])
            sequence_ids = inputs.sequence_ids(i)
            tokens = [t for t, sequence in enumerate(sequence_ids) if sequence == 1]
            inside = [t for t in tokens if offset[t][0] < end_char and offset[t][1] > start_char]
            start_positions.append(inside[0] if inside else 0)
            end_positions.append(inside[-1] if inside else 0)
        inputs["start_positions"] = start_positions
        inputs["end_positions"] = end_positions
        return inputs

    tokenized = raw.map(preprocess_function, batched=True, remove_columns=raw.column_names)
    args = TrainingArguments(
        output_dir="my_awesome_qa_model", eval_strategy="epoch", learning_rate=1e-3, per_device_train_batch_size=16,
        num_train_epochs=3, weight_decay=0.01, save_strategy="no", logging_steps=1, report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=tokenized,
        eval_dataset=tokenized,
        processing_class=tokenizer,
        data_collator=DefaultDataCollator(),
    )
    before = numbers(trainer.evaluate())
    result = trainer.train()
    start_logits, end_logits = trainer.predict(
        tokenized.remove_columns(["start_positions", "end_positions"])
    ).predictions
    with_labels = trainer.predict(tokenized)
    return {
        "before": before,
        "names": trainer.label_names,
        "loss of training": result.training_loss,
        "log": log(trainer),
        "shapes": [
            shape(start_logits),
            shape(end_logits),
            shape(with_labels.predictions),
            shape(with_labels.label_ids),
        ],
        "metrics": numbers(with_labels.metrics),
    }


def endings_with_a_collator_of_ones_own(models):
    """SWAG: a dataclass flattens the choices, pads them and gives them their shape again."""
    from dataclasses import dataclass
    from typing import Any

    import numpy as np
    import torch
    from transformers import AutoModelForMultipleChoice, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log, numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-swag")
    model = AutoModelForMultipleChoice.from_pretrained(f"{models}/bert-base-swag")

    @dataclass
    class DataCollatorForMultipleChoice:
        tokenizer: Any
        padding: Any = True
        max_length: Any = None

        def __call__(self, features):
            label_name = "label" if "label" in features[0] else "labels"
            labels = [feature.pop(label_name) for feature in features]
            batch_size = len(features)
            num_choices = len(features[0]["input_ids"])
            flattened = [[{k: v[i] for k, v in feature.items()} for i in range(num_choices)] for feature in features]
            flattened = sum(flattened, [])
            batch = self.tokenizer.pad(flattened, padding=self.padding, max_length=self.max_length, return_tensors="pt")
            batch = {k: v.view(batch_size, num_choices, -1) for k, v in batch.items()}
            batch["labels"] = torch.tensor(labels, dtype=torch.int64)
            return batch

    contexts = ["we love food", "the cat", "Anna lives in Paris"]
    endings = ["it is good", "it is a dog", "no", "yes because it is good food"]

    class Questions(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            encoded = tokenizer([contexts[i]] * 4, endings, truncation=True)
            return {**encoded, "label": i, "sent1": contexts[i]}

    args = TrainingArguments(
        output_dir="swag", eval_strategy="epoch", learning_rate=1e-3, per_device_train_batch_size=16,
        num_train_epochs=3, save_strategy="no", logging_strategy="epoch", report_to="none",
    )  # fmt: skip
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=Questions(),
        eval_dataset=Questions(),
        processing_class=tokenizer,
        data_collator=DataCollatorForMultipleChoice(tokenizer=tokenizer),
        compute_metrics=lambda p: {"accuracy": float((np.argmax(p.predictions, axis=1) == p.label_ids).mean())},
    )
    before = numbers(trainer.evaluate())
    result = trainer.train()
    return {
        "before": before,
        "loss of training": result.training_loss,
        "log": log(trainer),
        "shape": shape(trainer.predict(Questions()).predictions),
    }


def masked_words(models):
    """What is masked is drawn; the number of steps, the keys and a falling loss are not."""
    import math

    from transformers import (
        AutoModelForMaskedLM,
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    from tests.contract.training_facts import checkpoints, counters, log_keys, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-base-uncased")
    model = AutoModelForMaskedLM.from_pretrained(f"{models}/distilbert-base-uncased")
    texts = [
        "i love the film and the book",
        "berlin is the capital of germany",
        "we wait for you",
        "good food at school",
    ] * 3
    rows = [dict(tokenizer(text, return_special_tokens_mask=True)) for text in texts]
    data_collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm_probability=0.5)
    args = TrainingArguments(
        output_dir="mlm", overwrite_output_dir=True, eval_strategy="epoch", learning_rate=5e-3, num_train_epochs=4,
        weight_decay=0.01, logging_steps=3, save_steps=4, save_total_limit=1, report_to="none",
        prediction_loss_only=True,
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, train_dataset=rows, eval_dataset=rows, data_collator=data_collator)
    first = trainer.evaluate()
    trainer.train()
    last = trainer.evaluate()
    return {
        "keys": sorted(numbers(last)),
        "falling": math.exp(last["eval_loss"]) < math.exp(first["eval_loss"]),
        "log": log_keys(trainer),
        "state": counters(trainer),
        "checkpoints": checkpoints("mlm"),
    }


def masked_words_without_chance(models):
    """The collator without masking and labels made before: every number can be compared."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer, Trainer, TrainingArguments, default_data_collator

    from tests.contract.training_facts import log, weights

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModelForMaskedLM.from_pretrained(f"{models}/bert-base-uncased")
    encoded = tokenizer(
        ["i love [MASK] film", "the [MASK] is good", "[MASK] lives in paris"], padding="max_length", max_length=12
    )
    labels = [[7 if token == tokenizer.mask_token_id else -100 for token in ids] for ids in encoded["input_ids"]]
    rows = [{**{k: v[i] for k, v in encoded.items()}, "labels": labels[i]} for i in range(3)]
    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none"
    )
    trainer = Trainer(model, args, train_dataset=rows, data_collator=default_data_collator)
    result = trainer.train()
    kept = {name: value for name, value in weights(model).items() if "word_embeddings" in name or "cls." in name}
    return {"loss of training": result.training_loss, "log": log(trainer), "weights": kept}


def two_heads_of_ones_own(models):
    """A subclass of the library's classes with two kinds of labels, named by ``label_names``."""
    import torch
    from torch import nn
    from transformers import AutoTokenizer, BertModel, BertPreTrainedModel, Trainer, TrainingArguments

    from tests.contract.training_facts import log, shape

    class TwoHeads(BertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = BertModel(config)
            self.topic = nn.Linear(config.hidden_size, 3)
            self.tone = nn.Linear(config.hidden_size, 2)
            self.post_init()

        def forward(self, input_ids=None, attention_mask=None, topic_label=None, tone_label=None):
            pooled = self.bert(input_ids, attention_mask=attention_mask)[1]
            topic, tone = self.topic(pooled), self.tone(pooled)
            loss = nn.functional.cross_entropy(topic, topic_label) + nn.functional.cross_entropy(tone, tone_label)
            return {"loss": loss, "topic": topic, "tone": tone}

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = TwoHeads.from_pretrained(f"{models}/bert-base-mrpc")
    for layer in (model.topic, model.tone):
        layer.weight.data = torch.linspace(-0.3, 0.4, layer.weight.numel()).view_as(layer.weight)
        layer.bias.data.zero_()
    texts = ["a good book", "a bad book", "no", "the film is good"]
    rows = [{**tokenizer(text), "topic_label": i % 3, "tone_label": i % 2} for i, text in enumerate(texts)]
    args = TrainingArguments(
        "out", max_steps=3, learning_rate=1e-3, logging_steps=1, save_strategy="no", report_to="none",
        label_names=["topic_label", "tone_label"], eval_strategy="steps",
    )  # fmt: skip
    metrics = {}

    def compute_metrics(p):
        metrics.update(predictions=shape(p.predictions), labels=shape(p.label_ids))
        topics, tones = p.predictions
        return {"topic": float((topics.argmax(-1) == p.label_ids[0]).mean()), "tone": float(tones.mean())}

    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, processing_class=tokenizer, compute_metrics=compute_metrics
    )
    result = trainer.train()
    return {"loss of training": result.training_loss, "log": log(trainer), "shapes": metrics}

"""Fine-tuning of models that write. One batch holds all rows where numbers are compared; nothing is dropped out.

Plain gradient descent: in these tiny T5 models some gradients are rounding only, and Adam would take their signs.
"""


def translation_of_the_course(models):
    """Sequence to sequence of the course: ``text_target``, the collator with a model, and ``predict_with_generate``."""
    import numpy as np
    from transformers import (
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
    )

    from tests.contract.training_facts import Table, log, numbers, shape

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/t5-small")
    model = AutoModelForSeq2SeqLM.from_pretrained(f"{models}/t5-small", dropout_rate=0.0)
    raw = Table(
        {
            "en": ["I love this film", "the cat eats an apple", "we wait for you", "a good book"],
            "fr": ["we love a movie", "an apple", "you wait for the school", "good food and music"],
        }
    )

    def preprocess_function(examples):
        inputs = ["translate English to French: " + text for text in examples["en"]]
        return tokenizer(inputs, text_target=examples["fr"], max_length=64, truncation=True)

    tokenized = raw.map(preprocess_function, batched=True)

    def compute_metrics(eval_preds):
        preds, labels = eval_preds
        preds = np.where(preds != -100, preds, tokenizer.pad_token_id)
        labels = np.where(labels != -100, labels, tokenizer.pad_token_id)
        written = tokenizer.batch_decode(preds, skip_special_tokens=True)
        wanted = tokenizer.batch_decode(labels, skip_special_tokens=True)
        lengths = [np.count_nonzero(pred != tokenizer.pad_token_id) for pred in preds]
        return {"same": float(np.mean([a == b for a, b in zip(written, wanted)])), "gen_len": float(np.mean(lengths))}  # noqa: B905

    training_args = Seq2SeqTrainingArguments(
        output_dir="my_awesome_opus_books_model",
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        learning_rate=1e-2,
        optim="sgd",
        per_device_train_batch_size=4,
        per_device_eval_batch_size=2,
        weight_decay=0.01,
        num_train_epochs=3,
        predict_with_generate=True,
        generation_max_length=12,
        report_to="none",
    )
    trainer = Seq2SeqTrainer(
        model=model,
        args=training_args,
        train_dataset=tokenized,
        eval_dataset=tokenized,
        processing_class=tokenizer,
        data_collator=DataCollatorForSeq2Seq(tokenizer=tokenizer, model=model),
        compute_metrics=compute_metrics,
    )
    before = numbers(trainer.evaluate())
    result = trainer.train()
    beams = numbers(trainer.evaluate(num_beams=3, max_length=9))
    predictions, labels, metrics = trainer.predict(tokenized, max_new_tokens=8)
    return {
        "before": before,
        "loss of training": result.training_loss,
        "log": [{k: v for k, v in entry.items() if k != "grad_norm"} for entry in log(trainer)],
        "beams": beams,
        "shapes": [shape(predictions), shape(labels)],
        "written": tokenizer.batch_decode(np.where(predictions != -100, predictions, 0), skip_special_tokens=True),
        "metrics": sorted(numbers(metrics)),
    }


def a_causal_model_on_blocks(models):
    """Causal language modelling of the course: texts joined and divided into blocks, perplexity at the end."""
    import math

    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )

    from tests.contract.training_facts import Table, log, numbers

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/gpt2")
    tokenizer.pad_token = tokenizer.eos_token
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = AutoModelForCausalLM.from_pretrained(f"{models}/gpt2", **off)
    raw = Table({"text": ["I love this film and the movie", "the cat eats an apple in the school", "we wait for you"]})
    tokenized = raw.map(lambda examples: tokenizer(examples["text"]), batched=True)
    block_size = 8

    def group_texts(examples):
        joined = {k: sum(examples[k], []) for k in ("input_ids", "attention_mask")}
        total = (len(joined["input_ids"]) // block_size) * block_size
        result = {k: [t[i : i + block_size] for i in range(0, total, block_size)] for k, t in joined.items()}
        # the reference divides by the number of labels, the first of each row included, which nothing predicts
        result["labels"] = [[-100, *ids[1:]] for ids in result["input_ids"]]
        return result

    blocks = Table(group_texts({k: list(tokenized[k]) for k in ("input_ids", "attention_mask")}))
    training_args = TrainingArguments(
        output_dir="my_awesome_eli5_clm-model",
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="no",
        learning_rate=1e-3,
        per_device_train_batch_size=16,
        weight_decay=0.01,
        num_train_epochs=2,
        report_to="none",
    )
    trainer = Trainer(
        model=model,
        args=training_args,
        train_dataset=blocks,
        eval_dataset=blocks,
        data_collator=default_data_collator,
    )
    trainer.train()
    eval_results = trainer.evaluate()
    return {
        "perplexity": math.exp(eval_results["eval_loss"]),
        "log": log(trainer),
        "keys": sorted(numbers(eval_results)),
        "rows": len(blocks),
    }


def smoothed_labels_and_no_generation(models):
    """Label smoothing needs the decoder's input from the collator; without generation predictions are scores."""
    from transformers import (
        AutoModelForSeq2SeqLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
    )

    from tests.contract.training_facts import log

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/t5-small")
    model = AutoModelForSeq2SeqLM.from_pretrained(f"{models}/t5-small", dropout_rate=0.0)
    texts = ["summarize: the cat eats an apple", "summarize: we wait for you in london"]
    rows = [
        {**tokenizer(text), "labels": tokenizer(text_target=target)["input_ids"]}
        for text, target in zip(texts, ["a cat", "we wait"])  # noqa: B905
    ]
    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir="smoothed",
            max_steps=3,
            logging_steps=1,
            per_device_train_batch_size=2,
            label_smoothing_factor=0.1,
            learning_rate=1e-2,
            optim="sgd",
            lr_scheduler_type="constant",
            save_strategy="no",
            report_to="none",
        ),
        train_dataset=rows,
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        tokenizer=tokenizer,
    )
    trainer.train()
    return {"log": [{k: v for k, v in entry.items() if k != "grad_norm"} for entry in log(trainer)]}

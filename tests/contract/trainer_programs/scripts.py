"""Scripts: arguments from the command line and from dictionaries, and what the arguments answer."""

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


def a_script_with_a_command_line(models):
    """The frame of the published example scripts."""
    import os
    import sys
    from dataclasses import dataclass, field

    from transformers import (
        AutoConfig,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        HfArgumentParser,
        Trainer,
        TrainingArguments,
        default_data_collator,
        set_seed,
    )

    from tests.contract.training_facts import checkpoints, counters, log_keys

    @dataclass
    class ModelArguments:
        model_name_or_path: str = field(metadata={"help": "Path to a model"})
        use_fast_tokenizer: bool = field(default=True, metadata={"help": "Whether to use a fast tokenizer."})

    @dataclass
    class DataTrainingArguments:
        max_seq_length: int = field(default=128, metadata={"help": "The maximum total input sequence length."})
        pad_to_max_length: bool = field(default=True)

    parser = HfArgumentParser((ModelArguments, DataTrainingArguments, TrainingArguments))
    command = f"""--model_name_or_path {models}/bert-base-mrpc --max_seq_length 16 --do_train --do_eval
        --per_device_train_batch_size 4 --learning_rate 1e-3 --num_train_epochs 2 --output_dir out --report_to none
        --lr_scheduler_type cosine --warmup_steps 1 --eval_strategy epoch --save_strategy epoch --logging_steps 1
        --seed 7 --overwrite_output_dir --save_total_limit 1"""
    model_args, data_args, training_args = parser.parse_args_into_dataclasses(args=command.split())
    set_seed(training_args.seed)
    config = AutoConfig.from_pretrained(model_args.model_name_or_path, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(model_args.model_name_or_path, use_fast=model_args.use_fast_tokenizer)
    model = AutoModelForSequenceClassification.from_pretrained(model_args.model_name_or_path, config=config)
    encoded = tokenizer(SENTENCES, padding="max_length", max_length=data_args.max_seq_length, truncation=True)
    rows = [{**{k: v[i] for k, v in encoded.items()}, "label": LABELS[i]} for i in range(8)]
    trainer = Trainer(
        model=model,
        args=training_args,
        train_dataset=rows if training_args.do_train else None,
        eval_dataset=rows if training_args.do_eval else None,
        processing_class=tokenizer,
        data_collator=default_data_collator if data_args.pad_to_max_length else None,
    )
    if training_args.do_train:
        train_result = trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
        metrics = train_result.metrics
        trainer.save_model()
        trainer.log_metrics("train", metrics)
        trainer.save_metrics("train", metrics)
        trainer.save_state()
    if training_args.do_eval:
        metrics = trainer.evaluate()
        trainer.log_metrics("eval", metrics)
        trainer.save_metrics("eval", metrics)
    assert sys.argv
    return {
        "log": log_keys(trainer),
        "state": counters(trainer),
        "checkpoints": checkpoints("out"),
        "files": sorted(name for name in os.listdir("out") if name.endswith("results.json")),
        "asked": [
            training_args.do_predict,
            training_args.lr_scheduler_type.value,
            training_args.seed,
            data_args.max_seq_length,
        ],
    }


def arguments_of_a_dictionary_and_a_file(models):
    import json
    from dataclasses import dataclass

    from transformers import HfArgumentParser, TrainingArguments

    @dataclass
    class Mine:
        name: str = "x"
        rate: float | None = None
        flag: bool = False

    parser = HfArgumentParser([Mine, TrainingArguments])
    given = {"name": "y", "rate": 0.5, "output_dir": "out", "num_train_epochs": 1, "report_to": "none"}
    mine, training = parser.parse_dict(given)
    with open("arguments.json", "w") as file:
        json.dump(given, file)
    again, other = parser.parse_json_file(json_file="arguments.json")
    flagged, rest = HfArgumentParser(Mine).parse_args_into_dataclasses(
        args=["--flag", "--rate", "2.5", "--unknown", "1"], return_remaining_strings=True
    )
    return {
        "mine": [mine.name, mine.rate, mine.flag],
        "training": [training.num_train_epochs, training.output_dir],
        "again": [again == mine, other.num_train_epochs],
        "flagged": [flagged.name, flagged.rate, flagged.flag, rest],
    }


def what_arguments_answer(models):
    import json

    from transformers import IntervalStrategy, SchedulerType, TrainingArguments

    args = TrainingArguments(
        output_dir="out", eval_strategy="steps", eval_steps=50, per_device_train_batch_size=4, warmup_ratio=0.1,
        gradient_accumulation_steps=2, load_best_model_at_end=True, save_steps=100, report_to="none", seed=3,
    )  # fmt: skip
    written = args.to_dict()
    numbers = ("learning_rate", "num_train_epochs", "seed", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon")
    steps = ("max_steps", "logging_steps", "save_steps", "eval_steps", "gradient_accumulation_steps", "max_grad_norm")
    words = ("optim", "eval_strategy", "save_strategy", "lr_scheduler_type", "metric_for_best_model", "output_dir")
    flags = ("fp16", "bf16", "load_best_model_at_end", "greater_is_better", "remove_unused_columns")
    others = ("label_smoothing_factor", "dataloader_num_workers", "data_seed", "per_device_train_batch_size")
    return {
        "dict": {name: written[name] for name in (*numbers, *steps, *words, *flags, *others)},
        "warm-up as a share": args.warmup_ratio,
        "json": json.loads(args.to_json_string())["eval_strategy"],
        "strategies": [
            args.eval_strategy == IntervalStrategy.STEPS,
            args.save_strategy == "steps",
            args.logging_strategy == IntervalStrategy.STEPS,
            args.lr_scheduler_type == SchedulerType.LINEAR,
        ],
        "sizes": [args.train_batch_size, args.eval_batch_size, args.world_size, args.n_gpu],
        "device": str(args.device),
        "process": [args.process_index, args.local_process_index, args.should_save, args.should_log],
        "warm-up": [args.get_warmup_steps(n) for n in (7, 100)],
        "run": args.run_name,
    }


def older_spellings(models):
    """What 4.57 still accepts and later versions do not."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    from tests.contract.training_facts import log_keys

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-mrpc")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/bert-base-mrpc")
    rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    args = TrainingArguments(
        output_dir="./results", overwrite_output_dir=True, no_cuda=True, per_gpu_train_batch_size=4,
        logging_dir="./logs", save_safetensors=True, group_by_length=False, warmup_ratio=0.5,
        include_inputs_for_metrics=False, max_steps=2, logging_steps=1, push_to_hub=False, fp16=False, report_to="none",
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, train_dataset=rows, tokenizer=tokenizer)
    trainer.train()
    return {"log": log_keys(trainer), "size": args.train_batch_size, "tokenizer": trainer.tokenizer is tokenizer}


def the_same_seed_twice(models):
    """Two runs of one program with a new head, batches in a drawn order and dropout give the same."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

    from tests.contract.training_facts import weights

    def run(seed):
        set_seed(seed)
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
        model = AutoModelForSequenceClassification.from_pretrained(
            f"{models}/bert-base-uncased", num_labels=2, hidden_dropout_prob=0.1
        )
        rows = [{**tokenizer(text), "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
        args = TrainingArguments(
            "out", num_train_epochs=2, per_device_train_batch_size=2, seed=seed, save_strategy="no", report_to="none"
        )
        trainer = Trainer(model, args, train_dataset=rows, processing_class=tokenizer)
        return trainer.train().training_loss, weights(model)

    first, again, other = run(1), run(1), run(2)
    return {"same": first == again, "other": first == other}

"""A language model from random weights: children's books of the nineteenth century (ChiLit).

    python -m recipes.childrens_books --data DIR --output storyteller

A GPT-2-style model of 5 million parameters, with a byte-level vocabulary of its own.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from bothways import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast, pipeline, train
from bothways.files import read_json
from recipes._common import blank_model, cost_of, data_file, options, write_results

VOCABULARY = 8_192
END = "<|endoftext|>"
SIZES = {"n_embd": 256, "n_layer": 4, "n_head": 4, "n_positions": 256}
SETTINGS = {"epochs": 2, "batch_size": 16, "learning_rate": 1.5e-3, "warmup": 0.05, "weight_decay": 0.1}
OPENING = "Once upon a time there was"
TEMPERATURES = (0.1, 1.0, 2.0)


def main() -> None:
    """Train, and let the model go on from the same words at several temperatures."""
    args = options(__doc__ or "", minutes=58)
    books = data_file(args.data, "text", "gutenberg-childrens-books.txt.xz")
    if not (args.output / "bothways.json").is_file():
        tokenizer = learn_vocabulary(books)
        start = blank_model(args.output.with_name(args.output.name + ".blank"), tokenizer, lambda: new_model(tokenizer))
        train(
            books,
            args.output,
            task="text-generation",
            model=start,
            minutes=args.minutes,
            say=print,
            **SETTINGS,  # type: ignore[arg-type]
        )
    write_results(args.output, report(args.output))


def report(model: Path) -> list[str]:
    """Scores on the chapters that were held out, and samples."""
    write_on, scores = pipeline("text-generation", model=str(model)), read_json(model / "bothways.json")["metrics"]
    lines = [
        "# Children's books, from random weights",
        "",
        f"- {scores['bits_per_byte']:.3f} bits per byte on chapters that were held out",
        f"- perplexity {scores['perplexity']:.1f} of its own pieces",
        cost_of(model),
        "",
    ]
    for temperature in TEMPERATURES:
        settings = {"do_sample": True, "temperature": temperature, "top_k": 0, "max_new_tokens": 80, "seed": 1}
        written = write_on(OPENING, **settings)[0]["generated_text"]
        lines += [f"Temperature {temperature}:", "", *(f"> {line}" for line in written.splitlines()), ""]
    return lines


def learn_vocabulary(books: Path) -> GPT2TokenizerFast:
    """Byte-level pieces. Source: Radford et al. 2019, section 2.2."""
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with lzma.open(books, "rt", encoding="utf-8") as opened:
        engine.train_from_iterator(opened, trainer)
    return GPT2TokenizerFast(tokenizer_object=engine, model_max_length=SIZES["n_positions"])


def new_model(tokenizer: GPT2TokenizerFast) -> GPT2LMHeadModel:
    """Random weights, the same each time."""
    torch.manual_seed(0)
    end = tokenizer.convert_tokens_to_ids(END)
    config = GPT2Config(**SIZES, vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end)
    return GPT2LMHeadModel(config)


if __name__ == "__main__":
    main()

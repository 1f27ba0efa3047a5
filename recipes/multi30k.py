"""Translation from random weights: captions of pictures, English to German (Multi30k, task 1).

    python -m recipes.multi30k --data DIR --output translator

A T5-style encoder and decoder of 3 million parameters, with a vocabulary of its own: for 29,000 captions small models
with much dropout are the better ones (Wu et al. 2021: four layers of width 128). The published text-only
baseline has 19.3 BLEU on the Flickr test set of 2017 (Elliott et al. 2017).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from bothways import T5Config, T5ForConditionalGeneration, T5TokenizerFast, pipeline, train
from bothways.metrics.generation import bleu, chrf
from recipes._common import blank_model, cost_of, data_file, options, write_results

VOCABULARY = 8_000
SIZES = {"d_model": 128, "d_kv": 32, "d_ff": 512, "num_heads": 4, "num_layers": 4, "num_decoder_layers": 4}
SETTINGS = {"epochs": 40, "batch_size": 64, "learning_rate": 2e-3, "warmup": 0.05, "label_smoothing": 0.1}
SAMPLES = [
    "A man in a blue shirt is standing on a ladder.",
    "Two dogs are playing in the snow.",
    "A woman is reading a book on a bench in the park.",
    "Three children are sitting at a table and eating ice cream.",
    "A young girl in a red dress jumps into the water.",
    "An old man with a hat plays the guitar on the street.",
    "People are waiting for the train at the station.",
    "A white cat is asleep on the roof of a car.",
]
"""Our own sentences, in the way of captions."""


def main() -> None:
    """Train, translate the validation captions with beams, and write the scores with samples."""
    args = options(__doc__ or "", minutes=85)
    names = ("train.en", "train.de", "val.en", "val.de")
    files = {name: data_file(args.data, "multi30k", f"{name}.gz") for name in names}
    if not (args.output / "bothways.json").is_file():
        tokenizer = learn_vocabulary([files["train.en"], files["train.de"]])
        start = blank_model(args.output.with_name(args.output.name + ".blank"), tokenizer, lambda: new_model(tokenizer))
        train(
            files["train.en"],
            args.output,
            target=files["train.de"],
            evaluation=files["val.en"],
            task="translation",
            model=start,
            minutes=args.minutes,
            say=print,
            **SETTINGS,  # type: ignore[arg-type]
        )
    write_results(args.output, report(args.output, lines(files["val.en"]), lines(files["val.de"])))


def report(model: Path, sources: list[str], references: list[str]) -> list[str]:
    """Scores on the validation captions, and samples."""
    translate = pipeline("translation", model=str(model))
    written, samples = (
        [answer["translation_text"] for answer in translate(texts, num_beams=5, max_new_tokens=80)]
        for texts in (sources, SAMPLES)
    )
    score, letters = bleu(written, references), chrf(written, references)
    return [
        "# Multi30k, English to German, from random weights",
        "",
        f"- BLEU {score.score:.1f} on the {len(sources):,} validation captions, 5 beams ({score.signature})",
        f"- chrF {letters.score:.1f}",
        "- published text-only baseline: 19.3 BLEU, on another set, Flickr 2017 (Elliott et al. 2017)",
        cost_of(model),
        "",
        "| English | German, as the model writes it |",
        "|---|---|",
        *(f"| {source} | {found} |" for source, found in zip(SAMPLES, samples, strict=True)),
    ]


def learn_vocabulary(files: list[Path]) -> T5TokenizerFast:
    """Pieces of both languages together, by the Unigram model. Source: Kudo 2018."""
    engine = Tokenizer(models.Unigram())
    engine.normalizer = normalizers.NFKC()
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    engine.train_from_iterator((line for file in files for line in lines(file)), trainer)
    return T5TokenizerFast(tokenizer_object=engine, extra_ids=0, model_max_length=256)


def new_model(tokenizer: T5TokenizerFast) -> T5ForConditionalGeneration:
    """Random weights, the same each time."""
    torch.manual_seed(0)
    config = T5Config(
        **SIZES, vocab_size=len(tokenizer), dropout_rate=0.2, feed_forward_proj="gated-gelu", decoder_start_token_id=0
    )
    return T5ForConditionalGeneration(config)


def lines(file: Path) -> list[str]:
    """The captions of a file."""
    with gzip.open(file, "rt", encoding="utf-8") as opened:
        return [line.strip() for line in opened]


if __name__ == "__main__":
    main()

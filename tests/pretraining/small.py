"""A small language, tokenisers for it, and everything that a run of a few steps needs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from bothways.batching import PackedBatch, SeqLens
from bothways.corpus import build_shards
from bothways.pretraining.documents import Documents, documents_of
from bothways.pretraining.goal_table import FAMILY_OF, GOALS
from bothways.pretraining.goals import Goal, GoalSettings
from bothways.pretraining.models import make_config, new_model
from bothways.pretraining.settings import PretrainSettings

VOCABULARIES = Path(__file__).parent.parent / "tokenizers" / "vocabularies"
PAIRS = 40
TOPICS = 4
SIZES: dict[str, dict[str, Any]] = {
    "bert": {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48},
    "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 48},
    "t5": {"num_layers": 2, "d_model": 32, "d_kv": 16, "num_heads": 2, "d_ff": 48},
}
SIZES["albert"] = {**SIZES["bert"], "embedding_size": 16}
SIZES["electra"] = {**SIZES["bert"], "embedding_size": 16, "num_attention_heads": 4}


def language(documents: int, seed: int = 0, sentences: int = 6) -> list[str]:
    """Texts in which each word w7 is followed by its own word v7; a document has words of one topic."""
    generator = random.Random(seed)
    made = []
    for _ in range(documents):
        topic = generator.randrange(TOPICS)
        words = range(topic, PAIRS, TOPICS)
        lines = [
            " ".join(f"w{i} v{i}" for i in generator.choices(words, k=generator.randint(2, 5))) + " ."
            for _ in range(generator.randint(2, sentences))
        ]
        made.append("\n".join(lines))
    return made


def repetitions(documents: int, seed: int = 0) -> list[str]:
    """The easiest texts: each says one word again and again, so that what is hidden stands beside it."""
    generator = random.Random(seed)
    made = []
    for _ in range(documents):
        word = f"w{generator.randrange(16)}"
        lines = [" ".join([word] * generator.randint(3, 8)) + " ." for _ in range(generator.randint(2, 6))]
        made.append("\n".join(lines))
    return made


def write_texts(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return path


def wordpiece(directory: Path) -> Any:
    """A saved tokeniser of BERT's kind that knows the language."""
    from bothways import BertTokenizerFast

    directory.mkdir(parents=True, exist_ok=True)
    words = [f"{letter}{i}" for letter in "wv" for i in range(PAIRS)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words, *"abcxyz", *(f"##{x}" for x in "abcxyz")]
    (directory / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    made = BertTokenizerFast(str(directory / "vocab.txt"))
    made.save_pretrained(directory)
    return made


def byte_level(directory: Path | None = None) -> Any:
    from bothways import GPT2TokenizerFast

    made = GPT2TokenizerFast(str(VOCABULARIES / "vocab.json"), str(VOCABULARIES / "merges.txt"), **gpt2_tokens())
    if directory is not None:
        made.save_pretrained(directory)
    return made


def gpt2_tokens() -> dict[str, str]:
    return {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "</s>"}


def sentinels(directory: Path | None = None) -> Any:
    from bothways import T5TokenizerFast

    made = T5TokenizerFast(vocab_file=str(VOCABULARIES / "t5" / "spiece.model"))
    if directory is not None:
        made.save_pretrained(directory)
    return made


def tokenizer_for(objective: str, directory: Path) -> Any:
    """A saved one that the objective can be learned with."""
    return {"clm": byte_level, "span": sentinels}.get(objective, wordpiece)(directory)


def shards(directory: Path, texts: Sequence[str], tokenizer: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    build_shards(
        write_texts(directory / "texts.txt", texts), directory / "shards", tokenizer=tokenizer, keep_duplicates=True
    )
    return directory / "shards"


def config_file(path: Path, objective: str, **more: Any) -> Path:
    """A ``config.json`` of a model of two thin layers."""
    family = FAMILY_OF[objective]
    values: dict[str, Any] = {"model_type": family, **SIZES[family]}
    if family not in ("gpt2", "t5"):
        values["max_position_embeddings"] = 48
    path.write_text(json.dumps(values | more))
    return path


NO_DROPOUT = {
    **dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"), 0.0),
    **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout_rate"), 0.0),
}


@dataclass
class Tokens:
    """A corpus in memory: what ``bothways.corpus.Corpus`` is to pretraining."""

    document_starts: np.ndarray
    sentence_starts: np.ndarray
    ids: np.ndarray
    asked: list[tuple[int, int]] = field(default_factory=list)

    def read(self, start: int, stop: int) -> np.ndarray:
        self.asked.append((start, stop))
        return self.ids[start:stop]


def tokens_of(lengths: Sequence[int], seed: int = 0, low: int = 6, high: int = 80, sentence: int = 5) -> Tokens:
    """Documents of these lengths of random ids, with a sentence every few tokens."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    inside = [np.arange(a, b, sentence) for a, b in zip(starts, starts[1:], strict=False)]
    sentences = np.concatenate([*inside, np.empty(0)]).astype(np.int64)
    return Tokens(starts, sentences, rng.integers(low, high, starts[-1]))


def documents_with(lengths: Sequence[int], seed: int = 0, **more: int) -> Documents:
    return documents_of(tokens_of(lengths, seed, **more))


def settings_for(objective: str, **more: Any) -> PretrainSettings:
    own: dict[str, Any] = {
        "objective": objective,
        "max_length": 24,
        "batch_tokens": 96,
        "ramp_steps": 0,
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "dropout": 0.0,
        "mask_rate": (0.15, 0.15),
        "whole_words": False,
        "short_rows": 0.0,
        "seed": 1,
        "precision": "float32",
        "max_tokens": 10_000,
        "minutes": None,
        "steps": 8,
        "epochs": None,
        "checkpoint_steps": None,
        "evaluations": 3,
    }
    return PretrainSettings(**{**own, **more})


def goal_for(settings: PretrainSettings, tokenizer: Any) -> Goal:
    return GOALS[settings.objective](
        tokenizer,
        GoalSettings(**{one.name: getattr(settings, one.name) for one in fields(GoalSettings)}),
    )


def model_for(settings: PretrainSettings, tokenizer: Any, directory: Path, **more: Any) -> Any:
    """A model with random weights that are far enough from 0 for predictions to differ."""
    wide = {} if settings.objective == "span" else {"initializer_range": 0.2}
    path = config_file(directory / "config.json", settings.objective, **wide, **more)
    config = make_config(str(path), settings.objective, tokenizer, None)
    return new_model(config, GOALS[settings.objective], settings.seed)


def padded(batch: PackedBatch, pad: int = 0) -> dict[str, Any]:
    """The ecosystem's rectangle: ``input_ids``, ``attention_mask``, ``token_type_ids`` and ``labels``."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def rows(values: Any, fill: int) -> Any:
        return pad_sequence(list(values.split(list(batch.seqlens.lengths))), batch_first=True, padding_value=fill)

    found = {
        "input_ids": rows(batch.input_ids, pad),
        "attention_mask": rows(torch.ones_like(batch.input_ids), 0),
    }
    if batch.token_type_ids is not None:
        found["token_type_ids"] = rows(batch.token_type_ids, 0)
    if batch.labels is not None:
        found["labels"] = rows(batch.labels, -100)
    return found


def packed_rows(lengths: Sequence[int], seed: int = 0) -> PackedBatch:
    """Rows of random ids with all that a packed batch can have."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    return PackedBatch(
        input_ids=torch.randint(6, 80, (total,), generator=generator),
        position_ids=torch.cat([torch.arange(n) for n in lengths]),
        seqlens=SeqLens.from_lengths(lengths),
        token_type_ids=torch.randint(0, 2, (total,), generator=generator),
        labels=torch.randint(6, 80, (total,), generator=generator),
    )

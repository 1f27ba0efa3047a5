"""Tiny random models that write, with tokenisers over the small vocabularies of the tests, as directories."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tokenizers"))

POSITIONS = 48


def make_gpt2(directory: Path) -> Path:
    """A causal model with 48 positions."""
    from writing_kinds import build_writing

    from bothways import GPT2Config, GPT2LMHeadModel

    tokenizer = build_writing("gpt2")
    sizes = {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS, "initializer_range": 0.3}
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=2, **sizes)
    return _save(directory, GPT2LMHeadModel, config, tokenizer)


def make_t5(directory: Path, **settings) -> Path:
    """An encoder-decoder model without limit of its own, whose tokeniser was made for 48 tokens."""
    from writing_kinds import build_writing

    from bothways import T5Config, T5ForConditionalGeneration

    tokenizer = build_writing("t5")
    tokenizer.model_max_length = POSITIONS
    sizes = {"d_model": 24, "d_kv": 6, "d_ff": 40, "num_layers": 2, "num_heads": 4}
    config = T5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, **sizes, **settings)
    return _save(directory, T5ForConditionalGeneration, config, tokenizer, factor=3.0)


def make_bart(directory: Path) -> Path:
    """An encoder-decoder model with 48 positions."""
    from writing_kinds import build_writing

    from bothways import BartConfig, BartForConditionalGeneration

    tokenizer = build_writing("bart")
    sizes = {"d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": POSITIONS}
    sizes |= {
        f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("attention_heads", 4), ("ffn_dim", 40))
    }
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = BartConfig(vocab_size=len(tokenizer), **special, **sizes, init_std=0.3)
    return _save(directory, BartForConditionalGeneration, config, tokenizer)


def _save(directory: Path, cls, config, tokenizer, factor: float = 1.0) -> Path:
    torch.manual_seed(7)
    model = cls(config)
    with torch.no_grad():
        for parameter in model.parameters():  # let biases and norms matter
            parameter.mul_(factor).add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory

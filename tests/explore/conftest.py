"""Tiny models with the heads that exploring needs, made here."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_masked(tmp_path_factory, tiny_model) -> Path:
    """``tiny_model`` with a masked-language head."""
    import torch

    from bothways import AutoConfig, AutoTokenizer, BertForMaskedLM

    directory = tmp_path_factory.mktemp("masked") / "tiny-masked"
    torch.manual_seed(1)
    BertForMaskedLM(AutoConfig.from_pretrained(tiny_model)).save_pretrained(directory)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory) -> Path:
    """A GPT-2 of two layers over bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from bothways import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

    directory = tmp_path_factory.mktemp("gpt2") / "tiny-gpt2"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: number for number, sign in enumerate([*alphabet, "<|endoftext|>"])}
    pieces = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = GPT2TokenizerFast(tokenizer_object=pieces, model_max_length=64)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    torch.manual_seed(2)
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, **sizes)
    GPT2LMHeadModel(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory

"""How ``golden_449.json`` was made: group beams, constrained beams and contrastive search by transformers 4.49.0.

Version 4.57 has these strategies no longer. To make the file again, run with 4.49.0 in the place of the installed one:
``python tests/generation/golden.py``.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch

FILE = Path(__file__).parent / "golden_449.json"
VOCAB_SIZE = 41
SETTINGS = {
    "gpt2": {
        "vocab_size": VOCAB_SIZE,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "n_positions": 48,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    },
    "t5": {
        "vocab_size": VOCAB_SIZE,
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 24,
        "num_layers": 2,
        "num_heads": 2,
        "dropout_rate": 0.0,
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 0,
    },
}


def reference_model(model_type: str, seed: int):
    """A tiny model of whatever version of transformers is installed, with weights that depend on their names alone."""
    import transformers

    model_class = {"gpt2": "GPT2LMHeadModel", "t5": "T5ForConditionalGeneration"}[model_type]
    model_class = getattr(transformers, model_class)
    model = model_class(model_class.config_class(**SETTINGS[model_type])).eval()
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            draw = torch.Generator().manual_seed(seed + sum(name.encode()))
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * (0.3 if parameter.dim() > 1 else 0.1))
    return model


def drawn_case(number: int) -> dict:
    """Prompts, settings, and what the installed version writes."""
    rng = random.Random(number)
    model_type, seed = ("gpt2", "t5")[number % 2], number % 3
    model = reference_model(model_type, seed)
    prompts = rng.choice([1, 1, 2])
    length = rng.randint(1, 6)
    ids = torch.tensor([[rng.randint(3, 40) for _ in range(length)] for _ in range(prompts)])
    given = {"attention_mask": torch.ones_like(ids), "pad_token_id": 0}
    greedy = model.generate(ids, max_new_tokens=12, min_new_tokens=12, **given)
    frequent = sorted(set(greedy[:, -12:].flatten().tolist()) - {0, 1, 2})
    most = rng.randint(2, 12)
    ends = rng.choice([[rng.choice(frequent)], rng.sample(frequent, min(2, len(frequent)))]) if frequent else 2
    settings = {"max_new_tokens": most, "pad_token_id": 0, "eos_token_id": ends}
    settings.update((_groups, _constrained, _contrastive)[(number // 2) % 3](rng))
    further = {
        "repetition_penalty": lambda: 1.3,
        "no_repeat_ngram_size": lambda: 2,
        "min_new_tokens": lambda: rng.randint(1, most),
    }
    settings.update({name: value() for name, value in further.items() if rng.random() < 0.2})
    written = model.generate(ids, attention_mask=given["attention_mask"], **settings)
    return {
        "model": model_type,
        "seed": seed,
        "prompts": ids.tolist(),
        "settings": settings,
        "ids": written.tolist(),
    }


def _groups(rng: random.Random) -> dict:
    groups = rng.choice([2, 3])
    beams = groups * rng.choice([1, 2])
    return {
        "num_beams": beams,
        "num_beam_groups": groups,
        "diversity_penalty": rng.choice([0.2, 1.0, 5.0]),
        "length_penalty": rng.choice([1.0, 0.0, 2.0, -1.0]),
        "early_stopping": rng.choice([True, False, "never"]),
        "num_return_sequences": rng.randint(1, beams),
    }


def _constrained(rng: random.Random) -> dict:
    beams = rng.choice([2, 3, 5])
    words = [
        [[rng.randint(3, 40)]],
        [[rng.randint(3, 40), rng.randint(3, 40)]],
        [[[rng.randint(3, 20)], [rng.randint(21, 40), 5]]],
        [[7, 8], [11]],
    ]
    return {
        "num_beams": beams,
        "length_penalty": rng.choice([1.0, 0.0, 2.0]),
        "early_stopping": rng.choice([True, False, "never"]),
        "force_words_ids": rng.choice(words),
        "num_return_sequences": rng.randint(1, beams),
    }


def _contrastive(rng: random.Random) -> dict:
    return {"penalty_alpha": rng.choice([0.2, 0.6, 0.9]), "top_k": rng.choice([2, 4, 6])}


if __name__ == "__main__":
    import transformers

    assert transformers.__version__ == "4.49.0", transformers.__version__
    lines = ",\n".join(json.dumps(drawn_case(number)) for number in range(60))
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")

"""From a model that was trained as a whole to the adapter that comes nearest to it.

Of what training changed in a matrix, W' - W, the largest singular parts are kept: no product of that rank is nearer.
Source: Eckart and Young 1936. Each matrix gets the rank that its parts are worth. Head and segments, which adapters
hold as they are, are taken over.

Measured on every fifth question of SQuAD's development part: F1 of the whole model 0.818, of its adapter in half
precision 0.801, in 8 bits, which hold twice the ranks, 0.816; in half precision with rank 22 everywhere 0.792, and 0.72
without the vectors of the segments, of which the encoder had only ever used one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bothways import AutoConfig, save_adapter, train
from bothways.models.adapters import begin_lora
from bothways.models.loading import parse_dtype
from bothways.nn.lora import lora_layers, put_lora
from recipes.box._common import ENCODER, MOST_BYTES, Recipe, class_said, prepared_place

ROOM = 16_000
"""Bytes of the box's limit that are left for names."""


def begun(
    recipe: Recipe,
    files: Sequence[Path],
    evaluation: Path,
    output: Path,
    *,
    encoder: str | Path = ENCODER,
    **settings: Any,
) -> tuple[Path, Path]:
    """Train a whole model, which is left alone where it lies already, and make it thin.

    Args:
        output: of the recipe's run; the whole model lies beside it.
        **settings: of ``train``.

    Returns:
        The adapter, for ``make`` to go on with, and the whole model.
    """
    whole = output.with_name(f"{output.name}.whole")
    if not (whole / "bothways.json").is_file():
        train(files, whole, evaluation=evaluation, task=recipe.task, model=encoder, say=print, **settings)
    return thinned(whole, prepared_place(output) / "thinned", dtype=recipe.dtype, encoder=encoder), whole


@torch.no_grad()
def thinned(
    whole: Path,
    target: Path,
    *,
    dtype: str = "float16",
    most_bytes: int = MOST_BYTES - ROOM,
    encoder: str | Path = ENCODER,
) -> Path:
    """Write the adapter of a whole model, unrounded.

    Args:
        whole: what training made of ``encoder``, all of which learned.
        target: directory of the adapter.
        dtype: in which it will be written in the end, with everything but its products in half precision.
        most_bytes: of its numbers in that.
    """
    config = AutoConfig.from_pretrained(whole)
    cls = class_said(config)
    trained = cls.from_pretrained(whole).state_dict()
    model = cls.from_pretrained(encoder, config=config).requires_grad_(False)
    changes = {
        path: torch.linalg.svd(trained[f"{path}.weight"] - layer.weight, full_matrices=False)
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and ".layer." in path
    }
    whole_ones = [n for n in trained if ".encoder." not in n and ".embeddings." not in n or "token_type" in n]
    room = most_bytes - torch.float16.itemsize * sum(trained[name].numel() for name in whole_ones)
    ranks = best_ranks(changes, room // parse_dtype(dtype).itemsize)
    for path, r in ranks.items():
        put_lora(model, (path,), r, alpha=2.0 * r)
    commonest = Counter(ranks.values()).most_common(1)[0][0]
    begin_lora(model, r=commonest, targets=(), pairs=True)
    for path, layer in lora_layers(model):
        left, sizes, right = changes[path]
        root = sizes[: layer.r].sqrt()  # both factors of one size, as training would have them
        layer.lora_A.copy_(root[:, None] * right[: layer.r])
        layer.lora_B.copy_(left[:, : layer.r] * root / layer.scaling)
    for name in whole_ones:
        model.get_parameter(name).copy_(trained[name])
    save_adapter(model, target)
    return target


def best_ranks(changes: Mapping[str, Any], most: int) -> dict[str, int]:
    """The ranks that keep most of all changes together, each at least 1.

    Args:
        changes: singular value decompositions, by path.
        most: numbers of all A and B.
    """
    costs = {path: len(parts.U) + parts.Vh.shape[1] for path, parts in changes.items()}
    worth = [(float(size) ** 2 / costs[path], path) for path, parts in changes.items() for size in parts.S]
    ranks, seen, room = dict.fromkeys(changes, 1), Counter[str](), most - sum(costs.values())
    for _, path in sorted(worth, reverse=True):
        seen[path] += 1
        if seen[path] > ranks[path] and costs[path] <= room:
            ranks[path] += 1
            room -= costs[path]
    return ranks

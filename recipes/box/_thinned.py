"""From a model that was trained as a whole to the adapter that comes nearest to it.

Of what training changed in a matrix, W' - W, the largest singular parts are kept: no product of that rank is nearer.
Source: Eckart and Young 1936. Head and segments, which adapters hold as they are, are taken over.

Measured on every fifth question of SQuAD's development part, rank 22: the whole model 0.818, its adapter 0.791; without
the vectors of the segments, of which the encoder had only ever used one, 0.72.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bothways import AutoConfig, add_lora, save_adapter, train
from bothways.models.auto import MODEL_CLASSES
from bothways.nn.lora import lora_layers
from recipes.box._common import ALL_LAYERS, ENCODER, Recipe, prepared_place


def begun(
    recipe: Recipe,
    files: Sequence[Path],
    evaluation: Path,
    output: Path,
    *,
    encoder: str | Path = ENCODER,
    **settings: Any,
) -> Path:
    """Train a whole model, which is left alone where it lies already, and give its adapter, for ``make`` to go on with.

    Args:
        output: of the recipe's run; the whole model lies beside it.
        **settings: of ``train``.
    """
    whole = output.with_name(f"{output.name}.whole")
    if not (whole / "bothways.json").is_file():
        train(files, whole, evaluation=evaluation, task=recipe.task, model=encoder, say=print, **settings)
    return thinned(whole, prepared_place(output) / "thinned", rank=recipe.rank, encoder=encoder)


@torch.no_grad()
def thinned(whole: Path, target: Path, *, rank: int, encoder: str | Path = ENCODER) -> Path:
    """Write the adapter of a whole model.

    Args:
        whole: what training made of ``encoder``, all of which learned.
        target: directory of the adapter.
        rank: of its products.
    """
    config = AutoConfig.from_pretrained(whole)
    cls = next(cls for cls in MODEL_CLASSES.values() if cls.__name__ == config.architectures[0])
    trained = cls.from_pretrained(whole).state_dict()
    model = cls.from_pretrained(encoder, config=config)
    add_lora(model, r=rank, targets=ALL_LAYERS.split(","), modules_to_save="token_type_embeddings")
    for path, layer in lora_layers(model):
        left, sizes, right = torch.linalg.svd(trained[f"{path}.weight"] - layer.weight, full_matrices=False)
        root = sizes[:rank].sqrt()  # both factors of one size, as training would have them
        layer.lora_A.copy_(root[:, None] * right[:rank])
        layer.lora_B.copy_(left[:, :rank] * root / layer.scaling)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and "lora_" not in name:
            parameter.copy_(trained[name])
    save_adapter(model, target)
    return target

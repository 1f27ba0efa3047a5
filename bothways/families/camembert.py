"""CamemBERT (Martin et al., 2020): RoBERTa for French. Differs from it in: configuration defaults."""

from __future__ import annotations

from bothways.families.registry import register
from bothways.families.roberta import RobertaConfig, roberta_family


class CamembertConfig(RobertaConfig):
    """Sizes and settings of a CamemBERT model; the defaults are the ecosystem's, published models say their own."""

    model_type = "camembert"

    vocab_size: int = 30522


CAMEMBERT = register(roberta_family(CamembertConfig))

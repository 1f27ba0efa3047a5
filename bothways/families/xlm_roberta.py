"""XLM-RoBERTa (Conneau et al., 2020): RoBERTa for a hundred languages. Differs from it in: configuration defaults."""

from __future__ import annotations

from bothways.families.registry import register
from bothways.families.roberta import RobertaConfig, roberta_family


class XLMRobertaConfig(RobertaConfig):
    """Sizes and settings of an XLM-RoBERTa model; the defaults are the ecosystem's, published models say their own."""

    model_type = "xlm-roberta"

    vocab_size: int = 30522


XLM_ROBERTA = register(roberta_family(XLMRobertaConfig))

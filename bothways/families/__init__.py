"""Families of models: each a page of data."""

from bothways.families import (  # noqa: F401 - each family registers itself
    albert,
    bart,
    bert,
    camembert,
    distilbert,
    electra,
    gpt2,
    llama,
    marian,
    mbart,
    mistral,
    modernbert,
    openai_gpt,
    pegasus,
    roberta,
    t5,
    xlm_roberta,
)
from bothways.families.registry import FAMILIES, Family, Head, family_of

__all__ = ["FAMILIES", "Family", "Head", "family_of"]

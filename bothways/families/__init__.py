"""Families of models: each a page of data."""

from bothways.families import albert, bert, electra  # noqa: F401 - each family registers itself
from bothways.families.registry import FAMILIES, Family, Head, family_of

__all__ = ["FAMILIES", "Family", "Head", "family_of"]

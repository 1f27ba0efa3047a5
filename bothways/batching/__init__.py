"""Packed batches: the only form in which tokens travel inside the library."""

from bothways.batching.pack import Layout, pack, unpack
from bothways.batching.packed import PackedBatch, SeqLens
from bothways.batching.token_budget import batches_by_tokens, collate

__all__ = ["Layout", "PackedBatch", "SeqLens", "batches_by_tokens", "collate", "pack", "unpack"]

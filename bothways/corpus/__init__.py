"""Files of texts become shards of tokens once, which any number of trainings then read from the disk."""

from bothways.corpus.build import ShardReport, build_shards, content_of
from bothways.corpus.identity import tokenizer_identity, tokenizer_to_learn_with
from bothways.corpus.manifest import Manifest, ShardFile, Source, read_manifest
from bothways.corpus.reading import Corpus, is_shards, open_shards

__all__ = [
    "Corpus",
    "Manifest",
    "ShardFile",
    "ShardReport",
    "Source",
    "build_shards",
    "content_of",
    "is_shards",
    "open_shards",
    "read_manifest",
    "tokenizer_identity",
    "tokenizer_to_learn_with",
]

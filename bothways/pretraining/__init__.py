"""From shards of tokens to a language model."""

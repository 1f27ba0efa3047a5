"""Writing: from scores to tokens, one after another, for one prompt or many."""

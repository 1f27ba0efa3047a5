"""Tasks as pure functions, both directions: texts to model inputs, logits to results. No model, no device, no files."""

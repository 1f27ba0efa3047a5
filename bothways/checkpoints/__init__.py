"""Checkpoints as data: configuration files, weights, and the names of the tensors in them."""

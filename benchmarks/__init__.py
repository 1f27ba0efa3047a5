"""Measurements beside the peers, each in one run: ``python -m benchmarks.predict --help``."""

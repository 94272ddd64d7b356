"""Recall and speed of indexes, and candidates by mixtures: `python -m benchmarks.retrieval --help`."""

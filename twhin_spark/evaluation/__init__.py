"""Evaluation: rank the held-out edges, beside baselines on the same queries, and report."""

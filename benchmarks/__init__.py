"""Benchmarks of twhin-spark: `python -m benchmarks --help` lists them."""

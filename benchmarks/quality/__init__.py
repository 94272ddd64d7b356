"""Quality of trained vectors on data sets with published figures: `python -m benchmarks.quality --help`."""

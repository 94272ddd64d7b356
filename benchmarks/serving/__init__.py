"""The service under load: `python -m benchmarks.serving --help`."""

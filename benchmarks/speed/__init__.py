"""Speed, beside PyTorch-BigGraph if it does the same: `python -m benchmarks --help` lists the benchmarks."""

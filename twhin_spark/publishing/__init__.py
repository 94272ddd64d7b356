"""A trained run → a version of `embeddings` that everyone reads."""

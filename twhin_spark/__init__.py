"""Embeddings of users and items from interaction logs: TwHIN, trained on Spark, kept in Delta tables."""

__version__ = "0.1.0"

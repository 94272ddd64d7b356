"""Publishing: a trained run becomes a version of the table `embeddings`."""

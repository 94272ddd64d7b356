"""Validation: the loss of held-out edges after each epoch, and what is decided by it."""

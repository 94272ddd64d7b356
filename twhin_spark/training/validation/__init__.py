"""Validation: the loss and the ranks of held-out edges after each epoch, and early stopping, which decides by them.

It imports `state` alone.
"""

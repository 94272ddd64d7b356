"""The HTTP service over the store and the scorer."""

"""The demo: generated logs with planted communities, and a comparison of the learned vectors with them."""

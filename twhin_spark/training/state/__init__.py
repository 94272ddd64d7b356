"""State: files, manifests and claims, and what is said when they fail."""

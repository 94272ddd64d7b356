"""State of a run on disk: partition files, manifests, reports, claims, and the errors of all of them.

It imports no other room of `training`; all others import it.
"""

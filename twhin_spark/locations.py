"""Locations of files: local paths, and URIs such as `s3://bucket/folder`. Used on the driver and on workers."""

from __future__ import annotations

from pathlib import Path


def is_uri(location: str) -> bool:
    """Return whether the location has a scheme, so that it is not a path of this machine."""
    return "://" in location


def absolute(location: str) -> str:
    """Return a URI unchanged and a local path made absolute, as Spark and `pyarrow.fs` require."""
    return location if is_uri(location) else str(Path(location).absolute())

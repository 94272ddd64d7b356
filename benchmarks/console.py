"""Progress lines on stderr; stdout carries the JSON lines alone."""

import sys


def progress(line: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()

"""Progress goes to stderr; stdout carries the JSON lines alone."""

import sys


def say(line: str) -> None:
    sys.stderr.write(f"bench: {line}\n")
    sys.stderr.flush()

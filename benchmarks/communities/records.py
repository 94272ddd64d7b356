"""The records of communities: a part is measured once, and a later run prints it from here."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.paths import RECORDS

STORE = RECORDS / "communities.json"
Part = dict[str, Any]


def load() -> dict[str, Part]:
    """Return all parts by name."""
    parts: dict[str, Part] = json.loads(STORE.read_text()) if STORE.exists() else {}
    return parts


def store(name: str, part: Part) -> None:
    """Store a part, in place of an earlier one of its name."""
    STORE.write_text(json.dumps({**load(), name: part}, indent=1, ensure_ascii=False, sort_keys=True) + "\n")

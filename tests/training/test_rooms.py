"""The rooms of training import each other in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TRAINING = Path(__file__).parents[2] / "twhin_spark" / "training"
MAY_IMPORT: dict[str, set[str]] = {
    "state": set(),
    "planning": {"state"},
    "validation": {"state"},
    "workers": {"state", "validation"},
}


def test_every_room_has_a_rule() -> None:
    assert {path.name for path in TRAINING.iterdir() if (path / "__init__.py").exists()} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_what_its_rule_allows(room: str) -> None:
    modules = {
        tuple(node.module.split("."))
        for path in (TRAINING / room).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("twhin_spark.training.")
    }
    rooms = {parts[2] for parts in modules} & set(MAY_IMPORT)
    assert rooms <= {room, *MAY_IMPORT[room]}

"""The code follows the data: a package imports what lies below it and the stages before it, nothing else."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "twhin_spark"
BELOW = ("errors", "locations", "config", "tables", "kernels")
FLOW = ("logs", "graph", "training", "evaluation", "publishing")
VERSIONS = ("versions", "representations")  # readers of what is published, which the stages from training on use
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "locations": set(),
    "kernels": set(),
    "config": {"errors"},
    "tables": {"errors", "locations", "config"},
    "versions": {"errors", "locations", "config", "tables", "kernels", "representations"},
    **{stage: {*BELOW, *FLOW[:number]} for number, stage in enumerate(FLOW[:2])},
    **{stage: {*BELOW, *FLOW[: number + 2], *VERSIONS} for number, stage in enumerate(FLOW[2:])},
    "communities": {*BELOW, *FLOW, *VERSIONS},
    "representations": {"errors", "locations", "config", "kernels"},
    "retrieval": {*BELOW, *FLOW, *VERSIONS, "communities"},
    "serving": {"errors", "locations", "config", "kernels", "representations"},
    "sql": {*BELOW, *VERSIONS},
    "stages": {*BELOW, *FLOW, *VERSIONS, "communities", "retrieval"},
    "cli": {*BELOW, *FLOW, *VERSIONS, "communities", "retrieval", "serving", "sql", "stages"},
}
JVM = {"pyspark", "delta", "py4j"}
MAY_NOT_USE = {"representations": JVM, "serving": JVM, "config": JVM}


def _files(part: str) -> list[Path]:
    """The files of a package or a module at the top."""
    module = PACKAGE / f"{part}.py"
    return [module] if module.exists() else sorted((PACKAGE / part).glob("**/*.py"))


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports anywhere, except those for type checkers alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)


def _parts(path: Path) -> set[str]:
    """The parts of this package (kernels, graph, ...) that a file imports."""
    return {name.split(".")[1] for name in _imports(path) if name.startswith("twhin_spark.")}


def _libraries(path: Path) -> set[str]:
    """The libraries that a file imports, without Python's own and this package."""
    return {name.split(".")[0] for name in _imports(path)} - set(sys.stdlib_module_names) - {"twhin_spark"}


def test_every_part_of_the_package_has_a_rule() -> None:
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_what_its_rule_allows(part: str) -> None:
    assert _files(part)
    for path in _files(part):
        assert _parts(path) <= {part, *MAY_IMPORT[part]}, path
        assert not _libraries(path) & MAY_NOT_USE.get(part, set()), path


def test_kernels_use_numpy_and_scipy_only() -> None:
    for path in _files("kernels"):
        assert _libraries(path) <= {"numpy", "scipy"}, path


def test_delta_is_used_in_tables_alone_and_argv_in_cli_alone() -> None:
    for path in PACKAGE.glob("**/*.py"):
        part = path.relative_to(PACKAGE).parts[0]
        assert part == "tables" or "delta" not in _libraries(path), path
        assert part == "cli" or "sys.argv" not in path.read_text(), path

"""The code follows the data: a stage imports what lies below it and the stages before it, nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "twhin_spark"
BELOW = {"errors", "config", "tables", "kernels"}
FLOW = ["logs", "graph", "training", "evaluation", "publishing", "representations", "retrieval"]
ON_WORKERS = [
    "kernels",
    "sql/column_scores.py",
    "graph/buckets.py",
    "graph/degrees.py",
    "training/workers/round_task.py",
    "training/workers/partition_buffer.py",
    "training/bucket_schedule.py",
    "training/state/run_folder.py",
    "training/workers/single_task.py",
    "training/state/initial_state.py",
    "training/validation/distributed.py",
    "training/validation/validation_sample.py",
    "evaluation/als.py",
    "evaluation/known_positives.py",
    "evaluation/ranking_task.py",
    "publishing/embedding_rows.py",
    "retrieval/entity_files.py",
    "retrieval/candidate_task.py",
    "retrieval/mixture_task.py",
    "retrieval/candidate_rows.py",
]
WORKER_LIBRARIES = {"numpy", "scipy", "pyarrow", "pandas", "pyspark", "twhin_spark"}


def _imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, anywhere in it but for type checkers alone."""
    found = set()
    tree = ast.parse(path.read_text())
    unread = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in unread:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
    return found


def _own(path: Path) -> set[str]:
    """The parts of this package (kernels, graph, ...) that a file imports."""
    return {name.split(".")[1] for name in _imports(path) if name.startswith("twhin_spark.")}


def _foreign(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)} - set(sys.stdlib_module_names)


@pytest.mark.parametrize("stage", FLOW)
def test_a_stage_imports_only_what_is_below_and_before_it(stage: str) -> None:
    allowed = BELOW | set(FLOW[: FLOW.index(stage) + 1])
    files = sorted((PACKAGE / stage).glob("**/*.py"))
    assert len(files) > 1
    for path in files:
        assert _own(path) <= allowed, path


@pytest.mark.parametrize(("part", "allowed"), [("kernels", {"kernels"}), ("config", {"config", "errors"})])
def test_what_lies_below_knows_no_stage(part: str, allowed: set[str]) -> None:
    for path in (PACKAGE / part).glob("**/*.py"):
        assert _own(path) <= allowed, path


def test_serving_knows_no_spark_and_no_stage() -> None:
    for path in (PACKAGE / "serving").glob("**/*.py"):
        assert _own(path) <= {"serving", "config", "errors", "kernels", "representations"}, path
        assert not _foreign(path) & {"pyspark", "delta", "py4j"}, path


def test_sql_knows_serving_and_what_is_below() -> None:
    for path in (PACKAGE / "sql").glob("**/*.py"):
        assert _own(path) <= {"sql", "serving", "representations"} | BELOW, path


def test_kernels_know_numpy_and_scipy_only() -> None:
    for path in (PACKAGE / "kernels").glob("**/*.py"):
        assert _foreign(path) <= {"numpy", "scipy", "twhin_spark"}, path


def test_only_tables_knows_delta_and_only_cli_reads_argv() -> None:
    for path in PACKAGE.glob("**/*.py"):
        if "tables" not in path.parts:
            assert "delta" not in _foreign(path), path
        if "cli" not in path.parts:
            assert "sys.argv" not in path.read_text(), path


@pytest.mark.parametrize("part", ON_WORKERS)
def test_what_runs_on_workers_needs_little(part: str) -> None:
    start = PACKAGE / part
    waiting = list(start.glob("**/*.py")) if start.is_dir() else [start]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        assert _foreign(path) <= WORKER_LIBRARIES, path
        for name in _imports(path):
            if name.startswith("twhin_spark."):
                waiting += [inner for inner in _files_of(name) if inner not in seen]


def _files_of(module: str) -> list[Path]:
    """What is run when a module of this package is imported: the packages that it is in, and itself."""
    place = PACKAGE.parent.joinpath(*module.split("."))
    packages = [folder / "__init__.py" for folder in (place, *place.parents) if folder.is_relative_to(PACKAGE)]
    return [path for path in (place.with_suffix(".py"), *packages) if path.exists()]

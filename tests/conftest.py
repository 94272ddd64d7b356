"""What all tests share: one Spark session, started when the first test asks for it, and a folder for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.bare_worker import bare_workers
from twhin_spark.tables.session import open_session

# Small enough to run beside another one. Without the optimising compiler, whose work pays off after minutes only.
# Workers have only their own libraries, so a module that needs another one there fails its test.
_SMALL = {
    **bare_workers(),
    "spark.master": "local[2]",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -XX:TieredStopAtLevel=1",
    "spark.sql.shuffle.partitions": "2",
    # Compiling a query takes longer than running it on a few rows. Jobs in processes of their own do compile.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


# The files that take longest, longest first. They begin before the others, so that two processes end together.
_LONGEST = (
    "test_pipeline.py",
    "evaluation/test_evaluate.py",
    "graph/test_build.py",
    "retrieval/test_candidates.py",
    "publishing/test_versions.py",
    "publishing/test_second_day.py",
    "training/test_warm_start.py",
    "communities/test_build_communities.py",
    "test_public_api.py",
    "training/test_train.py",
    "training/test_resume.py",
    "test_same_bits.py",
    "test_examples.py",
    "logs/test_inputs.py",
    "evaluation/test_sides.py",
    "logs/test_reader.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the files that take longest first."""
    place = {name: number for number, name in enumerate(_LONGEST)}
    tests = Path(__file__).parent
    items.sort(key=lambda item: place.get(item.path.relative_to(tests).as_posix(), len(place)))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The session of all tests of this process. A test that changes its properties must change them back."""
    log_file = tmp_path_factory.mktemp("spark") / "spark.log"
    session = open_session("twhin-spark tests", log_file=log_file, extra=_SMALL)
    yield session
    session.stop()


@pytest.fixture
def caches() -> Iterator[ExitStack]:
    """A stack that frees the rows that a test caches when the test ends."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """An empty folder of the test's own, for tables and files."""
    return tmp_path

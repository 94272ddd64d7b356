from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.published_tables import Tables, publish_sparse
from tests.support.service_client import Caller, running


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Return empty tables under an output folder."""
    return Tables(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the folder in which the stores are built."""
    return tmp_path / "serving"


RANKINGS = {
    "home": {
        "scores": {"affinity": {"relation": "favorite"}},
        "signals": {"recent": {"signal": "favorite", "window_days": 7, "missing": 0}},
        "features": {"age_hours": {"weight": -1}},
    }
}


@pytest.fixture(scope="session")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Run a service of a dense and a sparse family that the tests only read from."""
    tables = Tables(tmp_path_factory.mktemp("service"))
    tables.publish("m1")
    weights = {("user", "u0"): {"a": 1.0, "b": 2.0}, ("tweet", "t0"): {"b": 3.0, "c": 1.0}}
    families = [tables.family, publish_sparse(tables.output / "communities", weights)]
    with running(tables.output / "serving", families, rankings=RANKINGS, max_entities=1000) as caller:
        until = time.monotonic() + 30
        while caller.get("/ready").status != 200:
            assert time.monotonic() < until, caller.get("/v1/versions").json
            time.sleep(0.02)
        yield caller

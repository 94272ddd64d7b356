from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.published_tables import Tables, Weights, publish_sparse
from tests.support.sql_tables import N, SqlTables, published_config


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> SqlTables:
    """Publish tables that the tests only read from; the current version is m2."""
    tables = Tables(tmp_path_factory.mktemp("sql"))
    tables.publish("m1", seed=1, n=N)
    tables.publish("m2", seed=2, n=N)
    rng = np.random.default_rng(3)
    weights: dict[tuple[str, str], Weights | None] = {}
    for i in range(0, N, 2):
        for entity_type in ("user", "tweet"):
            chosen = rng.permutation(8)[: rng.integers(0, 6)].tolist()
            weights[entity_type, f"{entity_type[0]}{i}"] = {f"c{c}": float(np.float32(rng.random())) for c in chosen}
    family = publish_sparse(tables.output / "communities", weights)
    config = published_config(tables.output, families={"communities": {"table": family.table}})
    return SqlTables(tables, family, config)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Return empty tables for one test."""
    return Tables(tmp_path)

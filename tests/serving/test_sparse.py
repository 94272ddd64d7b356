from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.published_tables import Weights, publish_sparse
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.sync_store import sync_family


def random_rows(n: int) -> dict[tuple[str, str], Weights]:
    rng = np.random.default_rng(0)
    rows = {}
    for i in range(n):
        columns = rng.permutation(50)[: rng.integers(0, 8)].tolist()
        rows[("user" if i % 3 else "tweet", str(i))] = {f"c{c}": float(np.float32(rng.random())) for c in columns}
    return rows


def test_sparse_representations_have_the_same_interface(tmp_path: Path) -> None:
    rows = random_rows(500)
    family = publish_sparse(tmp_path / "table", rows)
    assert sync_family(tmp_path / "serving", family) == []
    store = RepresentationStore.open(tmp_path / "serving", verify=True)
    assert store.get("user", "1", family="communities") == rows["user", "1"]
    entities = [*list(rows)[::-7], ("user", "nobody"), ("user", "1"), ("user", "1")]
    assert store.get_many(entities, family="communities") == [rows.get(entity) for entity in entities]

    version = store.version(family="communities")
    gathered = version.gather(entities)
    names = list(version.types["user"].rows.communities)
    matrix = gathered.matrix.toarray()
    for entity, position in zip(entities, gathered.position.tolist(), strict=True):
        if entity not in rows:
            assert position == -1
            continue
        expected = [rows[entity].get(name, 0.0) for name in names]
        np.testing.assert_array_equal(matrix[position], expected)
    assert version.degrees(entities[:1]) == [None]
    assert version.gather([]).matrix.shape == (0, len(names))


@pytest.mark.parametrize(
    ("weights", "line"),
    [(None, "'2' has a null embedding; a map"), ({"c1": float("nan")}, "'2' has a weight that is NaN")],
)
def test_invalid_weights_are_one_line(tmp_path: Path, weights: Weights | None, line: str) -> None:
    family = publish_sparse(tmp_path / "table", {("user", "1"): {"c1": 1.0}, ("user", "2"): weights, ("user", "3"): {}})
    (problem,) = sync_family(tmp_path / "serving", family)
    assert line in problem

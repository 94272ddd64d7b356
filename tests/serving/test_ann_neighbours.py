"""Neighbours by the index that `candidates` has left: nearly those of all vectors, with the same scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.published_tables import Tables, vectors
from tests.support.service_client import Caller, running
from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.topk import in_fixed_point, unit_vectors
from twhin_spark.representations.ann_index import AnnIndex, IndexDescription, index_path, number_of_lists
from twhin_spark.serving.web.ann_indexes import AnnIndexes

N, DIM, K = 3000, 16, 20


@pytest.fixture
def tweets(tables: Tables) -> Mapping[str, Floats]:
    """What is published as m1: these, and a user who is seen through `favorite`."""
    found = {f"t{i}": vector for i, vector in enumerate(vectors(1, N, DIM))}
    user = {"u0": vectors(2, 1, DIM)[0].tolist()}
    tables.publish("m1", {"user": user, "tweet": {name: vector.tolist() for name, vector in found.items()}})
    return found


def write_index(output: Path, rows: Mapping[str, Floats], measure: str, via: str = "favorite") -> Path:
    """As `candidates` does, in an order that is not the table's."""
    names = list(rows)[::-1]
    stacked = np.stack([rows[name] for name in names])
    measured = (unit_vectors if measure == "cosine" else in_fixed_point)(stacked)
    description = IndexDescription("m1", 0, "tweet", measure, via, len(names), DIM, number_of_lists(len(names), None))
    path = index_path(str(output), "m1", "tweet", measure, via)
    AnnIndex.build(lambda: iter([measured]), measured, description).write(path, pa.array(names))
    return path


@pytest.fixture
def service(root: Path, tables: Tables, tweets: Mapping[str, Floats]) -> Iterator[Caller]:
    with running(root, [tables.family], index_lookup=AnnIndexes(tables.output, AnnConfig())) as caller:
        caller.wait_for_version("m1")
        yield caller


THROUGH = {"entity": ["user", "u0"], "relation": "favorite", "k": K}
ALIKE = {"entity": ["tweet", "t7"], "k": K}


def scores(answer: Any) -> dict[str, float]:
    return {neighbour["entity"][1]: neighbour["score"] for neighbour in answer["neighbours"]}


@pytest.mark.parametrize(("measure", "via", "body"), [("dot", "favorite", THROUGH), ("cosine", "tweet", ALIKE)])
def test_an_index_is_used_once_it_is_there(
    service: Caller, tables: Tables, tweets: Mapping[str, Floats], measure: str, via: str, body: dict[str, Any]
) -> None:
    assert service.post("/v1/neighbours", body).json["method"] == "exact"
    write_index(tables.output, tweets, measure, via)
    answer = service.post("/v1/neighbours", body).json
    assert (answer["method"], answer["measure"], answer["model_version"]) == ("ann", measure, "m1")
    exact = service.post("/v1/neighbours", body | {"exact": True}).json
    assert exact["method"] == "exact"
    found, best = scores(answer), scores(exact)
    assert len(found) == K
    assert list(found.values()) == sorted(found.values(), reverse=True)
    same = found.keys() & best.keys()
    assert len(same) >= 0.8 * K
    assert {name: found[name] for name in same} == {name: best[name] for name in same}


def test_where_an_index_finds_too_few_all_are_scored(
    service: Caller, tables: Tables, tweets: Mapping[str, Floats]
) -> None:
    write_index(tables.output, {f"gone{name}": vector for name, vector in tweets.items()}, "dot")
    answer = service.post("/v1/neighbours", THROUGH).json
    assert answer["neighbours"] == service.post("/v1/neighbours", THROUGH | {"exact": True}).json["neighbours"]


def test_a_damaged_index_is_not_used(service: Caller, tables: Tables, tweets: Mapping[str, Floats]) -> None:
    path = write_index(tables.output, tweets, "dot")
    path.write_bytes(path.read_bytes()[:1000])
    answer = service.post("/v1/neighbours", THROUGH).json
    assert (answer["method"], len(answer["neighbours"])) == ("exact", K)

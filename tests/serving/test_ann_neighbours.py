"""Neighbours by an index of the job `candidates`: nearly those of all vectors, with the same scores."""

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
    """Publish tweets and one user as m1; return the vectors of the tweets by id."""
    tweets = {f"t{i}": vector for i, vector in enumerate(vectors(1, N, DIM))}
    user = {"u0": vectors(2, 1, DIM)[0].tolist()}
    tables.publish("m1", {"user": user, "tweet": {name: vector.tolist() for name, vector in tweets.items()}})
    return tweets


def write_index(output: Path, rows: Mapping[str, Floats], measure: str, via: str = "favorite") -> Path:
    """Write an index as `candidates` does, in another order than the table's; return its path."""
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


BY_RELATION = {"entity": ["user", "u0"], "relation": "favorite", "k": K}
BY_SIMILARITY = {"entity": ["tweet", "t7"], "k": K}


def scores(content: Any) -> dict[str, float]:
    return {neighbour["entity"][1]: neighbour["score"] for neighbour in content["neighbours"]}


@pytest.mark.parametrize(
    ("measure", "via", "body"), [("dot", "favorite", BY_RELATION), ("cosine", "tweet", BY_SIMILARITY)]
)
def test_an_index_is_used_as_soon_as_it_exists(
    service: Caller, tables: Tables, tweets: Mapping[str, Floats], measure: str, via: str, body: dict[str, Any]
) -> None:
    assert service.post("/v1/neighbours", body).json["method"] == "exact"
    write_index(tables.output, tweets, measure, via)
    response = service.post("/v1/neighbours", body).json
    assert (response["method"], response["measure"], response["model_version"]) == ("ann", measure, "m1")
    exact = service.post("/v1/neighbours", body | {"exact": True}).json
    assert exact["method"] == "exact"
    approximate, best = scores(response), scores(exact)
    assert len(approximate) == K
    assert list(approximate.values()) == sorted(approximate.values(), reverse=True)
    same = approximate.keys() & best.keys()
    assert len(same) >= 0.8 * K
    assert {name: approximate[name] for name in same} == {name: best[name] for name in same}


def test_all_vectors_are_scored_if_the_index_proposes_too_few(
    service: Caller, tables: Tables, tweets: Mapping[str, Floats]
) -> None:
    write_index(tables.output, {f"gone{name}": vector for name, vector in tweets.items()}, "dot")
    response = service.post("/v1/neighbours", BY_RELATION).json
    assert response["neighbours"] == service.post("/v1/neighbours", BY_RELATION | {"exact": True}).json["neighbours"]


def test_a_damaged_index_is_not_used(service: Caller, tables: Tables, tweets: Mapping[str, Floats]) -> None:
    path = write_index(tables.output, tweets, "dot")
    path.write_bytes(path.read_bytes()[:1000])
    response = service.post("/v1/neighbours", BY_RELATION).json
    assert (response["method"], len(response["neighbours"])) == ("exact", K)

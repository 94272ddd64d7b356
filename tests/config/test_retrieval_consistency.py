"""Errors of the section `retrieval`: one line each, with the path, what is wrong and what is required."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.configs import small_config
from twhin_spark.config.consistency import problems
from twhin_spark.config.load import load_config
from twhin_spark.errors import ConfigError


def checked(**retrieval: Any) -> list[str]:
    config = small_config()
    return problems(config.model_validate({**config.model_dump(by_alias=True), "retrieval": retrieval}))


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"relation": "lik"}, ".relation is 'lik', but must be one of relations: follow, like"),
        ({}, " has no relation, so retrieval.queries.q.source is required: one of entity_types: user"),
        ({"source": "tweet"}, ".source is 'tweet', but must be one of entity_types: user, item"),
        ({"source": "user", "target": "tweet"}, ".target is 'tweet', but must be"),
        (
            {"relation": "like", "target": "user"},
            ".relation is 'like', but must be a relation user → user: follow",
        ),
        ({"relation": "like", "exclude": ["follow"]}, ".exclude is 'follow', but must be a relation user → item"),
        (
            {"source": "item", "exclude": ["like"]},
            ".exclude is 'like', but no relation is item → item; remove it",
        ),
        ({"source": "user", "recall": "like"}, ".recall is 'like', but must be a relation user → user"),
        ({"source": "item", "method": "mixture"}, ".method is 'mixture', which needs a relation item → item"),
        (
            {"source": "user", "method": "ann", "targets": "degree > 1"},
            ".method is 'ann', whose index has all targets; remove",
        ),
    ],
)
def test_a_query_that_does_not_fit(query: dict[str, Any], line: str) -> None:
    (problem,) = checked(queries={"q": query})
    assert problem.startswith(f"retrieval.queries.q{line}")


def test_blends() -> None:
    queries = {"a": {"relation": "like"}, "b": {"source": "user"}}
    assert checked(queries=queries, blends={"c": {"queries": {"a": 1}}}) == []
    assert "user → item and user → user" in checked(queries=queries, blends={"c": {"queries": {"a": 1, "b": 1}}})[0]
    assert (
        "queries.d names no query; it must be one of a, b"
        in checked(queries=queries, blends={"c": {"queries": {"d": 1}}})[0]
    )
    assert (
        "retrieval.blends.a has the name of a query" in checked(queries=queries, blends={"a": {"queries": {"a": 1}}})[0]
    )


@pytest.mark.parametrize(("option", "value"), [("k", 0), ("k", 100_001), ("method", "fast"), ("measure", "euclidean")])
def test_values_out_of_range(option: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        checked(queries={"q": {"source": "user", option: value}})


def test_k_of_zero_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^conf/demo.yaml: retrieval.queries.q.k is 0, but must be [^\n]*$"):
        load_config("conf/demo.yaml", ["retrieval.queries.q={source: user, k: 0}"])

"""Errors of the section `communities`, and of queries by communities: one line each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.configs import small_config
from twhin_spark.config.consistency import problems
from twhin_spark.config.load import load_config
from twhin_spark.errors import ConfigError

FOLLOWS = {"relations": {"follow": 1}}


def checked(communities: Any = None, **sections: Any) -> list[str]:
    document = small_config().model_dump(by_alias=True)
    return problems(small_config().model_validate({**document, "communities": communities, **sections}))


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"consumers": {"relations": {"folow": 1}}}, "consumers.relations.folow names no relation; it must be one of"),
        (
            {"consumers": {"relations": {"follow": 1, "like": 1}}},
            "consumers.relations are of user → item and user → user; all must have the same entity types",
        ),
        (
            {"consumers": FOLLOWS, "items": {"relations": {"liked": 1}}},
            "items.relations.liked names no relation; it must be one of relations: follow, like",
        ),
        (
            {"consumers": FOLLOWS, "items": {"relations": {"like": 1}, "authors": "follow"}},
            "items.authors is 'follow', a relation user → user, but must be a relation user → item",
        ),
        (
            {"consumers": FOLLOWS, "items": {"relations": {"like": 1}, "authors": "post"}},
            "items.authors is 'post', but must be one of relations: follow, like",
        ),
    ],
)
def test_a_section_that_does_not_fit_the_relations(section: dict[str, Any], line: str) -> None:
    (problem,) = checked(section)
    assert problem.startswith(f"communities.{line}")


def test_several_resolutions_need_validation_edges() -> None:
    section = {"consumers": FOLLOWS, "known_for": {"resolution": [1, 2]}}
    assert checked(section, split={"validation": 0.1}) == []
    (problem,) = checked(section, split={"validation": 0})
    assert problem.startswith(
        "communities.known_for.resolution has several values, so split.validation must be above 0"
    )


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"relation": "follow", "method": "communities"}, ""),
        ({"source": "user", "method": "communities", "source_family": "producer_embeddings"}, ""),
        ({"relation": "like", "method": "communities"}, ".method is 'communities', so its target must be of type user"),
        (
            {"source": "user", "method": "communities", "source_family": "item_embeddings"},
            ".source_family is 'item_embeddings', which has no representation of type 'user'; remove it",
        ),
        (
            {"source": "user", "measure": "log_cosine"},
            ".measure is 'log_cosine', so retrieval.queries.q.method must be 'communities', not 'exact'",
        ),
    ],
)
def test_a_query_by_communities(query: dict[str, Any], line: str) -> None:
    lines = checked({"consumers": FOLLOWS}, retrieval={"queries": {"q": query}})
    assert [text.startswith(f"retrieval.queries.q{line}") for text in lines] == ([True] if line else [])


def test_a_query_by_communities_requires_the_section() -> None:
    (problem,) = checked(None, retrieval={"queries": {"q": {"relation": "follow", "method": "communities"}}})
    assert problem == "retrieval.queries.q.method is 'communities', so the section communities is required"


def test_a_key_of_the_section_is_explained() -> None:
    document = {**small_config().model_dump(by_alias=True), "communities": {"consumers": FOLLOWS}}
    with pytest.raises(ConfigError, match=r"communities\.known_fr is no key \(did you mean 'known_for'\?\)"):
        load_config(document, ["communities.known_fr.resolution=2"])

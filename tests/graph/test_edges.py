"""Take-backs, decay, repeats, self-loops, minimum degree; and nothing of the test split in training."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from tests.support.configs import RELATIONS, SELECT, small_config
from twhin_spark.config import Config
from twhin_spark.graph.edges import aggregate
from twhin_spark.graph.entities import trained_entities
from twhin_spark.graph.exact_sum import exact_sum
from twhin_spark.graph.min_degree import drop_below_min_degree
from twhin_spark.graph.retractions import ExclusionCounts, count_exclusions, with_exclusions

MakeEvents = Callable[..., DataFrame]
Edges = dict[tuple[str, str, str, str], Row]


def _edges(events: DataFrame, config: Config, caches: ExitStack) -> tuple[Edges, ExclusionCounts]:
    with_exclusion = with_exclusions(events, config, caches)
    counted = count_exclusions(with_exclusion, config)
    rows = aggregate(with_exclusion, config, counted.reference_time).collect()
    edges = {(row["relation"], row["source_id"], row["target_id"], row["split"]): row for row in rows}
    assert len(edges) == len(rows)
    in_edges = sum(row["event_count"] for row in rows)
    assert in_edges + counted.taken_back + counted.self_loop == events.count()
    return edges, counted


def _like(**options: Any) -> Config:
    return small_config(relations={**RELATIONS, "like": {"source": "user", "target": "item", **options}})


def test_events_up_to_the_last_one_that_takes_back_are_gone(make_events: MakeEvents, caches: ExitStack) -> None:
    events = make_events(
        ("follow", "a", "b", 1),
        ("unfollow", "a", "b", 2),
        ("follow", "a", "b", 3),  # followed again, and again taken back
        ("unfollow", "a", "b", 4),
        ("follow", "a", "b", 5),  # stays
        ("follow", "a", "c", 1),
        ("unfollow", "a", "c", 1),  # in the same instant: taken back
        ("follow", "c", "a", 1),  # another direction
        ("unfollow", "x", "y", 1),  # of nothing
        ("like", "a", "b", 1),  # another relation
    )
    edges, counted = _edges(events, small_config(), caches)
    assert set(edges) == {("follow", "a", "b", "train"), ("follow", "c", "a", "train"), ("like", "a", "b", "train")}
    assert edges["follow", "a", "b", "train"]["event_count"] == 1
    assert counted.taken_back == 7


def test_a_take_back_works_within_its_split_alone(make_events: MakeEvents, caches: ExitStack) -> None:
    events = make_events(
        ("follow", "a", "b", 1),
        ("unfollow", "a", "b", 9, 1, "test"),  # training cannot know
        ("follow", "a", "c", 8, 1, "test"),
        ("unfollow", "a", "c", 9, 1, "test"),
        ("follow", "a", "d", 8, 1, "test"),
        ("unfollow", "a", "d", 1),
    )
    edges, counted = _edges(events, small_config(), caches)
    assert set(edges) == {("follow", "a", "b", "train"), ("follow", "a", "d", "test")}
    assert counted.taken_back == 4


def test_without_timestamps_a_take_back_takes_all(make_events: MakeEvents, caches: ExitStack) -> None:
    events = make_events(
        ("follow", "a", "b", None),
        ("unfollow", "a", "b", None),
        ("follow", "a", "b", None),
        ("follow", "a", "c", None),
        ("follow", "a", "d", None),
        ("unfollow", "a", "d", 2),
        ("follow", "a", "d", 3),
        ("unfollow", "a", "e", None),
        ("unfollow", "a", "e", 2),
        ("follow", "a", "e", 3),
    )
    edges, counted = _edges(events, small_config(), caches)
    assert set(edges) == {("follow", "a", "c", "train"), ("follow", "a", "d", "train")}
    assert (counted.taken_back, counted.reference_time is not None) == (8, True)


def test_weights_halve_back_from_the_last_training_event(make_events: MakeEvents, caches: ExitStack) -> None:
    events = make_events(
        ("like", "a", "i", 0, 4),
        ("like", "a", "i", 20, 4),
        ("like", "a", "j", 20, 1),
        ("follow", "a", "b", 0, 3),  # no half-life
        ("unfollow", "q", "r", 30),  # the last training event, though it makes no edge
        ("like", "a", "i", 40, 4, "test"),  # after the reference: as it is
        ("like", "a", "j", 20, 4, "validation"),
        ("like", "b", "j", None, 7),
    )
    edges, counted = _edges(events, _like(half_life_days=10), caches)
    assert counted.reference_time is not None
    assert counted.reference_time.isoformat() == "2026-01-31T00:00:00+00:00"
    weights = {key: row["weight"] for key, row in edges.items()}
    assert weights == {
        ("like", "a", "i", "train"): 4 / 8 + 4 / 2,
        ("like", "a", "j", "train"): 1 / 2,
        ("follow", "a", "b", "train"): 3,
        ("like", "a", "i", "test"): 4,
        ("like", "a", "j", "validation"): 2,
        ("like", "b", "j", "train"): 7,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 5.5),
        ({"repeats": "log"}, math.log1p(5.5)),
        ({"repeats": "cap", "cap": 3}, 3),
        ({"repeats": "cap", "cap": 6}, 5.5),
    ],
)
def test_repeated_events_add_up(
    make_events: MakeEvents, caches: ExitStack, options: dict[str, Any], expected: float
) -> None:
    events = make_events(("like", "a", "i", 3, 2), ("like", "a", "i", 1, 3), ("like", "a", "i", 2, 0.5))
    edges, _ = _edges(events, _like(**options), caches)
    (edge,) = edges.values()
    assert edge["weight"] == expected
    assert edge["event_count"] == 3
    assert (f"{edge['first_time']:%d}", f"{edge['last_time']:%d}") == ("02", "04")
    assert (edge["source_type"], edge["target_type"]) == ("user", "item")


@pytest.mark.parametrize(("policy", "loops"), [("drop", 0), ("keep", 2)])
def test_self_loops_are_dropped_or_kept(make_events: MakeEvents, caches: ExitStack, policy: str, loops: int) -> None:
    events = make_events(
        ("follow", "a", "a", 1),
        ("follow", "a", "a", 1),
        ("like", "a", "a", 1),  # the user a and the item a are two
        ("follow", "b", "b", 1),
        ("unfollow", "b", "b", 2),  # taken back first
    )
    edges, counted = _edges(events, small_config(graph={"self_loops": policy}), caches)
    assert counted.self_loop == 2 - loops
    assert counted.taken_back == 2
    assert ("follow", "a", "a", "train") in edges or policy == "drop"
    assert ("like", "a", "a", "train") in edges


def test_where_nothing_can_drop_out_the_count_is_what_the_events_say(
    make_events: MakeEvents, caches: ExitStack
) -> None:
    select = {name: text for name, text in SELECT.items() if name != "timestamp"}
    config = small_config(
        relations={"follow": {"source": "user", "target": "user"}},
        logs={"events": {"path": "unused.csv", "format": "csv", "select": select}},
        split={"by": "fraction"},
        graph={"self_loops": "keep"},
    )
    events = make_events(("follow", "a", "a", None), ("follow", "a", "b", None), ("follow", "a", "b", None))
    edges, counted = _edges(events, config, caches)
    assert counted == ExclusionCounts(0, 0, None)
    assert {edge[1:3]: row["event_count"] for edge, row in edges.items()} == {("a", "a"): 1, ("a", "b"): 2}


def test_the_test_split_reaches_nothing_of_training(make_events: MakeEvents, caches: ExitStack) -> None:
    config = _like(half_life_days=3, repeats="log")
    rng = random.Random(1)
    train = [("like", f"u{rng.randrange(9)}", f"i{rng.randrange(9)}", rng.random() * 50) for _ in range(60)]
    train += [("follow", f"u{rng.randrange(9)}", f"u{rng.randrange(9)}", rng.random() * 50) for _ in range(60)]

    def of_training(*others: tuple[object, ...]) -> tuple[Any, ...]:
        events = make_events(*train, *others)
        with_exclusion = with_exclusions(events, config, caches)
        counted = count_exclusions(with_exclusion, config)
        edges = aggregate(with_exclusion, config, counted.reference_time)
        trained = edges.where("split = 'train'").orderBy("relation", "source_id", "target_id")
        entities = trained_entities(edges, config.entity_types).orderBy("entity_type", "entity_id")
        return counted.reference_time, trained.collect(), entities.collect()

    alone = of_training()
    assert alone == of_training(
        ("like", "u1", "i1", 60, 100, "test"),
        ("like", "u1", "brand new", 61, 100, "validation"),
        ("unfollow", train[-1][1], train[-1][2], 70, 1, "test"),
        ("unfollow", "new", "newer", 80, 1, "validation"),
    )


def test_entities_with_too_few_training_edges_are_dropped_from_all_splits(
    make_events: MakeEvents, caches: ExitStack
) -> None:
    events = make_events(
        ("like", "a", "i", 1),
        ("like", "b", "i", 1),
        ("like", "c", "i", 1),
        ("like", "a", "j", 1),
        ("like", "b", "j", 1),
        ("like", "a", "rare", 1),
        ("like", "a", "rare", 2),  # one edge, twice
        ("like", "z", "i", 1),
        ("like", "b", "rare", 9, 1, "test"),
        ("like", "a", "new", 9, 1, "test"),
        ("like", "new", "i", 9, 1, "validation"),
        ("follow", "a", "z", 9, 1, "test"),
    )
    config = small_config()
    edges = aggregate(with_exclusions(events, config, caches), config, None)
    kept = drop_below_min_degree(edges, {"item": 2, "user": 2}, caches)
    assert {(row["source_id"], row["target_id"], row["split"]) for row in kept.collect()} == {
        ("a", "i", "train"),  # a has i, j and the rare one, b has i and j; c and z have i alone
        ("b", "i", "train"),
        ("a", "j", "train"),
        ("b", "j", "train"),
        ("a", "new", "test"),
        ("new", "i", "validation"),
    }
    assert drop_below_min_degree(edges, {"item": 1}, caches).count() == edges.count()


def test_sums_do_not_depend_on_the_order_of_rows(spark: SparkSession) -> None:
    rng = random.Random(3)
    values = [rng.random() * 10 ** rng.uniform(-15, 9) for _ in range(5_000)]
    sums = set()
    for partitions in (1, 3, 7):
        rng.shuffle(values)
        rows = spark.createDataFrame([(value,) for value in values], "value DOUBLE").repartition(partitions)
        row = rows.agg(exact_sum(F.col("value"))).first()
        assert row is not None
        sums.add(row[0])
    (found,) = sums
    assert found == pytest.approx(math.fsum(values), rel=1e-15)


@pytest.mark.parametrize("value", [2.0**-62, 1e-9, 0.1, 1.0, 3.7, 1e9, 2.0**31 - 1])
def test_a_sum_of_one_value_is_that_value(spark: SparkSession, value: float) -> None:
    row = spark.createDataFrame([(value,)], "value DOUBLE").agg(exact_sum(F.col("value"))).first()
    assert row is not None
    assert row[0] == pytest.approx(value, rel=1e-15, abs=2.0**-62)

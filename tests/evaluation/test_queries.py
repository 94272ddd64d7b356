"""Which edges become queries, and what the driver reads of the held-out ones."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.ranked_graph import ENDS, RELATIONS, RankedGraph
from twhin_spark.evaluation.held_out_edges import HELD_OUT_SPLITS, read_held_out_edges
from twhin_spark.evaluation.queries import HeldOutEdges, queries_of
from twhin_spark.graph.entity_location import location_of, partition_of, partition_slice, positions_in, row_of, rows_in


def test_held_edges_are_new_placed_and_counted_cold(spark: SparkSession) -> None:
    world = RankedGraph()
    found = read_held_out_edges(world.edges_table(spark), world.entities_table(spark, 3), RELATIONS)
    place = {
        entity: int(location_of(partition, np.array(row)))
        for entity, (partition, row) in world.locations(3).items()
        if entity in world.seen
    }
    for name in RELATIONS:
        connected, connected_targets = ({edge[end] for edge in world.edges[name]["train"]} for end in (0, 1))
        for split in HELD_OUT_SPLITS:
            edges = world.new_edges(name, split)
            ends = [tuple(place.get((ENDS[name][i], edge[i]), -1) for i in (0, 1)) for edge in edges]
            held = found[name, split]
            rows = zip(held.source.tolist(), held.target.tolist(), held.source_connected.tolist(), strict=True)
            expected = [(*end, edge[0] in connected) for end, edge in zip(ends, edges, strict=True)]
            assert sorted(rows) == sorted(expected)
            expected_targets = sorted(edge[1] in connected_targets for edge in edges)
            assert sorted(held.target_connected.tolist()) == expected_targets
            share = sum(-1 in end for end in ends) / len(ends) if ends else None
            assert held.cold_share == (share if share is None else pytest.approx(share))
    shares = {name: found[name, "test"].cold_share for name in RELATIONS}
    assert 0 < (shares["follow"] or 0) < 1  # the world has edges of both kinds
    assert shares["block"] is None  # its test edges are all training edges
    assert shares["share"] == 0
    assert not found["share", "test"].source_connected.any()


def test_where_nothing_is_held_out_there_are_no_edges(spark: SparkSession) -> None:
    world = RankedGraph()
    found = read_held_out_edges(
        world.edges_table(spark).where("split = 'train'"), world.entities_table(spark, 3), RELATIONS
    )
    assert set(found) == {(name, split) for name in RELATIONS for split in HELD_OUT_SPLITS}
    for edges in found.values():
        assert edges.cold_share is None
        assert len(queries_of(edges, edges).target) == 0


def held(*edges: tuple[int, int]) -> HeldOutEdges:
    """Edges of which sources with an even place are connected."""
    source, target = np.array(edges, np.int64).reshape(-1, 2).T
    return HeldOutEdges(source, target, source % 2 == 0, target % 2 == 0)


def test_queries_know_all_that_is_held_out_of_their_sources() -> None:
    queries = queries_of(held((7, 3), (4, 9), (7, 1), (-1, 2), (8, -1)), held((7, 3), (7, 5), (6, 1), (4, -1)))
    assert queries.sources.tolist() == [4, 7]
    assert queries.connected.tolist() == [True, False]
    assert list(zip(queries.source.tolist(), queries.target.tolist(), strict=True)) == [(0, 9), (1, 1), (1, 3)]
    pairs = list(zip(queries.held_out_source.tolist(), queries.held_out_target.tolist(), strict=True))
    assert pairs == [(0, 9), (1, 1), (1, 3), (1, 5)]
    assert queries.of_sources(slice(1, 2)) == slice(1, 3)


def test_no_edge_no_query() -> None:
    queries = queries_of(held((-1, 3)), held((7, 3)))
    assert len(queries) == 0
    assert len(queries.sources) == len(queries.held_out_source) == 0


def test_locations_order_and_search_entities() -> None:
    partition, row = np.array([0, 0, 2, 32_767]), np.array([0, 5, 2**31 - 1, 1])
    locations = location_of(partition, row)
    assert (np.diff(locations) > 0).all()
    np.testing.assert_array_equal(partition_of(locations), partition)
    np.testing.assert_array_equal(row_of(locations), row)
    assert partition_slice(locations, 0, 1) == slice(0, 2)
    assert partition_slice(locations, 1, 3) == slice(2, 3)
    assert partition_slice(locations, 3, 9) == slice(3, 3)
    assert rows_in(locations, 0).tolist() == [0, 5]
    assert positions_in(np.array([7, 3, 9]), np.array([3, 5, 9])).tolist() == [-1, 0, 2]
    assert positions_in(np.array([7]), np.array([], int)).tolist() == [-1]

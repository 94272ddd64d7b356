"""Reading of held-out edges, the queries made of them, and entity locations."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.ranked_graph import ENDS, RELATIONS, RankedGraph
from twhin_spark.evaluation.held_out_edges import HELD_OUT_SPLITS, read_held_out_edges
from twhin_spark.evaluation.queries import HeldOutEdges, queries_of
from twhin_spark.graph.entity_location import location_of, partition_of, partition_slice, positions_in, row_of, rows_in


def test_held_out_edges_are_new_and_have_locations(spark: SparkSession) -> None:
    graph = RankedGraph()
    by_split = read_held_out_edges(graph.edges_table(spark), graph.entities_table(spark, 3), RELATIONS)
    location = {
        entity: int(location_of(partition, np.array(row)))
        for entity, (partition, row) in graph.locations(3).items()
        if entity in graph.seen
    }
    for name in RELATIONS:
        connected, connected_targets = ({edge[end] for edge in graph.edges[name]["train"]} for end in (0, 1))
        for split in HELD_OUT_SPLITS:
            edges = graph.held_out_edges(name, split)
            ends = [tuple(location.get((ENDS[name][i], edge[i]), -1) for i in (0, 1)) for edge in edges]
            read = by_split[name, split]
            rows = zip(read.source.tolist(), read.target.tolist(), read.source_connected.tolist(), strict=True)
            expected = [(*end, edge[0] in connected) for end, edge in zip(ends, edges, strict=True)]
            assert sorted(rows) == sorted(expected)
            expected_targets = sorted(edge[1] in connected_targets for edge in edges)
            assert sorted(read.target_connected.tolist()) == expected_targets
            share = sum(-1 in end for end in ends) / len(ends) if ends else None
            assert read.cold_share == (share if share is None else pytest.approx(share))
    shares = {name: by_split[name, "test"].cold_share for name in RELATIONS}
    assert 0 < (shares["follow"] or 0) < 1  # Some test edges are cold, some are not.
    assert shares["block"] is None  # All its test edges are training edges.
    assert shares["share"] == 0
    assert not by_split["share", "test"].source_connected.any()


def test_without_held_out_edges_every_split_is_empty(spark: SparkSession) -> None:
    graph = RankedGraph()
    by_split = read_held_out_edges(
        graph.edges_table(spark).where("split = 'train'"), graph.entities_table(spark, 3), RELATIONS
    )
    assert set(by_split) == {(name, split) for name in RELATIONS for split in HELD_OUT_SPLITS}
    for edges in by_split.values():
        assert edges.cold_share is None
        assert len(queries_of(edges, edges).target) == 0


def held_out(*edges: tuple[int, int]) -> HeldOutEdges:
    """Return edges whose ends are connected if their location is even."""
    source, target = np.array(edges, np.int64).reshape(-1, 2).T
    return HeldOutEdges(source, target, source % 2 == 0, target % 2 == 0)


def test_queries_have_all_held_out_pairs_of_their_sources() -> None:
    queries = queries_of(held_out((7, 3), (4, 9), (7, 1), (-1, 2), (8, -1)), held_out((7, 3), (7, 5), (6, 1), (4, -1)))
    assert queries.sources.tolist() == [4, 7]
    assert queries.connected.tolist() == [True, False]
    assert list(zip(queries.source.tolist(), queries.target.tolist(), strict=True)) == [(0, 9), (1, 1), (1, 3)]
    pairs = list(zip(queries.held_out_source.tolist(), queries.held_out_target.tolist(), strict=True))
    assert pairs == [(0, 9), (1, 1), (1, 3), (1, 5)]
    assert queries.of_sources(slice(1, 2)) == slice(1, 3)


def test_no_edge_no_query() -> None:
    queries = queries_of(held_out((-1, 3)), held_out((7, 3)))
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

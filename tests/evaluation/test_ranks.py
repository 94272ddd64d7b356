"""Ranks computed by Spark tasks, compared with a loop over all candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.ranked_graph import ENDS, RELATIONS, RankedGraph, config
from twhin_spark.evaluation.compared_models import ComparedModels
from twhin_spark.evaluation.held_out_edges import read_held_out_edges
from twhin_spark.evaluation.known_positives import KnownPositives, QuerySet, write_known_positives
from twhin_spark.evaluation.queries import Queries, queries_of
from twhin_spark.evaluation.ranking import Ranks, rank_queries
from twhin_spark.evaluation.ranking_task import RankingInput, compare_within_groups
from twhin_spark.evaluation.scoring_models import ConstantVectors, FactorVectors, PopularityVectors, ScoringModel
from twhin_spark.evaluation.scratch import Scratch
from twhin_spark.graph.entity_location import location_of

Ranked = dict[tuple[str, str], tuple[float, float]]


def by_edge(graph: RankedGraph, name: str, partitions: int, queries: Queries, ranks: Ranks) -> Ranked:
    """Return ranks among new candidates and filtered ranks, by the ids of source and target."""
    ids = {
        (entity_type, int(location_of(partition, np.array(row)))): entity
        for (entity_type, entity), (partition, row) in graph.locations(partitions).items()
    }
    source = [ids[ENDS[name][0], location] for location in queries.sources[queries.source].tolist()]
    target = [ids[ENDS[name][1], location] for location in queries.target.tolist()]
    pairs = zip(ranks.among_new.tolist(), ranks.filtered.tolist(), strict=True)
    return dict(zip(zip(source, target, strict=True), pairs, strict=True))


@pytest.mark.parametrize(
    ("partitions", "self_loops", "comparator"),
    [(1, False, "dot"), (3, True, "dot"), (7, False, "dot"), (3, False, "cosine")],
)
def test_every_rank_equals_that_of_the_loop(
    spark: SparkSession, scratch: Path, partitions: int, self_loops: bool, comparator: str
) -> None:
    graph = RankedGraph(self_loops=self_loops)
    entities, buckets = graph.entities_table(spark, partitions), graph.buckets_table(spark, partitions)
    held_out = read_held_out_edges(graph.edges_table(spark), entities, RELATIONS)
    sets = {}
    for number, name in enumerate(RELATIONS):
        splits = ["test", "validation"]
        for split, other in zip(splits, reversed(splits), strict=True):
            queries = queries_of(held_out[name, split], held_out[name, other])
            assert len(queries) == len(graph.queries(name, split))
            if len(queries):
                sets[name, split] = QuerySet(
                    f"{split}-{number}", number, queries, excludes_source=name == "follow" and not self_loops
                )
    assert sorted(sets) == [
        ("follow", "test"),
        ("follow", "validation"),
        ("like", "test"),
        ("like", "validation"),
        ("share", "test"),
    ]
    known_positives = KnownPositives(Scratch(str(scratch / "files")))
    targets = write_known_positives(
        entities, buckets, known_positives, [ENDS[name][1] for name in RELATIONS], list(sets.values())
    )
    models = ComparedModels(
        config(str(scratch), comparator=comparator), graph.run(scratch, partitions), buckets, known_positives
    )

    requests, expected = [], []
    for (name, split), query_set in sets.items():
        popularity = [
            ScoringModel(ConstantVectors(), PopularityVectors(known_positives, query_set.relation, by))
            for by in ("degree", "weight")
        ]
        trained = graph.trained_score(name, comparator=comparator)
        scores = [trained, graph.popularity(name, "degree"), graph.popularity(name, "weight")]
        for i, (model, score) in enumerate(zip([models.trained(query_set.relation), *popularity], scores, strict=True)):
            requests.append(RankingInput(f"{name}-{split}-{i}", query_set, model))
            expected.append({edge: rank.ranks for edge, rank in graph.expected_ranks(name, split, score).items()})
    ranks_of = rank_queries(spark, known_positives, requests, partitions=partitions, target_partitions=targets)
    for request, ranks, expected_ranks in zip(requests, ranks_of, expected, strict=True):
        name = RELATIONS[request.query_set.relation]
        assert by_edge(graph, name, partitions, request.query_set.queries, ranks) == expected_ranks, request.name


def test_targets_without_factors_come_last(scratch: Path) -> None:
    files = Scratch(str(scratch))
    sources, targets = FactorVectors(files, "f", "source", 2), FactorVectors(files, "f", "target", 2)
    sources.write(0, np.array([1, 4]), np.array([[3, -5], [0, 0]], np.float32))
    targets.write(0, np.array([2, 3]), np.array([[-7, 9], [1, 1]], np.float32))
    vectors = sources.read(0, np.array([1, 4])).astype(float) @ targets.read(0, np.array([0, 2, 3, 5])).astype(float).T
    np.testing.assert_array_equal(vectors[:, 1:3], [[-66, -2], [0, 0]])
    assert vectors[:, [0, 3]].max() < -(2.0**99)
    np.testing.assert_array_equal(vectors[:, 0], vectors[:, 3])  # Targets without factors tie.
    np.testing.assert_array_equal(sources.read(0, np.array([0])), np.zeros((1, 3)))
    assert (targets.read(1, np.array([0]))[:, -1] < 0).all()  # a partition without factors


def test_comparison_within_groups_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    group, threshold_group = rng.integers(6, size=80), rng.integers(7, size=50)
    score, threshold = rng.integers(5, size=80) / 2, rng.integers(-1, 6, size=50) / 2
    greater, equal = compare_within_groups(group, score, threshold_group, threshold)
    for k in range(50):
        in_group = score[group == threshold_group[k]]
        assert greater[k] == (in_group > threshold[k]).sum()
        assert equal[k] == (in_group == threshold[k]).sum()
    empty = np.empty(0)
    assert compare_within_groups(empty.astype(int), empty, threshold_group, threshold)[0].tolist() == [0] * 50
    assert len(compare_within_groups(group, score, empty.astype(int), empty)[0]) == 0

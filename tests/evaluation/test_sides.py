"""Ranking of both ends of an edge, if `evaluation.sides` is `both`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.ranked_graph import RankedGraph, config, write_tables
from twhin_spark.evaluation.evaluate import evaluate


def test_sources_are_ranked_beside_targets(spark: SparkSession, scratch: Path) -> None:
    graph = RankedGraph()
    run = write_tables(spark, graph, scratch)
    evaluation = evaluate(spark, config(str(scratch), sides="both", rank=2, iterations=1), run, print)
    values = {(row["relation"], row["model"], row["metric"]): row for row in evaluation.metrics}
    for name in ("follow", "like", "share"):  # like has two parameter vectors, one for each end
        expected = [
            rank
            for end in (0, 1)
            for rank in graph.expected_ranks(name, "test", graph.trained_score(name, end), end).values()
        ]
        row = values[name, "twhin", "mrr"]
        assert row["queries"] == len(expected) == 2 * len(graph.queries(name, "test"))
        assert row["value"] == pytest.approx(sum(1 / rank.ranks[1] for rank in expected) / len(expected))
        sides = [{edge[1 - end] for edge in graph.queries(name, "test")} for end in (0, 1)]
        assert values[name, "twhin", "recall@10"]["queries"] == sum(map(len, sides))
    assert "gives the source, or the target, of a test edge" in Path(evaluation.report).read_text()

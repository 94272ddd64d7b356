"""Both ends of an edge are asked for where the config says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.support.ranked_graph import RankedGraph, config, write_tables
from twhin_spark.evaluation.evaluate import evaluate


def test_sources_are_ranked_beside_targets(spark: SparkSession, scratch: Path) -> None:
    world = RankedGraph()
    run = write_tables(spark, world, scratch)
    found = evaluate(spark, config(str(scratch), sides="both", rank=2, iterations=1), run, print)
    values = {(row["relation"], row["model"], row["metric"]): row for row in found.metrics}
    for name in ("follow", "like", "share"):  # like has two parameter vectors, one for each end
        answers = [
            answer
            for asked in (0, 1)
            for answer in world.answers(name, "test", world.trained_score(name, asked), asked).values()
        ]
        row = values[name, "twhin", "mrr"]
        assert row["queries"] == len(answers) == 2 * len(world.queries(name, "test"))
        assert row["value"] == pytest.approx(sum(1 / answer.ranks[1] for answer in answers) / len(answers))
        sides = [{edge[1 - asked] for edge in world.queries(name, "test")} for asked in (0, 1)]
        assert values[name, "twhin", "recall@10"]["queries"] == sum(map(len, sides))
    assert "gives the source, or the target, of a test edge" in Path(found.report).read_text()

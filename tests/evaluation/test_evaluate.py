"""The evaluation stage on the tables and state files of a run."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from tests.support.ranked_graph import ENDS, RankedGraph, config, write_tables
from twhin_spark.evaluation.evaluate import evaluate
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, METRICS


def expected_values(graph: RankedGraph, name: str) -> dict[tuple[str, str], tuple[float, int]]:
    """Compute MRR, recall@10 and ndcg@10 of twhin and popularity, with their numbers of queries, by plain loops."""
    values = {}
    mrr_of = {
        by: sum(
            1 / expected.ranks[1]
            for expected in graph.expected_ranks(name, "validation", graph.popularity(name, by)).values()
        )
        for by in ("degree", "weight")
    }
    tuned = max(mrr_of, key=lambda by: mrr_of[by])  # the first of equals
    for model, score in {"twhin": graph.trained_score(name), "popularity": graph.popularity(name, tuned)}.items():
        expected_ranks = list(graph.expected_ranks(name, "test", score).values())
        values[model, "mrr"] = (
            sum(1 / expected.ranks[1] for expected in expected_ranks) / len(expected_ranks),
            len(expected_ranks),
        )
        by_source: dict[str, list[float]] = {}
        for expected in expected_ranks:
            by_source.setdefault(expected.source, []).append(expected.ranks[0])
        ten = {s: [rank for rank in ranks if rank <= 10] for s, ranks in by_source.items()}
        recall = sum(len(ten[s]) / len(ranks) for s, ranks in by_source.items()) / len(by_source)
        values[model, "recall@10"] = recall, len(by_source)
        ideal = {s: sum(1 / math.log2(i + 2) for i in range(min(len(ranks), 10))) for s, ranks in by_source.items()}
        ndcg = sum(sum(1 / math.log2(1 + rank) for rank in ten[s]) / ideal[s] for s in by_source) / len(by_source)
        values[model, "ndcg@10"] = ndcg, len(by_source)
    return values


def test_evaluate(spark: SparkSession, scratch: Path) -> None:
    graph = RankedGraph()
    run = write_tables(spark, graph, scratch)
    settings = config(str(scratch), rank=2, iterations=1)
    lines: list[str] = []
    first = evaluate(spark, settings, run, lines.append)
    again = evaluate(spark, settings, run, lines.append)

    assert again.metrics == first.metrics
    keys = [(row["relation"], row["average"], row["model"], row["metric"]) for row in first.metrics]
    names = ["mrr", "hits@1", "hits@3", "hits@10", "recall@10", "recall@20", "ndcg@10", "ndcg@20"]
    over = [("follow", None), ("like", None), ("share", None), (None, "micro"), (None, "macro")]
    assert keys == [
        (*section, model, metric) for section in over for model in ("twhin", "popularity", "als") for metric in names
    ]
    assert list(first.metrics[0]) == ["relation", "average", "model", "metric", "value", "low", "high", "queries"]
    values = {key: (row["value"], row["queries"]) for key, row in zip(keys, first.metrics, strict=True)}
    for name in ("follow", "like", "share"):
        for (model, metric), (value, queries) in expected_values(graph, name).items():
            assert values[name, None, model, metric] == (pytest.approx(value, abs=1e-12), queries)
    mrrs = [values[name, None, "twhin", "mrr"] for name in ("follow", "like", "share")]
    total = sum(count for _, count in mrrs)
    assert values[None, "micro", "twhin", "mrr"] == (pytest.approx(sum(v * n for v, n in mrrs) / total), total)
    assert values[None, "macro", "twhin", "mrr"] == (pytest.approx(sum(v for v, _ in mrrs) / 3), total)
    for metric in names:  # No source of these queries has a training edge, so ALS falls back.
        assert values["share", None, "als", metric] == values["share", None, "popularity", metric]
    assert any("block" in line and "no metrics" in line for line in lines)

    rows = TableStore(spark, str(scratch)).read(METRICS).collect()
    of_run = [row for row in rows if row["run_id"] == "run-1"]
    assert {(row["relation"], row["average"], row["model"], row["metric"]) for row in of_run} == set(keys)
    assert len(of_run) == len(keys)
    assert sum(row["run_id"] == "run-0" for row in rows) == 1
    assert {row["cold_share"] for row in rows if row["relation"] == "like"} == {first.cold_share["like"]}
    assert set(first.cold_share) == {"follow", "like", "share"}

    assert first.report == str(scratch / "runs" / "run-1" / "report.html")
    assert sorted(path.name for path in Path(first.report).parent.iterdir()) == ["manifests", "report.html", "state"]
    check_report(Path(first.report).read_text(), first.metrics)

    # A graph without held-out edges has no queries, and the metrics measured before are removed.
    store = TableStore(spark, str(scratch))
    only_train = store.overwrite(EDGES, graph.edges_table(spark).where("split = 'train'"))
    tables = {**run.graph.tables, "edges": only_train}
    empty = evaluate(spark, settings, replace(run, graph=replace(run.graph, tables=tables)), lines.append)
    assert (empty.metrics, empty.cold_share) == ([], {})
    assert "nothing was measured" in Path(empty.report).read_text()
    assert {row["run_id"] for row in store.read(METRICS).collect()} == {"run-0"}


def check_report(html: str, metrics: list[dict[str, Any]]) -> None:
    images = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert len(images) == len(re.findall("src=", html)) == 5
    for text in (html, *(base64.b64decode(image).decode() for image in images)):
        links = re.findall(r"""(?:href|src|url\()\s*=?\s*["']?([^"'\s>)]+)""", text)
        assert not [link for link in links if not link.startswith(("data:", "#"))], "the file loads another"
    for text in ("run-1", "1,200", "empty source id", "no new test edge", f"{ENDS['like'][0]}"):
        assert text in html
    for row in metrics:
        assert f"{row['value']:.4f}<small>{row['low']:.4f}–{row['high']:.4f}</small>" in html


@pytest.mark.slow
def test_metrics_do_not_depend_on_the_number_of_partitions(spark: SparkSession, scratch: Path) -> None:
    """The vectors are real numbers, whose float products depend on the order of summation."""
    graph, metrics = RankedGraph(whole_numbers=False), []
    for partitions in (1, 3, 7):
        output = scratch / str(partitions)
        settings = config(str(output), sides="both")
        without_als = settings.evaluation.model_copy(update={"als": None})
        settings = settings.model_copy(update={"evaluation": without_als})
        metrics.append(evaluate(spark, settings, write_tables(spark, graph, output, partitions), print).metrics)
    assert metrics[0] == metrics[1] == metrics[2]
    assert {row["model"] for row in metrics[0]} == {"twhin", "popularity"}

"""What is printed and shown if there are very many relations."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from twhin_spark.cli.previews import metrics_table
from twhin_spark.evaluation.relation_progress import RelationProgress
from twhin_spark.evaluation.report import _sections


@pytest.mark.parametrize(("relations", "printed"), [(20, 1500), (21, 2)])
def test_progress_is_not_a_line_a_relation(relations: int, printed: int) -> None:
    lines: list[str] = []
    now = [0.0]
    progress = RelationProgress(lines.append, relations, clock=lambda: now[0])
    for number in range(1500):
        now[0] = number * 0.02  # 30 seconds in all
        progress(f"r{number}: line")
    assert len(lines) == printed


def _metrics(relations: int) -> list[dict[str, Any]]:
    whole = [(f"r{number}", None, number) for number in range(relations)]
    averages = [(None, "micro", relations), (None, "macro", relations)]
    return [
        {"relation": name, "average": average, "model": model, "metric": metric, "value": 0.5, "queries": queries}
        for name, average, queries in [*whole, *averages]
        for model in ("twhin", "popularity")
        for metric in ("mrr", "recall@10")
    ]


def test_the_table_shows_the_relations_with_the_most_queries_and_the_averages() -> None:
    table = metrics_table(_metrics(1500))
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert table.row_count == 2 * (20 + 2)
    assert "20 of 1,500 relations" in text
    assert "r1499" in text
    assert "all, macro" in text
    assert metrics_table(_metrics(20)).row_count == 2 * (20 + 2)


def test_the_sections_of_a_report_take_no_pass_over_all_metrics_each() -> None:
    rows = [{**row, "low": 0.4, "high": 0.6} for row in _metrics(1500)]
    sections = list(_sections(["r3", "r7", "unmeasured"], ["mrr", "recall@10"], rows, {"r3": 0.1}))
    assert [section["name"] for section in sections] == ["r3", "r7", "unmeasured", "all relations", "all relations"]
    assert [section["queries"] for section in sections] == [3, 7, 0, 1500, 1500]

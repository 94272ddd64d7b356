"""The overrides of the data sets, and the figures that they compute from rows of `metrics`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from benchmarks.paths import ROOT, data_home
from benchmarks.quality.data_sets import SETS, SMALLER, baselines, knowledge_graph, recommendation
from benchmarks.quality.measure import NO_BASELINES, with_data
from twhin_spark.config import load_config
from twhin_spark.logs.clean import clean_logs
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EVENTS

HOME = data_home()
EVENT = ["relation", "source_id", "target_id", "timestamp"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_a_trial_reads_no_test_edge(spark: SparkSession, caches: ExitStack, scratch: Path, name: str) -> None:
    if not HOME.exists():
        pytest.skip(f"{HOME} is missing")
    path = ROOT / "conf" / SETS[name].config

    def events(overrides: Sequence[str], folder: str) -> DataFrame:
        config = load_config(path, [*with_data(path, overrides), f"output={scratch / folder}"])
        store = TableStore(spark, config.output)
        clean_logs(spark, config, store, caches, print)
        return store.read(EVENTS).select(*EVENT, "split")

    final, trial = events([], "final"), events(SETS[name].trial, "trial")
    keys = [final[column].eqNullSafe(trial[column]) for column in EVENT]
    assert trial.join(final, keys, "left_anti").isEmpty()
    assert trial.join(final.where("split = 'test'"), keys, "left_semi").isEmpty()
    ranked, trained = (trial.where(f"split = '{split}'").count() for split in ("test", "train"))
    assert ranked > 0.05 * trained
    assert ranked + trained == trial.count()  # a validation edge would be neither trained nor ranked


@pytest.mark.parametrize("name", SETS)
def test_the_config_takes_all_that_a_data_set_overrides(name: str) -> None:
    data = SETS[name]
    path = ROOT / "conf" / data.config
    ablations = [[*overrides, *NO_BASELINES] for overrides in data.ablations.values()]
    for overrides in [data.trial, data.curve, *ablations, *([*SMALLER, *variant] for variant in data.variants)]:
        load_config(path, overrides)


def row(
    relation: str | None, average: str | None, model: str, metric: str, value: float, queries: int
) -> dict[str, Any]:
    return {
        "relation": relation,
        "average": average,
        "model": model,
        "metric": metric,
        "value": value,
        "low": value - 0.01,
        "high": value + 0.01,
        "queries": queries,
    }


def test_a_query_with_an_unknown_end_counts_as_0() -> None:
    names = ("mrr", "hits@1", "hits@3", "hits@10")
    rows = [row(None, average, "twhin", name, 0.5, 90) for average in ("micro", "macro") for name in names]
    rows += [row("r", None, "twhin", name, 0.1, 90) for name in names]
    rows += [row(None, "micro", "popularity", name, 0.2, 90) for name in names]
    assert knowledge_graph(100)(rows) == pytest.approx(dict.fromkeys(names, 0.45))


def test_a_relation_with_its_intervals_and_baselines() -> None:
    values = {"twhin": 0.3, "als": 0.2, "popularity": 0.1}
    rows = [
        row(relation, None, model, metric, value, 9)
        for relation in ("listen", "tag")
        for metric in ("mrr", "recall@20")
        for model, value in values.items()
    ]
    model = recommendation("listen", "recall@20")(rows)
    assert model == pytest.approx({"recall@20": 0.3, "recall@20 low": 0.29, "recall@20 high": 0.31})
    peers = baselines("listen", "recall@20")(rows)
    assert peers["als recall@20"] == 0.2
    assert peers["popularity recall@20 high"] == pytest.approx(0.11)
    assert len(peers) == 6

"""Graphs of chosen sizes, trained in this process with what the plan forecast and the rounds' reports to show."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.packed_graph import write_graph
from twhin_spark.cli.console import Printer
from twhin_spark.config import Config
from twhin_spark.graph.graph_version import latest_graph
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.session import open_session
from twhin_spark.training.planning.forecast import Forecast, forecast
from twhin_spark.training.planning.plan import measure_graph
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.train import train

_BUILD = Path("build/bench-plan")
_RELATIONS = ("follow", "like")


@dataclass(frozen=True)
class TrainingCase:
    """A graph and how it is trained."""

    entities: int
    edges: int
    partitions: int
    training: dict[str, Any]


def train_case(name: str, shape: TrainingCase) -> tuple[Forecast, list[RoundReport]]:
    """Makes the graph, plans, trains, and removes what was written."""
    config = _config(name, shape)
    shutil.rmtree(config.output, ignore_errors=True)
    spark = open_session(f"twhin-spark bench {name}")
    write_graph(
        spark,
        config.output,
        entities=shape.entities,
        edges=shape.edges,
        partitions=shape.partitions,
        relations=_RELATIONS,
    )
    store = TableStore(spark, config.output)
    slots = spark.sparkContext.defaultParallelism
    found = forecast(
        config, measure_graph(store, latest_graph(store), config), partitions=shape.partitions, slots=slots
    )
    run = train(spark, config, Printer().progress)
    reports = run.folder.reports()
    spark.stop()
    shutil.rmtree(config.output)
    return found, reports


def _config(name: str, shape: TrainingCase) -> Config:
    return Config.model_validate(
        {
            "name": name,
            "output": str(_BUILD / name),
            "entity_types": ["node"],
            "relations": {relation: {"source": "node", "target": "node"} for relation in _RELATIONS},
            "logs": {
                "none": {
                    "path": "none",
                    "format": "csv",
                    "select": dict.fromkeys(("relation", "source", "target"), "x"),
                }
            },
            "split": {"by": "fraction", "validation": 0},
            "graph": {"partitions": shape.partitions},
            "training": {"epochs": 2, "batch_size": 500, "loss": "logistic", **shape.training},
        }
    )

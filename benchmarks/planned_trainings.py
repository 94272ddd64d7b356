"""Trainings on graphs of chosen sizes in this process, with the plan's forecast and the reports of the rounds."""

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
from twhin_spark.tables.session_cores import session_cores
from twhin_spark.training.planning.forecast import Cluster, Forecast, forecast
from twhin_spark.training.planning.plan import measure_graph
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.train import train

_BUILD = Path("build/bench-plan")
_RELATIONS = ("follow", "like")


@dataclass(frozen=True)
class TrainingCase:
    """The sizes of a graph, and options of the config's section `training` that differ from the defaults."""

    entities: int
    edges: int
    partitions: int
    training: dict[str, Any]


def train_case(name: str, case: TrainingCase) -> tuple[Forecast, list[RoundReport]]:
    """Write the case's graph, forecast and train; remove what was written and return forecast and reports."""
    config = _config(name, case)
    shutil.rmtree(config.output, ignore_errors=True)
    spark = open_session(f"twhin-spark bench {name}")
    write_graph(
        spark,
        config.output,
        entities=case.entities,
        edges=case.edges,
        partitions=case.partitions,
        relations=_RELATIONS,
    )
    store = TableStore(spark, config.output)
    sizes = measure_graph(store, latest_graph(store), config)
    cores = session_cores(spark)
    cluster = Cluster(cores.total // cores.of_executor, cores.of_executor)
    predicted = forecast(config, sizes, partitions=case.partitions, cluster=cluster)
    run = train(spark, config, Printer().progress)
    reports = run.folder.reports()
    spark.stop()
    shutil.rmtree(config.output)
    return predicted, reports


def _config(name: str, case: TrainingCase) -> Config:
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
            "graph": {"partitions": case.partitions},
            "training": {"epochs": 2, "batch_size": 500, "loss": "logistic", **case.training},
        }
    )

"""Complete training runs: their names, and how later stages find them."""

from __future__ import annotations

from dataclasses import dataclass

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.tables.delta import TableStore
from twhin_spark.training.start_version import noted_start, run_id_of
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder


@dataclass(frozen=True)
class TrainedRun:
    """A complete training run and the graph that it was trained on.

    The manifest is that of the epoch that is kept: the last one or, by `training.keep`, the best. `started_from` is the
    model version of a warm start.
    """

    run_id: str
    folder: RunFolder
    manifest: Manifest
    graph: GraphVersion
    started_from: str | None = None


def find_run(config: Config, store: TableStore) -> TrainedRun:
    """Find the complete run of a config on the latest graph. Raises InputError if there is none."""
    graph = latest_graph(store)
    start = noted_start(config, graph)
    run_id = run_id_of(config, graph, start)
    folder = RunFolder(config.output, run_id)
    manifest = folder.latest()
    if manifest is None or not manifest.complete:
        state = "is not trained" if manifest is None else f"is trained to epoch {manifest.epoch + 1} only"
        raise InputError(
            f"{folder.location}: the run of this config on the latest graph {state}; run train with this config first"
        )
    return TrainedRun(run_id, folder, manifest.kept, graph, start)

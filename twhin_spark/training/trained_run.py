"""Complete training runs: their names, and how later stages find them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.graph.graph_version import GraphVersion, latest_graph
from twhin_spark.tables.delta import TableStore
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder


@dataclass(frozen=True)
class TrainedRun:
    """A complete training run and the graph that it was trained on.

    The manifest is that of the epoch that is kept: the last one or, by `training.keep`, the best.
    """

    run_id: str
    folder: RunFolder
    manifest: Manifest
    graph: GraphVersion


def run_id_of(config: Config, graph: GraphVersion) -> str:
    """Return the run's name: the same graph, entity types, relations and training options give the same one."""
    content = json.dumps(run_identity(config, graph))
    return f"{config.name}-{hashlib.blake2b(content.encode(), digest_size=5).hexdigest()}"


def run_identity(config: Config, graph: GraphVersion) -> dict[str, Any]:
    """Return the settings that make a run what it is.

    The order of the entity types is one of them, as state files are in that order. Options that change no bit are not.
    """
    return {
        "graph": graph.graph_id,
        "graph.self_loops": config.graph.self_loops,
        "entity_types": config.entity_types,
        "relations": {name: config.relations[name].model_dump(mode="json") for name in graph.relations},
        "training": config.training.model_dump(mode="json", exclude={"task_threads", "commit_seconds"}),
    }


def find_run(config: Config, store: TableStore) -> TrainedRun:
    """Find the complete run of a config on the latest graph. Raises InputError if there is none."""
    graph = latest_graph(store)
    run_id = run_id_of(config, graph)
    folder = RunFolder(config.output, run_id)
    manifest = folder.latest()
    if manifest is None or not manifest.complete:
        state = "is not trained" if manifest is None else f"is trained to epoch {manifest.epoch + 1} only"
        raise InputError(
            f"{folder.location}: the run of this config on the latest graph {state}; run train with this config first"
        )
    return TrainedRun(run_id, folder, manifest.kept, graph)

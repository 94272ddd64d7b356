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
    """A complete training run and the graph it was trained on; the manifest is of the epoch that is kept."""

    run_id: str
    folder: RunFolder
    manifest: Manifest
    graph: GraphVersion


def run_id_of(config: Config, graph: GraphVersion) -> str:
    """The run's name: the same graph, entity types, relations and training options give the same run."""
    content = json.dumps(run_identity(config, graph))
    return f"{config.name}-{hashlib.blake2b(content.encode(), digest_size=5).hexdigest()}"


def run_identity(config: Config, graph: GraphVersion) -> dict[str, Any]:
    """What makes a run what it is. Its state files are by the order of the entity types."""
    return {
        "graph": graph.graph_id,
        "graph.self_loops": config.graph.self_loops,
        "entity_types": config.entity_types,
        "relations": {name: config.relations[name].model_dump(mode="json") for name in graph.relations},
        "training": config.training.model_dump(mode="json"),
    }


def find_run(config: Config, store: TableStore) -> TrainedRun:
    """The complete run of this config on the latest graph. Raises InputError where there is none."""
    graph = latest_graph(store)
    run_id = run_id_of(config, graph)
    folder = RunFolder(config.output, run_id)
    manifest = folder.latest()
    if manifest is None or not manifest.complete:
        found = "no training" if manifest is None else f"a training that ended in epoch {manifest.epoch + 1}"
        raise InputError(
            f"{folder.location}: found {found} for this config and graph; run train with this config first"
        )
    return TrainedRun(run_id, folder, manifest.kept, graph)

"""Configs of the graphs that speed is measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.speed import fb15k
from benchmarks.speed.planted import RELATIONS, TYPES, PlantedGraph


def planted_config(graph: PlantedGraph, training: Mapping[str, Any]) -> Path:
    """Write the config of a planted graph beside its edges. All edges train, as they do in PyTorch-BigGraph."""
    relations = {name: {"source": source, "target": target} for name, (source, target, _) in RELATIONS.items()}
    return _write_config(graph.folder, "planted", list(TYPES), relations, graph.file(), training)


def fb15k_config(folder: Path, training: Mapping[str, Any]) -> Path:
    """Write a config of FB15k-237's training edges, all of which train."""
    relations = {name: {"source": "entity", "target": "entity"} for name in fb15k.relation_names()}
    return _write_config(folder, "fb15k-237", ["entity"], relations, fb15k.edges_file(), training)


def training_options(dim: int, negatives: int, epochs: int = 1) -> dict[str, Any]:
    """Return training options: 1,000 edges a gradient step, `negatives` in-batch and as many uniform ones a side."""
    return {
        "dim": dim,
        "epochs": epochs,
        "batch_size": 1000,
        "in_batch_negatives": negatives,
        "uniform_negatives": negatives,
    }


def _write_config(
    folder: Path,
    name: str,
    types: Sequence[str],
    relations: Mapping[str, Mapping[str, str]],
    edges: Path,
    training: Mapping[str, Any],
) -> Path:
    log = {
        "path": str(edges),
        "format": "csv",
        "options": {"sep": "\t"},
        "columns": "source STRING, relation STRING, target STRING",
        "select": {"relation": "relation", "source": "source", "target": "target"},
    }
    config = {
        "name": name,
        "output": str(folder / "twhin-spark"),
        "entity_types": list(types),
        "relations": {key: dict(value) for key, value in relations.items()},
        "logs": {"edges": log},
        "split": {"by": "fraction", "test": 0.0, "validation": 0.0},
        "graph": {"self_loops": "keep"},
        "training": dict(training),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "twhin-spark.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path

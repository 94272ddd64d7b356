"""A small graph, built from a log, with planted vectors instead of trained ones, and its candidates by brute force.

The vectors are small whole numbers, so scores are exact however they are computed, and many of them tie.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.graph.build import build_graph
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.kernels.arrays import Floats
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, EMBEDDINGS, ENTITIES, MODEL_VERSIONS, RELATIONS, ddl
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.run_folder import RunFolder

DIM = 4
ENDS = {"follow": ("user", "user"), "like": ("user", "item")}
COMPARATOR = {"follow": "cosine", "like": "dot"}
Entity = tuple[str, str]


def config(output: Path | str, partitions: int, **retrieval: Any) -> Config:
    relations = {name: {"source": ends[0], "target": ends[1]} for name, ends in ENDS.items()}
    select = {"relation": "relation", "source": "source", "target": "target", "timestamp": "time"}
    log = {"path": f"{output}/log.csv", "format": "csv", "options": {"header": True}, "select": select}
    return Config.model_validate(
        {
            "name": "planted",
            "output": str(output),
            "entity_types": ["user", "item"],
            "relations": relations,
            "logs": {"log": log},
            "split": {"test": 0.15, "validation": 0.05},
            "graph": {"partitions": partitions, "block_edges": 64},
            "training": {"dim": DIM},
            "evaluation": {"als": {"rank": 4, "iterations": 2}},
            "retrieval": retrieval,
        }
    )


class PlantedGraph:
    """Users that follow users and like items, with planted vectors and relation parameters."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.lines = []
        for time in range(1400):
            relation = str(rng.choice(["follow", "like"]))
            source, target = f"u{int(rng.beta(0.7, 1.5) * 60)}", int(rng.beta(0.7, 1.5) * 70)
            self.lines.append(
                f"{relation},{source},{'u' if relation == 'follow' else 'é'}{target},{1_600_000_000 + time}"
            )
        self.parameters = {"follow": [1.0, 0.0, -1.0, 0.0], "like": [0.0, 1.0, 1.0, -1.0]}
        self.seed = seed

    def vector(self, entity: Entity) -> Floats:
        rng = np.random.default_rng([self.seed, *repr(entity).encode()])
        return rng.integers(-2, 3, DIM).astype(np.float32)

    def publish(self, spark: SparkSession, output: Path, partitions: int) -> GraphVersion:
        """Build the graph, and write the tables of a version as publishing does."""
        output.mkdir(parents=True, exist_ok=True)
        (output / "log.csv").write_text("\n".join(["relation,source,target,time", *self.lines]) + "\n")
        graph = build_graph(spark, config(output, partitions), lambda line: None)
        store = TableStore(spark, str(output))
        seen = store.read(ENTITIES).where("degree > 0").select("entity_type", "entity_id", "degree").collect()
        rows = [
            (
                row["entity_type"],
                row["entity_id"],
                self.vector((row[0], row[1])).tolist(),
                1.0,
                row["degree"],
                "planted-1",
                "trained",
                None,
            )
            for row in seen
        ]
        store.overwrite(EMBEDDINGS, spark.createDataFrame(rows, ddl(EMBEDDINGS)))
        relations = [
            ("planted-1", name, *ENDS[name], "translation", COMPARATOR[name], 1.0, "target", self.parameters[name])
            for name in ENDS
        ]
        store.overwrite(RELATIONS, spark.createDataFrame(relations, ddl(RELATIONS)))
        version = ("planted-1", 0, "planted-1", graph.graph_id, datetime.now(UTC), "current", "[]", json.dumps({}))
        later = (None,) * (len(MODEL_VERSIONS.columns) - len(version))  # tags, start, alignment and what follows
        store.overwrite(MODEL_VERSIONS, spark.createDataFrame([(*version, *later)], ddl(MODEL_VERSIONS)))
        states = {name: RelationState({"target": p}, {"target": p}) for name, p in self.parameters.items()}
        RunFolder(str(output), "planted-1").commit(Manifest("planted-1", 1, 0, 0, True, 1, [], states, ""))
        return graph


def loop_candidates(
    spark: SparkSession, planted: PlantedGraph, output: Path, *, relation: str | None, source: str, target: str, k: int,
    cosine: bool = False, exclude: tuple[str, ...] = (), targets: str = "true",
) -> dict[str, list[tuple[str, float]]]:  # fmt: skip
    """Return the first k candidates of every source by a loop over all pairs: id and score; ties by key, then id."""
    store = TableStore(spark, str(output))
    seen = store.read(ENTITIES).where("degree > 0")
    keys = {
        row["entity_id"]: row["entity_key"]
        for row in seen.where(F.col("entity_type") == target).where(targets).collect()
    }
    sources = [row["entity_id"] for row in seen.where(F.col("entity_type") == source).collect()]
    edges = store.read(EDGES).where("split = 'train'").where(F.col("relation").isin(list(exclude) or [""]))
    excluded = {(row["source_id"], row["target_id"]) for row in edges.collect()}
    lists = {}
    for name in sources:
        query = planted.vector((source, name)) + np.array(planted.parameters[relation] if relation else [0.0] * DIM)
        scored = []
        for other, key in keys.items():
            if (source, name) == (target, other) or (name, other) in excluded:
                continue
            vector = planted.vector((target, other)).astype(float)
            score = float(query @ vector)
            if cosine:
                norms = np.linalg.norm(query) * np.linalg.norm(vector)
                score = score / norms if norms else 0.0
            scored.append((-score, key, other))
        lists[name] = [(other, -score) for score, _, other in sorted(scored)[:k]]
    return lists

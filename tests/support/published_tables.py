"""Published tables for tests, written without Spark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from twhin_spark.representations.published_family import PublishedFamily

DIM = 4
DEGREE = 7


def vectors(seed: int, n: int, dim: int = DIM) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


class Tables:
    """The tables under OUTPUT/tables."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.embeddings = str(output / "tables" / "embeddings")
        self.relations = str(output / "tables" / "relations")
        self.model_versions = str(output / "tables" / "model_versions")
        self.alignments = str(output / "tables" / "alignments")
        self.family = PublishedFamily("twhin", self.embeddings, self.relations, self.model_versions, self.alignments)

    def publish(
        self,
        model_version: str,
        entities: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
        *,
        seed: int = 0,
        n: int = 20,
        comparators: bool = True,
    ) -> int:
        """Publish vectors by type and id, by default `n` users and tweets; return the Delta version of embeddings.

        Relation `favorite` translates users by ones, there is one relation for each other operator, and `twin` compares
        by cosine. Without comparators the table of relations is like an older one.
        """
        if entities is None:
            users, tweets = vectors(seed, n), vectors(seed + 1000, n)
            entities = {
                "user": {f"u{i}": users[i].tolist() for i in range(n)},
                "tweet": {f"t{i}": tweets[i].tolist() for i in range(n)},
            }
        rows = [
            {"entity_type": entity_type, "entity_id": entity_id, "embedding": embedding, "degree": DEGREE}
            for entity_type, members in entities.items()
            for entity_id, embedding in members.items()
        ]
        dim = len(rows[0]["embedding"])
        parameters = {
            "favorite": ("translation", [1.0] * dim),
            "same": ("identity", []),
            "stretched": ("diagonal", [0.5 + i for i in range(dim)]),
            "turned": ("complex", [0.1 * i - 0.2 for i in range(dim)]),
            "twin": ("translation", [0.3] * dim),
        }
        count = len(parameters)
        columns = {
            "model_version": [model_version] * count,
            "relation": list(parameters),
            "source_type": ["user"] * count,
            "target_type": ["tweet"] * count,
            "operator": [operator for operator, _ in parameters.values()],
            "weight": [1.0] * count,
            "side": ["target"] * count,
            "parameters": pa.array([values for _, values in parameters.values()], pa.list_(pa.float32())),
        }
        if comparators:
            columns["comparator"] = ["cosine" if name == "twin" else "dot" for name in parameters]
        write_deltalake(self.relations, pa.table(columns), mode="append", schema_mode="merge")
        return self.publish_rows(model_version, rows)

    def publish_rows(self, model_version: str, rows: Sequence[Mapping[str, object]]) -> int:
        """Publish rows unchanged; return the Delta version of embeddings."""
        columns = {
            "entity_type": pa.array([row["entity_type"] for row in rows], pa.string()),
            "entity_id": pa.array([row["entity_id"] for row in rows], pa.string()),
            "embedding": pa.array([row["embedding"] for row in rows], pa.list_(pa.float32())),
            "norm": pa.array([_norm(row["embedding"]) for row in rows], pa.float32()),
            "degree": pa.array([row.get("degree") for row in rows], pa.int64()),
            "model_version": pa.array([row.get("model_version", model_version) for row in rows], pa.string()),
        }
        write_deltalake(self.embeddings, pa.table(columns), mode="overwrite")
        version = DeltaTable(self.embeddings).version()
        versions = pa.table(
            {
                "model_version": [model_version],
                "table_version": [version],
                "published_at": [datetime.now(UTC)],
                "alias": pa.array(["current"], pa.string()),
                "metrics": ["[]"],
            }
        )
        write_deltalake(self.model_versions, versions, mode="append")
        return version

    def publish_maps(self, maps: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Write backward maps by the versions from and to which they lead."""
        rows = [
            {
                "from_version": before,
                "to_version": after,
                "kind": "backward",
                "dim": len(matrix),
                "matrix": matrix.ravel().tolist(),
                "error": 0.0,
                "entities": 1,
            }
            for (before, after), matrix in maps.items()
        ]
        write_deltalake(self.alignments, pa.Table.from_pylist(rows), mode="overwrite")

    def roll_back(self, version: int) -> None:
        DeltaTable(self.embeddings).restore(version)

    def data_files(self, version: int | None = None) -> list[Path]:
        return [Path(uri.removeprefix("file://")) for uri in DeltaTable(self.embeddings, version=version).file_uris()]


def _norm(vector: object) -> float | None:
    """Return the norm, or None for an invalid vector, which some tests publish."""
    return float(np.linalg.norm(vector)) if isinstance(vector, list) and None not in vector else None


Weights = dict[str, float]


def publish_sparse(table: Path, rows: Mapping[tuple[str, str], Weights | None]) -> PublishedFamily:
    """Publish weights of communities by entity as version s1 of the family `communities`."""
    columns = {
        "entity_type": [entity_type for entity_type, _ in rows],
        "entity_id": [entity_id for _, entity_id in rows],
        "embedding": pa.array(
            [None if weights is None else list(weights.items()) for weights in rows.values()],
            pa.map_(pa.string(), pa.float32()),
        ),
        "model_version": ["s1"] * len(rows),
    }
    write_deltalake(str(table), pa.table(columns), mode="overwrite")
    return PublishedFamily("communities", str(table))


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

"""State before the first round: each entity's first vector, from a warm start or by its key alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile, state_name

_RESULT_SCHEMA = "partition INT, files STRING"


@dataclass(frozen=True)
class InitialVectors:
    """Settings of first vectors: their dimension, their scale and the seed that they are drawn with."""

    dim: int
    scale: float
    seed: int


@dataclass(frozen=True)
class InitialState:
    """State files by partition, and if vectors are to be pulled to their start, files of that as well.

    A file of `anchors` has the first vectors and, in place of accumulators, the share of the pull in an epoch.
    """

    partitions: list[StateFile]
    anchors: list[StateFile]


def write_initial_state(
    entities: DataFrame,
    folder: RunFolder,
    vectors: InitialVectors,
    warm: DataFrame | None,
    *,
    claim: int,
    types: Sequence[str],
    partitions: int,
) -> InitialState:
    """Write a state file for each partition, also for those that have no entity.

    Parameters
    ----------
    entities
        Rows of the table `entities`.
    folder
        The run's folder.
    vectors
        Settings of the first vectors of entities without a warm start.
    warm
        entity_type, entity_id, vector, accumulator and pull of those with one; None: there are none.
    claim
        The fence of the claim under which the files are written.
    types
        The entity types in the files' order.
    partitions
        The number of partitions.

    Returns
    -------
    InitialState
        The files. Those of anchors are written if any vector is pulled.
    """
    columns = ("entity_type", "partition", "row", "entity_key", "vector", "accumulator", "pull")
    anchored = warm is not None and not warm.where("pull > 0").isEmpty()
    # A row without a type for each partition, so that a partition without entities gets a file as well.
    markers = entities.sparkSession.range(partitions).select(
        F.lit(None).cast("string").alias("entity_type"),
        F.col("id").cast("int").alias("partition"),
        F.lit(0).alias("row"),
        F.lit(0).cast("bigint").alias("entity_key"),
        F.lit(None).cast("array<float>").alias("vector"),
        F.lit(None).cast("float").alias("accumulator"),
        F.lit(None).cast("float").alias("pull"),
    )
    write = _Writer(folder.output, folder.run_id, vectors, claim, tuple(types), anchored)
    if warm is None:
        none = {"vector": "array<float>", "accumulator": "float", "pull": "float"}
        started = entities.withColumns({name: F.lit(None).cast(kind) for name, kind in none.items()})
    else:
        started = entities.join(warm, ["entity_type", "entity_id"], "left")
    started = started.select(*columns).union(markers)
    rows = started.groupBy("partition").applyInArrow(lambda group: write(group), _RESULT_SCHEMA).collect()
    files = [json.loads(row["files"]) for row in sorted(rows, key=lambda row: row["partition"])]
    first, *anchors = ([StateFile(**file) for file in of_kind] for of_kind in zip(*files, strict=True))
    return InitialState(first, anchors[0] if anchors else [])


@dataclass(frozen=True)
class _Writer:
    """Writes the state file of one partition's entities and, if `anchored`, the file of their start."""

    output: str
    run_id: str
    vectors: InitialVectors
    claim: int
    types: tuple[str, ...]
    anchored: bool

    def __call__(self, entities: pa.Table) -> pa.Table:
        """Return a row with the files of a partition. Runs on workers."""
        partition = entities["partition"][0].as_py()
        state, start = {}, {}
        for name in self.types:
            of_type = entities.filter(pc.equal(entities["entity_type"], name))
            state[name], start[name] = self._first(of_type)
        files = [self._write(partition, "first", state)]
        if self.anchored:
            files.append(self._write(partition, "anchor", start))
        content = json.dumps([asdict(file) for file in files])
        return pa.table({"partition": pa.array([partition], pa.int32()), "files": [content]})

    def _first(self, entities: pa.Table) -> tuple[EntityState, EntityState]:
        """Return the first state of one type's entities, by row, and their start with its pull."""
        rows = entities["row"].to_numpy()
        keys = np.empty(len(rows), np.int64)
        keys[rows] = entities["entity_key"].to_numpy()
        settings = self.vectors
        vectors = initial_vectors(keys, settings.dim, settings.scale, settings.seed)
        accumulators, pull = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
        known = entities.filter(pc.is_valid(entities["vector"]))
        if known.num_rows:
            at = known["row"].to_numpy()
            values = pc.list_flatten(known["vector"]).to_numpy()
            vectors[at] = values.reshape(-1, settings.dim)
            accumulators[at], pull[at] = known["accumulator"].to_numpy(), known["pull"].to_numpy()
        return EntityState(vectors, accumulators), EntityState(vectors, pull)

    def _write(self, partition: int, kind: str, state: Mapping[str, EntityState]) -> StateFile:
        name = state_name(partition, self.claim, f"{kind}-{uuid4().hex[:12]}")
        return RunFolder(self.output, self.run_id).write_partition(name, state)

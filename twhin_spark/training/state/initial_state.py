"""The state before the first round: each entity's first vector, from its key alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile, state_name

_RESULT_SCHEMA = "partition INT, file STRING"


def write_initial_state(
    entities: DataFrame,
    folder: RunFolder,
    *,
    claim: int,
    types: tuple[str, ...],
    partitions: int,
    dim: int,
    scale: float,
    seed: int,
) -> list[StateFile]:
    """Writes one file for each partition, also for those without entities; returns the files by partition."""
    columns = ("entity_type", "partition", "row", "entity_key")
    # A row without a type for each partition, so that one that holds no entity gets its file as well.
    markers = entities.sparkSession.range(partitions).select(
        F.lit(None).cast("string").alias("entity_type"),
        F.col("id").cast("int").alias("partition"),
        F.lit(0).alias("row"),
        F.lit(0).cast("bigint").alias("entity_key"),
    )
    write = _writer(folder.output, folder.run_id, claim, types, dim, scale, seed)
    rows = entities.select(*columns).union(markers).groupBy("partition").applyInArrow(write, _RESULT_SCHEMA).collect()
    return [StateFile(**json.loads(row["file"])) for row in sorted(rows, key=lambda row: row["partition"])]


def _writer(
    output: str, run_id: str, claim: int, types: tuple[str, ...], dim: int, scale: float, seed: int
) -> Callable[[pa.Table], pa.Table]:
    def write(group: pa.Table) -> pa.Table:
        """Runs on workers: one partition's entities → its state file."""
        partition = group["partition"][0].as_py()
        state = {}
        for name in types:
            own = group.filter(pc.equal(group["entity_type"], name))
            keys = np.empty(own.num_rows, np.int64)
            keys[own["row"].to_numpy()] = own["entity_key"].to_numpy()
            state[name] = EntityState(initial_vectors(keys, dim, scale, seed), np.zeros(len(keys), np.float32))
        file = RunFolder(output, run_id).write_partition(
            state_name(partition, claim, f"first-{uuid4().hex[:12]}"), state
        )
        return pa.table({"partition": pa.array([partition], pa.int32()), "file": [json.dumps(asdict(file))]})

    return write

"""State before the first round: each entity's first vector, which depends on its key alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
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

_RESULT_SCHEMA = "partition INT, file STRING"


@dataclass(frozen=True)
class InitialVectors:
    """Settings of first vectors: their dimension, their scale and the seed that they are drawn with."""

    dim: int
    scale: float
    seed: int


def write_initial_state(
    entities: DataFrame,
    folder: RunFolder,
    vectors: InitialVectors,
    *,
    claim: int,
    types: Sequence[str],
    partitions: int,
) -> list[StateFile]:
    """Write a state file for each partition, also for those that have no entity.

    Parameters
    ----------
    entities
        Rows of the table `entities`.
    folder
        The run's folder.
    vectors
        Settings of the first vectors.
    claim
        The fence of the claim under which the files are written.
    types
        The entity types in the files' order.
    partitions
        The number of partitions.

    Returns
    -------
    list of StateFile
        The files, by partition.
    """
    columns = ("entity_type", "partition", "row", "entity_key")
    # A row without a type for each partition, so that a partition without entities gets a file as well.
    markers = entities.sparkSession.range(partitions).select(
        F.lit(None).cast("string").alias("entity_type"),
        F.col("id").cast("int").alias("partition"),
        F.lit(0).alias("row"),
        F.lit(0).cast("bigint").alias("entity_key"),
    )
    write = _writer(folder.output, folder.run_id, vectors, claim, types)
    rows = entities.select(*columns).union(markers).groupBy("partition").applyInArrow(write, _RESULT_SCHEMA).collect()
    return [StateFile(**json.loads(row["file"])) for row in sorted(rows, key=lambda row: row["partition"])]


def _writer(
    output: str, run_id: str, vectors: InitialVectors, claim: int, types: Sequence[str]
) -> Callable[[pa.Table], pa.Table]:
    def write(entities: pa.Table) -> pa.Table:
        """Write the state file of one partition's entities. Runs on workers."""
        partition = entities["partition"][0].as_py()
        state = {}
        for name in types:
            of_type = entities.filter(pc.equal(entities["entity_type"], name))
            keys = np.empty(of_type.num_rows, np.int64)
            keys[of_type["row"].to_numpy()] = of_type["entity_key"].to_numpy()
            first = initial_vectors(keys, vectors.dim, vectors.scale, vectors.seed)
            state[name] = EntityState(first, np.zeros(len(keys), np.float32))
        name = state_name(partition, claim, f"first-{uuid4().hex[:12]}")
        file = RunFolder(output, run_id).write_partition(name, state)
        return pa.table({"partition": pa.array([partition], pa.int32()), "file": [json.dumps(asdict(file))]})

    return write

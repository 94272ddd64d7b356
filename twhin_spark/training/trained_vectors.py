"""Rows of the table `embeddings`, read from a run's state files by Spark's workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.kernels.alignment import Alignment
from twhin_spark.kernels.arrays import Floats
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile

_SCHEMA = "entity_type STRING, entity_id STRING, embedding ARRAY<FLOAT>, norm FLOAT, degree BIGINT"


def embedding_rows(
    entities: DataFrame,
    folder: RunFolder,
    files: Sequence[StateFile],
    types: Sequence[str],
    matrix: Floats | None = None,
) -> DataFrame:
    """Return the rows of all entities with a training edge in this graph.

    Entities that have training edges in earlier graphs alone get no row.

    Parameters
    ----------
    entities
        The table `entities` of the run's graph version.
    folder, files
        The run's folder and its state files, by partition.
    types
        The entity types, in the order of the state files.
    matrix
        Orthogonal matrix by which the vectors are turned, float64 (dim, dim); None: they stay as they are.
    """
    connected = entities.where(F.col("degree") > 0).select("entity_type", "entity_id", "partition", "row", "degree")
    reader = _reader(folder.output, folder.run_id, files, types, matrix)
    return connected.groupBy("partition").applyInArrow(reader, _SCHEMA)


def _reader(
    output: str, run_id: str, files: Sequence[StateFile], types: Sequence[str], matrix: Floats | None
) -> Callable[[pa.Table], pa.Table]:
    def read(group: pa.Table) -> pa.Table:
        """Read the vectors of one partition's entities; runs on workers."""
        state = RunFolder(output, run_id).read_partition(files[group["partition"][0].as_py()], types)
        parts = []
        for name in types:
            rows = group.filter(pc.equal(group["entity_type"], name)).combine_chunks()
            vectors = state[name].vectors[rows["row"].to_numpy()]  # (n, dim)
            if matrix is not None:
                vectors = Alignment(matrix).vectors(vectors)
            starts = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
            parts.append(
                pa.table(
                    {
                        "entity_type": rows["entity_type"],
                        "entity_id": rows["entity_id"],
                        "embedding": pa.ListArray.from_arrays(starts, vectors.ravel()),
                        "norm": np.linalg.norm(vectors, axis=1).astype(np.float32),
                        "degree": rows["degree"],
                    }
                )
            )
        return pa.concat_tables(parts)

    return read

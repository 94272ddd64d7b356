"""Entity locations: a partition by a stable hash, and a row in it that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

ENTITY = ["entity_type", "entity_id"]
ENDS = ("source", "target")
_LOCATION = ["entity_type", "partition", "row"]
_CHUNK_BYTES = 2**27  # of ids that a worker looks through at once: about three million edges
_BATCH_ROWS = 10_000


def entity_key(entity_type: Column, entity_id: Column) -> Column:
    """Return the 64-bit hash that spreads entities over partitions. Two entities may share it; type and id identify."""
    return F.xxhash64(entity_type, entity_id)


def trained_entities(edges: DataFrame, types: Sequence[str]) -> DataFrame:
    """Return ENTITY of every end of a training edge, each once. types: all entity types."""
    names = F.array(*map(F.lit, types))
    # Spark hands a number to Python several times as fast as a name.
    numbers = [F.array_position(names, F.col(f"{end}_type")).cast("smallint").alias(f"{end}_type") for end in ENDS]
    trained = edges.where(F.col("split") == "train").select(*numbers, *[f"{end}_id" for end in ENDS])
    once = trained.mapInArrow(_ends_once, "entity_type SMALLINT, entity_id STRING").distinct()
    return once.withColumn("entity_type", F.get(names, F.col("entity_type") - 1))


def _ends_once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
    """Yield ENTITY of the ends, each once in a chunk of edges: Arrow drops the repeats faster than Spark does."""
    for chunk in _chunks(batches):
        ends = [chunk.select([f"{end}_type", f"{end}_id"]).rename_columns(ENTITY) for end in ENDS]
        yield from pa.concat_tables(ends).group_by(ENTITY, use_threads=False).aggregate([]).to_batches(_BATCH_ROWS)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Group the batches into tables of about _CHUNK_BYTES."""
    chunk: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        chunk.append(batch)
        size += batch.nbytes
        if size >= _CHUNK_BYTES:
            yield pa.Table.from_batches(chunk)
            chunk, size = [], 0
    if chunk:
        yield pa.Table.from_batches(chunk)


def place_entities(trained: DataFrame, known: DataFrame | None, partitions: int) -> DataFrame:
    """Assign a location to every entity of this graph, and keep those of earlier builds.

    Rows are numbered from 0 in each (type, partition), by id. Known entities keep partition and row even if this graph
    does not have them, and new ones follow: if an earlier build placed b and c in rows 0 and 1, a new a gets row 2.

    Parameters
    ----------
    trained
        ENTITY of this graph's entities, each once.
    known
        The table `entities` of the build before; None for the first build.
    partitions
        Number of partitions.

    Returns
    -------
    DataFrame
        ENTITY, partition, row and entity_key.
    """
    if known is None:
        entities = trained.withColumn("known_row", F.lit(None).cast("int"))
    else:
        entities = trained.join(known.select(*ENTITY, F.col("row").alias("known_row")), ENTITY, "full")
    key = entity_key(F.col("entity_type"), F.col("entity_id"))
    placed = entities.withColumn("entity_key", key).withColumn("partition", F.pmod("entity_key", F.lit(partitions)))
    # The known rows of a (type, partition) are 0 to n - 1 without a gap, so the new ones begin at n.
    known_first = Window.partitionBy("entity_type", "partition").orderBy(F.col("known_row").isNull(), "entity_id")
    row = F.coalesce("known_row", F.row_number().over(known_first) - 1).alias("row")
    return placed.select(*ENTITY, F.col("partition").cast("int"), row, "entity_key")


def with_degrees(placed: DataFrame, degrees: DataFrame) -> DataFrame:
    """Return rows of the table `entities`: those of `place_entities` with the degrees at their locations."""
    empty = F.create_map().cast("map<string,bigint>")
    return placed.join(degrees, _LOCATION, "left").select(
        *placed.columns,
        F.coalesce("degree", F.lit(0)).alias("degree"),
        F.coalesce("out_degree", empty).alias("out_degree"),
        F.coalesce("in_degree", empty).alias("in_degree"),
    )


def count_collisions(entities: DataFrame) -> int:
    """Count the entities that share their entity_key with another."""
    shared = entities.groupBy("entity_key").count().where("count > 1").agg(F.sum("count").alias("entities")).first()
    return 0 if shared is None else shared["entities"] or 0

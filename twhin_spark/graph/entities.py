"""Gives every entity its place: a partition by a stable hash, and a row that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

ENTITY = ["entity_type", "entity_id"]
ENDS = ("source", "target")
_PLACE = ["entity_type", "partition", "row"]
_CHUNK_BYTES = 2**27  # of ids that a worker looks through at once: about three million edges
_BATCH_ROWS = 10_000


def entity_key(entity_type: Column, entity_id: Column) -> Column:
    """64-bit hash of an entity. It only spreads entities over partitions: which one is meant, type and id say."""
    return F.xxhash64(entity_type, entity_id)


def trained_entities(edges: DataFrame, types: Sequence[str]) -> DataFrame:
    """ENTITY of every end of a training edge, each once. types: all that there are."""
    names = F.array(*map(F.lit, types))
    # Spark hands a number to Python several times as fast as a name.
    numbers = [F.array_position(names, F.col(f"{end}_type")).cast("smallint").alias(f"{end}_type") for end in ENDS]
    trained = edges.where(F.col("split") == "train").select(*numbers, *[f"{end}_id" for end in ENDS])
    once = trained.mapInArrow(_ends_once, "entity_type SMALLINT, entity_id STRING").distinct()
    return once.withColumn("entity_type", F.get(names, F.col("entity_type") - 1))


def _ends_once(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:  # on a worker
    """ENTITY of the ends, each once in a chunk of edges: Arrow is quicker than Spark at dropping the repeats."""
    for chunk in _chunks(batches):
        ends = [chunk.select([f"{end}_type", f"{end}_id"]).rename_columns(ENTITY) for end in ENDS]
        yield from pa.concat_tables(ends).group_by(ENTITY, use_threads=False).aggregate([]).to_batches(_BATCH_ROWS)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The batches in tables of about _CHUNK_BYTES."""
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


def place_entities(found: DataFrame, known: DataFrame | None, partitions: int) -> DataFrame:
    """ENTITY, partition, row and entity_key of the entities that are `found`, and of those that an earlier build knows.

    Rows are numbered from 0 in each (type, partition), by id. Known entities keep partition and row, whether this
    graph has them or not, and new ones follow behind them.
    """
    if known is None:
        entities = found.withColumn("known_row", F.lit(None).cast("int"))
    else:
        entities = found.join(known.select(*ENTITY, F.col("row").alias("known_row")), ENTITY, "full")
    key = entity_key(F.col("entity_type"), F.col("entity_id"))
    placed = entities.withColumn("entity_key", key).withColumn("partition", F.pmod("entity_key", F.lit(partitions)))
    # The known rows of a (type, partition) are 0 to n - 1 without a gap, so the new ones begin at n.
    known_first = Window.partitionBy("entity_type", "partition").orderBy(F.col("known_row").isNull(), "entity_id")
    row = F.coalesce("known_row", F.row_number().over(known_first) - 1).alias("row")
    return placed.select(*ENTITY, F.col("partition").cast("int"), row, "entity_key")


def with_degrees(placed: DataFrame, degrees: DataFrame) -> DataFrame:
    """Rows of the table `entities`: those of `place_entities`, with what `degrees` says of their places."""
    empty = F.create_map().cast("map<string,bigint>")
    return placed.join(degrees, _PLACE, "left").select(
        *placed.columns,
        F.coalesce("degree", F.lit(0)).alias("degree"),
        F.coalesce("out_degree", empty).alias("out_degree"),
        F.coalesce("in_degree", empty).alias("in_degree"),
    )


def count_collisions(entities: DataFrame) -> int:
    """Entities that share their entity_key with another."""
    shared = entities.groupBy("entity_key").count().where("count > 1").agg(F.sum("count").alias("entities")).first()
    return 0 if shared is None else shared["entities"] or 0

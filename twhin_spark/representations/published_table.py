"""Reading a family's Delta table without a JVM: its versions, their rows and their relations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as ds
import xxhash
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.representations.backward_maps import reachable_spaces
from twhin_spark.representations.errors import first_line, one_of
from twhin_spark.representations.published_family import PublishedFamily, not_published
from twhin_spark.representations.version_lookup import (
    CURRENT,
    VERSION_COLUMNS,
    PublishedRelation,
    find_version_row,
    only_current,
)

_BATCH_ROWS = 16_384
_REQUIRED = ("entity_type", "entity_id", "embedding", "model_version")


@dataclass(frozen=True)
class TableSnapshot:
    """One version of a family's table.

    table_version: Delta version. fingerprint: hash of the names and sizes of its data files, which a restored version
    shares with the version that it restores.
    """

    family: PublishedFamily
    model_version: str
    table_version: int
    fingerprint: str


def find_snapshot(family: PublishedFamily, name: str = CURRENT) -> TableSnapshot:
    """Return a version of the family's table by model version or alias.

    CURRENT is the version that the table holds now. Its rows name the model version, so a restored table is the
    restored model.

    Raises
    ------
    InputError
        A table is missing or cannot be read, or no version has that name.
    """
    if family.pinned and family.versions:
        return _find_pinned(family, family.versions, name)
    if name == CURRENT:
        with _readable(family.table):
            return _describe(family, DeltaTable(family.table))
    if family.versions is None:
        raise only_current(family.name, name)
    with _readable(family.versions):
        table = DeltaTable(family.versions)
        columns = [name for name in VERSION_COLUMNS if name in table.schema().to_arrow().names]
        rows = table.to_pyarrow_table(columns=columns)
    number = find_version_row(rows.to_pylist(), name, family.versions)["table_version"]
    with _readable(f"{family.table} version {number}"):
        return _describe(family, DeltaTable(family.table, version=number))


def _find_pinned(family: PublishedFamily, versions: str, name: str) -> TableSnapshot:
    """Return the version that a row of the table of versions pins."""
    with _readable(versions):
        rows = DeltaTable(versions).to_pyarrow_table(columns=["model_version", "alias", "tables"]).to_pylist()
    for row in rows:
        if name in (row["model_version"], row["alias"]):
            pins = dict(row["tables"])
            if family.name not in pins:
                required = one_of(pins)
                raise InputError(f"{versions}: version {row['model_version']} has no {family.name}; use {required}")
            with _readable(f"{family.table} version {pins[family.name]}"):
                return _describe(family, DeltaTable(family.table, version=pins[family.name]))
    names = one_of({CURRENT, *(row["model_version"] for row in rows)})
    raise InputError(f"{versions}: version '{name}' was not published; use {names}")


def read_batches(snapshot: TableSnapshot) -> Iterator[pa.RecordBatch]:
    """Yield the version's rows: entity_type, entity_id, embedding, model_version, and degree if the table has it."""
    table = snapshot.family.table
    with _readable(f"{table} version {snapshot.table_version}"):
        rows = DeltaTable(table, version=snapshot.table_version).to_pyarrow_dataset()
        columns = [name for name in (*_REQUIRED, "degree") if name in rows.schema.names]
        # One thread reads file by file: memory stays within a few row groups, and the service keeps a core.
        yield from rows.to_batches(
            columns=columns, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False
        )


def read_relations(snapshot: TableSnapshot) -> list[PublishedRelation]:
    """Return the relations of the model version by name, for ranking targets; none if the family has no such table."""
    table = snapshot.family.relations
    if table is None:
        return []
    of_version = (ds.field("model_version") == snapshot.model_version) & (ds.field("side") == "target")
    with _readable(table):
        relations = DeltaTable(table).to_pyarrow_dataset()
        rows = relations.to_table(columns=PublishedRelation.columns(relations.schema.names), filter=of_version)
    return sorted((PublishedRelation(**row) for row in rows.to_pylist()), key=lambda relation: relation.relation)


def read_spaces(snapshot: TableSnapshot) -> dict[str, Floats]:
    """Return the maps from the version's vectors to the spaces of other versions, by model version."""
    table = snapshot.family.alignments
    if table is None or not DeltaTable.is_deltatable(table):
        return {}
    with _readable(table):
        rows = DeltaTable(table).to_pyarrow_table().to_pylist()
    return reachable_spaces(rows, snapshot.model_version)


def _describe(family: PublishedFamily, table: DeltaTable) -> TableSnapshot:
    rows = table.to_pyarrow_dataset()
    if missing := [name for name in _REQUIRED if name not in rows.schema.names]:
        raise InputError(f"{family.table}: column {', '.join(missing)} is missing; required: {', '.join(_REQUIRED)}")
    first = rows.head(1, columns=["model_version"])["model_version"].to_pylist()
    if not first or first[0] is None:
        raise InputError(f"{family.table} version {table.version()}: no rows with a model version; publish a run")
    files = pa.table(table.get_add_actions()).select(["path", "size_bytes"]).to_pylist()
    content = "\n".join(sorted(f"{file['path']} {file['size_bytes']}" for file in files))
    return TableSnapshot(family, first[0], table.version(), xxhash.xxh3_64_hexdigest(content.encode()))


@contextmanager
def _readable(table: str) -> Iterator[None]:
    """Turn the errors of reading a table into an InputError of one line."""
    try:
        yield
    except TableNotFoundError:
        raise not_published(table) from None
    except FileNotFoundError as error:
        raise InputError(f"{table}: a data file is missing ({first_line(error)}); was the table vacuumed?") from None
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise InputError(f"{table}: cannot read the table: {first_line(error)}") from None

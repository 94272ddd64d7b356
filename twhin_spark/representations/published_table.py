"""What Delta says: which version of a family's table is current, what it holds, and its rows as they are streamed."""

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
from twhin_spark.representations.errors import first_line
from twhin_spark.representations.family import Family
from twhin_spark.representations.store_manifest import Relation

_BATCH_ROWS = 16_384
_REQUIRED = ("entity_type", "entity_id", "embedding", "model_version")


@dataclass(frozen=True)
class Published:
    """One version of a family's table."""

    family: Family
    model_version: str
    table_version: int
    fingerprint: str


def current(family: Family) -> Published:
    """What the table holds now: its rows say the model version, so a restored table is the restored model."""
    with _explained(family.table):
        return _describe(family, DeltaTable(family.table))


def named(family: Family, name: str) -> Published:
    """The version with that model version or alias in the table of versions."""
    if family.index is None:
        raise InputError(f"{family.name}: found version '{name}'; allowed: current, for want of a table of versions")
    with _explained(family.index):
        versions = DeltaTable(family.index).to_pyarrow_table(columns=["model_version", "alias", "table_version"])
    for row in versions.to_pylist():
        if name in (row["model_version"], row["alias"]):
            with _explained(f"{family.table} version {row['table_version']}"):
                return _describe(family, DeltaTable(family.table, version=row["table_version"]))
    raise InputError(f"{family.index}: no version or alias '{name}'")


def batches(published: Published) -> Iterator[pa.RecordBatch]:
    """The version's rows: entity_type, entity_id, embedding, and degree where the table has it."""
    with _explained(f"{published.family.table} version {published.table_version}"):
        rows = DeltaTable(published.family.table, version=published.table_version).to_pyarrow_dataset()
        columns = [name for name in (*_REQUIRED, "degree") if name in rows.schema.names]
        # One file after the other in one thread: memory stays within a few row groups, and a service beside has a core.
        yield from rows.to_batches(
            columns=columns, batch_size=_BATCH_ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False
        )


def relations(published: Published) -> list[Relation]:
    """The relations of the model version, as they rank targets; none where the family has no such table."""
    table = published.family.relations
    if table is None:
        return []
    wanted = (ds.field("model_version") == published.model_version) & (ds.field("side") == "target")
    with _explained(table):
        stored = DeltaTable(table).to_pyarrow_dataset()
        columns = [name for name in Relation.model_fields if name in stored.schema.names]
        rows = stored.to_table(columns=columns, filter=wanted)
    return sorted((Relation(**row) for row in rows.to_pylist()), key=lambda relation: relation.relation)


def _describe(family: Family, table: DeltaTable) -> Published:
    rows = table.to_pyarrow_dataset()
    if missing := [name for name in _REQUIRED if name not in rows.schema.names]:
        raise InputError(f"{family.table}: no column {', '.join(missing)}; expected {', '.join(_REQUIRED)}")
    first = rows.head(1, columns=["model_version"])["model_version"].to_pylist()
    if not first or first[0] is None:
        raise InputError(f"{family.table} version {table.version()}: no rows with a model version; nothing to serve")
    files = pa.table(table.get_add_actions()).select(["path", "size_bytes"]).to_pylist()
    content = "\n".join(sorted(f"{file['path']} {file['size_bytes']}" for file in files))
    return Published(family, first[0], table.version(), xxhash.xxh3_64_hexdigest(content.encode()))


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns the errors of reading a table into one line."""
    try:
        yield
    except TableNotFoundError:
        raise InputError(f"{what}: no Delta table; `twhin-spark publish` writes it") from None
    except FileNotFoundError as error:
        raise InputError(f"{what}: a data file is gone ({first_line(error)}); was the table vacuumed?") from None
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise InputError(f"{what}: cannot be read: {first_line(error)}") from None

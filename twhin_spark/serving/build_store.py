"""Builds the store of a published version: streams the table's rows into files, names the folder at the very end."""

from __future__ import annotations

import secrets
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from twhin_spark.errors import InputError
from twhin_spark.representations import published_table as delta
from twhin_spark.representations.checked_files import Sum, Writer, sync_folder
from twhin_spark.representations.published_table import Published
from twhin_spark.representations.store_manifest import RELATIONS, EntityType, Kind, Manifest, Relation
from twhin_spark.serving.dense import DenseWriter, dimension
from twhin_spark.serving.id_index import IndexWriter
from twhin_spark.serving.sparse import Communities, SparseWriter

UNFINISHED = ".unfinished-"


def build(version: Published, destination: Path) -> None:
    """Builds the store in a folder beside `destination` and renames it; replaces a damaged store of that name.

    Until the rename nothing bears the name: folders whose names begin with UNFINISHED are what killed builds left.
    Raises InputError where the table cannot be read, or its rows are not those of one version.
    """
    folder, replaced = _unfinished(destination), _unfinished(destination)
    folder.mkdir()
    try:
        _write(folder, version)
        sync_folder(folder)
        if destination.exists():
            destination.rename(replaced)  # who has mapped its files keeps them
        folder.rename(destination)
        sync_folder(destination.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _unfinished(destination: Path) -> Path:
    return destination.parent / f"{UNFINISHED}{secrets.token_hex(8)}"


def _write(folder: Path, version: Published) -> None:
    content = _Content(folder, version)
    for batch in delta.batches(version):
        if batch.num_rows:
            content.write(batch)
    files = content.finish()
    files[RELATIONS] = _write_relations(folder, delta.relations(version))
    manifest = Manifest(
        family=version.family.name,
        model_version=version.model_version,
        table_version=version.table_version,
        fingerprint=version.fingerprint,
        kind=content.kind,
        dim=content.dim,
        types={name: EntityType(stem=t.stem, rows=t.rows) for name, t in sorted(content.types.items())},
        files=files,
        built_at=datetime.now(UTC),
    )
    manifest.write(folder)


def _write_relations(folder: Path, relations: list[Relation]) -> Sum:
    writer = Writer(folder / RELATIONS)
    writer.write(TypeAdapter(list[Relation]).dump_json(relations))
    return writer.finish()


class _Content:
    """The files of a version, as its rows come."""

    def __init__(self, folder: Path, version: Published) -> None:
        self.kind: Kind = "dense"
        self.dim = 0
        self.types: dict[str, _Type] = {}
        self._folder = folder
        self._version = version
        self._communities = Communities()

    def write(self, batch: pa.RecordBatch) -> None:
        self._check(batch)
        if not self.types:
            self.kind = "sparse" if pa.types.is_map(batch["embedding"].type) else "dense"
            self.dim = dimension(batch["embedding"]) if self.kind == "dense" else 0
        for name in pc.unique(batch["entity_type"]).to_pylist():
            if name not in self.types:
                self.types[name] = self._new_type(f"type{len(self.types)}")
            self.types[name].write(batch.filter(pc.equal(batch["entity_type"], name)))

    def finish(self) -> dict[str, Sum]:
        sums: dict[str, Sum] = {}
        for name, entities in self.types.items():
            try:
                sums |= entities.finish()
            except InputError as error:
                raise InputError(f"{self._version.family.table}: {name}: {error}") from None
        if self.kind == "sparse":
            self.dim = len(self._communities)
            sums |= self._communities.finish(self._folder)
        return sums

    def _new_type(self, stem: str) -> _Type:
        if self.kind == "dense":
            return _Type(self._folder, stem, DenseWriter(self._folder, stem, self.dim))
        return _Type(self._folder, stem, SparseWriter(self._folder, stem, self._communities))

    def _check(self, batch: pa.RecordBatch) -> None:
        where = f"{self._version.family.table} version {self._version.table_version}"
        for column in ("entity_type", "entity_id", "model_version"):
            if batch[column].null_count:
                raise InputError(f"{where}: found a null {column}; expected one in every row")
        if (found := pc.unique(batch["model_version"]).to_pylist()) != [self._version.model_version]:
            raise InputError(f"{where}: found model versions {found}; expected {self._version.model_version} alone")


class _Type:
    """The files of one entity type."""

    def __init__(self, folder: Path, stem: str, representations: DenseWriter | SparseWriter) -> None:
        self.stem = stem
        self.rows = 0
        self._index = IndexWriter(folder, stem)
        self._representations = representations
        self._degrees = Writer(folder / f"{stem}.degrees")

    def write(self, batch: pa.RecordBatch) -> None:
        ids = batch["entity_id"].to_pylist()
        self._index.write(ids)
        self._representations.write(ids, batch["embedding"])
        degrees = batch["degree"].fill_null(-1).to_numpy() if "degree" in batch.schema.names else np.full(len(ids), -1)
        self._degrees.write(degrees.astype("<i8", copy=False))
        self.rows += len(ids)

    def finish(self) -> dict[str, Sum]:
        degrees = {f"{self.stem}.degrees": self._degrees.finish()}
        return self._index.finish() | self._representations.finish() | degrees

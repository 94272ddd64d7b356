"""Building the store of a published version: the table's rows are streamed into files in a new folder."""

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
from twhin_spark.representations.checked_files import ChecksumWriter, FileChecksum, sync_folder
from twhin_spark.representations.published_family import FamilyKind
from twhin_spark.representations.published_table import TableSnapshot, read_batches, read_relations, read_spaces
from twhin_spark.representations.store_manifest import RELATIONS, StoredEntities, StoreManifest
from twhin_spark.representations.version_lookup import PublishedRelation
from twhin_spark.serving.dense import DenseWriter, dimension
from twhin_spark.serving.id_index import IdIndexWriter
from twhin_spark.serving.sparse import CommunityNumbers, SparseWriter

UNFINISHED = ".unfinished-"


def build_store(snapshot: TableSnapshot, destination: Path) -> None:
    """Build a store in a folder beside `destination` and rename the folder at the end.

    A damaged store of that name is replaced. Builds that were killed leave folders whose names begin with UNFINISHED.

    Raises
    ------
    InputError
        The table cannot be read, or its rows are invalid or not of one version.
    """
    folder, replaced = _unfinished(destination), _unfinished(destination)
    folder.mkdir()
    try:
        _write(folder, snapshot)
        sync_folder(folder)
        if destination.exists():
            destination.rename(replaced)  # a process that has mapped its files keeps their content
        folder.rename(destination)
        sync_folder(destination.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _unfinished(destination: Path) -> Path:
    return destination.parent / f"{UNFINISHED}{secrets.token_hex(8)}"


def _write(folder: Path, snapshot: TableSnapshot) -> None:
    files = _VersionFiles(folder, snapshot)
    for batch in read_batches(snapshot):
        if batch.num_rows:
            files.write(batch)
    checksums = files.finish()
    checksums[RELATIONS] = _write_relations(folder, read_relations(snapshot))
    spaces = {}
    for number, (version, matrix) in enumerate(sorted(read_spaces(snapshot).items())):
        spaces[version] = name = f"space{number}"
        writer = ChecksumWriter(folder / name)
        writer.write(np.ascontiguousarray(matrix, "<f8"))
        checksums[name] = writer.finish()
    manifest = StoreManifest(
        family=snapshot.family.name,
        model_version=snapshot.model_version,
        table_version=snapshot.table_version,
        fingerprint=snapshot.fingerprint,
        kind=files.kind,
        dim=files.dim,
        types={name: StoredEntities(stem=t.stem, rows=t.rows) for name, t in sorted(files.types.items())},
        files=checksums,
        built_at=datetime.now(UTC),
        spaces=spaces,
    )
    manifest.write(folder)


def _write_relations(folder: Path, relations: list[PublishedRelation]) -> FileChecksum:
    writer = ChecksumWriter(folder / RELATIONS)
    writer.write(TypeAdapter(list[PublishedRelation]).dump_json(relations))
    return writer.finish()


class _VersionFiles:
    """Writes the files of a version batch by batch. The first batch decides the kind and the dimension."""

    def __init__(self, folder: Path, snapshot: TableSnapshot) -> None:
        self.kind: FamilyKind = "dense"
        self.dim = 0
        self.types: dict[str, _TypeFiles] = {}
        self._folder = folder
        self._snapshot = snapshot
        self._communities = CommunityNumbers()

    def write(self, batch: pa.RecordBatch) -> None:
        self._check(batch)
        if not self.types:
            self.kind = "sparse" if pa.types.is_map(batch["embedding"].type) else "dense"
            self.dim = dimension(batch["embedding"]) if self.kind == "dense" else 0
        for name in pc.unique(batch["entity_type"]).to_pylist():
            if name not in self.types:
                self.types[name] = self._new_type(f"type{len(self.types)}")
            self.types[name].write(batch.filter(pc.equal(batch["entity_type"], name)))

    def finish(self) -> dict[str, FileChecksum]:
        checksums: dict[str, FileChecksum] = {}
        for name, files in self.types.items():
            try:
                checksums |= files.finish()
            except InputError as error:
                raise InputError(f"{self._snapshot.family.table}: {name}: {error}") from None
        if self.kind == "sparse":
            self.dim = len(self._communities)
            checksums |= self._communities.finish(self._folder)
        return checksums

    def _new_type(self, stem: str) -> _TypeFiles:
        if self.kind == "dense":
            return _TypeFiles(self._folder, stem, DenseWriter(self._folder, stem, self.dim))
        return _TypeFiles(self._folder, stem, SparseWriter(self._folder, stem, self._communities))

    def _check(self, batch: pa.RecordBatch) -> None:
        table = f"{self._snapshot.family.table} version {self._snapshot.table_version}"
        for column in ("entity_type", "entity_id", "model_version"):
            if batch[column].null_count:
                raise InputError(f"{table}: {column} is null in a row; every row requires it")
        versions = pc.unique(batch["model_version"]).to_pylist()
        if versions != [self._snapshot.model_version]:
            raise InputError(f"{table}: rows of model versions {versions}; all must be of one, as the first row's is")


class _TypeFiles:
    """Writes the files of one entity type."""

    def __init__(self, folder: Path, stem: str, representations: DenseWriter | SparseWriter) -> None:
        self.stem = stem
        self.rows = 0
        self._ids = IdIndexWriter(folder, stem)
        self._representations = representations
        self._degrees = ChecksumWriter(folder / f"{stem}.degrees")

    def write(self, batch: pa.RecordBatch) -> None:
        ids = batch["entity_id"].to_pylist()
        self._ids.write(ids)
        self._representations.write(ids, batch["embedding"])
        degrees = batch["degree"].fill_null(-1).to_numpy() if "degree" in batch.schema.names else np.full(len(ids), -1)
        self._degrees.write(degrees.astype("<i8", copy=False))
        self.rows += len(ids)

    def finish(self) -> dict[str, FileChecksum]:
        degrees = {f"{self.stem}.degrees": self._degrees.finish()}
        return self._ids.finish() | self._representations.finish() | degrees

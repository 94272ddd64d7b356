"""An open version of one family: the representation of every entity, read from mapped files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.pair_scores import Sparse
from twhin_spark.representations.backward_maps import in_space
from twhin_spark.representations.checked_files import map_array
from twhin_spark.representations.errors import RequestError, one_of
from twhin_spark.representations.store_manifest import RELATIONS, StoredEntities, StoreManifest
from twhin_spark.representations.version_lookup import PublishedRelation
from twhin_spark.serving.dense import DenseRows, Vectors
from twhin_spark.serving.id_index import NOT_FOUND, IdIndex
from twhin_spark.serving.sparse import CommunityNumbers, SparseRows, stack_rows

Entity: TypeAlias = tuple[str, str]
"""Entity type and entity id."""

Representation: TypeAlias = Vectors | dict[str, float]
"""A dense vector, float32 (dim,), or weights by community."""

Matrix: TypeAlias = Floats | Sparse
"""Representations one below the other: float32 (m, dim), or CSR (m, communities)."""

_RELATIONS = TypeAdapter(list[PublishedRelation])


@dataclass(frozen=True)
class GatheredRows:
    """The representations of n entities as a matrix.

    Attributes
    ----------
    position
        Row of each entity in the matrix, int64 (n,); NOT_FOUND if the entity has no representation.
    matrix
        The representations.
    """

    position: NDArray[np.int64]
    matrix: Matrix


class StoredType:
    """The entities of one type: their ids, representations and degrees."""

    def __init__(self, folder: Path, stored: StoredEntities, rows: DenseRows | SparseRows) -> None:
        self.rows = rows
        self.index = IdIndex(folder, stored.stem)
        self._degrees = map_array(folder / f"{stored.stem}.degrees", "<i8")  # -1 if the table has no degree

    def __len__(self) -> int:
        return len(self.index.ids)

    def degree(self, row: int) -> int | None:
        """Return the number of distinct training edges of the entity, or None if the table has no degree."""
        degree = int(self._degrees[row])
        return None if degree < 0 else degree


class StoredVersion:
    """A version that is served. It never changes, so any number of threads may read it.

    Methods raise RequestError for an unknown entity type or relation. An unknown entity id is not an error.

    Attributes
    ----------
    communities
        Names of the columns of sparse representations; empty for dense ones.
    """

    def __init__(self, folder: Path, manifest: StoreManifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.name = manifest.model_version
        self.communities = CommunityNumbers.read(folder) if manifest.kind == "sparse" else []
        types = _types(folder, manifest, self.communities)
        self.types = {name: StoredType(folder, stored, rows) for name, stored, rows in types}
        relations = _RELATIONS.validate_json((folder / RELATIONS).read_bytes())
        self.relations = {relation.relation: relation for relation in relations}

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False, reuse: StoredVersion | None = None) -> StoredVersion:
        """Open the store in a folder.

        Parameters
        ----------
        folder
            Folder of the store.
        verify
            Check the files' checksums, not only their lengths.
        reuse
            Version that was opened from the folder before. It is returned if the folder's manifest is still the same;
            a damaged store that was built again has another manifest.

        Raises
        ------
        StoreError
            A file is missing or damaged.
        """
        manifest = StoreManifest.read(folder)
        manifest.check(folder, content=verify)
        return reuse if reuse and reuse.manifest == manifest else cls(folder, manifest)

    def row(self, entity: Entity) -> int:
        """Return the entity's row among those of its type, or NOT_FOUND."""
        return int(self.type(entity[0]).index.find([entity[1]])[0])

    def get(self, entity_type: str, entity_id: str, space: str | None = None) -> Representation | None:
        """Return the entity's representation, in the space of a model version, or None if it has none."""
        return self.get_many([(entity_type, entity_id)], space)[0]

    def get_many(self, entities: Sequence[Entity], space: str | None = None) -> list[Representation | None]:
        """Return the representation of each entity, in the space of a model version, or None if it has none."""
        rows, matrix = self._find(entities), self.space(space)
        found = [
            None if row == NOT_FOUND else self.types[entity_type].rows.row(row)
            for (entity_type, _), row in zip(entities, rows.tolist(), strict=True)
        ]
        if matrix is None:
            return found
        return [None if vector is None else in_space(np.asarray(vector), matrix) for vector in found]

    def space(self, name: str | None) -> Floats | None:
        """Return the map to the space of a model version, float64 (dim, dim); None if vectors stay as they are.

        Raises RequestError if no map leads there.
        """
        if name is None or name == self.name:
            return None
        if name not in self.manifest.spaces:
            raise RequestError(f"no map leads to space '{name}'; use {one_of([self.name, *self.manifest.spaces])}")
        matrix: Floats = map_array(self.folder / self.manifest.spaces[name], "<f8").reshape(self.manifest.dim, -1)
        return matrix

    def degrees(self, entities: Sequence[Entity]) -> list[int | None]:
        """Return the degree of each entity, or None if the entity or its degree is unknown."""
        rows = self._find(entities)
        return [
            None if row == NOT_FOUND else self.types[entity_type].degree(row)
            for (entity_type, _), row in zip(entities, rows.tolist(), strict=True)
        ]

    def gather(self, entities: Sequence[Entity]) -> GatheredRows:
        """Return the representations of the entities as one matrix. An entity that occurs twice has two rows."""
        rows = self._find(entities)
        position = np.full(len(entities), NOT_FOUND, np.int64)
        parts: list[Any] = []
        first = 0  # row of the type's first entity in the matrix
        for entity_type, members in _by_type(entities).items():
            stored = members[rows[members] != NOT_FOUND]
            position[stored] = first + np.arange(len(stored))
            parts.append(self.types[entity_type].rows.take(rows[stored]))
            first += len(stored)
        if self.manifest.kind == "sparse":
            return GatheredRows(position, stack_rows(parts, self.manifest.dim))
        return GatheredRows(position, np.concatenate([np.zeros((0, self.manifest.dim), np.float32), *parts]))

    def type(self, entity_type: str) -> StoredType:
        """Return the entities of a type."""
        if entity_type not in self.types:
            raise RequestError(f"unknown entity type '{entity_type}'; use {one_of(self.types)}")
        return self.types[entity_type]

    def relation(self, name: str) -> PublishedRelation:
        """Return a relation by name."""
        if name not in self.relations:
            raise RequestError(f"unknown relation '{name}'; use {one_of(self.relations)}")
        return self.relations[name]

    def _find(self, entities: Sequence[Entity]) -> NDArray[np.int64]:
        """Return the row of each entity within its type (n,), NOT_FOUND for an unknown id."""
        rows = np.full(len(entities), NOT_FOUND, np.int64)
        for entity_type, members in _by_type(entities).items():
            rows[members] = self.type(entity_type).index.find([entities[i][1] for i in members.tolist()])
        return rows


def _types(
    folder: Path, manifest: StoreManifest, communities: Sequence[str]
) -> list[tuple[str, StoredEntities, DenseRows | SparseRows]]:
    if manifest.kind == "dense":
        return [(name, t, DenseRows(folder, t.stem, manifest.dim)) for name, t in manifest.types.items()]
    return [(name, t, SparseRows(folder, t.stem, communities)) for name, t in manifest.types.items()]


def _by_type(entities: Sequence[Entity]) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the entities of each type."""
    indices: dict[str, list[int]] = {}
    for i, (entity_type, _) in enumerate(entities):
        indices.setdefault(entity_type, []).append(i)
    return {entity_type: np.array(members, np.int64) for entity_type, members in indices.items()}

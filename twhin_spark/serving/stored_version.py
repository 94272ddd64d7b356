"""One stored version of one family, opened: every entity's representation, from mapped files."""

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
from twhin_spark.representations.checked_files import mapped
from twhin_spark.representations.errors import QuestionError, one_of
from twhin_spark.representations.store_manifest import RELATIONS, EntityType, Manifest, Relation
from twhin_spark.serving.dense import DenseRows, Vectors
from twhin_spark.serving.id_index import NOT_FOUND, IdIndex
from twhin_spark.serving.sparse import Communities, SparseRows, stacked

Entity: TypeAlias = tuple[str, str]
"""Entity type and entity id."""

Representation: TypeAlias = Vectors | dict[str, float]
"""A dense vector, float32 (dim,), or the weights of communities."""

Matrix: TypeAlias = Floats | Sparse
"""Representations one below the other: float32 (m, dim), or CSR (m, communities)."""

_RELATIONS = TypeAdapter(list[Relation])


@dataclass(frozen=True)
class Gathered:
    """The representations of n asked entities.

    place: int64 (n,), where an entity stands in the matrix; NOT_FOUND where it has no representation.
    """

    place: NDArray[np.int64]
    matrix: Matrix


class StoredType:
    """The entities of one type."""

    def __init__(self, folder: Path, entry: EntityType, rows: DenseRows | SparseRows) -> None:
        self.rows = rows
        self.index = IdIndex(folder, entry.stem)
        self._degrees = mapped(folder / f"{entry.stem}.degrees", "<i8")  # -1 where the table does not say

    def __len__(self) -> int:
        return len(self.index.ids)

    def degree(self, row: int) -> int | None:
        """Distinct training edges at the entity; None where the table does not say."""
        degree = int(self._degrees[row])
        return None if degree < 0 else degree


class StoredVersion:
    """A version that is served. Nothing in it ever changes, so any number of threads may read it.

    An unknown entity type is a mistake in the question (QuestionError); an unknown id is an answer.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.name = manifest.model_version
        self.types = {name: StoredType(folder, entry, rows) for name, entry, rows in _types(folder, manifest)}
        relations = _RELATIONS.validate_json((folder / RELATIONS).read_bytes())
        self.relations = {relation.relation: relation for relation in relations}

    @classmethod
    def open(cls, folder: Path, *, verify: bool = False, reuse: StoredVersion | None = None) -> StoredVersion:
        """Opens a folder whose files all have their length, with `verify` also their checksum; else StoreError.

        Is `reuse` where that is the folder's content: a damaged store that was built anew has another manifest.
        """
        manifest = Manifest.read(folder)
        manifest.check(folder, content=verify)
        return reuse if reuse and reuse.manifest == manifest else cls(folder, manifest)

    def row(self, entity: Entity) -> int:
        """The entity's row among those of its type, NOT_FOUND where it has none."""
        return int(self.type(entity[0]).index.find([entity[1]])[0])

    def get(self, entity_type: str, entity_id: str) -> Representation | None:
        """The entity's representation, None where it has none."""
        row = self.row((entity_type, entity_id))
        return None if row == NOT_FOUND else self.types[entity_type].rows.row(row)

    def get_many(self, entities: Sequence[Entity]) -> list[Representation | None]:
        """The representations in the order of the question, None for each entity that has none."""
        rows = self._find(entities)
        return [
            None if row == NOT_FOUND else self.types[entity_type].rows.row(row)
            for (entity_type, _), row in zip(entities, rows.tolist(), strict=True)
        ]

    def degrees(self, entities: Sequence[Entity]) -> list[int | None]:
        """The degrees in the order of the question, None for each entity that is unknown."""
        rows = self._find(entities)
        return [
            None if row == NOT_FOUND else self.types[entity_type].degree(row)
            for (entity_type, _), row in zip(entities, rows.tolist(), strict=True)
        ]

    def gather(self, entities: Sequence[Entity]) -> Gathered:
        """The representations as one matrix, in which duplicates stand as often as they are asked for."""
        rows = self._find(entities)
        place = np.full(len(entities), NOT_FOUND, np.int64)
        parts: list[Any] = []
        filled = 0
        for entity_type, asked in _by_type(entities).items():
            known = asked[rows[asked] != NOT_FOUND]
            place[known] = filled + np.arange(len(known))
            parts.append(self.types[entity_type].rows.take(rows[known]))
            filled += len(known)
        if self.manifest.kind == "sparse":
            return Gathered(place, stacked(parts, self.manifest.dim))
        return Gathered(place, np.concatenate([np.zeros((0, self.manifest.dim), np.float32), *parts]))

    def type(self, entity_type: str) -> StoredType:
        if entity_type not in self.types:
            raise QuestionError(f"unknown entity type '{entity_type}'; allowed: {one_of(self.types)}")
        return self.types[entity_type]

    def relation(self, name: str) -> Relation:
        if name not in self.relations:
            raise QuestionError(f"unknown relation '{name}'; allowed: {one_of(self.relations)}")
        return self.relations[name]

    def _find(self, entities: Sequence[Entity]) -> NDArray[np.int64]:
        """The row of each entity within its type (n,), NOT_FOUND where it is unknown."""
        rows = np.full(len(entities), NOT_FOUND, np.int64)
        for entity_type, asked in _by_type(entities).items():
            rows[asked] = self.type(entity_type).index.find([entities[i][1] for i in asked.tolist()])
        return rows


def _types(folder: Path, manifest: Manifest) -> list[tuple[str, EntityType, DenseRows | SparseRows]]:
    if manifest.kind == "dense":
        return [(name, t, DenseRows(folder, t.stem, manifest.dim)) for name, t in manifest.types.items()]
    communities = Communities.read(folder)
    return [(name, t, SparseRows(folder, t.stem, communities)) for name, t in manifest.types.items()]


def _by_type(entities: Sequence[Entity]) -> dict[str, NDArray[np.int64]]:
    """The positions of each type's entities."""
    positions: dict[str, list[int]] = {}
    for i, (entity_type, _) in enumerate(entities):
        positions.setdefault(entity_type, []).append(i)
    return {entity_type: np.array(asked, np.int64) for entity_type, asked in positions.items()}

"""The approximate indexes that the job `candidates` has built, as the service opens them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeAlias
from weakref import WeakKeyDictionary

import pyarrow as pa

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.representations.ann_index import AnnIndex, index_path, read_ids
from twhin_spark.representations.errors import first_line
from twhin_spark.representations.published_family import DEFAULT_FAMILY
from twhin_spark.serving.ann_neighbours import ApproximateNeighbours
from twhin_spark.serving.exact_neighbours import ExactNeighbours, NeighbourIndex
from twhin_spark.serving.neighbours import exact_index
from twhin_spark.serving.stored_version import StoredType, StoredVersion
from twhin_spark.serving.web.observability import log_event

_OpenIndex: TypeAlias = tuple[AnnIndex, pa.Array]
"""An index and the ids of its vectors."""


class AnnIndexes:
    """The indexes under OUTPUT/indexes. Each is opened when it is first used, and closed with its version.

    If there is no index, or it is damaged, every vector is scored.
    """

    def __init__(self, output: Path, settings: AnnConfig) -> None:
        self._output = output
        self._settings = settings
        self._open: WeakKeyDictionary[StoredType, dict[tuple[str, str], _OpenIndex | None]] = WeakKeyDictionary()

    def __call__(self, version: StoredVersion, entity_type: str, measure: str, source_kind: str) -> NeighbourIndex:
        """Return the index for a search, as an `IndexLookup`."""
        exact = exact_index(version, entity_type, measure, source_kind)
        if not isinstance(exact, ExactNeighbours):
            return exact
        stored = version.types[entity_type]
        indexes = self._open.setdefault(stored, {})
        key = (measure, source_kind)
        if key not in indexes and version.manifest.family == DEFAULT_FAMILY:
            path = index_path(str(self._output), version.name, entity_type, measure, source_kind)
            if path.with_suffix(".json").exists():
                indexes[key] = _read(path)
        index = indexes.get(key)
        return ApproximateNeighbours(*index, stored, exact, self._settings) if index else exact


def _read(path: Path) -> _OpenIndex | None:
    try:
        return AnnIndex.read(path), read_ids(path)
    except (OSError, RuntimeError, ValueError, TypeError, pa.ArrowException) as error:
        log_event("problem", logging.ERROR, index=str(path), reason=f"{first_line(error)}; every vector is scored")
        return None

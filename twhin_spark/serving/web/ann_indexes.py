"""The indexes that `candidates` has left, as the service opens them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeAlias
from weakref import WeakKeyDictionary

import pyarrow as pa

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.representations.ann_index import Index, index_path, read_ids
from twhin_spark.representations.errors import first_line
from twhin_spark.serving.ann_neighbours import ApproximateNeighbours
from twhin_spark.serving.exact_neighbours import NeighbourIndex
from twhin_spark.serving.neighbours import exact_index
from twhin_spark.serving.store import DEFAULT_FAMILY
from twhin_spark.serving.stored_version import StoredType, StoredVersion
from twhin_spark.serving.web.observability import event

_Opened: TypeAlias = tuple[Index, pa.Array]


class Indexes:
    """Those under OUTPUT/indexes: each is opened when it is first asked for, and closed with its version.

    Where there is none, or a damaged one, every vector is scored.
    """

    def __init__(self, output: Path, settings: AnnConfig) -> None:
        self._output = output
        self._settings = settings
        self._opened: WeakKeyDictionary[StoredType, dict[tuple[str, str], _Opened | None]] = WeakKeyDictionary()

    def __call__(self, version: StoredVersion, entity_type: str, measure: str, via: str) -> NeighbourIndex:
        exact = exact_index(version, entity_type, measure, via)
        stored = version.types[entity_type]
        by_use = self._opened.setdefault(stored, {})
        if (measure, via) not in by_use and version.manifest.family == DEFAULT_FAMILY:
            path = index_path(str(self._output), version.name, entity_type, measure, via)
            if path.with_suffix(".json").exists():
                by_use[measure, via] = _open(path)
        opened = by_use.get((measure, via))
        return ApproximateNeighbours(*opened, stored, exact, self._settings) if opened else exact


def _open(path: Path) -> _Opened | None:
    try:
        return Index.read(path), read_ids(path)
    except (OSError, RuntimeError, ValueError, TypeError, pa.ArrowException) as error:
        event("problem", logging.ERROR, index=str(path), reason=f"{first_line(error)}; every vector is scored")
        return None

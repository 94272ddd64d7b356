"""Code of the tasks of a fold-in. Used on workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.fold_in import fold_in
from twhin_spark.kernels.model import DirectionParameters, Edges, RelationModel
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.neighbour_start import Views, average_rows, vectors_table
from twhin_spark.versions.vector_columns import ENTITY, vector_array
from twhin_spark.versions.version_relation import VersionRelation

SCHEMA = "entity_type STRING, entity_id STRING, vector ARRAY<FLOAT>"


@dataclass(frozen=True)
class FoldInTask:
    """What the tasks of a fold-in need beside their edges."""

    seen: Views
    relations: Mapping[str, VersionRelation]
    weights: Mapping[str, float]
    settings: TrainSettings
    negatives: Mapping[str, Floats]
    seed: int

    def function(self) -> Callable[[tuple[pa.Scalar, ...], pa.Table], pa.Table]:
        """Return the function of a bucket for `applyInArrow`."""

        def run(key: tuple[pa.Scalar, ...], rows: pa.Table) -> pa.Table:
            return self.fold(key[0].as_py(), rows)

        return run

    def fold(self, bucket: int, rows: pa.Table) -> pa.Table:
        """Return entity_type, entity_id and vector of one bucket's entities. Runs on workers."""
        order = (*ENTITY, "relation", "side", "other_type", "other_id")
        rows = rows.sort_by([(name, "ascending") for name in order]).combine_chunks()
        first, means = average_rows(rows, self.seen)
        entity = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(rows))))
        kinds = np.array(rows["entity_type"].to_pylist())
        types = kinds[first]
        number = np.zeros(len(first), np.int64)  # of each entity among those of its type
        for name in np.unique(types):
            number[types == name] = np.arange(int((types == name).sum()))
        new = {str(name): means[types == name] for name in np.unique(types)}
        known, other = self._known(rows, new)
        numbers = {name: i for i, name in enumerate(self.relations)}
        relation = np.array([numbers.get(name, -1) for name in rows["relation"].to_pylist()])
        is_source = np.array(rows["side"].to_pylist()) == "source"
        own = number[entity]
        edges = Edges(
            np.where(is_source, own, other).astype(np.int32),
            np.where(is_source, other, own).astype(np.int32),
            relation.astype(np.int16),
            rows["weight"].to_numpy().astype(np.float32),
        )
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, bucket))))
        models = {numbers[name]: self._model(name) for name in self.relations}
        folded = fold_in(new, known, models, edges, self.settings, rng)
        vectors = means.copy()
        for name, values in folded.items():
            vectors[types == name] = values
        return vectors_table(rows, first, vectors)

    def _known(self, rows: pa.Table, new: Mapping[str, Floats]) -> tuple[dict[str, Floats], np.ndarray]:
        """Return the known vectors by type, negatives first, and the row of each edge's other end among its type."""
        vectors, kinds = vector_array(rows["vector"]), np.array(rows["other_type"].to_pylist())
        ids = np.array(rows["other_id"].to_pylist(), dtype=object)
        known, row = {}, np.zeros(len(rows), np.int64)
        for name in sorted({*kinds.tolist(), *self.negatives}):
            members = np.flatnonzero(kinds == name)
            _, at, inverse = np.unique(ids[members].astype(str), return_index=True, return_inverse=True)
            sample = self.negatives.get(name, np.zeros((0, vectors.shape[1]), np.float32))
            known[name] = np.concatenate([sample, vectors[members[at]]])
            row[members] = len(new.get(name, ())) + len(sample) + inverse
        return known, row

    def _model(self, name: str) -> RelationModel:
        relation = self.relations[name]
        parameters = {
            end: DirectionParameters(np.array(values, np.float32), np.zeros(len(values), np.float32))
            for end, values in relation.parameters.items()
        }
        return RelationModel(
            relation.source_type,
            relation.target_type,
            relation.operator,
            self.weights[name],
            parameters["target"],
            parameters.get("source"),
        )

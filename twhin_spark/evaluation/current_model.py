"""The current version as a model of an evaluation: its vectors rank the new split's queries, beside the run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from twhin_spark.config import Config
from twhin_spark.evaluation.scoring_models import ScoringModel
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import comparison_vectors
from twhin_spark.tables.delta import TableStore
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile
from twhin_spark.training.trained_run import TrainedRun
from twhin_spark.versions.model_version import current_version

_LAST = 2.0**100  # of a target without a vector: it is ranked after all others


@dataclass(frozen=True)
class EarlierVectors:
    """The vectors of an earlier run on a later graph of the same output, where locations stay.

    Entities that the run did not know have no vector. A last dimension sees to it that such a target scores below all
    others: a source holds the largest of its magnitudes there, a target with a vector 0, and one without -2^100.
    """

    folder: RunFolder
    files: Sequence[StateFile]  # by partition
    types: Sequence[str]  # in the files' order
    entity_type: str
    operator: str
    parameters: Sequence[float]
    comparator: str
    side: Literal["source", "target"]

    def read(self, partition: int, rows: Integers) -> Floats:
        """Read the vectors of some rows (n,) of a partition, float32 (n, dim + 1)."""
        known = self.folder.read_partition(self.files[partition], self.types)[self.entity_type].vectors
        has_vector = rows < len(known)
        vectors = np.zeros((len(rows), known.shape[1] + 1), np.float32)
        parameters = np.array(self.parameters, np.float32)
        changed = OPERATORS[self.operator].apply(parameters, known[rows[has_vector]])
        vectors[has_vector, :-1] = comparison_vectors(changed, self.comparator)
        if self.side == "target":
            vectors[~has_vector, -1] = -_LAST
        else:
            bound = np.abs(vectors[:, :-1]).max(axis=1, initial=0)
            vectors[:, -1] = np.where(bound > 0, bound, 1)
        return vectors


@dataclass(frozen=True)
class CurrentModel:
    """The run that trained the current version."""

    folder: RunFolder
    files: Sequence[StateFile]
    types: Sequence[str]
    relations: Mapping[str, RelationState]
    operators: Mapping[str, str]
    comparator: str

    def for_relation(self, config: Config, name: str, *, mirrored: bool) -> ScoringModel | None:
        """Return the model of a relation, to rank its targets, or its sources if mirrored; None if it has none."""
        relation, state = config.relations[name], self.relations.get(name)
        if state is None or not {relation.source, relation.target} <= set(self.types):
            return None

        def vectors(entity_type: str, at: Literal["source", "target"], side: str | None) -> EarlierVectors:
            operator, values = ("identity", []) if side is None else (self.operators[name], state.parameters[side])
            return EarlierVectors(
                self.folder, self.files, self.types, entity_type, operator, values, self.comparator, at
            )

        if not mirrored:
            return ScoringModel(vectors(relation.source, "source", "target"), vectors(relation.target, "target", None))
        if "source" in state.parameters:
            return ScoringModel(vectors(relation.target, "source", "source"), vectors(relation.source, "target", None))
        return ScoringModel(vectors(relation.target, "source", None), vectors(relation.source, "target", "target"))


def current_model(store: TableStore, config: Config, run: TrainedRun) -> CurrentModel | None:
    """Return the model of the current version, if a gate compares with it, it is another run's, and its state is kept.

    The vectors are as they were trained: publishing changes no score.
    """
    if not any(gate.not_worse_than for gate in config.publishing.gates):
        return None
    version = current_version(store)
    if version is None or version.run_id == run.run_id:
        return None
    folder = RunFolder(config.output, version.run_id)
    manifest, settings = folder.latest(), folder.settings()
    if manifest is None or settings is None or not folder.has(manifest.kept.partitions):
        return None
    operators = {name: relation["operator"] for name, relation in settings["relations"].items()}
    kept = manifest.kept
    return CurrentModel(
        folder,
        kept.partitions,
        settings["entity_types"],
        kept.relations,
        operators,
        settings["training"]["comparator"],
    )

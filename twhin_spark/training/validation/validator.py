"""The validator: measures an epoch's model on validation edges. Runs on workers; changes nothing of the model.

It measures the held-out loss, see `validation_loss`, and on request the ranks of monitor_mrr, see `validation_ranks`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.kernels.exact_ranks import realistic_rank
from twhin_spark.kernels.training_pass import TrainSettings
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.round_report import ValidationResult
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.validation.model_excerpt import ModelExcerpt, PartitionState, ValidationEdges, take_excerpt
from twhin_spark.training.validation.validation_loss import held_out_loss
from twhin_spark.training.validation.validation_ranks import (
    ValidationQueries,
    count_above_targets,
    make_queries,
    no_counts,
)


@dataclass(frozen=True)
class Validator:
    """Validation edges and the settings by which models of one run are measured on them.

    partitions: the model's. comparator: the training's, by which ranks are counted.
    """

    edges: ValidationEdges
    partitions: int
    seed: int
    comparator: str = "dot"

    @classmethod
    def of_run(cls, run: RunSettings, partitions: int) -> Validator | None:
        """Return the validator of a run; None if its folder has no validation edges."""
        sample = RunFolder(run.output, run.run_id).validation_sample()
        if sample is None:
            return None
        edges = ValidationEdges(sample, run.relations, run.entity_types)
        return cls(edges, partitions, run.seed, run.train.loss.comparator)

    def validate(
        self,
        states: Sequence[tuple[int, PartitionState]],
        relation_states: Mapping[str, RelationState],
        settings: TrainSettings,
        ranks: bool,
    ) -> ValidationResult:
        """Measure a model that is in memory.

        Parameters
        ----------
        states
            All partitions, ascending.
        relation_states
            The relations, by name.
        settings
            The settings of training.
        ranks
            Measure the ranks as well.
        """
        started = time.perf_counter()
        excerpt = self.excerpt(states)
        loss, counts = self.loss(excerpt, relation_states, settings), None
        if ranks:
            queries = self.queries(excerpt, relation_states)
            counts = self.count(queries, states)
        return self.result(loss, counts, time.perf_counter() - started)

    def excerpt(self, states: Iterable[tuple[int, PartitionState]]) -> ModelExcerpt:
        """Return what `loss` and `queries` need of a model, from its partitions in ascending order."""
        return take_excerpt(states, self.edges, partitions=self.partitions, seed=self.seed)

    def loss(
        self, excerpt: ModelExcerpt, relation_states: Mapping[str, RelationState], settings: TrainSettings
    ) -> dict[str, float]:
        """Return the held-out loss by relation, summed over its edges."""
        return held_out_loss(self.edges, excerpt, relation_states, settings, self.seed)

    def queries(self, excerpt: ModelExcerpt, relation_states: Mapping[str, RelationState]) -> ValidationQueries:
        """Return the queries whose targets `count` ranks."""
        return make_queries(self.edges, excerpt, relation_states, self.comparator)

    def count(self, queries: ValidationQueries, states: Iterable[tuple[int, PartitionState]]) -> NDArray[np.int64]:
        """Count the entities of some partitions that score above each edge's target, or the same: (2, n)."""
        counts = no_counts(self.edges)
        for partition, state in states:
            counts += count_above_targets(self.edges, queries, partition, state, self.comparator)
        return counts

    def result(self, loss: dict[str, float], counts: NDArray[np.int64] | None, seconds: float) -> ValidationResult:
        """Return the result by relation. `counts` (2, n) are those of all partitions, or None without ranks."""
        number = self.edges.sample.relation
        names = {i: self.edges.relations[i].name for i in self.edges.relation_numbers}
        edges = {name: int(np.count_nonzero(number == i)) for i, name in names.items()}
        if counts is None:
            return ValidationResult(edges, loss, {}, seconds)
        reciprocal = 1 / realistic_rank(counts[0], counts[1])
        sums = {name: float(reciprocal[number == i].sum()) for i, name in names.items()}
        return ValidationResult(edges, loss, sums, seconds)

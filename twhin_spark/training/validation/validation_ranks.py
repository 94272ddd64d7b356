"""The ranks behind monitor_mrr, the mean reciprocal rank of validation edges. Runs on workers.

An edge's rank is that of its target among all entities of its type, without the other training targets of the source,
and without the source itself if the graph drops self-loops. monitor_mrr is no test metric: the sample is small, and
other validation and test edges count as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twhin_spark.graph.entity_location import partition_of, row_of
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.exact_ranks import Excluded, Positives, count_above, positive_scores
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import comparison_vectors
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.validation.model_excerpt import ModelExcerpt, PartitionState, ValidationEdges


@dataclass(frozen=True)
class ValidationQueries:
    """The validation edges as queries.

    vectors: (n, dim), float32, whose products with candidates are scores. scores: (n,), of the edges' targets.
    """

    vectors: Floats
    scores: NDArray[np.float64]


def make_queries(
    edges: ValidationEdges, excerpt: ModelExcerpt, relation_states: Mapping[str, RelationState], comparator: str
) -> ValidationQueries:
    """Return the queries of the validation edges. The similarity is the training's `comparator`."""
    rows = excerpt.edges(edges)
    dim = next(iter(excerpt.vectors.values())).shape[1]
    vectors, scores = np.empty((len(edges), dim), np.float32), np.empty(len(edges))
    for i in edges.relation_numbers:
        chosen, relation = np.flatnonzero(edges.sample.relation == i), edges.relations[i]
        parameters = np.array(relation_states[relation.name].parameters["target"], np.float32)
        operator = OPERATORS[relation.operator]
        changed = operator.apply(parameters, excerpt.vectors[relation.source][rows.source[chosen]])
        vectors[chosen] = comparison_vectors(changed, comparator)
        targets = comparison_vectors(excerpt.vectors[relation.target][rows.target[chosen]], comparator)
        scores[chosen] = positive_scores(vectors[chosen], targets, np.arange(len(chosen)))
    return ValidationQueries(vectors, scores)


def count_above_targets(
    edges: ValidationEdges, queries: ValidationQueries, partition: int, state: PartitionState, comparator: str
) -> NDArray[np.int64]:
    """Count the entities of a partition that score above each edge's target, and those that score the same: (2, n)."""
    sample = edges.sample
    counts = no_counts(edges)
    for name in edges.types:
        chosen = np.flatnonzero(edges.has_target_of(name))
        if not len(chosen):
            continue
        query_of = np.full(len(sample), -1)
        query_of[chosen] = np.arange(len(chosen))
        target = sample.target[chosen]
        target_row = np.where(partition_of(target) == partition, row_of(target), -1)
        known = (query_of[sample.known_edge] >= 0) & (partition_of(sample.known_target) == partition)
        excluded = Excluded(query_of[sample.known_edge[known]], row_of(sample.known_target[known]))
        positives = Positives(np.arange(len(chosen)), target_row, queries.scores[chosen])
        candidates = comparison_vectors(state[name].vectors, comparator)
        counts[:, chosen] = count_above(queries.vectors[chosen], candidates, positives, excluded)
    return counts


def no_counts(edges: ValidationEdges) -> NDArray[np.int64]:
    """Return counts of 0, (2, n), to which those of partitions are added."""
    return np.zeros((2, len(edges)), np.int64)

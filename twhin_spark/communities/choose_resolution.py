"""The choice of a resolution: the recall of validation edges by the representations that it leads to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.evaluation.held_out_edges import read_held_out_edges
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.kernels.arrays import Integers
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGES, ENTITIES

_CONSUMERS = 2000  # that are ranked for
_BLOCK = 64  # consumers that are ranked for at once


@dataclass(frozen=True)
class ValidationEdges:
    """Validation edges of some consumers, and the producers that they know.

    Attributes
    ----------
    consumers
        int64 (m,): locations, ascending.
    source, target
        int64 (e,): a consumer's position, and a producer's location.
    known_source, known_target
        int64 (k,): the same of training edges.
    """

    consumers: Integers
    source: Integers
    target: Integers
    known_source: Integers
    known_target: Integers


def read_validation_edges(
    store: TableStore, config: Config, graph: GraphVersion, training: DataFrame
) -> ValidationEdges:
    """Read the new validation edges of the consumers' relations.

    Parameters
    ----------
    store, config, graph
        The tables, the config and the graph version.
    training
        The consumers' training edges: columns consumer and producer.

    Raises
    ------
    InputError
        There is none.
    """
    assert config.communities is not None
    entities = store.read(ENTITIES, graph.tables["entities"])
    held_out = read_held_out_edges(store.read(EDGES, graph.tables["edges"]), entities, graph.relations)
    seen = [held_out[name, "validation"].seen for name in config.communities.consumers.relations]
    source, target = (np.concatenate([getattr(edges, end) for edges in seen]) for end in ("source", "target"))
    if not len(source):
        raise InputError(
            "communities.known_for.resolution has several values, but the graph has no validation edge of the "
            "consumers' relations; give one value, or hold out validation edges"
        )
    consumers = np.unique(source)
    consumers = consumers[:: -(-len(consumers) // _CONSUMERS)]
    kept = np.isin(source, consumers)
    wanted = training.sparkSession.createDataFrame(pd.DataFrame({"consumer": consumers}))
    known = training.join(F.broadcast(wanted), "consumer").select("consumer", "producer").toArrow()
    known_source = np.searchsorted(consumers, known["consumer"].to_numpy())
    known_target = known["producer"].to_numpy()
    source, target = _new(np.searchsorted(consumers, source[kept]), target[kept], known_source, known_target)
    return ValidationEdges(consumers, source, target, known_source, known_target)


def recall_of(edges: ValidationEdges, interests: DataFrame, producers: DataFrame, k: int) -> float:
    """Return recall@k of validation edges, with dot products as scores, averaged over consumers.

    Parameters
    ----------
    edges
        Edges to find.
    interests, producers
        Columns consumer or producer, community and weight.
    k
        Number of new producers that are ranked first.
    """
    wanted = interests.sparkSession.createDataFrame(pd.DataFrame({"consumer": edges.consumers}))
    interest = interests.join(F.broadcast(wanted), "consumer").toPandas()
    embedding = producers.toPandas()
    communities = np.unique(embedding["community"].to_numpy())
    locations = np.unique(embedding["producer"].to_numpy())
    interest = interest[np.isin(interest["community"].to_numpy(), communities)]
    left = _matrix(interest, "consumer", edges.consumers, communities)
    right = sparse.csr_array(_matrix(embedding, "producer", locations, communities).T)
    hits = np.zeros(len(edges.consumers))
    positives = np.bincount(edges.source, minlength=len(hits))
    for begin in range(0, len(hits), _BLOCK):
        scores = (left[begin : begin + _BLOCK] @ right).toarray()
        row, column = _positions(edges.known_source - begin, edges.known_target, len(scores), locations)
        scores[row, column] = 0
        top = min(k, scores.shape[1])
        best = np.argpartition(-scores, top - 1, axis=1)[:, :top] if top else np.zeros((len(scores), 0), np.int64)
        first = np.zeros(scores.shape, bool)
        np.put_along_axis(first, best, values=True, axis=1)
        first &= scores > 0
        row, column = _positions(edges.source - begin, edges.target, len(scores), locations)
        np.add.at(hits, begin + row[first[row, column]], 1)
    return float((hits[positives > 0] / positives[positives > 0]).mean())


def _positions(row: Integers, location: Integers, rows: int, locations: Integers) -> tuple[Integers, Integers]:
    """Return those rows within 0 to rows - 1 whose locations are among `locations`, and their positions there."""
    kept = (row >= 0) & (row < rows) & np.isin(location, locations)
    return row[kept], np.searchsorted(locations, location[kept])


def _matrix(rows: pd.DataFrame, entity: str, entities: Integers, communities: Integers) -> sparse.csr_array:
    ends = (np.searchsorted(entities, rows[entity]), np.searchsorted(communities, rows["community"]))
    matrix = sparse.csr_array((rows["weight"].to_numpy(), ends), shape=(len(entities), len(communities)))
    matrix.sort_indices()
    return matrix


def _new(
    source: Integers, target: Integers, known_source: Integers, known_target: Integers
) -> tuple[Integers, Integers]:
    """Return the distinct pairs of source and target that are not known. A relation may know those of another."""
    targets, number = np.unique(np.concatenate([target, known_target]), return_inverse=True)
    pair = source * len(targets) + number[: len(target)]
    known = known_source * len(targets) + number[len(target) :]
    new_source, new_target = np.divmod(np.setdiff1d(pair, known), len(targets))
    return new_source, targets[new_target]

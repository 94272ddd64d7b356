"""The results of an epoch, compared with sums by hand, and from files as from memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.toy_graph import DIM, PARTITIONS, RELATIONS, ROWS, first_manifest, run_settings
from twhin_spark.graph.entity_location import location_of
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.pair_scores import DENSE_MEASURES
from twhin_spark.kernels.similarity import COMPARATORS
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState
from twhin_spark.training.state.validation_sample import ValidationSample
from twhin_spark.training.validation.model_excerpt import ValidationEdges
from twhin_spark.training.validation.validate_files import validate_files
from twhin_spark.training.validation.validator import Validator

TYPES = ("user", "tweet")
States = list[tuple[int, dict[str, EntityState]]]


def _location(partition: int, row: int) -> int:
    return int(location_of(partition, np.array(row)))


@pytest.fixture
def validator() -> Validator:
    """Edges of both relations between random locations, each with two known targets."""
    rng = np.random.default_rng(1)
    edges = 30
    locations = np.array([_location(p, r) for p in range(PARTITIONS) for r in range(ROWS)])
    source, target = rng.choice(locations, (2, edges))
    known = rng.choice(locations, 2 * edges)
    known_edge = np.repeat(np.arange(edges), 2)
    other = known != target[known_edge]
    relation = rng.integers(2, size=edges).astype(np.int16)
    weight = np.ones(edges, np.float32)
    sample = ValidationSample(relation, source, target, weight, known_edge[other], known[other])
    return Validator(ValidationEdges(sample, RELATIONS, TYPES), PARTITIONS, seed=0)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Random vectors and relations, in files."""
    rng = np.random.default_rng(2)
    manifest = first_manifest(run_settings(str(tmp_path)))
    for name in manifest.relations:
        sides = {side: rng.normal(size=DIM).astype(np.float32).tolist() for side in ("target", "source")}
        manifest.relations[name] = RelationState(sides, {side: [0.0] * DIM for side in sides})
    return manifest


def _states(tmp_path: Path, manifest: Manifest) -> States:
    folder = RunFolder(str(tmp_path), "run")
    return [(p, folder.read_partition(file, TYPES)) for p, file in enumerate(manifest.partitions)]


def test_a_sample_comes_back_from_its_file(validator: Validator, tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    assert folder.validation_sample() is None
    folder.write_validation_sample(validator.edges.sample)
    found = folder.validation_sample()
    assert found is not None
    for name in ("relation", "source", "target", "weight", "known_edge", "known_target"):
        np.testing.assert_array_equal(getattr(found, name), getattr(validator.edges.sample, name))


@pytest.mark.parametrize("comparator", COMPARATORS)
def test_monitor_mrr_is_that_of_ranks_counted_by_hand(
    validator: Validator, manifest: Manifest, tmp_path: Path, comparator: str
) -> None:
    validator = replace(validator, comparator=comparator)
    states = _states(tmp_path, manifest)
    run = run_settings(str(tmp_path))
    measured = validator.validate(states, manifest.relations, run.train, ranks=True)
    vector = {
        (kind, _location(p, row)): state[kind].vectors[row].astype(np.float64)
        for p, state in states
        for kind in TYPES
        for row in range(ROWS)
    }
    sample = validator.edges.sample
    reciprocal = dict.fromkeys(("follow", "like"), 0.0)
    for edge in range(len(sample)):
        relation = RELATIONS[sample.relation[edge]]
        forward = np.array(manifest.relations[relation.name].parameters["target"])
        query = OPERATORS[relation.operator].apply(forward, vector[relation.source, sample.source[edge]][None])[0]
        own = sample.target[edge]

        def score(other: np.ndarray, query: np.ndarray = query) -> float:
            return float(DENSE_MEASURES[comparator](query[None], other[None])[0])

        without = {own, *sample.known_target[sample.known_edge == edge]}
        above = [
            score(other) > score(vector[relation.target, own])
            for (kind, location), other in vector.items()
            if kind == relation.target and location not in without
        ]
        reciprocal[relation.name] += 1 / (1 + sum(above))
    assert measured.reciprocal_ranks == pytest.approx(reciprocal)
    assert measured.monitor_mrr == pytest.approx(sum(reciprocal.values()) / len(sample))


def test_the_loss_is_the_same_each_time_and_changes_nothing(
    validator: Validator, manifest: Manifest, tmp_path: Path
) -> None:
    states, run = _states(tmp_path, manifest), run_settings(str(tmp_path))
    before = [state[kind].vectors.copy() for _, state in states for kind in TYPES]
    first, again = (validator.validate(states, manifest.relations, run.train, ranks=False) for _ in range(2))
    assert first.loss == again.loss
    assert first.monitor_mrr is None
    assert sum(first.edges.values()) == len(validator.edges.sample)
    for vectors, now in zip(before, [state[kind].vectors for _, state in states for kind in TYPES], strict=True):
        np.testing.assert_array_equal(vectors, now)
    # Vectors of zeros leave every score at 0: log 2 for the edge and log 2 for its negatives, on each side.
    nothing = [(p, {k: EntityState(0 * s.vectors, s.accumulators) for k, s in state.items()}) for p, state in states]
    flat = validator.validate(nothing, manifest.relations, run.train, ranks=False)
    assert flat.held_out_loss == pytest.approx(4 * np.log(2))


def test_overflow_is_an_infinite_loss(validator: Validator, manifest: Manifest, tmp_path: Path) -> None:
    states = [
        (p, {k: EntityState(np.full_like(s.vectors, 1e30), s.accumulators) for k, s in state.items()})
        for p, state in _states(tmp_path, manifest)
    ]
    measured = validator.validate(states, manifest.relations, run_settings("unused").train, ranks=False)
    assert measured.held_out_loss == np.inf


def test_spark_measures_files_as_one_task_measures_memory(
    spark: SparkSession, validator: Validator, manifest: Manifest, tmp_path: Path
) -> None:
    run = run_settings(str(tmp_path))
    here = validator.validate(_states(tmp_path, manifest), manifest.relations, run.train, ranks=True)
    there = validate_files(spark, run, validator, manifest, ranks=True)
    assert (there.loss, there.reciprocal_ranks, there.edges) == (here.loss, here.reciprocal_ranks, here.edges)
    assert validate_files(spark, run, validator, manifest, ranks=False).monitor_mrr is None

"""The approximate index: its proposals and its files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from twhin_spark.errors import ConfigError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.topk import unit_vectors
from twhin_spark.representations.ann_index import (
    AnnIndex,
    IndexDescription,
    index_path,
    number_of_lists,
    open_or_build_index,
    read_ids,
)


@pytest.fixture(scope="module")
def vectors() -> Floats:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 32))
    return unit_vectors((centres[rng.integers(0, 60, 6000)] + 0.5 * rng.normal(size=(6000, 32))).astype(np.float32))


@pytest.fixture(scope="module")
def description() -> IndexDescription:
    return IndexDescription("v-1", 3, "user", "cosine", "user", 6000, 32, number_of_lists(6000, None))


def parts(vectors: Floats) -> Iterator[Floats]:
    yield from np.array_split(vectors, 7)


def ids() -> pa.Array:
    return pa.array([f"u{number}" for number in range(6000)])


def test_most_of_the_nearest_are_proposed(vectors: Floats, description: IndexDescription) -> None:
    index = AnnIndex.build(lambda: parts(vectors), vectors, description)
    proposed = index.search(vectors[:200], 100, 32)
    nearest = np.argsort(-(vectors[:200] @ vectors.T), axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(proposed.tolist(), nearest.tolist(), strict=True)])
    assert recall > 0.9
    assert (proposed == np.arange(200)[:, None]).any(axis=1).all()  # a vector is proposed to itself, first or not
    few = index.search(vectors[:200], 100, 1)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(few.tolist(), nearest.tolist(), strict=True)]) < 10 * recall


def test_an_index_of_few_vectors_is_exact(vectors: Floats) -> None:
    few = vectors[:300]
    index = AnnIndex.build(
        lambda: parts(few),
        few,
        IndexDescription("v-1", 3, "user", "cosine", "user", 300, 32, number_of_lists(300, None)),
    )
    proposed = index.search(few, 5, 1)
    np.testing.assert_array_equal(proposed[:, 0], np.arange(300))
    assert index.search(few, 1000, 1).shape == (300, 300)


def test_an_index_fits_the_sources_that_it_was_built_for(description: IndexDescription) -> None:
    rng = np.random.default_rng(1)
    targets = rng.normal(size=(6000, 32)).astype(np.float32)
    sources = (rng.normal(size=(500, 32)) + 8 * np.eye(32)[0]).astype(np.float32)  # translated, all in one direction
    nearest = np.argsort(-(sources[:200] @ targets.T), axis=1)[:, :10]

    def hits(sample: Floats) -> int:
        proposed = AnnIndex.build(lambda: parts(targets), sample, replace(description, measure="dot")).search(
            sources[:200], 40, 8
        )
        return sum(len(set(a) & set(b)) for a, b in zip(proposed.tolist(), nearest.tolist(), strict=True))

    assert hits(sources[200:]) > 1.3 * hits(np.eye(32, dtype=np.float32))


@pytest.mark.parametrize("sources", [np.zeros((0, 32)), np.zeros((3, 32)), 1e15 * np.eye(32)])
def test_an_uninformative_sample_of_sources_does_no_harm(
    vectors: Floats, description: IndexDescription, sources: Floats
) -> None:
    index = AnnIndex.build(lambda: parts(vectors), sources.astype(np.float32), replace(description, measure="dot"))
    proposed = index.search(vectors[:200], 100, 32)
    assert (proposed == np.arange(200)[:, None]).any(axis=1).mean() > 0.9


def test_a_file_is_reused_and_a_damaged_file_is_rebuilt(
    scratch: Path, vectors: Floats, description: IndexDescription
) -> None:
    lines: list[str] = []
    first = open_or_build_index(str(scratch), lambda: parts(vectors), ids, lambda: vectors, description, lines.append)
    again = open_or_build_index(str(scratch), lambda: parts(vectors), ids, lambda: vectors, description, lines.append)
    assert len(lines) == 1
    np.testing.assert_array_equal(first.search(vectors[:9], 5, 8), again.search(vectors[:9], 5, 8))
    path = index_path(str(scratch), "v-1", "user", "cosine", "user")
    assert read_ids(path).to_pylist() == ids().to_pylist()
    path.write_bytes(path.read_bytes()[:1000])
    rebuilt = open_or_build_index(str(scratch), lambda: parts(vectors), ids, lambda: vectors, description, lines.append)
    assert len(lines) == 2
    np.testing.assert_array_equal(first.search(vectors[:9], 5, 8), rebuilt.search(vectors[:9], 5, 8))
    open_or_build_index(
        str(scratch), lambda: parts(vectors), ids, lambda: vectors, replace(description, lists=20), lines.append
    )
    assert len(lines) == 3
    open_or_build_index(
        str(scratch), lambda: parts(vectors), ids, lambda: vectors, replace(description, published=4), lines.append
    )
    assert len(lines) == 4  # the same version, trained and published again


def test_an_index_needs_a_local_output() -> None:
    with pytest.raises(ConfigError, match="requires a local output"):
        index_path("s3://lake/music", "v-1", "user", "cosine", "user")


def test_workers_need_neither_index_nor_config_libraries() -> None:
    parts_of_tasks = (
        "twhin_spark.retrieval.candidate_rows, twhin_spark.retrieval.mixture_task, twhin_spark.graph.degrees"
    )
    code = (
        f"import sys; import {parts_of_tasks}; assert not {{'faiss', 'pydantic', 'yaml', 'delta'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

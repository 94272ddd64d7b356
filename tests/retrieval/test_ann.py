"""The index by itself: what it finds, and what becomes of its file."""

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
from twhin_spark.retrieval.ann import Contents, Index, index_path, lists_for, open_or_build, read_ids


@pytest.fixture(scope="module")
def vectors() -> Floats:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 32))
    return unit_vectors((centres[rng.integers(0, 60, 6000)] + 0.5 * rng.normal(size=(6000, 32))).astype(np.float32))


@pytest.fixture(scope="module")
def contents() -> Contents:
    return Contents("v-1", "user", "cosine", 6000, 32, lists_for(6000, None))


def parts(vectors: Floats) -> Iterator[Floats]:
    yield from np.array_split(vectors, 7)


def ids() -> pa.Array:
    return pa.array([f"u{number}" for number in range(6000)])


def test_most_of_the_nearest_are_proposed(vectors: Floats, contents: Contents) -> None:
    index = Index.build(lambda: parts(vectors), contents)
    found = index.search(vectors[:200], 100, 32)
    nearest = np.argsort(-(vectors[:200] @ vectors.T), axis=1)[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), nearest.tolist(), strict=True)])
    assert recall > 0.9
    assert (found == np.arange(200)[:, None]).any(axis=1).all()  # a vector is proposed to itself, first or not
    few = index.search(vectors[:200], 100, 1)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(few.tolist(), nearest.tolist(), strict=True)]) < 10 * recall


def test_an_index_of_few_vectors_is_exact(vectors: Floats) -> None:
    few = vectors[:300]
    index = Index.build(lambda: parts(few), Contents("v-1", "user", "cosine", 300, 32, lists_for(300, None)))
    found = index.search(few, 5, 1)
    np.testing.assert_array_equal(found[:, 0], np.arange(300))
    assert index.search(few, 1000, 1).shape == (300, 300)


def test_a_file_is_used_again_and_a_damaged_one_is_built_anew(
    scratch: Path, vectors: Floats, contents: Contents
) -> None:
    told: list[str] = []
    first = open_or_build(str(scratch), lambda: parts(vectors), ids, contents, told.append)
    again = open_or_build(str(scratch), lambda: parts(vectors), ids, contents, told.append)
    assert len(told) == 1
    np.testing.assert_array_equal(first.search(vectors[:9], 5, 8), again.search(vectors[:9], 5, 8))
    path = index_path(str(scratch), "v-1", "user", "cosine")
    assert read_ids(path).to_pylist() == ids().to_pylist()
    path.write_bytes(path.read_bytes()[:1000])
    mended = open_or_build(str(scratch), lambda: parts(vectors), ids, contents, told.append)
    assert len(told) == 2
    np.testing.assert_array_equal(first.search(vectors[:9], 5, 8), mended.search(vectors[:9], 5, 8))
    open_or_build(str(scratch), lambda: parts(vectors), ids, replace(contents, lists=20), told.append)
    assert len(told) == 3


def test_an_index_needs_a_local_output() -> None:
    with pytest.raises(ConfigError, match="with a local output"):
        index_path("s3://lake/music", "v-1", "user", "cosine")


def test_workers_need_no_index_library() -> None:
    parts_of_tasks = "twhin_spark.retrieval.rows, twhin_spark.retrieval.mixture"
    code = f"import sys; import {parts_of_tasks}; assert 'faiss' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

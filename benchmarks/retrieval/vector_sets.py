"""The sets of vectors that indexes are compared on, random or published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from deltalake import DeltaTable

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.topk import in_fixed_point, unit_vectors

SOURCES = 4096
_CLUSTERS = 2000
_SPREAD = 0.7  # standard deviation of a vector around its centre; that of the centres is 1
_NORM_SPREAD = 0.5  # standard deviation of the logarithm of norms


@dataclass(frozen=True)
class VectorSet:
    """Sources (m, dim) and targets (n, dim), as float32 in fixed point; their dot products are the similarity.

    No source is among the targets, so no source is its own neighbour.
    """

    sources: Floats
    targets: Floats


@dataclass(frozen=True)
class Sizes:
    """The number and the dimension of random vectors."""

    vectors: int
    dim: int


def clustered_cosine(sizes: Sizes) -> VectorSet:
    """Make unit vectors around random centres."""
    return _split(unit_vectors(_clustered(sizes)))


def clustered_through(sizes: Sizes) -> VectorSet:
    """Make vectors with log-normal norms; the sources are translated by a vector of typical length."""
    rng = np.random.default_rng(1)
    norms = rng.lognormal(0, _NORM_SPREAD, (sizes.vectors + SOURCES, 1)).astype(np.float32)
    translation = unit_vectors(rng.standard_normal((1, sizes.dim), dtype=np.float32))
    plain = _split(unit_vectors(_clustered(sizes)) * norms)
    return VectorSet(in_fixed_point(plain.sources + translation), in_fixed_point(plain.targets))


def published_cosine(output: Path) -> VectorSet:
    """Read the current version's vectors as unit vectors."""
    return _split(unit_vectors(_published(output)))


def published_through(output: Path, relation: str) -> VectorSet:
    """Read the current version's vectors; the sources are translated by a relation."""
    plain = _split(_published(output))
    rows = DeltaTable(output / "tables/relations").to_pyarrow_table().to_pylist()
    current = DeltaTable(output / "tables/embeddings").to_pyarrow_dataset().head(1)["model_version"][0].as_py()
    columns = {"model_version": current, "relation": relation, "side": "target", "operator": "translation"}
    (translation,) = (row["parameters"] for row in rows if columns.items() <= row.items())
    return VectorSet(in_fixed_point(plain.sources + np.array(translation, np.float32)), in_fixed_point(plain.targets))


def vector_sets(sizes: Sizes, higgs: Path) -> dict[str, Callable[[], VectorSet]]:
    """Return the functions that make or read each set, by its name on the page."""
    return {
        "Clustered, cosine": lambda: clustered_cosine(sizes),
        "Clustered, through a relation": lambda: clustered_through(sizes),
        "Higgs, cosine": lambda: published_cosine(higgs),
        "Higgs, through retweet": lambda: published_through(higgs, "retweet"),
    }


def _clustered(sizes: Sizes) -> Floats:
    """Make vectors around random centres of different sizes: float32 (vectors + SOURCES, dim)."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_CLUSTERS, sizes.dim), dtype=np.float32)
    shares = rng.dirichlet(np.ones(_CLUSTERS))
    vectors: Floats = centres[rng.choice(_CLUSTERS, sizes.vectors + SOURCES, p=shares)]
    vectors += np.float32(_SPREAD) * rng.standard_normal(vectors.shape, dtype=np.float32)
    return vectors


def _published(output: Path) -> Floats:
    """Read the current version's vectors, which have a single entity type: float32 (n, dim)."""
    column = DeltaTable(output / "tables/embeddings").to_pyarrow_table(columns=["embedding"])["embedding"]
    values = column.combine_chunks().flatten().to_numpy()
    vectors: Floats = values.astype(np.float32).reshape(len(column), -1)
    return vectors


def _split(vectors: Floats) -> VectorSet:
    """Split vectors into SOURCES sources, drawn at random, and the targets."""
    order = np.random.default_rng(2).permutation(len(vectors))
    return VectorSet(vectors[order[:SOURCES]], vectors[np.sort(order[SOURCES:])])

"""The vectors that indexes are compared on, made or published: sources as they are seen, and targets."""

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
_SPREAD = 0.7  # of a vector around its centre, whose numbers have a spread of 1
_NORM_SPREAD = 0.5  # of the logarithm of norms


@dataclass(frozen=True)
class VectorSet:
    """sources (m, dim), targets (n, dim): float32, in fixed point; their dot products are the measure.

    No source is among the targets, so none is found as its own neighbour.
    """

    sources: Floats
    targets: Floats


@dataclass(frozen=True)
class Sizes:
    """Of vectors that are made."""

    vectors: int
    dim: int


def clustered_cosine(sizes: Sizes) -> VectorSet:
    return _split(unit_vectors(_clustered(sizes)))


def clustered_through(sizes: Sizes) -> VectorSet:
    """Sources are translated by a vector as long as a typical one of them; norms are log-normal."""
    rng = np.random.default_rng(1)
    norms = rng.lognormal(0, _NORM_SPREAD, (sizes.vectors + SOURCES, 1)).astype(np.float32)
    translation = unit_vectors(rng.standard_normal((1, sizes.dim), dtype=np.float32))
    plain = _split(unit_vectors(_clustered(sizes)) * norms)
    return VectorSet(in_fixed_point(plain.sources + translation), in_fixed_point(plain.targets))


def published_cosine(output: Path) -> VectorSet:
    return _split(unit_vectors(_published(output)))


def published_through(output: Path, relation: str) -> VectorSet:
    """Sources as a relation of the current version shows them, which translates them."""
    plain = _split(_published(output))
    rows = DeltaTable(output / "tables/relations").to_pyarrow_table().to_pylist()
    current = DeltaTable(output / "tables/embeddings").to_pyarrow_dataset().head(1)["model_version"][0].as_py()
    wanted = {"model_version": current, "relation": relation, "side": "target", "operator": "translation"}
    (translation,) = (row["parameters"] for row in rows if wanted.items() <= row.items())
    return VectorSet(in_fixed_point(plain.sources + np.array(translation, np.float32)), in_fixed_point(plain.targets))


def vector_sets(sizes: Sizes, higgs: Path) -> dict[str, Callable[[], VectorSet]]:
    """By the name that the page has for them."""
    return {
        "Clustered, cosine": lambda: clustered_cosine(sizes),
        "Clustered, through a relation": lambda: clustered_through(sizes),
        "Higgs, cosine": lambda: published_cosine(higgs),
        "Higgs, through retweet": lambda: published_through(higgs, "retweet"),
    }


def _clustered(sizes: Sizes) -> Floats:
    """VectorSet around random centres of different sizes: float32 (vectors + SOURCES, dim)."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_CLUSTERS, sizes.dim), dtype=np.float32)
    shares = rng.dirichlet(np.ones(_CLUSTERS))
    vectors: Floats = centres[rng.choice(_CLUSTERS, sizes.vectors + SOURCES, p=shares)]
    vectors += np.float32(_SPREAD) * rng.standard_normal(vectors.shape, dtype=np.float32)
    return vectors


def _published(output: Path) -> Floats:
    """The current version's vectors of its one entity type: float32 (n, dim)."""
    column = DeltaTable(output / "tables/embeddings").to_pyarrow_table(columns=["embedding"])["embedding"]
    values = column.combine_chunks().flatten().to_numpy()
    vectors: Floats = values.astype(np.float32).reshape(len(column), -1)
    return vectors


def _split(vectors: Floats) -> VectorSet:
    """SOURCES of the vectors, drawn at random, and the others."""
    order = np.random.default_rng(2).permutation(len(vectors))
    return VectorSet(vectors[order[:SOURCES]], vectors[np.sort(order[SOURCES:])])

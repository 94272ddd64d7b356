"""Drift between two versions of vectors: rows of the table `drift`. Planned on the driver, computed on workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from twhin_spark.kernels.alignment import Alignment, fit_alignment
from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.drift import BINS, MEASURES, PERCENTS, Distribution, bins_of
from twhin_spark.versions.cross_products import cross_products
from twhin_spark.versions.drift_counts import BANDS, COUNTS, UNIT, counter
from twhin_spark.versions.neighbour_overlap import OVERLAP, neighbour_overlap
from twhin_spark.versions.vector_columns import ENTITY
from twhin_spark.versions.version_relation import VersionRelation

DriftRow = dict[str, Any]
_Key = tuple[str | None, int | None, str, bool]


@dataclass(frozen=True)
class VersionVectors:
    """One side of a comparison: the name of the version, entity_type, entity_id, embedding, degree, and relations."""

    name: str
    rows: DataFrame
    relations: Mapping[str, VersionRelation]


def measure_drift(former: VersionVectors, later: VersionVectors) -> list[DriftRow]:
    """Return the rows of `drift` from one version to another; none if no entity is in both, or the dimensions differ.

    Entities are measured by type and by band of their degree in the later version, as they are and after the rotation
    that brings the later version closest to the former one.
    """
    sums = cross_products(later.rows, former.rows)
    if sums is None or sums.cross.shape[0] != sums.cross.shape[1]:
        return []
    rotation = fit_alignment(sums.cross, {"identity"})
    pairs = _pairs(former.rows, later.rows).cache()
    try:
        distributions = _distributions(pairs, rotation)
        overlaps = neighbour_overlap(pairs)
    finally:
        pairs.unpersist()
    rows = [
        _row(entity_type=kind, degree_band=_band_name(band), measure=measure, rotated=rotated, **_statistics(values))
        for (kind, band, measure, rotated), values in distributions.items()
    ]
    rows += [_overlap_row(kind, shares) for kind, shares in overlaps.items()]
    rows += _relation_rows(former.relations, later.relations, rotation)
    rows += _membership_rows(former.rows, later.rows)
    return [{"from_version": former.name, "to_version": later.name, **row} for row in rows]


def _pairs(former: DataFrame, later: DataFrame) -> DataFrame:
    """Return entity_type, entity_id, a, b and degree of the entities of both."""
    a = former.select(*ENTITY, F.col("embedding").alias("a"))
    return a.join(later.select(*ENTITY, F.col("embedding").alias("b"), "degree"), ENTITY)


def _distributions(pairs: DataFrame, rotation: Alignment) -> dict[_Key, Distribution]:
    """Return the distribution of each measure, by type and degree band, and by type, and of all."""
    counted = pairs.select("entity_type", "a", "b", "degree").mapInArrow(counter(rotation), COUNTS)
    keys = ("entity_type", "band", "measure", "rotated", "bin")
    rows = counted.groupBy(*keys).agg(F.sum("count").alias("count"), F.sum("total").alias("total")).collect()
    found: dict[_Key, Distribution] = {}
    for row in rows:
        key = (row["entity_type"], row["band"], row["measure"], row["rotated"])
        values = found.setdefault(key, Distribution(np.zeros(BINS, np.int64), 0.0))
        values.counts[row["bin"]] += row["count"]
    totals: dict[_Key, int] = {}
    for row in rows:
        key = (row["entity_type"], row["band"], row["measure"], row["rotated"])
        totals[key] = totals.get(key, 0) + row["total"]
    exact = {key: Distribution(values.counts, totals[key] / UNIT) for key, values in found.items()}
    merged: dict[_Key, list[Distribution]] = {}
    for (kind, band, measure, rotated), values in sorted(exact.items()):
        for key in ((None, None, measure, rotated), (kind, None, measure, rotated), (kind, band, measure, rotated)):
            merged.setdefault(key, []).append(values)
    return {key: reduce(add, parts) for key, parts in merged.items()}


def _relation_rows(
    former: Mapping[str, VersionRelation], later: Mapping[str, VersionRelation], rotation: Alignment
) -> Iterator[DriftRow]:
    """Yield the drift of the relations' vectors; those of both directions are one vector."""
    for name in sorted(former.keys() & later.keys()):
        before, after = former[name], later[name]
        ends = sorted(before.parameters.keys() & after.parameters.keys())
        if before.operator != after.operator or not any(before.parameters[end] for end in ends):
            continue
        a = [np.array(before.parameters[end]) for end in ends]
        b = [np.array(after.parameters[end]) for end in ends]
        turned = [rotation.vectors(values[None])[0] for values in b] if after.operator == "translation" else b
        for rotated, vectors in ((False, b), (True, turned)):
            for measure, distance in MEASURES.items():
                value = distance(np.concatenate(a)[None], np.concatenate(vectors)[None])
                counts = np.bincount(bins_of(value), minlength=BINS)
                statistics = _statistics(Distribution(counts, float(value[0])))
                yield _row(relation=name, measure=measure, rotated=rotated, **statistics)


def _membership_rows(former: DataFrame, later: DataFrame) -> Iterator[DriftRow]:
    """Yield the counts of entities of one version only, by type and of all."""
    for measure, rows, others in (("came", later, former), ("went", former, later)):
        alone = rows.select(*ENTITY).join(others.select(*ENTITY), ENTITY, "left_anti").groupBy("entity_type").count()
        counts = {row["entity_type"]: row["count"] for row in alone.collect()}
        for kind, count in ((None, sum(counts.values())), *sorted(counts.items())):
            yield _row(entity_type=kind, measure=measure, count=count)


def _statistics(values: Distribution) -> DriftRow:
    percentiles = {f"p{percent}": values.percentile(percent) for percent in PERCENTS}
    return {"count": values.count, "mean": values.mean, **percentiles, "histogram": values.histogram()}


def _overlap_row(kind: str | None, shares: Sequence[float] | Floats) -> DriftRow:
    percentiles = {f"p{p}": float(np.percentile(shares, p, method="inverted_cdf")) for p in PERCENTS}
    mean = float(np.mean(shares))
    return _row(entity_type=kind, measure=OVERLAP, rotated=False, count=len(shares), mean=mean, **percentiles)


def _row(**values: Any) -> DriftRow:
    empty = dict.fromkeys(("entity_type", "degree_band", "relation", "measure", "rotated", "count", "mean"))
    return {**empty, **dict.fromkeys(f"p{percent}" for percent in PERCENTS), "histogram": None, **values}


def _band_name(band: int | None) -> str | None:
    return None if band is None else list(BANDS)[band]

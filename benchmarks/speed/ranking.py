"""The benchmark ranking_share_d128: floating-point operations a second of exact ranking and of a plain product."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.console import progress
from benchmarks.machine import installed_versions
from benchmarks.speed.records import Result
from benchmarks.speed.sgemm import product_speed
from twhin_spark.kernels.exact_ranks import Excluded, Positives, count_above, positive_scores

_NAME = "ranking_share_d128"
_SOURCES, _CANDIDATES = 4096, 65_536


def ranking_share(dim: int, answers: int, left_out: int, repeats: int) -> Result:
    """Measure the product and the ranking, one after the other, `repeats` times; a first ranking is warm-up.

    answers, left_out: the numbers of candidates of each source that are ranked and that are left out.
    """
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((_SOURCES, dim)).astype(np.float32)
    candidates = rng.standard_normal((_CANDIDATES, dim)).astype(np.float32)
    query = np.repeat(np.arange(_SOURCES), answers)
    candidate = rng.integers(_CANDIDATES, size=len(query))
    positives = Positives(query, candidate, positive_scores(sources, candidates[candidate], query))
    excluded = Excluded(np.repeat(np.arange(_SOURCES), left_out), rng.integers(_CANDIDATES, size=left_out * _SOURCES))
    operations = 2 * _SOURCES * _CANDIDATES * dim
    speeds: dict[str, list[float]] = {"ranking": [], "sgemm 512x128x512": []}
    with threadpool_limits(1):
        for repeat in range(repeats + 1):
            progress(f"{_NAME}: {f'repeat {repeat} of {repeats}' if repeat else 'warm-up'}")
            peak = product_speed(dim)
            began = time.perf_counter()
            count_above(sources, candidates, positives, excluded)
            seconds = time.perf_counter() - began
            if repeat:
                speeds["ranking"].append(operations / seconds / 1e9)
                speeds["sgemm 512x128x512"].append(peak)
    ours, peer = (median(values) for values in speeds.values())
    facts = {
        "the work": f"{_SOURCES:,} sources by {_CANDIDATES:,} candidates, {answers} answers and {left_out} known each",
        "ranks a second": f"{ours * 1e9 / operations * len(query):,.0f}",
    }
    return Result(_NAME, ours, peer, ours / peer, "GFLOP/s", installed_versions(), speeds, facts=facts)

"""The benchmark sgemm_share_d128: floating-point operations a second of the kernel and of a plain matrix product."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks.console import progress
from benchmarks.machine import installed_versions
from benchmarks.speed import fb15k
from benchmarks.speed.kernel_processes import KernelSettings, fresh_model
from benchmarks.speed.kernel_profile import profiled
from benchmarks.speed.records import Result
from benchmarks.speed.work_units import floating_point_operations, our_batches, sizes_of
from twhin_spark.kernels.training_pass import train_edges

_NAME = "sgemm_share_d128"
_PEAK_SECONDS = 1.0
_PRODUCTS = 100  # between two readings of the clock


def sgemm_share(dim: int, negatives: int, repeats: int) -> Result:
    """Measure the product and a pass over FB15k-237, one after the other, `repeats` times; a first pass is warm-up."""
    settings = KernelSettings("softmax", dim, negatives, negatives)
    edges, entities, relations = fb15k.numbered_edges()
    model = fresh_model(entities, relations, settings)
    rng = np.random.default_rng(0)
    chunks = sizes_of(our_batches(edges, settings))
    operations = floating_point_operations(chunks, settings)
    speeds: dict[str, list[float]] = {"kernel": [], "sgemm 512x128x512": []}
    with threadpool_limits(1):
        for repeat in range(repeats + 1):
            progress(f"{_NAME}: {f'repeat {repeat} of {repeats}' if repeat else 'warm-up'}")
            peak = product_speed(dim)
            began = time.perf_counter()
            train_edges(model, edges, settings.train_settings(), rng)
            seconds = time.perf_counter() - began
            if repeat:
                speeds["kernel"].append(operations / seconds / 1e9)
                speeds["sgemm 512x128x512"].append(peak)
        progress(f"{_NAME}: profile")
        parts = profiled(lambda: train_edges(model, edges, settings.train_settings(), rng))
    per_edge = {part: 1e6 * seconds / len(edges.source) for part, seconds in parts.items()}
    ours, peer = (median(values) for values in speeds.values())
    full = floating_point_operations(np.array([negatives]), settings)
    facts = {
        "operations an edge": f"{operations / len(edges.source) / 1e6:.3f} MFLOP",
        "operations an edge in full chunks": f"{full / negatives / 1e6:.3f} MFLOP",
        "edges a chunk": f"{chunks.mean():.0f} (mean) of {negatives}",
        "edges a second": f"{ours * 1e9 / operations * len(edges.source):,.0f}",
    }
    return Result(
        _NAME,
        ours,
        peer,
        ours / peer,
        "GFLOP/s",
        installed_versions(),
        speeds,
        {"one process": per_edge},
        facts,
        parts_unit="µs an edge",
    )


def product_speed(dim: int) -> float:
    """Return the GFLOP/s of a product of 512 x dim and dim x 512 in float32."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape, np.float32) for shape in ((512, dim), (dim, 512)))
    product = np.empty((512, 512), np.float32)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < _PEAK_SECONDS:
        for _ in range(_PRODUCTS):
            np.matmul(left, right, out=product)
        done += _PRODUCTS
    return done * 2 * product.size * dim / (time.perf_counter() - began) / 1e9

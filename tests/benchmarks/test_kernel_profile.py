"""The profile of a training pass names functions of the kernels that are called."""

from __future__ import annotations

import numpy as np

from benchmarks.speed.kernel_processes import KernelSettings, fresh_model
from benchmarks.speed.kernel_profile import profiled
from twhin_spark.kernels.model import Edges
from twhin_spark.kernels.training_pass import train_edges


def test_every_part_takes_time() -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(50, size=(2, 5000), dtype=np.int32)
    edges = Edges(*ends, rng.integers(3, size=5000).astype(np.int16), np.ones(5000, np.float32))
    settings = KernelSettings("softmax", 16, 50, 50)
    model = fresh_model(50, 3, settings)
    parts = profiled(lambda: train_edges(model, edges, settings.train_settings(), rng))
    assert len(parts) == 9
    assert all(seconds > 0 for seconds in parts.values()), parts

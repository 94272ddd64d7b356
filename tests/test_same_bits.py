"""The bits of a small training, kept by CPU: a change that means to change them changes `same_bits.json` and says why.

`python -m pytest tests/test_same_bits.py` prints today's digests where they differ from those kept, or none are.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from tests.support.configs import csv_log, write_config
from tests.support.model_choices import DIM, EDGES, ITEMS, USERS, choices
from twhin_spark.config import load_config
from twhin_spark.evaluation.evaluate import evaluate
from twhin_spark.graph.build import build_graph
from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.kernels.model import Edges, EntityRows, Model
from twhin_spark.kernels.training_pass import train_edges
from twhin_spark.tables.cpu import cpu_name
from twhin_spark.training.state.relation_state import initial_state, to_kernel
from twhin_spark.training.train import train

KEPT = Path(__file__).parent / "same_bits.json"  # digest by CPU and part
SECTIONS = {
    "relations": {
        "follow": {"source": "user", "target": "user", "two_sided": True, "half_life_days": 3},
        "like": {"source": "user", "target": "item", "operator": "diagonal", "weight": 0.5, "repeats": "log"},
    },
    "split": {"by": "time", "test": 0.2, "validation": 0.1},
    "graph": {"partitions": 8},
    "training": {"dim": 8, "epochs": 2, "batch_size": 16, "uniform_negatives": 4, "keep": "best"},
    "evaluation": {"als": None},
}


def _same(part: str, digest: str) -> None:
    kept = json.loads(KEPT.read_text())
    if cpu_name() not in kept:
        pytest.skip(f"no digest is kept for {cpu_name()}; today's {part}: {digest}")
    assert digest == kept[cpu_name()][part], part


def test_kernels() -> None:
    """Two passes of every model that a config can ask for."""
    digest = hashlib.sha256()
    rng = np.random.default_rng(0)
    source = rng.integers(USERS, size=EDGES, dtype=np.int32)
    target = rng.integers(ITEMS, size=EDGES, dtype=np.int32)
    weight = rng.uniform(0.5, 2, EDGES).astype(np.float32)
    edges = Edges(source, target, np.zeros(EDGES, np.int16), weight)
    for choice in choices():
        run = choice.run()
        model = Model(
            {
                "user": EntityRows(initial_vectors(np.arange(USERS), DIM, 0.1, 0), np.zeros(USERS, np.float32)),
                "item": EntityRows(initial_vectors(np.arange(ITEMS), DIM, 0.1, 1), np.zeros(ITEMS, np.float32)),
            },
            {0: to_kernel(run.relations[0], initial_state(run.relations[0], DIM))},
        )
        for seed in range(2):
            done = train_edges(model, edges, run.train, np.random.default_rng(seed))
            digest.update(repr(done.loss).encode())
        for rows in model.entities.values():
            digest.update(rows.vectors.tobytes() + rows.accumulators.tobytes())
    _same("kernels", digest.hexdigest()[:16])


@pytest.fixture(scope="module")
def config_file(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose graph is built, of follows and likes that can be learned."""
    folder = tmp_path_factory.mktemp("bits")
    rng = np.random.default_rng(0)
    for name, kinds in {"follows": "uu", "likes": "ui"}.items():
        ends = rng.integers(50, size=(900, 2))
        ends[:, 1] = (ends[:, 0] * 7 + ends[:, 1] % 5) % 50
        lines = [f"{kinds[0]}{s},{kinds[1]}{t},{1_700_000_000 + 600 * i}\n" for i, (s, t) in enumerate(ends)]
        (folder / f"{name}.csv").write_text("s,t,at\n" + "".join(lines))
    logs = {
        f"{name}s": csv_log(folder / f"{name}s.csv", name, "s", "t", timestamp="at") for name in SECTIONS["relations"]
    }
    path = write_config(folder, logs=logs, **SECTIONS)
    build_graph(spark, load_config(path), print)
    return path


@pytest.mark.parametrize("groups", [1, 4])
def test_a_run(spark: SparkSession, config_file: Path, groups: int) -> None:
    """From the graph to metrics: files of state, relations, validation's values, ranks of the test edges."""
    config = load_config(config_file, [f"training.groups={groups}"])
    run = train(spark, config, print)
    last = run.folder.latest()
    assert last is not None
    metrics = sorted(
        repr([row[name] for name in ("relation", "average", "model", "metric", "value", "low", "high")])
        for row in evaluate(spark, config, run, print).metrics
    )
    assert len(metrics) > 10
    relations = [(name, list(asdict(state).values())) for name, state in sorted(last.relations.items())]
    bits = repr((run.graph.graph_id, [file.crc32 for file in last.partitions], relations, last.history, metrics))
    _same(f"run of {groups} groups", hashlib.sha256(bits.encode()).hexdigest()[:16])

"""Measure the quality of trained vectors on data sets with published figures: a config, a seed, one JSON line.

Each run trains and evaluates through the command line, as a user does, and is recorded in
benchmarks/results/quality.json, from which docs/results/quality.md is generated. A run that is recorded already is
printed and not repeated.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml
from deltalake import DeltaTable

from benchmarks.command_line import run_job
from benchmarks.console import progress
from benchmarks.machine import core_count, cpu_name, installed_versions, today
from benchmarks.paths import BUILD, CONFIG_DATA, ROOT
from benchmarks.quality.data_sets import SETS
from benchmarks.quality.peer import peer_metrics
from benchmarks.quality.records import STORE, Run, model_key, recorded_run, store_run

NO_BASELINES = ("evaluation.als=null", "publishing.gates=[]")  # an ablation has the baselines of the whole model


def measure(name: str, seed: int, overrides: Sequence[str], trial: bool) -> dict[str, Any]:
    """Measure a data set with a seed, unless it is recorded already, and return its line.

    trial: measure on validation edges and record nothing.
    """
    data = SETS[name]
    config = ROOT / "conf" / data.config
    key = model_key(config)
    if not trial and (recorded := recorded_run(name, seed, overrides, key)):
        progress(f"{name}: seed {seed} is recorded in {STORE.relative_to(ROOT)} already")
        return _line(recorded)
    suffixes = ["trial"] * trial + ([_digest(overrides)] if overrides else [])
    output = BUILD / "quality" / "-".join([name, *suffixes])
    options = [f"output={output}", f"training.seed={seed}"]
    options += with_data(config, [*(data.trial if trial else ()), *overrides])
    started = time.perf_counter()
    _run("build-graph", config, options)
    trained = time.perf_counter()
    run_id = _run("train", config, options)["run_id"]
    seconds = {"train": time.perf_counter() - trained}
    rows = _run("evaluate", config, options)["metrics"]
    seconds["all"] = time.perf_counter() - started
    metrics = data.figures(rows)
    for ablation, changes in ({} if overrides else data.ablations).items():
        _run("train", config, [*options, *changes])
        others = data.figures(_run("evaluate", config, [*options, *changes, *NO_BASELINES])["metrics"])
        metrics |= {f"{metric}, {ablation}": value for metric, value in others.items()}
    peers = {**data.peers, **data.measured_peers(rows)}
    if data.peer is not None and seed == 0 and not (overrides or trial):
        theirs, seconds["PyTorch-BigGraph"] = peer_metrics(f"quality-{name}", output / "tables", data.peer)
        peers |= {f"PyTorch-BigGraph {metric}": theirs[metric] for metric in data.headline}
    run = {
        "set": name,
        "metrics": {metric: round(value, 4) for metric, value in metrics.items()},
        "peers": {name: round(value, 4) for name, value in peers.items()},
        "seed": seed,
        "seconds": {part: round(value, 1) for part, value in seconds.items()},
        "curve": _curve(output, run_id),
        "graph": _graph_id(output),
        "key": key,
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "overrides": list(overrides),
        "config": _settings(config),
        "versions": installed_versions(),
        "date": today(),
        "machine": f"{core_count()} cores of {cpu_name()}",
    }
    if not trial:
        store_run(run)
    return _line(run)


def _run(job: str, config: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Run a job with its progress on stderr and return its result."""
    return run_job(job, config, overrides, quiet=False)[1]


def _curve(output: Path, run_id: str) -> dict[str, list[float]]:
    """Return the seconds of training after each epoch, and the MRR of validation edges if the run has measured it."""
    table = DeltaTable(output / "tables" / "training_rounds").to_pyarrow_table(
        filters=[("run_id", "=", run_id)], columns=["epoch", "round", "seconds", "held_out_edges", "monitor_mrr"]
    )
    curve: dict[str, list[float]] = {"seconds": [], "mrr": []}
    seconds = 0.0
    rows = sorted(table.to_pylist(), key=itemgetter("epoch", "round"))
    for _, relations in groupby(rows, key=itemgetter("epoch", "round")):
        of_round = list(relations)
        seconds += of_round[0]["seconds"]  # all relations of a round have the same seconds
        measured = [(row["held_out_edges"], row["monitor_mrr"]) for row in of_round if row["monitor_mrr"] is not None]
        if measured:
            curve["seconds"].append(round(seconds, 1))
            curve["mrr"].append(round(sum(n * mrr for n, mrr in measured) / sum(n for n, _ in measured), 4))
    return curve


def _graph_id(output: Path) -> str:
    """Return the id of the newest graph in a folder, a fingerprint of its edges and entity locations."""
    graphs = DeltaTable(output / "tables" / "graph_versions").to_pyarrow_table(columns=["graph_id", "built_at"])
    newest: str = graphs.sort_by("built_at")["graph_id"][-1].as_py()
    return newest


def _line(run: Run) -> dict[str, Any]:
    """Return the part of a record that is printed."""
    return {name: run[name] for name in ("set", "metrics", "peers", "seed", "seconds")}


def _digest(overrides: Sequence[str]) -> str:
    """Return a digest for a folder's name, as graphs with different numbers of partitions cannot share a folder."""
    return hashlib.blake2b(repr(overrides).encode(), digest_size=4).hexdigest()


def with_data(config: Path, overrides: Sequence[str]) -> list[str]:
    """Return the overrides and the paths of the config's logs, moved to the folder that TWHIN_DATA_HOME names."""
    logs = yaml.safe_load(config.read_text())["logs"]
    home = os.environ.get("TWHIN_DATA_HOME") or CONFIG_DATA
    paths = [f"logs.{name}.path={log['path']}" for name, log in logs.items()]
    return [override.replace(CONFIG_DATA, home) for override in (*paths, *overrides)]


def _settings(config: Path) -> dict[str, Any]:
    """Return a config without its logs and retrieval, and with one of each group of equal relations."""
    document = yaml.safe_load(config.read_text())
    distinct = {repr(relation): {name: relation} for name, relation in reversed(document["relations"].items())}
    relations = {name: relation for pair in reversed(distinct.values()) for name, relation in pair.items()}
    omitted = ("relations", "logs", "retrieval")
    return {"relations": relations} | {name: section for name, section in document.items() if name not in omitted}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

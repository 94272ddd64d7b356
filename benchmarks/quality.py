"""The quality of trained vectors on real data with published numbers: a config, a seed, one JSON line.

Trains and evaluates through the command line, as a user does, and keeps every run in docs/quality.json. A run that is
there already, of the same config, seed and code of the model, is printed and not repeated.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.console import say
from benchmarks.places import BUILD, ROOT
from benchmarks.results import core_count, cpu_name, own_versions

_RUNS = ROOT / "docs" / "quality.json"
_MODEL = ("kernels", "training", "evaluation", "graph", "logs")  # what decides a figure, beside the config
Metrics = Sequence[Mapping[str, Any]]  # rows of relation, model, metric, value, queries


@dataclass(frozen=True)
class DataSet:
    """config: in conf/. figures: from the rows of `evaluate`. peers: published or measured figures, by name."""

    config: str
    figures: Callable[[Metrics], dict[str, float]]
    peers: Mapping[str, float]


def knowledge_graph(metrics: Metrics, questions: int) -> dict[str, float]:
    """Filtered MRR and hits@k over all questions of the protocol; one with an end that is not in training counts 0."""
    names = ("mrr", "hits@1", "hits@3", "hits@10")
    mine = {name: [row for row in metrics if row["model"] == "twhin" and row["metric"] == name] for name in names}
    return {name: sum(row["value"] * row["queries"] for row in rows) / questions for name, rows in mine.items()}


SETS = {
    "fb15k-237": DataSet(
        "fb15k-237.yaml",
        lambda metrics: knowledge_graph(metrics, 2 * 20_466),
        {
            "LibKGE TransE": 0.313,
            "LibKGE DistMult": 0.343,
            "LibKGE ComplEx": 0.348,
            "PyTorch-BigGraph ComplEx, 30 epochs": 0.217,
        },
    ),
}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("name", type=click.Choice([*SETS, "all"]))
@click.option("--seed", "seeds", multiple=True, default=(0,), type=click.IntRange(min=0), help="Seeds of training.")
@click.option("--set", "overrides", multiple=True, help="Option of the config as path=value, for a trial.")
@click.option("--trial", is_flag=True, help="Measure on validation's edges, and keep no record: for tuning.")
def main(name: str, seeds: tuple[int, ...], overrides: tuple[str, ...], trial: bool) -> None:
    """Trains and measures a data set; prints a JSON line for each seed."""
    for one in SETS if name == "all" else [name]:
        for seed in seeds:
            click.echo(json.dumps(measure(one, seed, overrides, trial)))


def measure(name: str, seed: int, overrides: Sequence[str], trial: bool) -> dict[str, Any]:
    """The line of one set and seed."""
    data = SETS[name]
    config = ROOT / "conf" / data.config
    key = _digest(config, overrides)
    if not trial:
        for run in _runs():
            if (run["set"], run["seed"], run["key"]) == (name, seed, key):
                say(f"{name}: seed {seed} is in {_RUNS.relative_to(ROOT)} already")
                return _line(run)
    output = BUILD / "quality" / (f"{name}-trial" if trial else name)
    options = [f"output={output}", f"training.seed={seed}", *overrides]
    if trial:
        # Validation's edges are asked for in the place of the test's, which nobody looks at.
        options += ["logs.validation.select.split=\"'test'\"", "logs.test.where='1 = 0'"]
    started = time.perf_counter()
    if not (output / "tables" / "graph_versions").exists():
        _run("build-graph", config, options)
    trained = time.perf_counter()
    _run("train", config, options)
    seconds = {"train": time.perf_counter() - trained}
    found = _run("evaluate", config, options)
    seconds["all"] = time.perf_counter() - started
    run = {
        "set": name,
        "metrics": {metric: round(value, 4) for metric, value in data.figures(found["metrics"]).items()},
        "peers": dict(data.peers),
        "seed": seed,
        "seconds": {part: round(value, 1) for part, value in seconds.items()},
        "key": key,
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else ""),
        "overrides": list(overrides),
        "config": config.read_text().partition("\nrelations:")[0],
        "versions": own_versions(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{core_count()} cores of {cpu_name()}",
    }
    if not trial:
        _RUNS.write_text(json.dumps([*_runs(), run], indent=1, ensure_ascii=False) + "\n")
    return _line(run)


def _line(run: Mapping[str, Any]) -> dict[str, Any]:
    return {name: run[name] for name in ("set", "metrics", "peers", "seed", "seconds")}


def _runs() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_RUNS.read_text()) if _RUNS.exists() else []
    return found


def _digest(config: Path, overrides: Sequence[str]) -> str:
    """Of the config and of the code that makes the model."""
    digest = hashlib.blake2b(digest_size=8)
    sources = sorted(path for part in _MODEL for path in (ROOT / "twhin_spark" / part).rglob("*.py"))
    for path in (config, *sources):
        digest.update(path.read_bytes())
    digest.update(repr(sorted(overrides)).encode())
    return digest.hexdigest()


def _run(job: str, config: Path, options: Sequence[str]) -> dict[str, Any]:
    """Runs a job to its end, its progress on our stderr; returns its result."""
    say(f"{job} {' '.join(options)}")
    command = [str(Path(sys.executable).parent / "twhin-spark"), job, "--config", str(config)]
    command += [part for option in options for part in ("--set", option)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"twhin-spark {job} failed; what it said is above")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()

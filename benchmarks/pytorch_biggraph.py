"""The peer: PyTorch-BigGraph 1.0.0 in a virtual environment of its own, run through its command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.console import progress
from benchmarks.paths import BUILD, ROOT
from twhin_spark.kernels.arrays import Floats

VENV = ROOT / "build" / "pbg-venv"
# PyTorch-BigGraph imports pkg_resources, which setuptools has lost in version 81.
PINS = ("torchbiggraph==1.0.0", "torch==2.13.0", "numpy==2.4.6", "h5py==3.16.0", "setuptools==80.9.0", "wheel")
WORKERS = 2
_TRAINED = re.compile(r"Processed (\d+) edges in ([\d.]+) s ")


@dataclass(frozen=True)
class PeerRelation:
    """A relation of PyTorch-BigGraph's config: its name, the entity types of its ends, and its operator."""

    name: str
    source: str
    target: str
    operator: str = "translation"


@dataclass(frozen=True)
class PeerSettings:
    """Settings of a training.

    relations: all relations, or a single one that stands for all if they are dynamic.
    dynamic: whether a batch mixes relations; each relation then has a vector for each direction. Otherwise the edges
        of a batch have the same relation, whose vector serves both directions.
    """

    relations: tuple[PeerRelation, ...]
    dynamic: bool
    loss: str
    dim: int
    batch_negatives: int
    uniform_negatives: int
    epochs: int
    batch_size: int = 1000
    learning_rate: float = 0.1
    comparator: str = "dot"


@dataclass(frozen=True)
class Epoch:
    """The edges that PyTorch-BigGraph trained in an epoch, and the seconds of its workers, by its log."""

    edges: int
    seconds: float


class Project:
    """A folder with a graph in PyTorch-BigGraph's format and the models trained on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._entities, self._edges = folder / "entities", folder / "edges"
        self._checkpoint, self._config = folder / "checkpoint", folder / "config.py"

    def has_graph(self) -> bool:
        """Tell if a graph has been imported."""
        return (self.folder / "imported").exists()

    def import_edges(self, settings: PeerSettings, edges: Path) -> float:
        """Import a TSV file of source, relation and target; return the seconds of the process."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._write_config(settings)
        columns = ["--lhs-col=0", "--rel-col=1", "--rhs-col=2"]
        seconds, _ = _run("torchbiggraph_import_from_tsv", [*columns, str(self._config), str(edges)])
        if not settings.dynamic:  # the export needs this file, which the import writes only for mixed relations
            names = [relation.name for relation in settings.relations]
            (self._entities / "dynamic_rel_names.json").write_text(json.dumps(names))
        (self.folder / "imported").touch()
        return seconds

    def train(self, settings: PeerSettings) -> tuple[float, list[Epoch]]:
        """Train from first vectors; return the seconds of the process and its epochs."""
        shutil.rmtree(self._checkpoint, ignore_errors=True)
        self._write_config(settings)
        seconds, log = _run("torchbiggraph_train", [str(self._config)])
        return seconds, [Epoch(int(edges), float(epoch)) for edges, epoch in _TRAINED.findall(log)]

    def export(self) -> float:
        """Write the trained vectors as TSV; return the seconds of the process."""
        outputs = {name: self.folder / f"{name}.tsv" for name in ("entities", "relation-types")}
        for path in outputs.values():
            path.unlink(missing_ok=True)
        options = [f"--{name}-output={path}" for name, path in outputs.items()]
        seconds, _ = _run("torchbiggraph_export_to_tsv", [str(self._config), *options])
        return seconds

    def vectors(self) -> tuple[pd.Index, Floats]:
        """Return the names of all entities of all types and their vectors (n, dim), as `export` wrote them."""
        table = pd.read_csv(self.folder / "entities.tsv", sep="\t", header=None, index_col=0, dtype={0: str})
        return table.index, table.to_numpy(np.float32)

    def _write_config(self, settings: PeerSettings) -> None:
        types = {name for relation in settings.relations for name in (relation.source, relation.target)}
        config = {
            "entity_path": str(self._entities),
            "edge_paths": [str(self._edges)],
            "checkpoint_path": str(self._checkpoint),
            "entities": {name: {"num_partitions": 1} for name in sorted(types)},
            "relations": [
                {
                    "name": relation.name,
                    "lhs": relation.source,
                    "rhs": relation.target,
                    "operator": relation.operator,
                }
                for relation in settings.relations
            ],
            "dynamic_relations": settings.dynamic,
            "dimension": settings.dim,
            "global_emb": False,
            "comparator": settings.comparator,
            "loss_fn": settings.loss,
            "lr": settings.learning_rate,
            "num_epochs": settings.epochs,
            "batch_size": settings.batch_size,
            "num_batch_negs": settings.batch_negatives,
            "num_uniform_negs": settings.uniform_negatives,
            "workers": WORKERS,
            "eval_fraction": 0.0,
            "hogwild_delay": 0.0,
        }
        self._config.write_text(f"def get_torchbiggraph_config():\n    return {config!r}\n")


def install() -> None:
    """Make the virtual environment, once. It takes about two minutes and 5 GB, most of it CUDA for torch."""
    marker = VENV / ".installed"
    if marker.exists() and marker.read_text() == "\n".join(PINS):
        return
    progress(f"installing PyTorch-BigGraph into {VENV.relative_to(ROOT)}")
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq"]
    tools = [pin for pin in PINS if pin.startswith(("setuptools", "wheel"))]
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True, stdout=sys.stderr)
    subprocess.run([*pip, *tools], check=True, stdout=sys.stderr)
    subprocess.run([*pip, "--no-build-isolation", *PINS], check=True, stdout=sys.stderr)
    marker.write_text("\n".join(PINS))


def versions() -> Mapping[str, str]:
    """Return the versions of the packages that decide PyTorch-BigGraph's speed."""
    names = ("torchbiggraph", "torch", "numpy")
    program = (
        f"import importlib.metadata, json; print(json.dumps({{n: importlib.metadata.version(n) for n in {names}}}))"
    )
    command = [str(VENV / "bin" / "python"), "-c", program]
    installed: dict[str, str] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        "torchbiggraph": installed["torchbiggraph"],
        "torch": installed["torch"],
        "torch's numpy": installed["numpy"],
    }


def _run(program: str, arguments: Sequence[str]) -> tuple[float, str]:
    """Run one of PyTorch-BigGraph's programs; return its seconds and its output."""
    BUILD.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    done = subprocess.run(
        [str(VENV / "bin" / program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{program} failed:\n{done.stdout[-4000:]}")
    return seconds, done.stdout

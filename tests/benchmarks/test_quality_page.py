"""The quality page shows the current runs, and a recorded run is not repeated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.paths import ROOT
from benchmarks.quality import measure, page, records
from benchmarks.quality.data_sets import SETS, SMALLER

GROUPS = ["graph.partitions=32", "training.groups=4"]
COSINE = ["training.comparator=cosine"]
NEW, OLD = ({"config": "c", "bits": {"cpu": {"kernels": digest}}} for digest in ("new", "old"))


def run(recall: float, overrides: Sequence[str] = (), *, seed: int = 0, key: dict[str, Any] = NEW) -> dict[str, Any]:
    return {
        "set": "gowalla",
        "metrics": {"recall@20": recall, "ndcg@20": recall / 2},
        "peers": {},
        "seed": seed,
        "seconds": {"train": 100.0 + seed, "all": 200.0},
        "curve": {"seconds": [], "mrr": []},
        "key": key,
        "commit": "abc",
        "overrides": list(overrides),
        "config": {"name": "gowalla"},
        "versions": {"numpy": "2"},
        "date": "2026-11-26",
        "machine": "a",
    }


def test_seeds_are_averaged_and_older_code_is_left_out(tmp_path: Path) -> None:
    page.write_page([run(0.5, key=OLD, seed=2), run(0.2, seed=0), run(0.3, seed=1)], tmp_path)
    text = (tmp_path / "quality.md").read_text()
    assert "| recall@20 | **0.2500** | 0.1000 | 0.2000 (seed 0), 0.3000 (seed 1) |" in text
    assert "Training took 100 s, with the graph and the evaluation 200 s." in text
    assert "0.5000" not in text


def test_an_ablation_of_groups_is_compared_with_the_same_without_groups(tmp_path: Path) -> None:
    ablations = {(): 0.4, tuple(GROUPS): 0.3, tuple(COSINE): 0.2, (*COSINE, *GROUPS): 0.1}
    page.write_page([run(0.5), *(run(value, [*SMALLER, *more]) for more, value in ablations.items())], tmp_path)
    rows = [line for line in (tmp_path / "quality.md").read_text().splitlines() if line.startswith("| dim=128")]
    assert [row.split(" | ")[3] for row in rows] == ["1.000", "0.750", "0.500", "0.500"]


def test_an_ablation_is_the_mean_of_its_seeds_and_its_share_of_those_that_both_have(tmp_path: Path) -> None:
    base = [run(0.4, SMALLER, seed=0), run(0.8, SMALLER, seed=1)]
    page.write_page(
        [run(0.5), *base, run(0.3, [*SMALLER, *GROUPS], seed=1), run(0.1, [*SMALLER, *COSINE], seed=2)], tmp_path
    )
    rows = [
        line.split(" | ")[1:4]
        for line in (tmp_path / "quality.md").read_text().splitlines()
        if line.startswith("| dim=128")
    ]
    assert rows == [["0, 1", "0.6000", "1.000"], ["1", "0.3000", "0.375"], ["2", "0.1000", "–"]]


def test_a_curve_is_of_the_run_that_holds_edges_out(tmp_path: Path) -> None:
    held_out = run(0.4, SETS["gowalla"].curve)
    held_out["curve"] = {"seconds": [1.0, 2.0], "mrr": [0.1, 0.2]}
    page.write_page([run(0.5)], tmp_path)
    assert "quality-gowalla.svg" not in (tmp_path / "quality.md").read_text()
    page.write_page([run(0.5), held_out], tmp_path)
    assert "quality-gowalla.svg" in (tmp_path / "quality.md").read_text()
    assert "a tenth of the training edges held out" in (tmp_path / "quality-gowalla.svg").read_text()


def test_the_curve_of_an_ablation_is_that_of_its_first_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, Any] = {}
    monkeypatch.setattr(page.plots, "curves", lambda curves, *_: shown.update(curves))
    first, second = run(0.4, SMALLER, seed=0), run(0.4, SMALLER, seed=1)
    first["curve"], second["curve"] = ({"seconds": [1.0], "mrr": [mrr]} for mrr in (0.1, 0.2))
    page.write_page([run(0.5), second, first], tmp_path)
    assert shown == {"dim=128": first["curve"]}


def test_a_run_of_the_same_config_seed_and_bits_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A repeated run would build a graph; the recorded one is returned at once."""
    key = records.model_key(ROOT / "conf" / "gowalla.yaml")
    recorded = run(0.25, SMALLER, key=key)
    monkeypatch.setattr(records, "load_runs", lambda: [run(0.1, SMALLER), run(0.2, key=key), recorded])
    assert measure.measure("gowalla", 0, SMALLER, trial=False)["metrics"] == recorded["metrics"]

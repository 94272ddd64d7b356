"""A recorded run is valid as long as its config and the bits of a small training are the same."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from benchmarks.paths import ROOT
from benchmarks.quality import records
from benchmarks.quality.data_sets import SETS
from benchmarks.quality.records import config_digest, load_runs, model_key, recorded_run, same_key, store_run

KEY = {"config": "c", "bits": {"cpu": {"kernels": "1", "run": "2"}}}


def changed(cpu: str, part: str, digest: str) -> dict[str, Any]:
    key = deepcopy(KEY)
    key["bits"].setdefault(cpu, {})[part] = digest  # type: ignore[attr-defined]
    return key


def test_every_record_is_of_todays_kernels_and_config() -> None:
    """The order of several groups has changed since: `make quality` compares the whole key, and measures anew."""
    for run in load_runs():
        key = model_key(ROOT / "conf" / SETS[run["set"]].config)
        for parts in key["bits"].values():
            del parts["run of 4 groups"]
        assert same_key(run["key"], key), (run["set"], run["overrides"])


def test_other_bits_or_another_config_make_a_record_invalid() -> None:
    assert same_key(KEY, KEY)
    assert not same_key(KEY, changed("cpu", "run", "3"))
    assert not same_key(KEY, {**KEY, "config": "d"})


def test_digests_for_another_cpu_or_of_another_part_leave_a_record_valid() -> None:
    assert same_key(KEY, changed("another cpu", "kernels", "9"))
    assert same_key(KEY, changed("cpu", "another part", "9"))


@pytest.mark.parametrize("bits", [{}, {"another cpu": {"kernels": "1"}}, {"cpu": {"another part": "1"}}])
def test_a_record_without_a_common_digest_is_invalid(bits: dict[str, Any]) -> None:
    assert not same_key(KEY, {**KEY, "bits": bits})


def test_the_key_has_no_part_that_a_renaming_in_the_package_changes(tmp_path: Path) -> None:
    config = ROOT / "conf" / "gowalla.yaml"
    key = model_key(config)
    assert key["bits"] == json.loads((ROOT / "tests" / "same_bits.json").read_text())
    copy = tmp_path / "renamed.yaml"
    copy.write_text("# another comment\n" + config.read_text().replace("output: build", "output: other"))
    assert config_digest(copy) == key["config"]
    copy.write_text(config.read_text().replace("epochs: 24", "epochs: 25"))
    assert config_digest(copy) != key["config"]


def test_a_run_takes_the_place_of_its_predecessor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "STORE", tmp_path / "quality.json")
    run = {"set": "s", "seed": 0, "overrides": [], "key": KEY, "metrics": {"mrr": 0.1}}
    for other in (run, {**run, "seed": 1}, {**run, "metrics": {"mrr": 0.2}}):
        store_run(other)
    assert [(stored["seed"], stored["metrics"]["mrr"]) for stored in load_runs()] == [(1, 0.1), (0, 0.2)]
    assert recorded_run("s", 0, [], KEY) == load_runs()[1]
    assert recorded_run("s", 2, [], KEY) is None
    assert recorded_run("s", 0, [], changed("cpu", "run", "3")) is None

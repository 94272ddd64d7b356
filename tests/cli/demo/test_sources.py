"""The configs that the package carries, and where the Higgs log is looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from twhin_spark.cli.demo import sources
from twhin_spark.errors import InputError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["demo.yaml", "higgs.yaml"])
def test_the_package_carries_a_copy_of_the_config(name: str) -> None:
    original = (ROOT / "conf" / name).read_text()
    copy = (ROOT / "twhin_spark" / "cli" / "demo" / name).read_text()
    assert copy == original.replace("../shared/data/", ""), "run `make package`"


def test_the_higgs_log_is_found_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "data" / "higgs-twitter" / sources.HIGGS_FILE
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv("TWHIN_DATA_HOME", str(tmp_path / "data"))
    assert sources.higgs_overrides(tmp_path, print) == [f"output={tmp_path}", f"logs.activity.path={file}"]


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWHIN_DATA_HOME", raising=False)
    monkeypatch.setattr(sources, "HIGGS_URL", f"file://{tmp_path}/none.gz")
    with pytest.raises(InputError, match=r"cannot download the Higgs log from .*: .*; .* set TWHIN_DATA_HOME"):
        sources.higgs_overrides(tmp_path, print)

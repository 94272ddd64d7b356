"""An unfinished, damaged or missing store or table is one line, and the previous version is still served."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from tests.support.published_tables import Tables, truncate
from twhin_spark.representations.errors import StoreError
from twhin_spark.serving.store import RepresentationStore, StoredFamily
from twhin_spark.serving.sync_arguments import SyncArguments
from twhin_spark.serving.sync_store import sync_family


def served(root: Path) -> str:
    return RepresentationStore.open(root).version().name


def current_folder(root: Path) -> Path:
    return RepresentationStore.open(root).version().folder


def only_line(problems: list[str]) -> str:
    assert len(problems) == 1
    assert "\n" not in problems[0]
    return problems[0]


def flip_a_bit(path: Path) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# A build that stops after its first rows, until it is killed.
STUCK = """
import time
from twhin_spark.serving import build_store, sync_store
read_batches = build_store.read_batches
def stop_after_batches(snapshot):
    yield from read_batches(snapshot)
    print("reading", flush=True)
    time.sleep(60)
build_store.read_batches = stop_after_batches
sync_store.main()
"""


def test_a_build_that_is_killed_leaves_nothing(root: Path, tables: Tables) -> None:
    tables.publish("m1", seed=1)
    assert sync_family(root, tables.family) == []
    tables.publish("m2", seed=2)
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    process.stdin.write(
        SyncArguments(root=root, family=tables.family, names=[], keep=2, verify=True).model_dump_json().encode()
    )
    process.stdin.close()
    assert process.stdout.readline() == b"reading\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(list((root / "twhin").glob(".unfinished-*"))) == 1
    assert served(root) == "m1"

    started = time.monotonic()
    assert sync_family(root, tables.family) == []
    assert time.monotonic() - started < 30  # the lock ended with its process
    assert list((root / "twhin").glob(".unfinished-*")) == []
    assert served(root) == "m2"


@pytest.mark.parametrize("part", ["type0.vectors", "type1.hashes", "relations.json", "manifest.json"])
def test_opening_rejects_a_truncated_file(root: Path, tables: Tables, part: str) -> None:
    tables.publish("m1")
    sync_family(root, tables.family)
    truncate(current_folder(root) / part)
    with pytest.raises(StoreError, match=rf"{part}.*damaged"):
        RepresentationStore.open(root)
    assert sync_family(root, tables.family, verify=False) == []
    assert served(root) == "m1"


@pytest.mark.parametrize("part", ["type0.vectors", "type1.ids", "relations.json"])
def test_the_checksum_rejects_a_flipped_bit(root: Path, tables: Tables, part: str) -> None:
    tables.publish("m1")
    sync_family(root, tables.family)
    flip_a_bit(current_folder(root) / part)
    with pytest.raises(StoreError, match=rf"{part}.*damaged"):
        RepresentationStore.open(root, verify=True)
    assert sync_family(root, tables.family) == []
    assert RepresentationStore.open(root, verify=True).version().name == "m1"


def test_opening_rejects_a_missing_file(root: Path, tables: Tables) -> None:
    tables.publish("m1")
    sync_family(root, tables.family)
    (current_folder(root) / "type0.rows").unlink()
    with pytest.raises(StoreError, match=r"type0.rows.*incomplete"):
        RepresentationStore.open(root)


def test_a_damaged_old_version_does_not_harm_the_current_one(root: Path, tables: Tables) -> None:
    first = tables.publish("m1", seed=1)
    sync_family(root, tables.family)
    truncate(current_folder(root) / "type0.vectors")
    tables.publish("m2", seed=2)
    sync_family(root, tables.family)
    family = StoredFamily.open(root / "twhin")
    assert family.version("current").name == "m2"
    assert "damaged" in only_line(list(family.problems))
    tables.roll_back(first)
    assert sync_family(root, tables.family) == []
    assert served(root) == "m1"


def test_a_damaged_catalogue_is_rewritten(root: Path, tables: Tables) -> None:
    tables.publish("m1")
    sync_family(root, tables.family)
    truncate(root / "twhin" / "catalogue.json")
    with pytest.raises(StoreError, match=r"catalogue.json.*damaged"):
        RepresentationStore.open(root)
    assert sync_family(root, tables.family) == []
    assert served(root) == "m1"


def test_missing_or_damaged_data_files_are_one_line(root: Path, tables: Tables) -> None:
    tables.publish("m1", seed=1)
    sync_family(root, tables.family)
    tables.publish("m2", seed=2)
    truncate(tables.data_files()[0])
    assert "cannot read the table" in only_line(sync_family(root, tables.family))
    tables.data_files()[0].unlink()
    assert "was the table vacuumed?" in only_line(sync_family(root, tables.family))
    assert served(root) == "m1"


def test_a_vacuumed_version_does_not_harm_the_current_one(root: Path, tables: Tables) -> None:
    first = tables.publish("m1", seed=1)
    gone = tables.data_files(first)
    tables.publish("m2", seed=2)
    for path in gone:
        path.unlink()
    problem = only_line(sync_family(root, tables.family, ["m1"]))
    assert problem.startswith("twhin m1: ")
    assert "was the table vacuumed?" in problem
    assert served(root) == "m2"
    assert "version 'm9' was not published; use one of current, m1, m2" in only_line(
        sync_family(root, tables.family, ["m9"])
    )


def test_a_missing_table_is_one_line(root: Path, tables: Tables) -> None:
    assert "no Delta table" in only_line(sync_family(root, tables.family))
    with pytest.raises(StoreError, match="nothing was stored yet"):
        RepresentationStore.open(root)


def rows(**changes: Any) -> list[dict[str, Any]]:
    """Return two valid rows, and a third with changes."""
    valid = [{"entity_type": "user", "entity_id": f"u{i}", "embedding": [1.0, 2.0]} for i in range(3)]
    return [*valid[:2], valid[2] | changes]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"embedding": [1.0]}, "'u2' has a vector of 1 numbers; all vectors must have 2"),
        ({"embedding": None}, "'u2' has a vector of 0 numbers; all vectors must have 2"),
        ({"embedding": [1.0, float("nan")]}, "'u2' has NaN"),
        ({"embedding": [1.0, None]}, "'u2' has NaN, null"),
        ({"entity_id": "u0"}, "user: entity id 'u0' occurs twice"),
        ({"entity_id": None}, "entity_id is null in a row"),
        ({"model_version": "m3"}, r"rows of model versions \['m2', 'm3'\]; all must be of one"),
    ],
)
def test_invalid_rows_are_one_line(root: Path, tables: Tables, changes: dict[str, Any], line: str) -> None:
    tables.publish("m1")
    sync_family(root, tables.family)
    tables.publish_rows("m2", rows(**changes))
    problem = only_line(sync_family(root, tables.family))
    assert re.search(line, problem), problem
    assert served(root) == "m1"
    assert list((root / "twhin").glob(".unfinished-*")) == []


def test_a_table_without_rows_or_columns_is_one_line(root: Path, tables: Tables) -> None:
    tables.publish_rows("m1", rows())
    tables.publish_rows("m1", [])
    assert "no rows with a model version; publish a run" in only_line(sync_family(root, tables.family))
    write_deltalake(tables.embeddings, pa.table({"entity_id": ["a"]}), mode="overwrite", schema_mode="overwrite")
    assert "column entity_type, embedding, model_version is missing" in only_line(sync_family(root, tables.family))


def test_a_full_disk_is_one_line(root: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tables.publish("m1")
    sync_family(root, tables.family)
    tables.publish("m2")
    monkeypatch.setattr("twhin_spark.representations.checked_files.ChecksumWriter.write", fail)
    assert "No space left on device" in only_line(sync_family(root, tables.family))
    assert served(root) == "m1"

"""Publishes and rollbacks under load, and failures of them: no request fails, and none mixes versions."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.published_tables import Tables, truncate, vectors
from tests.support.service_client import Caller, running
from twhin_spark.representations.catalogue import lock_folder

N = 20
SEEDS = {"m1": 1, "m2": 2, "m3": 3}
USERS = {name: vectors(seed, N) for name, seed in SEEDS.items()}
TWEETS = {name: vectors(seed + 1000, N) for name, seed in SEEDS.items()}


def publish(tables: Tables, name: str) -> int:
    return tables.publish(name, seed=SEEDS[name], n=N)


class Load(threading.Thread):
    """A caller that sends requests until `enough` is set. `versions` counts responses; `failures` must stay empty."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.versions: Counter[str] = Counter()
        self.failures: list[str] = []
        self.enough = threading.Event()
        self._caller = Caller(port)

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                self._read()
                self._score()
                self._search()
        except Exception as error:
            self.failures.append(repr(error))

    def _read(self) -> None:
        body = [["user", f"u{i}"] for i in range(N)] + [["tweet", f"t{i}"] for i in range(N)]
        response = self._caller.post("/v1/representations", {"entities": body})
        name = response.json["model_version"]
        self.versions[name] += 1
        returned = np.array(response.json["representations"], np.float32)
        if not np.array_equal(returned, np.concatenate([USERS[name], TWEETS[name]])):
            self.failures.append(f"vectors that are not those of {name}")

    def _score(self) -> None:
        pairs = [[["user", f"u{i}"], ["tweet", f"t{i}"]] for i in range(N)]
        scores = [{"measure": "dot", "relation": "favorite"}, {"measure": "dot"}]
        response = self._caller.post("/v1/scores/pairs", {"pairs": pairs, "scores": scores}).json
        name = response["model_versions"]["twhin"]
        expected = np.einsum("nd,nd->n", 2 * USERS[name].astype(float) + 1, TWEETS[name])
        if not np.allclose(response["scores"], expected):
            self.failures.append(f"scores that are not those of {name}")

    def _search(self) -> None:
        response = self._caller.post("/v1/neighbours", {"entity": ["user", "u0"], "target_type": "tweet", "k": 1}).json
        vectors_ = TWEETS[response["model_version"]].astype(float)
        nearest = np.argmax(vectors_ @ USERS[response["model_version"]][0] / np.linalg.norm(vectors_, axis=1))
        if response["neighbours"][0]["entity"] != ["tweet", f"t{nearest}"]:
            self.failures.append(f"neighbours that are not those of {response['model_version']}")


def test_versions_switch_under_load(root: Path, tables: Tables) -> None:
    first = publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
        load = [Load(caller.port) for _ in range(3)]
        for thread in load:
            thread.start()
        publish(tables, "m2")
        caller.wait_for_version("m2")
        tables.roll_back(first)
        caller.wait_for_version("m1")
        publish(tables, "m3")
        caller.wait_for_version("m3")
        time.sleep(0.2)
        for thread in load:
            thread.enough.set()
            thread.join()
    assert [failure for thread in load for failure in thread.failures] == []
    assert set(sum((thread.versions for thread in load), Counter())) == {"m1", "m2", "m3"}


def test_the_replaced_version_is_served_by_name(root: Path, tables: Tables) -> None:
    publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
        publish(tables, "m2")
        caller.wait_for_version("m2")
        body = {"entities": [["user", "u0"]], "version": "m1"}
        vectors_ = caller.post("/v1/representations", body).json["representations"]
        np.testing.assert_array_equal(np.array(vectors_, np.float32), USERS["m1"][:1])


def test_a_missing_data_file_is_reported_and_the_old_version_served(root: Path, tables: Tables) -> None:
    publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
        publish(tables, "m2")
        # The service may have seen m2 already; the files of m3 are damaged before its commit can be seen.
        caller.wait_for_version("m2")
        with lock_folder(root / "twhin"):  # no sync runs meanwhile
            publish(tables, "m3")
            (broken,) = tables.data_files()
            broken.rename(broken.with_suffix(".away"))
        caller.wait_for(lambda listed: "was the table vacuumed?" in "".join(listed["problems"]))
        assert caller.get("/v1/representations/user/u0").json["model_version"] == "m2"
        assert caller.get("/ready").status == 200
        assert 'twhin_syncs_total{family="twhin",outcome="failed"}' in caller.get("/metrics").body.decode()
        broken.with_suffix(".away").rename(broken)
        caller.wait_for_version("m3")
        caller.wait_for(lambda listed: not listed["problems"])


@pytest.mark.skipif(sys.platform != "linux", reason="finds the building process in /proc")
def test_a_killed_build_is_reported_and_repeated(root: Path, tables: Tables) -> None:
    publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
        with lock_folder(root / "twhin"):  # the build waits
            publish(tables, "m2")
            until = time.monotonic() + 30
            while not (builders := children()):
                assert time.monotonic() < until
                time.sleep(0.02)
            os.kill(builders[0], signal.SIGKILL)
            caller.wait_for(lambda listed: "ended with signal 9" in "".join(listed["problems"]))
            assert caller.get("/v1/representations/user/u0").json["model_version"] == "m1"
        caller.wait_for_version("m2")


def children() -> list[int]:
    """Return the running builds among this process's children, of which the tests' JVM is one."""
    tasks = Path("/proc/self/task").glob("*/children")
    started = [int(child) for task in tasks for child in task.read_text().split()]
    return [
        child for child in started if b"twhin_spark.serving.sync_store" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_a_new_service_starts_with_the_stores_of_the_last(root: Path, tables: Tables) -> None:
    publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
    tables.output.joinpath("tables").rename(tables.output / "away")
    with running(root, [tables.family]) as caller:
        assert caller.get("/v1/representations/user/u0").json["model_version"] == "m1"
        caller.wait_for(lambda listed: "no Delta table" in "".join(listed["problems"]))


def test_a_new_service_rebuilds_a_damaged_store(root: Path, tables: Tables) -> None:
    publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
    (folder,) = [path for path in (root / "twhin").iterdir() if path.is_dir()]
    truncate(folder / "type0.vectors")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
        vector = caller.get("/v1/representations/user/u0").json["representation"]
        np.testing.assert_array_equal(np.array(vector, np.float32), USERS["m1"][0])


def test_a_rollback_rebuilds_a_damaged_store(root: Path, tables: Tables) -> None:
    first = publish(tables, "m1")
    with running(root, [tables.family]) as caller:
        caller.wait_for_version("m1")
        publish(tables, "m2")
        caller.wait_for_version("m2")
        for path in (root / "twhin").glob("m1-*/type*.vectors"):
            truncate(path)
        tables.roll_back(first)
        caller.wait_for_version("m1")
        body = {"entities": [["user", f"u{i}"] for i in range(N)]}
        vectors_ = caller.post("/v1/representations", body).json["representations"]
        np.testing.assert_array_equal(np.array(vectors_, np.float32), USERS["m1"])


def test_other_versions_are_served_on_demand(root: Path, tables: Tables) -> None:
    first = publish(tables, "m1")
    gone = tables.data_files(first)
    publish(tables, "m2")
    publish(tables, "m3")
    with running(root, [tables.family], versions=["m2"]) as caller:
        caller.wait_for_version("m3")
        caller.wait_for(lambda listed: len(listed["versions"]) == 2)
        assert caller.get("/v1/representations/user/u0?version=m2").json["model_version"] == "m2"
    for path in gone:
        path.unlink()
    with running(root, [tables.family], versions=["m1"]) as caller:
        caller.wait_for_version("m3")
        caller.wait_for(lambda listed: "was the table vacuumed?" in "".join(listed["problems"]))
        assert caller.get("/v1/representations/user/u0?version=m1").status == 404

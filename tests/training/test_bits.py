"""One seed and one plan give the same bits, whatever becomes of the tasks and the executors."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.support.small_run import SmallRun, bits
from twhin_spark.tables.java import require_java

_DRIVER = Path(__file__).parents[1] / "support" / "faulty_driver.py"
_TWO_EXECUTORS = "local-cluster[2,1,1024]"
_SPECULATION = (
    "spark.speculation=true",
    "spark.speculation.interval=100ms",
    "spark.speculation.quantile=0.5",
    "spark.speculation.multiplier=1.1",
    "spark.speculation.minTaskRuntime=100ms",
)
_numbers = itertools.count()

pytestmark = pytest.mark.slow


# A commit after each round, after each epoch of four rounds, and after three epochs of a single task.
_COMMITS = {"rounds": (4, 1e-6, 12), "relays": (4, 60.0, 3), "epochs": (1, 60.0, 1)}  # groups, seconds, commits


@pytest.fixture(scope="module", params=_COMMITS)
def commits(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def run(commits: str, tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    groups, seconds, _ = _COMMITS[commits]
    return SmallRun.build(tmp_path_factory.mktemp("bits"), epochs=3, groups=groups, commit_seconds=seconds)


@pytest.fixture(scope="module")
def whole(run: SmallRun) -> tuple[Any, ...]:
    """The bits of one executor that nothing disturbs. It has two slots, as the others have: the plan goes by them."""
    return _train(run, "local[2]", "none", accidents=0)


def _train(run: SmallRun, master: str, fault: str, *properties: str, accidents: int) -> tuple[Any, ...]:
    scratch = run.config.parent / f"scratch-{next(_numbers)}"
    scratch.mkdir()
    command = [sys.executable, str(_DRIVER), str(run.config), master, fault, str(scratch), *properties]
    environment = {**os.environ, "SPARK_HOME": pyspark.__path__[0]}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == accidents
    return bits(run.folder().latest())


def test_with_two_executors(run: SmallRun, whole: tuple[Any, ...]) -> None:
    assert _train(run, _TWO_EXECUTORS, "none", accidents=0) == whole


def test_with_a_task_of_every_job_that_fails_and_is_retried(
    run: SmallRun, whole: tuple[Any, ...], commits: str
) -> None:
    assert _train(run, "local[2,2]", "fail", accidents=_COMMITS[commits][2]) == whole


def test_with_an_executor_that_is_killed(run: SmallRun, whole: tuple[Any, ...], commits: str) -> None:
    if commits == "epochs":
        pytest.skip("a task that holds the whole model is lost as one that holds a part")
    assert _train(run, _TWO_EXECUTORS, "lost", accidents=1) == whole


def test_with_speculation_beside_a_slow_task(
    run: SmallRun, whole: tuple[Any, ...], tmp_path: Path, commits: str
) -> None:
    if commits != "rounds":
        pytest.skip("Spark speculates only where another task of the stage is done, and never in barrier mode")
    with _standalone(tmp_path) as master:
        assert _train(run, master, "slow", *_SPECULATION, accidents=1) == whole
    log = "".join(path.read_text() for path in run.config.parent.glob("scratch-*.log"))
    assert "TaskKilled" in log  # an attempt that was still at it when the other one had done


@contextmanager
def _standalone(folder: Path) -> Iterator[str]:
    """A cluster of two workers at two addresses: Spark does not speculate on the host of the first attempt."""
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> Path:
            java = str(require_java() / "bin" / "java")
            log = folder / f"{name}-{len(list(folder.iterdir()))}.log"
            command = [java, "-cp", f"{pyspark.__path__[0]}/jars/*", f"org.apache.spark.deploy.{name}", *arguments]
            # What Spark's shell scripts would find out for its launcher of executors.
            environment = {**os.environ, "SPARK_HOME": pyspark.__path__[0], "SPARK_SCALA_VERSION": "2.13"}
            with log.open("w") as out:
                process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return log

        start("master.Master", "--host", "127.0.0.1", "--port", "17077", "--webui-port", "0")
        for host in ("127.0.0.1", "127.0.0.2"):
            start("worker.Worker", "--host", host, "--cores", "1", "--memory", "1g", "--webui-port", "0",
                  "spark://127.0.0.1:17077")  # fmt: skip
        yield "spark://127.0.0.1:17077"

"""Faults at every stage, injected from outside: a command ends with one line that says what happened, and where.

Full disks are small file systems, which only root may mount. Permissions are taken away in a user namespace: there the
user is not root, and has no name either. The faults of a training's state are in training/test_disk_errors.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.small_spark import write_spark_conf
from tests.support.standalone_cluster import standalone_cluster

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
CONFIG = """
name: small
output: {folder}/out
entity_types: [user, item]
relations: {{like: {{source: user, target: item}}}}
logs:
  likes:
    path: {folder}/likes.csv
    format: csv
    options: {{header: true}}
    select: {{relation: "'like'", source: user, target: item}}
split: {{by: fraction, test: 0.1, validation: 0.1}}
graph: {{partitions: 4}}
training: {{dim: 8, epochs: 1, batch_size: 32, uniform_negatives: 8}}
evaluation: {{als: null}}
retrieval: {{queries: {{like: {{relation: like, exclude: [like], k: 5}}}}}}
communities: {{consumers: {{relations: {{like: 1}}}}, similarity: {{min_consumers: 1}}, known_for: {{resolution: 1}}}}
"""
UNPRIVILEGED = ("unshare", "--user", "--map-user=12345", "--map-group=12345", "--")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, its log, and an output with a graph and a training."""
    folder = tmp_path_factory.mktemp("faults")
    lines = [f"u{i % 37},i{(i * i + i // 37) % 41}" for i in range(1000)]
    (folder / "likes.csv").write_text("\n".join(["user,item", *lines]))
    write_spark_conf(folder / "conf")
    for job in ("build-graph", "train", "evaluate"):
        succeed(folder, job)
    return folder


@pytest.fixture(scope="module")
def published(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after all stages."""
    folder = tmp_path_factory.mktemp("published") / "work"
    shutil.copytree(trained, folder)
    for job in ("publish", "communities", "candidates"):
        succeed(folder, job)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be damaged."""
    shutil.copytree(trained, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def before(trained: Path, published: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function of a job that copies the folder as it may be before the job, to be damaged."""

    def copy(job: str) -> Path:
        shutil.copytree(trained if job == "publish" else published, tmp_path / "work")
        return tmp_path / "work"

    return copy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    with mounted(disk, 128):
        yield disk


@contextmanager
def mounted(disk: Path, kilobytes: int) -> Iterator[None]:
    """Mount a disk of some size; without the right to, the test is skipped."""
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def succeed(folder: Path, job: str) -> None:
    done = run(folder, job)
    assert done.returncode == 0, done.stderr


def run(
    folder: Path, job: str, *options: str, prefix: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "small.yaml").write_text(CONFIG.format(folder=folder))
    program = [sys.executable, "-c", "from twhin_spark.cli import main; main()"]
    command = [*prefix, *program, job, "--config", str(folder / "small.yaml"), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPARK_CONF_DIR": str(folder / "conf"), **variables}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def line_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line of an error; the others are progress."""
    assert done.returncode in (1, 2), done.stderr
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if not re.match(r"\d\d:\d\d  ", line)]
    assert len(lines) == 1, done.stderr
    sys.stdout.write(f"{lines[0]}\n")  # pytest -rP shows it
    return lines[0]


def use_cluster(folder: Path, url: str) -> None:
    """Let the jobs of a folder run on a standalone cluster."""
    shutil.rmtree(folder / "conf")
    more = f"spark.master {url}\nspark.executor.memory 512m\nspark.driver.host 127.0.0.1\n"
    write_spark_conf(folder / "conf", more)


def unprivileged(folder: Path, job: str, *options: str) -> subprocess.CompletedProcess[str]:
    if subprocess.run([*UNPRIVILEGED, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system has no user namespaces")
    return run(folder, job, *options, prefix=UNPRIVILEGED)


def test_a_full_disk_of_the_output(folder: Path, small_disk: Path) -> None:
    done = run(folder, "build-graph", "--set", f"output={small_disk}/out")
    assert re.match(rf"error: No space left on device: {small_disk}/out", line_of(done))


def test_a_full_disk_of_sparks_scratch(folder: Path, small_disk: Path) -> None:
    done = run(folder, "build-graph", SPARK_LOCAL_DIRS=str(small_disk))
    assert re.match(rf"error: No space left on device: {small_disk}", line_of(done))


@pytest.mark.parametrize("job", ["train", "evaluate", "publish", "communities", "candidates"])
def test_a_full_disk_under_an_output_that_grows(before: Callable[[str], Path], tmp_path: Path, job: str) -> None:
    folder = before(job)
    used = sum(-(-path.stat().st_size // 4096) * 4 for path in (folder / "out").rglob("*") if path.is_file())
    disk = tmp_path / "disk"
    with mounted(disk, used + 64):
        shutil.copytree(folder / "out", disk / "out")
        (disk / "filler").write_bytes(bytes(max(shutil.disk_usage(disk).free - 8192, 0)))
        more = ("--set", "training.seed=1") if job == "train" else ()
        line = line_of(run(folder, job, "--set", f"output={disk}/out", *more))
    assert f"{disk}/out" in line
    assert "No space left on device" in line


@pytest.mark.parametrize(
    ("job", "module"),
    [
        ("build-graph", "twhin_spark.graph.buckets"),
        ("train", "twhin_spark.training.workers.single_task"),
        ("evaluate", "twhin_spark.evaluation.ranking_task"),
        ("publish", "twhin_spark.training.state.run_folder"),
        ("communities", "twhin_spark.communities.similarity"),
        ("candidates", "twhin_spark.retrieval.candidate_task"),
    ],
)
def test_a_killed_worker(before: Callable[[str], Path], job: str, module: str) -> None:
    folder = before(job)
    path = f"{ROOT}/tests/support/killed_worker:{ROOT}"
    done = run(folder, job, PYTHONPATH=path, TWHIN_KILL_ON=module)
    assert line_of(done).startswith("error: a Python worker crashed or was killed, as the system does when memory")


def test_lost_executors(folder: Path, tmp_path: Path) -> None:
    """The executors of a standalone cluster are killed, one after the other, until Spark gives up."""
    path = f"{ROOT}/tests/support/killed_worker:{ROOT}"
    module = "twhin_spark.training.workers.single_task"
    with standalone_cluster(tmp_path, PYTHONPATH=path, TWHIN_KILL_ON=module, TWHIN_KILL="executor") as url:
        use_cluster(folder, url)
        line = line_of(run(folder, "train"))
    assert re.match(r"error: (an executor was lost: Command exited with code 137|executors were lost \d times, )", line)


@pytest.mark.parametrize(
    ("lacks", "says"),
    [
        ("scipy", "does not have scipy: install them there, or ship an environment with --archives"),
        ("twhin_spark", "it does not have twhin_spark: add --py-files twhin_spark.zip"),
    ],
)
def test_a_worker_that_cannot_run_a_job(folder: Path, tmp_path: Path, lacks: str, says: str) -> None:
    path = str(ROOT / "tests/support/bare_worker")
    with standalone_cluster(tmp_path, PYTHONPATH=path, TWHIN_WORKER_LACKS=lacks) as url:
        use_cluster(folder, url)
        line = line_of(run(folder, "build-graph"))
    assert re.match(rf"error: worker on \S+: .*{says}", line)


@pytest.mark.parametrize(
    ("job", "table"),
    [
        ("train", "edge_buckets"),
        ("evaluate", "edges"),
        ("publish", "entities"),
        ("communities", "edge_buckets"),
        ("candidates", "embeddings"),
    ],
)
def test_a_damaged_table(before: Callable[[str], Path], job: str, table: str) -> None:
    folder = before(job)
    for file in (folder / "out" / "tables" / table).glob("**/*.parquet"):
        if "_delta_log" not in file.parts:
            file.unlink()
    assert re.search(rf"/tables/{table}/\S+\.parquet does not exist", line_of(run(folder, job)))


@pytest.mark.parametrize(
    ("job", "table"),
    [
        ("build-graph", "edges"),
        ("train", "training_rounds"),
        ("evaluate", "metrics"),
        ("publish", "embeddings"),
        ("communities", "known_for"),
        ("candidates", "candidates"),
    ],
)
def test_a_table_that_cannot_be_written(before: Callable[[str], Path], job: str, table: str) -> None:
    folder = before(job)
    path = folder / "out" / "tables" / table
    path.mkdir(exist_ok=True)
    for inner in [path, *path.rglob("*")]:
        if inner.is_dir():
            inner.chmod(0o555)
    line = line_of(unprivileged(folder, job))
    assert f"/tables/{table}" in line
    assert "Permission denied" in line


def test_an_output_that_cannot_be_written(folder: Path) -> None:
    (folder / "out").chmod(0o555)
    done = unprivileged(folder, "evaluate")
    assert line_of(done) == f"error: output: cannot write to '{folder}/out': Permission denied"


def test_a_log_that_cannot_be_read(folder: Path) -> None:
    (folder / "likes.csv").chmod(0)
    line = line_of(unprivileged(folder, "build-graph"))
    assert re.search(r"logs\.likes\S*: .*likes\.csv.*Permission denied", line)


def test_a_jvm_that_does_not_start(folder: Path) -> None:
    shutil.rmtree(folder / "conf")
    write_spark_conf(folder / "conf", "spark.driver.extraJavaOptions -agentlib:none\n")
    line = line_of(run(folder, "evaluate"))
    assert line.startswith("error: Spark's JVM did not start: Could not find agent library none on the library path")


def test_a_user_without_name_and_home_runs_a_job(folder: Path) -> None:
    assert unprivileged(folder, "evaluate").returncode == 0


def test_a_path_that_is_not_ascii_in_a_locale_that_is(folder: Path) -> None:
    named = folder / "événements.csv"
    (folder / "likes.csv").rename(named)
    done = run(folder, "build-graph", "--set", f"logs.likes.path={named}", LC_ALL="C", LANG="C")
    assert done.returncode == 0, done.stderr

"""The command line as a user meets it: exit codes, one line for an error, one JSON object for a result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _twhin(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from twhin_spark.cli.commands import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("train", "--config", "none.yaml"), "none.yaml: cannot read the config: No such file"),
        (("train", "--config", "conf/demo.yaml", "--set", "training.dim=0"), "training.dim is 0, but must be "),
        (
            ("pipeline", "--config", "conf/higgs.yaml", "--set", "logs.activity.path=nowhere/*.gz"),
            "logs.activity.path: no file is at 'nowhere/*.gz'",
        ),
        (("demo", "--scale", "0.001"), "scale is 0.001, but must be 0.01 or more"),
        (("train",), "error: Missing option '--config'; see `twhin-spark train --help`"),
        (("trian", "--config", "conf/demo.yaml"), "No such command 'trian'. Did you mean 'train'?"),
        (("plan", "--config", "conf/demo.yaml", "--cores", "none"), "Invalid value for '--cores': 'none' is not"),
    ],
)
def test_a_mistake_found_before_spark_starts_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    if arguments[0] == "demo":
        arguments = (*arguments, "--out", str(tmp_path))
    done = _twhin(*arguments)
    assert done.returncode == 2
    assert line in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_working_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    code = "import os, sys; os.rmdir(os.getcwd()); from twhin_spark.cli.commands import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "train", "--config", str(ROOT / "conf" / "demo.yaml")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr == (
        "error: the working directory cannot be used: No such file or directory; change to another\n"
    )


@pytest.mark.parametrize(
    "job", ["build_graph", "candidates", "communities", "evaluate", "fold_in", "pipeline", "publish", "train"]
)
def test_a_job_of_spark_submit_without_a_config_is_one_line_and_exit_code_2(job: str) -> None:
    done = subprocess.run([sys.executable, f"jobs/{job}.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: Missing option '--config'; see `twhin-spark {job.replace('_', '-')} --help`\n"


@pytest.mark.parametrize(
    "command",
    [
        *("build-graph", "train", "evaluate", "publish", "fold-in", "pipeline", "communities", "candidates"),
        *("demo", "higgs", "describe", "plan", "serve", "sql"),
    ],
)
def test_help_shows_options_and_defaults(command: str) -> None:
    done = _twhin(command, "--help")
    assert done.returncode == 0
    assert "--config FILE" in done.stdout
    assert "A.B=VALUE" in done.stdout


def test_plan_needs_no_spark_where_counts_are_given() -> None:
    counts = (
        "--entities",
        "1000000",
        "--edges",
        "10000000",
        "--machines",
        "4",
        "--cores",
        "1",
        "--edges-per-second",
        "100000",
    )
    done = _twhin("plan", "--config", "conf/demo.yaml", *counts)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["entities"], found["edges"], found["slots"], found["edges_per_second"]) == (10**6, 10**7, 4, 100_000)
    assert (found["groups"], found["rounds"], found["tasks"]) == (8, 8, 4)
    assert found["epoch_seconds"] > 10**7 / 100_000 / 4
    assert sum(found["task_parts"].values()) == found["task_bytes"]
    for said in (
        "1,000,000 entities, 10,000,000 edges",
        "why: 8 groups: twice the 4 slots",
        "100,000 edges/s (as given)",
    ):
        assert said in done.stderr


@pytest.mark.parametrize(("options", "printed"), [((), False), (("--json",), True)])
def test_a_terminal_gets_the_result_only_if_it_is_asked_for(options: tuple[str, ...], printed: bool) -> None:
    ours, terminal = os.openpty()
    counts = ("--entities", "100", "--edges", "100", "--cores", "1", "--edges-per-second", "100")
    command = [sys.executable, "-c", "from twhin_spark.cli import main; main()", "plan", "--config", "conf/demo.yaml"]
    done = subprocess.run([*command, *counts, *options], cwd=ROOT, stdout=terminal, stderr=subprocess.PIPE, check=True)
    os.close(terminal)
    assert b"an epoch takes" in done.stderr
    try:
        shown = os.read(ours, 1 << 16)
    except OSError:  # Linux: the terminal was closed, and nothing is left to read
        shown = b""
    assert (b'"job": "plan"' in shown) == printed
    os.close(ours)


def test_a_plan_that_cannot_fit_names_an_option_that_would() -> None:
    counts = ("--entities", "1000000000", "--edges", "1", "--machines", "4", "--cores", "1", "--edges-per-second", "1")
    done = _twhin("plan", "--config", "conf/demo.yaml", *counts, "--set", "training.task_memory_gb=1")
    assert done.returncode == 2
    assert "training.task_memory_gb is 1, but a task would hold" in done.stderr
    assert "graph.partitions: " in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_demo_runs_and_a_missing_run_is_a_line(tmp_path: Path) -> None:
    out = str(tmp_path / "demo")
    done = _twhin("demo", "--out", out, "--scale", "0.02", "--set", "training.epochs=2", "--set", "training.dim=16")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    expected = json.loads((tmp_path / "demo" / "logs" / "expected.json").read_text())
    counts = expected["logs"].values()
    assert summary["job"] == "pipeline"
    assert summary["rows"]["accepted"] == sum(log["accepted"] for log in counts)
    assert summary["rows"]["replayed"] == sum(log["replayed"] for log in counts)
    assert summary["rows"]["rejected"] == sum(sum(log["rejected_by_reason"].values()) for log in counts)
    assert summary["rows"]["read"] == sum(log["lines"] for log in counts)
    assert Path(summary["report"]).exists()
    assert json.loads((tmp_path / "demo" / "runs" / summary["run_id"] / "result.json").read_text()) == summary
    assert "times the chance rate" in done.stderr
    assert "WARN" not in done.stderr

    done = _twhin("evaluate", "--config", "conf/demo.yaml", "--set", f"output={out}", "--set", "training.dim=24")
    assert done.returncode == 2
    assert "run train with this config first" in done.stderr
    assert "Traceback" not in done.stderr

"""Reads and cleans the logs in one session, the first thirty by the command too; prints a JSON line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import click
from pyspark.sql import SparkSession

from benchmarks.console import progress
from benchmarks.fuzz.logs import FuzzLog, make_log
from twhin_spark.config import load_config
from twhin_spark.errors import TwhinError
from twhin_spark.logs.clean import check_inputs, check_logs
from twhin_spark.tables.session import open_session

Verdict = Literal["read", "refused", "silent", "trace"]
BY_COMMAND = 30
_SESSION = {"spark.sql.shuffle.partitions": "2", "spark.ui.enabled": "false"}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--logs", default=1000, type=click.IntRange(min=1), help="Number of logs.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Seed of the first log.")
@click.option("--keep", is_flag=True, help="Leave the logs of which something was silent or a trace, and name them.")
def main(logs: int, seed: int, keep: bool) -> None:
    """Fuzz the reading and cleaning of logs."""
    root = Path(tempfile.mkdtemp(prefix="twhin-fuzz-"))
    verdicts: Counter[Verdict] = Counter()
    refused_but_readable = 0
    started = time.monotonic()
    spark = open_session("twhin-spark fuzz", log_file=root / "spark.log", extra=_SESSION)
    by_command = []
    for number in range(seed, seed + logs):
        folder = root / str(number)
        folder.mkdir()
        log = make_log(number, folder)
        verdict, line = judge(spark, log)
        verdicts[verdict] += 1
        refused_but_readable += verdict == "refused" and log.must_read
        if verdict in ("silent", "trace") or (verdict == "refused" and log.must_read):
            progress(f"{number} ({log.about}): {verdict}: {line}")
        if number < seed + BY_COMMAND:
            by_command.append((log, verdict))
        elif not (keep and verdict in ("silent", "trace")):
            shutil.rmtree(folder)
        if (number - seed + 1) % 50 == 0:
            progress(f"{number - seed + 1} of {logs} logs after {time.monotonic() - started:.0f} s: {dict(verdicts)}")
    spark.stop()
    for log, verdict in by_command:
        if (problem := differs(log, verdict)) is not None:
            verdicts["trace"] += 1
            progress(f"by the command ({log.about}): {problem}")
    progress(f"{refused_but_readable} logs with faults in rows and values alone were refused")
    if not keep:
        shutil.rmtree(root)
    result = {"logs": logs, "read": verdicts["read"], "silent": verdicts["silent"], "traces": verdicts["trace"]}
    click.echo(json.dumps({"name": "fuzz", **result}))


def judge(spark: SparkSession, log: FuzzLog) -> tuple[Verdict, str]:
    """Read a log, and compare what comes of it with what is true of it."""
    try:
        config = load_config(log.config)
        with ExitStack() as caches:
            check_inputs(config)
            checked = check_logs(spark, config, caches, lambda _: None)
            counts = checked.counts["events"]
            events = checked.events.select("source_id", "target_id").collect()
    except TwhinError as error:
        line = str(error)
        clear = line and not line.rstrip().endswith(":") and "Traceback" not in line and "o1" not in line.split()[:1]
        return ("refused", line) if clear else ("trace", line)
    except Exception:
        return "trace", traceback.format_exc(limit=-3)
    total = counts.read + sum(counts.left_out.values())
    pairs = Counter((row["source_id"], row["target_id"]) for row in events)
    if total != log.rows:
        return "silent", f"{total} rows of {log.rows} are accounted for: {counts.summary()}"
    if foreign := pairs - log.pairs:
        return "silent", f"ids that were not in the input: {list(foreign)[:3]}"
    if lost := log.sound - set(pairs):
        return "refused", f"{len(lost)} sound rows were rejected ({counts.summary()}), such as {sorted(lost)[:2]}"
    return "read", ""


def differs(log: FuzzLog, verdict: Verdict) -> str | None:
    """Build the graph by the command; a line if it ends otherwise than a user may expect."""
    command = [sys.executable, "-c", "from twhin_spark.cli import main; main()", "build-graph", "--config"]
    done = subprocess.run([*command, str(log.config)], capture_output=True, text=True, timeout=600)
    if "Traceback" in done.stderr or (done.returncode, verdict) not in {(0, "read"), (2, "refused"), (0, "refused")}:
        return f"exit code {done.returncode} for a log that was {verdict}: {done.stderr.strip()[-300:]}"
    return None


if __name__ == "__main__":
    main()

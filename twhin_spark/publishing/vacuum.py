"""Vacuum: delete the vectors of versions that nobody needs, and the state files of their runs.

Delta's own VACUUM keeps or deletes by age alone. This one keeps what is current, tagged, served, among the newest, or
the start of a training. It first marks the other versions in `model_versions`, so that readers are told, and then
deletes the data files that no version left refers to. If it is killed, the next one deletes the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pyarrow import fs
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import TwhinError
from twhin_spark.locations import absolute
from twhin_spark.publishing.version_index import index_versions
from twhin_spark.representations.version_lookup import tags_of
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EMBEDDINGS, MODEL_VERSIONS
from twhin_spark.training.state.run_folder import run_folders
from twhin_spark.versions.model_version import current_version

_UNCOMMITTED = timedelta(days=1)  # a file that no commit knows may be of a publish that is under way


@dataclass
class VacuumPlan:
    """What a vacuum deletes.

    Attributes
    ----------
    keep
        The versions that stay, each with the reason.
    versions
        The versions whose vectors are deleted.
    runs
        The runs whose state files are deleted.
    files
        Paths of the files, with their bytes.
    """

    keep: dict[str, str] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)


def vacuum(
    store: TableStore, config: Config, progress: Callable[[str], None], *, keep: int, dry_run: bool
) -> dict[str, Any]:
    """Delete what nobody needs, or with `dry_run` only say what that is.

    Parameters
    ----------
    store, config
        The tables and the config, whose `serving.versions` stay.
    progress
        Function that prints a line.
    keep
        Number of the newest versions that stay.
    dry_run
        Delete nothing.
    """
    index_versions(store)
    plan = _plan(store, config, keep)
    freed = sum(plan.files.values())
    for name, reason in plan.keep.items():
        progress(f"keeps {name}: {reason}")
    does = "would delete" if dry_run else "deletes"
    progress(
        f"{does} {len(plan.versions)} versions and the state of {len(plan.runs)} runs: {len(plan.files)} files, "
        f"{freed / 1e6:,.1f} MB"
    )
    if not dry_run:
        _delete(store, plan)
    return {
        "dry_run": dry_run,
        "kept": plan.keep,
        "deleted": plan.versions,
        "runs": plan.runs,
        "files": len(plan.files),
        "bytes": freed,
    }


def _plan(store: TableStore, config: Config, keep: int) -> VacuumPlan:
    rows = store.read(MODEL_VERSIONS).orderBy(F.desc("table_version")).collect()
    current = current_version(store)
    assert current is not None
    kept_rows = [row for row in rows if "vacuumed_at" not in row or row["vacuumed_at"] is None]
    unfinished = _starts_in_training(config)
    plan = VacuumPlan()
    for place, row in enumerate(kept_rows):
        name, tags = row["model_version"], tags_of(row)
        if name == current.name:
            plan.keep[name] = "current"
        elif tags:
            plan.keep[name] = f"tagged {', '.join(tags)}"
        elif set(config.serving.versions) & {name, row["alias"]}:
            plan.keep[name] = "in serving.versions"
        elif name in unfinished:
            plan.keep[name] = "the start of a training that is not complete"
        elif place < keep:
            plan.keep[name] = f"among the newest {keep}"
        else:
            plan.versions.append(name)
    needed = store.files(EMBEDDINGS)
    known: set[str] = set()
    for row in rows:
        if row["model_version"] in plan.keep:
            needed |= store.files(EMBEDDINGS, row["table_version"])
        else:
            known |= store.files(EMBEDDINGS, row["table_version"])
    plan.files = _unneeded(store, needed, known)
    kept_runs = {row["run_id"] for row in rows if row["model_version"] in plan.keep}
    gone_runs = {row["run_id"] for row in rows} - kept_runs
    for folder in run_folders(config.output):
        if folder.run_id in gone_runs and (files := folder.state_files()):
            plan.runs.append(folder.run_id)
            plan.files.update(files)
    return plan


def _unneeded(store: TableStore, needed: set[str], known: set[str]) -> dict[str, int]:
    """Return the data files of `embeddings` that no kept version refers to.

    Files of vacuumed versions are known. Of others nobody knows if a publish is about to commit them, so they stay for
    a day.
    """
    filesystem, root = fs.FileSystem.from_uri(absolute(store.path(EMBEDDINGS)))
    old = datetime.now(UTC) - _UNCOMMITTED
    files = {}
    for info in filesystem.get_file_info(fs.FileSelector(root, recursive=True)):
        name = info.path.removeprefix(f"{root}/")
        if info.type != fs.FileType.File or not name.endswith(".parquet") or name.startswith("_") or name in needed:
            continue
        if name in known or (info.mtime is not None and info.mtime.astimezone(UTC) < old):
            files[info.path] = info.size
    return files


def _starts_in_training(config: Config) -> set[str]:
    """Return the versions that unfinished runs are started from."""
    starts: set[str] = set()
    for folder in run_folders(config.output):
        manifest, settings = folder.latest(), folder.settings()
        if settings is not None and (manifest is None or not manifest.complete):
            start = settings["training"].get("start") or {}
            if start.get("version") is not None:
                starts.add(start["version"])
    return starts


def _delete(store: TableStore, plan: VacuumPlan) -> None:
    if plan.versions:
        marked = {"vacuumed_at": F.lit(datetime.now(UTC))}
        # A version that was tagged or rolled back to since the plan was made stays.
        current = current_version(store)
        gone = F.col("model_version").isin(plan.versions) & (F.coalesce(F.size("tags"), F.lit(0)) <= 0)
        store.update(MODEL_VERSIONS, gone & (F.col("model_version") != F.lit(current and current.name)), marked)
        rows = store.read(MODEL_VERSIONS).where(F.col("vacuumed_at").isNotNull()).select("model_version").collect()
        spared = set(plan.versions) - {row["model_version"] for row in rows}
        if spared:
            raise TwhinError(f"vacuum: {', '.join(sorted(spared))} was tagged or made current meanwhile; vacuum again")
    filesystem, _ = fs.FileSystem.from_uri(absolute(store.output))
    for path in plan.files:
        filesystem.delete_file(path)

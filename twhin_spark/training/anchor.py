"""The anchor: at the end of an epoch it pulls vectors to those of the start."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from uuid import uuid4

from pyspark.sql import SparkSession

from twhin_spark.tables.worker_tasks import run_units
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, state_files, state_name


def pull_state(state: Mapping[str, EntityState], start: Mapping[str, EntityState]) -> None:
    """Change the vectors x of a partition to x - pull · (x - start), in place.

    Parameters
    ----------
    state
        The partition, by type.
    start
        Its first vectors and, in place of accumulators, the pull of each.
    """
    for name, rows in state.items():
        rows.vectors[:] -= start[name].accumulators[:, None] * (rows.vectors - start[name].vectors)


def pull_files(spark: SparkSession, run: RunSettings, manifest: Manifest) -> Manifest:
    """Pull the partitions of a model that no task holds as a whole; return the manifest with the new files.

    Raises InputError if a state file is damaged, TrainingError if the disk is full.
    """
    files, anchors, fence, epoch = manifest.partitions, manifest.anchors, manifest.fence, manifest.epoch

    def pull(partitions: Sequence[int]) -> bytes:
        """Pull some partitions, one after the other. Runs on workers."""
        folder, written = RunFolder(run.output, run.run_id), {}
        for partition in partitions:
            state = folder.read_partition(files[partition], run.entity_types)
            pull_state(state, folder.read_partition(anchors[partition], run.entity_types))
            name = state_name(partition, fence, f"e{epoch:05d}-anchored-{uuid4().hex[:12]}")
            written[partition] = asdict(folder.write_partition(name, state))
        return json.dumps(written).encode()

    pulled = dict(enumerate(files))
    for part in run_units(spark, pull, len(files)):
        pulled.update(state_files(json.loads(part)))
    return replace(manifest, partitions=[pulled[partition] for partition in range(len(files))])

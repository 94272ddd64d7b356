"""The model's state between rounds: immutable partition files, and the manifests that commit them.

A file that no manifest lists does not exist for anyone, so tasks that die, are retried or run twice do no harm.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import fs

from twhin_spark.errors import InputError, TrainingError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.training.relations import RelationState


@dataclass(frozen=True)
class EntityState:
    """One entity type of one partition, by row: `vectors` (n, dim) and Adagrad `accumulators` (n,), float32."""

    vectors: Floats
    accumulators: Floats


@dataclass(frozen=True)
class StateFile:
    """A partition's file, by its name in the run's folder."""

    name: str
    bytes: int
    crc32: int


@dataclass(frozen=True)
class RoundReport:
    """Of one round: wall time in seconds; edges and summed loss by relation."""

    epoch: int
    number: int
    seconds: float
    edges: dict[str, int]
    loss: dict[str, float]


@dataclass(frozen=True)
class Manifest:
    """A committed round: everything that training or a reader needs to go on from there."""

    run_id: str
    fence: int  # of the claim under which it was committed; a reader takes the highest
    epoch: int  # of the round; -1: nothing trained yet
    round: int
    complete: bool  # training has ended with this round
    groups: int
    partitions: list[StateFile]  # by partition number
    relations: dict[str, RelationState]
    cpu: str  # the kernels' bits hold on one kind of CPU
    report: RoundReport | None = None  # of the round; None where nothing is trained yet


class RunFolder:
    """The folder of one training run: a local path or a URI that pyarrow.fs knows."""

    def __init__(self, output: str, run_id: str) -> None:
        self.output = output
        self.location = f"{output.rstrip('/')}/runs/{run_id}"
        self.run_id = run_id
        self._fs, self.root = fs.FileSystem.from_uri(absolute(self.location))

    def write_partition(self, name: str, state: Mapping[str, EntityState]) -> StateFile:
        """Writes one partition, the types in the mapping's order, under a name of the writer's own."""
        sink = pa.BufferOutputStream()
        for entity in state.values():
            for array in (entity.vectors, entity.accumulators):
                pa.ipc.write_tensor(pa.Tensor.from_numpy(np.ascontiguousarray(array, dtype="<f4")), sink)
        content = sink.getvalue()
        self._fs.create_dir(f"{self.root}/state")
        with self._fs.open_output_stream(f"{self.root}/state/{name}") as stream:
            stream.write(content)
        return StateFile(name, content.size, zlib.crc32(content))

    def read_partition(self, file: StateFile, types: Sequence[str]) -> dict[str, EntityState]:
        """Reads a partition; raises InputError where the file is not what was written."""
        path = f"{self.root}/state/{file.name}"
        try:
            with self._fs.open_input_file(path) as stream:
                content = stream.read_buffer()
        except FileNotFoundError:
            raise InputError(f"{path}: the state file is gone; train again") from None
        if content.size != file.bytes or zlib.crc32(content) != file.crc32:
            raise InputError(
                f"{path}: the state file is corrupt: found {content.size} bytes, checksum {zlib.crc32(content)}; "
                f"written were {file.bytes} bytes, checksum {file.crc32}; train again"
            )
        source = pa.BufferReader(content)
        return {
            name: EntityState(pa.ipc.read_tensor(source).to_numpy(), pa.ipc.read_tensor(source).to_numpy())
            for name in types
        }

    def commit(self, manifest: Manifest) -> None:
        """Makes a round the latest one, at once and for good.

        Raises TrainingError where a later claim has committed: this driver was thought dead, and what it writes is
        read by no one.
        """
        self._create(
            f"manifests/{manifest.fence:05d}-{manifest.epoch + 1:05d}-{manifest.round:05d}.json", asdict(manifest)
        )
        if (latest := self.latest()) is not None and latest.fence > manifest.fence:
            raise TrainingError(f"run {self.run_id} was taken over by another training, so this one ends")

    def latest(self) -> Manifest | None:
        """The last committed round of the highest claim, or None where nothing was committed."""
        names = self._manifests()
        return self._read_manifest(names[-1]) if names else None

    def reports(self) -> list[RoundReport]:
        """What the rounds up to the latest did, in their order, under whichever claims they were trained."""
        latest = self.latest()
        if latest is None:
            return []
        found = {}
        for manifest in map(self._read_manifest, self._manifests()):  # a later claim's round replaces an earlier one's
            if manifest.report and (manifest.epoch, manifest.round) <= (latest.epoch, latest.round):
                found[manifest.epoch, manifest.round] = manifest.report
        return [found[place] for place in sorted(found)]

    def forget(self, before: int) -> None:
        """Deletes the manifests of the claims before this one: the run has begun anew."""
        for path in self._manifests():
            if self._read_manifest(path).fence < before:
                self._fs.delete_file(path)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Keeps what the run is trained with, to be compared with by who would resume it."""
        self._create("settings.json", settings)

    def settings(self) -> dict[str, Any] | None:
        """What write_settings was given last."""
        path = f"{self.root}/settings.json"
        if self._fs.get_file_info(path).type != fs.FileType.File:
            return None
        with self._fs.open_input_file(path) as stream:
            found: dict[str, Any] = json.loads(stream.read())
        return found

    def release(self, fence: int) -> None:
        """Says that the driver with this claim has ended."""
        self._create(f"released/{fence:05d}.json", {})

    def is_released(self, fence: int) -> bool:
        released: bool = self._fs.get_file_info(f"{self.root}/released/{fence:05d}.json").type == fs.FileType.File
        return released

    def siblings(self, prefix: str) -> list[RunFolder]:
        """The runs of the same output whose ids begin with the prefix, without this one."""
        runs = self.root.rpartition("/")[0]
        infos = self._fs.get_file_info(fs.FileSelector(runs, allow_not_found=True))
        names = sorted(info.base_name for info in infos if info.base_name.startswith(prefix))
        return [RunFolder(self.output, name) for name in names if name != self.run_id]

    def sweep(self, keep: Manifest) -> None:
        """Deletes the state files that `keep` does not list."""
        listed = {file.name for file in keep.partitions}
        for info in self._fs.get_file_info(fs.FileSelector(f"{self.root}/state")):
            if info.base_name not in listed:
                self._fs.delete_file(info.path)

    def _create(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file that is there whole or not at all."""
        folder, _, base = f"{self.root}/{name}".rpartition("/")
        self._fs.create_dir(folder)
        with self._fs.open_output_stream(f"{folder}/.{base}") as stream:
            stream.write(json.dumps(content).encode())
        self._fs.move(f"{folder}/.{base}", f"{folder}/{base}")

    def _manifests(self) -> list[str]:
        """Paths of the manifests, by claim, epoch and round."""
        selector = fs.FileSelector(f"{self.root}/manifests", allow_not_found=True)
        return sorted(info.path for info in self._fs.get_file_info(selector) if not info.base_name.startswith("."))

    def _read_manifest(self, path: str) -> Manifest:
        with self._fs.open_input_file(path) as stream:
            fields: dict[str, Any] = json.loads(stream.read())
        fields["partitions"] = [StateFile(**file) for file in fields["partitions"]]
        fields["relations"] = {name: RelationState(**state) for name, state in fields["relations"].items()}
        fields["report"] = fields["report"] and RoundReport(**fields["report"])
        return Manifest(**fields)


def absolute(location: str) -> str:
    """A URI as it is; a local path made absolute, which pyarrow.fs asks for."""
    return location if "://" in location else str(Path(location).absolute())

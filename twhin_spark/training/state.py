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

from twhin_spark.errors import InputError
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
class Manifest:
    """A committed round: everything that training or a reader needs to go on from there."""

    run_id: str
    epoch: int  # of the round; -1: nothing trained yet
    round: int
    complete: bool  # training has ended with this round
    groups: int
    partitions: list[StateFile]  # by partition number
    relations: dict[str, RelationState]
    cpu: str  # the kernels' bits hold on one kind of CPU


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
        """Makes a round the latest one, at once and for good."""
        folder = f"{self.root}/manifests"
        self._fs.create_dir(folder)
        name = f"{manifest.epoch + 1:05d}-{manifest.round:05d}.json"
        with self._fs.open_output_stream(f"{folder}/.{name}") as stream:
            stream.write(json.dumps(asdict(manifest)).encode())
        self._fs.move(f"{folder}/.{name}", f"{folder}/{name}")

    def latest(self) -> Manifest | None:
        """The last committed round, or None where nothing was committed."""
        selector = fs.FileSelector(f"{self.root}/manifests", allow_not_found=True)
        names = sorted(info.path for info in self._fs.get_file_info(selector) if not info.base_name.startswith("."))
        if not names:
            return None
        with self._fs.open_input_file(names[-1]) as stream:
            return _manifest(json.loads(stream.read()))

    def sweep(self, keep: Manifest) -> None:
        """Deletes the state files that `keep` does not list."""
        listed = {file.name for file in keep.partitions}
        for info in self._fs.get_file_info(fs.FileSelector(f"{self.root}/state")):
            if info.base_name not in listed:
                self._fs.delete_file(info.path)

    def clear(self) -> None:
        """Deletes all of the run: manifests first, so that no reader finds one without its files."""
        for folder in ("manifests", "state"):
            if self._fs.get_file_info(f"{self.root}/{folder}").type == fs.FileType.Directory:
                self._fs.delete_dir(f"{self.root}/{folder}")


def absolute(location: str) -> str:
    """A URI as it is; a local path made absolute, which pyarrow.fs asks for."""
    return location if "://" in location else str(Path(location).absolute())


def _manifest(fields: dict[str, Any]) -> Manifest:
    fields["partitions"] = [StateFile(**file) for file in fields["partitions"]]
    fields["relations"] = {name: RelationState(**state) for name, state in fields["relations"].items()}
    return Manifest(**fields)

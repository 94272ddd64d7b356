"""The folder of a run: immutable state files, and the manifests that commit them.

    runs/RUN/state/p00003-c00001-e00000-r00002-0123456789ab    a partition's vectors and accumulators
    runs/RUN/manifests/00001-00001-00002.json                  fence, epoch + 1 and round: what is committed
    runs/RUN/settings.json                                     what makes the run what it is, for --resume
    runs/RUN/validation.arrow                                  the validation edges of every epoch
    runs/RUN/released/00001.json                               claims whose drivers have ended

A state file counts only if a manifest lists it. So tasks that die, are retried or run twice do no harm.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from pyarrow import fs

from twhin_spark.errors import InputError, TrainingError
from twhin_spark.locations import absolute
from twhin_spark.training.state.disk_errors import explain_full_disk
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.state.state_files import STATE_NAME, EntityState, StateFile, byte_pieces
from twhin_spark.training.state.validation_sample import ValidationSample


class RunFolder:
    """The folder of one training run: a local path or a URI that `pyarrow.fs` knows. Used on driver and workers."""

    def __init__(self, output: str, run_id: str) -> None:
        self.output = output
        self.location = f"{output.rstrip('/')}/runs/{run_id}"
        self.run_id = run_id
        self._fs, self.root = fs.FileSystem.from_uri(absolute(self.location))

    def write_partition(self, name: str, state: Mapping[str, EntityState]) -> StateFile:
        """Write a partition, the types in the mapping's order, to a file of this name, which must be the writer's own.

        Raises TrainingError if the disk is full.
        """
        self._fs.create_dir(f"{self.root}/state")
        path, crc32 = f"{self.root}/state/{name}", 0
        with explain_full_disk(path), self._fs.open_output_stream(path) as stream:
            for piece in byte_pieces(state.values()):
                stream.write(piece)
                crc32 = zlib.crc32(piece, crc32)
        vectors = [entity_state.vectors for entity_state in state.values()]
        return StateFile(name, [len(rows) for rows in vectors], vectors[0].shape[1], crc32)

    def read_partition(self, file: StateFile, types: Sequence[str]) -> dict[str, EntityState]:
        """Read a partition, by type. Raises InputError if the file is gone or is not what was written."""
        state = {name: EntityState.empty(rows, file.dim) for name, rows in zip(types, file.rows, strict=True)}
        self.read_into(state, file)
        return state

    def read_into(self, state: Mapping[str, EntityState], file: StateFile) -> None:
        """Read a partition into arrays of its shape. Raises InputError as `read_partition` does."""
        path = f"{self.root}/state/{file.name}"
        crc32 = 0
        try:
            with self._fs.open_input_file(path) as stream:
                size = stream.size()
                if size == file.bytes:
                    for piece in byte_pieces(state.values()):
                        stream.readinto(piece)
                        crc32 = zlib.crc32(piece, crc32)
        except FileNotFoundError:
            raise InputError(f"{path}: the state file is gone; train again") from None
        if size != file.bytes or crc32 != file.crc32:
            raise InputError(
                f"{path}: the state file is corrupt: it has {size} bytes and checksum {crc32}, but {file.bytes} bytes "
                f"and checksum {file.crc32} were written; train again"
            )

    def delete_state(self, file: StateFile) -> None:
        """Delete a partition's file, which no manifest lists."""
        self._fs.delete_file(f"{self.root}/state/{file.name}")

    def has(self, files: Sequence[StateFile]) -> bool:
        """Return if the folder has all these files."""
        names = {
            info.base_name
            for info in self._fs.get_file_info(fs.FileSelector(f"{self.root}/state", allow_not_found=True))
        }
        return names.issuperset(file.name for file in files)

    def commit(self, manifest: Manifest) -> None:
        """Make a round the latest one, atomically.

        Raises TrainingError if a later claim has committed: another driver took over from this one, and readers ignore
        what this one writes.
        """
        self._create(
            f"manifests/{manifest.fence:05d}-{manifest.epoch + 1:05d}-{manifest.round:05d}.json", asdict(manifest)
        )
        if (latest := self.latest()) is not None and latest.fence > manifest.fence:
            raise TrainingError(f"run {self.run_id} was taken over by another training, so this one ends")

    def latest(self) -> Manifest | None:
        """Return the last committed round of the highest claim, or None if nothing is committed."""
        names = self._manifests()
        return self._read_manifest(names[-1]) if names else None

    def reports(self) -> list[RoundReport]:
        """Return the reports of all rounds up to the latest, in their order, of whichever claims."""
        latest = self.latest()
        if latest is None:
            return []
        reports = {}
        for manifest in map(self._read_manifest, self._manifests()):  # a later claim's round replaces an earlier one's
            for report in manifest.reports:
                if (report.epoch, report.number) <= (latest.epoch, latest.round):
                    reports[report.epoch, report.number] = report
        return [reports[position] for position in sorted(reports)]

    def forget(self, before: int) -> None:
        """Delete the manifests of the claims before this one: the run has begun anew."""
        for path in self._manifests():
            if self._read_manifest(path).fence < before:
                self._fs.delete_file(path)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Write the settings that the run is trained with, for a later `--resume` to compare with."""
        self._create("settings.json", settings)

    def settings(self) -> dict[str, Any] | None:
        """Read the settings that the run is trained with; None if it has none yet."""
        if (path := self._existing("settings.json")) is None:
            return None
        with self._reading(path) as stream:
            settings: dict[str, Any] = json.loads(stream.read())
        return settings

    def write_validation_sample(self, sample: ValidationSample) -> None:
        """Write the validation edges that every epoch of the run is measured on."""
        table, sink = sample.to_arrow(), pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._create("validation.arrow", sink.getvalue())

    def validation_sample(self) -> ValidationSample | None:
        """Read the validation edges; None if the run has none."""
        if (path := self._existing("validation.arrow")) is None:
            return None
        with self._reading(path) as stream:
            return ValidationSample.from_arrow(pa.ipc.open_file(stream.read_buffer()).read_all())

    def release(self, fence: int) -> None:
        """Record that the driver with this claim has ended."""
        self._create(f"released/{fence:05d}.json", {})

    def is_released(self, fence: int) -> bool:
        """Return if the driver with this claim has ended."""
        return self._existing(f"released/{fence:05d}.json") is not None

    def siblings(self, model: str) -> list[RunFolder]:
        """Return the other runs of a model in the same output."""
        runs = self.root.rpartition("/")[0]
        infos = self._fs.get_file_info(fs.FileSelector(runs, allow_not_found=True))
        run_of_model = re.compile(rf"{re.escape(model)}-[0-9a-f]{{10}}")
        names = sorted(info.base_name for info in infos if run_of_model.fullmatch(info.base_name))
        return [RunFolder(self.output, name) for name in names if name != self.run_id]

    def sweep(self, keep: Manifest) -> None:
        """Delete the state files that `keep` does not list, of its own claim and of earlier ones, and nothing else."""
        listed = {file.name for file in (*keep.partitions, *keep.anchors, *(keep.best.partitions if keep.best else ()))}
        for info in self._fs.get_file_info(fs.FileSelector(f"{self.root}/state", allow_not_found=True)):
            name = STATE_NAME.fullmatch(info.base_name)
            if name and int(name["claim"]) <= keep.fence and info.base_name not in listed:
                self._fs.delete_file(info.path)

    def state_files(self) -> dict[str, int]:
        """Return the paths of the run's state files with their bytes."""
        infos = self._fs.get_file_info(fs.FileSelector(f"{self.root}/state", allow_not_found=True))
        return {info.path: info.size for info in infos if STATE_NAME.fullmatch(info.base_name)}

    def delete(self) -> None:
        """Delete the folder with all that is in it."""
        self._fs.delete_dir(self.root)

    def _existing(self, name: str) -> str | None:
        """Return the path of a file of the folder if there is one."""
        path = f"{self.root}/{name}"
        return path if self._fs.get_file_info(path).type == fs.FileType.File else None

    def _create(self, name: str, content: Mapping[str, Any] | pa.Buffer) -> None:
        """Write a file, a mapping as JSON, so that readers see all of it or nothing."""
        folder, _, base = f"{self.root}/{name}".rpartition("/")
        self._fs.create_dir(folder)
        with explain_full_disk(f"{folder}/{base}"), self._fs.open_output_stream(f"{folder}/.{base}") as stream:
            stream.write(json.dumps(content).encode() if isinstance(content, Mapping) else content)
        self._fs.move(f"{folder}/.{base}", f"{folder}/{base}")

    def _manifests(self) -> list[str]:
        """Return the paths of the manifests, by claim, epoch and round."""
        selector = fs.FileSelector(f"{self.root}/manifests", allow_not_found=True)
        return sorted(info.path for info in self._fs.get_file_info(selector) if not info.base_name.startswith("."))

    def _read_manifest(self, path: str) -> Manifest:
        with self._reading(path) as stream:
            return Manifest.from_fields(json.loads(stream.read()))

    @contextmanager
    def _reading(self, path: str) -> Iterator[pa.NativeFile]:
        """Open a file that was written whole. Raises InputError if its content cannot be read inside the block."""
        try:
            with self._fs.open_input_file(path) as stream:
                yield stream
        except (ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(
                f"{path}: the file is damaged ({reason}); delete the run's folder and train again"
            ) from None


def run_folders(output: str) -> list[RunFolder]:
    """Return the folders of all runs of an output."""
    filesystem, root = fs.FileSystem.from_uri(absolute(f"{output.rstrip('/')}/runs"))
    infos = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True))
    names = sorted(info.base_name for info in infos if re.fullmatch(r".+-[0-9a-f]{10}", info.base_name))
    return [RunFolder(output, name) for name in names]

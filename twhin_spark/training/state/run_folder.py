"""The model's state between rounds: immutable partition files, and the manifests that commit them.

A file that no manifest lists does not exist for anyone, so tasks that die, are retried or run twice do no harm.
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
from twhin_spark.training.state.manifest import BestEpoch, Manifest
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.round_report import RoundReport
from twhin_spark.training.state.state_files import STATE_NAME, EntityState, StateFile, byte_blocks
from twhin_spark.training.state.validation_sample import ValidationSample


class RunFolder:
    """The folder of one training run: a local path or a URI that pyarrow.fs knows."""

    def __init__(self, output: str, run_id: str) -> None:
        self.output = output
        self.location = f"{output.rstrip('/')}/runs/{run_id}"
        self.run_id = run_id
        self._fs, self.root = fs.FileSystem.from_uri(absolute(self.location))

    def write_partition(self, name: str, state: Mapping[str, EntityState]) -> StateFile:
        """Writes one partition, the types in the mapping's order, under a name of the writer's own."""
        self._fs.create_dir(f"{self.root}/state")
        path, crc32 = f"{self.root}/state/{name}", 0
        with explain_full_disk(path), self._fs.open_output_stream(path) as stream:
            for block in byte_blocks(state.values()):
                stream.write(block)
                crc32 = zlib.crc32(block, crc32)
        vectors = [one.vectors for one in state.values()]
        return StateFile(name, [len(one) for one in vectors], vectors[0].shape[1], crc32)

    def read_partition(self, file: StateFile, types: Sequence[str]) -> dict[str, EntityState]:
        """A partition by type; raises InputError where the file is not what was written."""
        state = {name: EntityState.empty(rows, file.dim) for name, rows in zip(types, file.rows, strict=True)}
        self.read_into(state, file)
        return state

    def read_into(self, state: Mapping[str, EntityState], file: StateFile) -> None:
        """Reads a partition into arrays of its shape; raises InputError where the file is not what was written."""
        path = f"{self.root}/state/{file.name}"
        crc32 = 0
        try:
            with self._fs.open_input_file(path) as stream:
                found = stream.size()
                if found == file.bytes:
                    for block in byte_blocks(state.values()):
                        stream.readinto(block)
                        crc32 = zlib.crc32(block, crc32)
        except FileNotFoundError:
            raise InputError(f"{path}: the state file is gone; train again") from None
        if found != file.bytes or crc32 != file.crc32:
            raise InputError(
                f"{path}: the state file is corrupt: found {found} bytes, checksum {crc32}; "
                f"written were {file.bytes} bytes, checksum {file.crc32}; train again"
            )

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
            for report in manifest.reports:
                if (report.epoch, report.number) <= (latest.epoch, latest.round):
                    found[report.epoch, report.number] = report
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
        with self._reading(path) as stream:
            found: dict[str, Any] = json.loads(stream.read())
        return found

    def release(self, fence: int) -> None:
        """Says that the driver with this claim has ended."""
        self._create(f"released/{fence:05d}.json", {})

    def is_released(self, fence: int) -> bool:
        released: bool = self._fs.get_file_info(f"{self.root}/released/{fence:05d}.json").type == fs.FileType.File
        return released

    def siblings(self, model: str) -> list[RunFolder]:
        """The other runs of a model in the same output."""
        runs = self.root.rpartition("/")[0]
        infos = self._fs.get_file_info(fs.FileSelector(runs, allow_not_found=True))
        its_own = re.compile(rf"{re.escape(model)}-[0-9a-f]{{10}}")
        names = sorted(info.base_name for info in infos if its_own.fullmatch(info.base_name))
        return [RunFolder(self.output, name) for name in names if name != self.run_id]

    def sweep(self, keep: Manifest) -> None:
        """Deletes the state files of `keep`'s claim and those before it that `keep` does not list, and nothing else."""
        listed = {file.name for file in (*keep.partitions, *(keep.best.partitions if keep.best else ()))}
        for info in self._fs.get_file_info(fs.FileSelector(f"{self.root}/state", allow_not_found=True)):
            name = STATE_NAME.fullmatch(info.base_name)
            if name and int(name["claim"]) <= keep.fence and info.base_name not in listed:
                self._fs.delete_file(info.path)

    def delete(self) -> None:
        """Deletes the folder with all that is in it."""
        self._fs.delete_dir(self.root)

    def write_validation_sample(self, sample: ValidationSample) -> None:
        """Keeps the validation edges that every epoch of the run is measured on."""
        table, sink = sample.to_arrow(), pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        self._create("validation.arrow", sink.getvalue())

    def validation_sample(self) -> ValidationSample | None:
        """What write_validation_sample was given last."""
        path = f"{self.root}/validation.arrow"
        if self._fs.get_file_info(path).type != fs.FileType.File:
            return None
        with self._reading(path) as stream:
            return ValidationSample.from_arrow(pa.ipc.open_file(stream.read_buffer()).read_all())

    def _create(self, name: str, content: Mapping[str, Any] | pa.Buffer) -> None:
        """Writes a file, a mapping as JSON, that is there whole or not at all."""
        folder, _, base = f"{self.root}/{name}".rpartition("/")
        self._fs.create_dir(folder)
        with explain_full_disk(f"{folder}/{base}"), self._fs.open_output_stream(f"{folder}/.{base}") as stream:
            stream.write(json.dumps(content).encode() if isinstance(content, Mapping) else content)
        self._fs.move(f"{folder}/.{base}", f"{folder}/{base}")

    def _manifests(self) -> list[str]:
        """Paths of the manifests, by claim, epoch and round."""
        selector = fs.FileSelector(f"{self.root}/manifests", allow_not_found=True)
        return sorted(info.path for info in self._fs.get_file_info(selector) if not info.base_name.startswith("."))

    def _read_manifest(self, path: str) -> Manifest:
        with self._reading(path) as stream:
            fields: dict[str, Any] = json.loads(stream.read())
            fields["partitions"] = [StateFile(**file) for file in fields["partitions"]]
            fields["relations"] = {name: RelationState(**state) for name, state in fields["relations"].items()}
            fields["reports"] = [RoundReport.from_fields(report) for report in fields["reports"]]
            fields["best"] = fields["best"] and BestEpoch.from_fields(fields["best"])
            return Manifest(**fields)

    @contextmanager
    def _reading(self, path: str) -> Iterator[pa.NativeFile]:
        """A file that was written whole. Raises InputError where what is in it is something else now."""
        try:
            with self._fs.open_input_file(path) as stream:
                yield stream
        except (ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"{path}: the file is damaged ({told}); delete the run's folder and train again") from None

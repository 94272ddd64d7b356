"""The partition buffer: the memory of a task, for a resident group and two visiting slices. Used on workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.model import EntityRows
from twhin_spark.kernels.threads import ThreadTeam
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile

_LEFT, _RIGHT = 0, 1


class PartitionBuffer:
    """A resident group, and on either side of it a place for a slice of a visitor, in one array for each entity type.

    A step trains the resident with the slice on one side, which is next to it in memory. Meanwhile, a thread writes the
    slice on the other side, and reads the next one there. The arrays are made once, for the largest group and the
    largest slices that the task will hold. Example: a resident R of 4 rows, slices of 2 and 3 rows, and room for 3:

        row      0 1 2 | 3 4 5 6 | 7 8 9
        rows     - L L | R R R R | N N N
    """

    def __init__(
        self,
        folder: RunFolder,
        files: Sequence[StateFile],
        types: Sequence[str],
        first: Round,
        file_name: Callable[[int], str],
        threads: int = 1,
    ) -> None:
        """Begin with an empty buffer. It has no room before `make_room`.

        Parameters
        ----------
        folder
            The run's folder.
        files
            Of each partition of the run the file that the relay before committed.
        types
            The entity types in the files' order.
        first
            A round of the epoch, which says which partitions a slice has.
        file_name
            Function of a partition that returns the name of the file that this task writes.
        threads
            Number of threads that read and write partitions at the same time.
        """
        self._folder, self._types, self._round, self._file_name = folder, types, first, file_name
        self._threads = threads
        self._files = list(files)
        self._committed = {file.name for file in files}
        self._all_rows = np.sum([file.rows for file in files], axis=0)  # (types,)
        self._resident: int | None = None
        self._visitors: list[int | None] = [None, None]  # the slice on each side
        self._side: int | None = None  # of the slice that is trained
        self._mover = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._arrivals: dict[int, Future[None]] = {}  # by slice
        self._departures: list[Future[None]] = []
        self._written: dict[int, StateFile] = {}  # by partition, since they were taken
        self.read_bytes = self.written_bytes = 0

    def make_room(self, residents: Iterable[int], slices: Iterable[int]) -> None:
        """Make room for any of some groups as the resident, and for any two of some slices as visitors."""
        none = np.zeros((1, len(self._types)), np.int64)
        groups = [self._rows(self._round.slices_of(group)).sum(axis=0) for group in set(residents)]
        visitors = [self._rows([number]).sum(axis=0) for number in set(slices)]
        self._begin: Integers = np.max([*none, *visitors], axis=0)  # (types,): the row at which the resident begins
        room = self._begin * 2 + np.max([*none, *groups], axis=0)
        self._memory = [EntityState.empty(rows, self._files[0].dim) for rows in room]

    def settle(self, group: int) -> None:
        """Make a group the resident. The one before, and all visitors, are written."""
        if group != self._resident:
            self.write_all()
            self._move(self._read, self._positions(self._round.slices_of(group), self._begin))
            self._resident = group

    def invite(self, number: int, side: int) -> None:
        """Begin to read a slice of a visitor to a side, in a thread, after the slice that is there is written."""
        if number not in self._arrivals:
            self._leave(side)
            self._visitors[side] = number
            positions = self._positions([number], self._first_row(side, number))
            self._arrivals[number] = self._mover.submit(self._move, self._read, positions)

    def attend(self, number: int, side: int) -> None:
        """Wait for a slice of a visitor on a side, to train it beside the resident."""
        self.invite(number, side)
        self._side = side
        self._arrivals.pop(number).result()

    def dismiss(self) -> None:
        """Begin to write the slice that is not trained, in a thread."""
        self._leave(_LEFT if self._side == _RIGHT else _RIGHT)

    def write_all(self, keep: int | None = None) -> None:
        """Write all that is in the buffer, except the resident if it is `keep`, and wait until it is written."""
        for side in (_LEFT, _RIGHT):
            self._leave(side)
        self._side = None
        if self._resident is not None and self._resident != keep:
            self._move(self._write, self._positions(self._round.slices_of(self._resident), self._begin))
            self._resident = None
        self._wait()

    def receive(self, files: Mapping[int, StateFile]) -> None:
        """Read partitions from these files from now on: other tasks have trained them."""
        for partition, file in files.items():
            self._files[partition] = file

    def take_written(self) -> dict[int, StateFile]:
        """Wait for what is being written; return the files written since the last call, by partition."""
        self._wait()
        written, self._written = self._written, {}
        return written

    def close(self) -> None:
        """Drop what is in the buffer, without writing it."""
        self._mover.shutdown(cancel_futures=True)

    def entities(self) -> dict[str, EntityRows]:
        """Return the rows of the resident and of the slice that is trained, by type, to be trained in place."""
        first, rows = self._loaded_rows()
        entities = {}
        for k, name in enumerate(self._types):
            part = self._memory[k][first[k] : first[k] + rows[k]]
            share = len(part.vectors) / max(int(self._all_rows[k]), 1)
            entities[name] = EntityRows(part.vectors, part.accumulators, share)
        return entities

    def first_rows(self) -> dict[int, Integers]:
        """Return for each partition in `entities()` its first row there, by type (types,)."""
        first, _ = self._loaded_rows()
        return {partition: row - first for partition, row in self._loaded()}

    def states(self) -> list[tuple[int, dict[str, EntityState]]]:
        """Return the partitions in `entities()`, ascending, in the memory in which they are trained."""
        first_rows = dict(self._loaded())
        return [(partition, self._state(partition, first_rows[partition])) for partition in sorted(first_rows)]

    def restart_counts(self) -> tuple[int, int]:
        """Return the bytes read and written since the last call."""
        counts = self.read_bytes, self.written_bytes
        self.read_bytes = self.written_bytes = 0
        return counts

    def _loaded(self) -> list[tuple[int, Integers]]:
        """Return the partitions of the resident and of the slice that is trained, with their first rows."""
        loaded = []
        if self._resident is not None:
            loaded += self._positions(self._round.slices_of(self._resident), self._begin)
        if self._side is not None and (number := self._visitors[self._side]) is not None:
            loaded += self._positions([number], self._first_row(self._side, number))
        return loaded

    def _loaded_rows(self) -> tuple[Integers, Integers]:
        """Return the first row of what is loaded and the number of rows, by type."""
        first, rows = self._begin, self._resident_rows()
        if self._side is not None and (number := self._visitors[self._side]) is not None:
            first = np.minimum(first, self._first_row(self._side, number))
            rows = rows + self._rows([number]).sum(axis=0)
        return first, rows

    def _resident_rows(self) -> Integers:
        slices = [] if self._resident is None else self._round.slices_of(self._resident)
        rows: Integers = self._rows(slices).sum(axis=0)
        return rows

    def _first_row(self, side: int, number: int) -> Integers:
        """Return the first row of a slice on a side of the resident, by type."""
        before: Integers = self._rows([number]).sum(axis=0)
        return self._begin - before if side == _LEFT else self._begin + self._resident_rows()

    def _rows(self, slices: Iterable[int]) -> Integers:
        """Return the number of rows of each partition of some slices: (partitions, types)."""
        rows = [self._files[p].rows for number in slices for p in self._round.partitions_of(number)]
        return np.array(rows, dtype=np.int64).reshape(-1, len(self._types))

    def _positions(self, slices: Iterable[int], first: Integers) -> list[tuple[int, Integers]]:
        """Return the partitions of some slices, and the row at which each begins if the first one begins at `first`."""
        partitions = [p for number in slices for p in self._round.partitions_of(number)]
        positions = []
        for partition in partitions:
            positions.append((partition, first))
            first = first + np.array(self._files[partition].rows)
        return positions

    def _state(self, partition: int, first: Integers) -> dict[str, EntityState]:
        rows = self._files[partition].rows
        return {name: self._memory[k][first[k] : first[k] + rows[k]] for k, name in enumerate(self._types)}

    def _leave(self, side: int) -> None:
        """Begin to write the slice on a side, if there is one."""
        if (number := self._visitors[side]) is not None:
            if (arrival := self._arrivals.pop(number, None)) is not None:
                arrival.result()
            positions = self._positions([number], self._first_row(side, number))
            self._departures.append(self._mover.submit(self._move, self._write, positions))
            self._visitors[side] = None

    def _wait(self) -> None:
        departures, self._departures = self._departures, []
        for departure in departures:
            departure.result()

    def _move(self, move: Callable[[tuple[int, Integers]], None], positions: Sequence[tuple[int, Integers]]) -> None:
        with ThreadTeam(self._threads) as team:
            team.map(move, positions)

    def _read(self, position: tuple[int, Integers]) -> None:
        partition, first = position
        file = self._files[partition]
        self._folder.read_into(self._state(partition, first), file)
        if file.name not in self._committed:
            self._folder.delete_state(file)  # this task will write a newer one
        self.read_bytes += file.bytes

    def _write(self, position: tuple[int, Integers]) -> None:
        partition, first = position
        file = self._folder.write_partition(self._file_name(partition), self._state(partition, first))
        self._files[partition] = self._written[partition] = file
        self.written_bytes += file.bytes

"""The partition buffer: the memory of a task that holds the two groups of partitions it trains. Used on workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from twhin_spark.kernels.arrays import Integers
from twhin_spark.kernels.model import EntityRows
from twhin_spark.kernels.threads import ThreadTeam
from twhin_spark.training.bucket_schedule import Pair, Round
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile


class PartitionBuffer:
    """At most two groups of partitions, in one array for each entity type.

    The arrays are made once, for the largest two groups that the task will hold. The left group ends at a fixed row,
    the middle, and the right group begins there. So any two groups are adjacent, and one is swapped for another without
    a copy. Example: with the middle at row 5, groups of 3 and 4 rows are in the rows 2 to 8:

        row      0 1 2 3 4 | 5 6 7 8 9
        group    - - L L L | R R R R -
    """

    def __init__(
        self,
        folder: RunFolder,
        files: Sequence[StateFile],
        types: Sequence[str],
        training_round: Round,
        groups: Iterable[int],
        file_name: Callable[[int], str],
        threads: int = 1,
    ) -> None:
        """Make room for any two of some groups.

        Parameters
        ----------
        folder
            The run's folder.
        files
            Of each partition of the run the file that the round before committed.
        types
            The entity types in the files' order.
        training_round
            A round of the epoch, which says which partitions a group has.
        groups
            The groups that the task will hold, two at a time.
        file_name
            Function of a partition that returns the name of the file that this task writes.
        threads
            Number of threads that read and write partitions at the same time.
        """
        self._folder, self._types, self._round, self._file_name = folder, types, training_round, file_name
        self._threads = threads
        self._files = list(files)
        self._committed = {file.name for file in files}
        self._all_rows = np.sum([file.rows for file in files], axis=0)  # (types,)
        self._sides: list[int | None] = [None, None]
        self.written: dict[int, StateFile] = {}  # by partition
        self.read_bytes = self.written_bytes = 0
        sizes = np.array([self._rows(group).sum(axis=0) for group in sorted(set(groups))])
        self._middle = sizes.max(axis=0)  # (types,)
        room = self._middle * 2 if len(sizes) > 1 else self._middle
        dim = files[0].dim
        self._memory = [EntityState.empty(rows, dim) for rows in room]

    def evict(self, keep: Collection[int] = ()) -> None:
        """Write the groups in the buffer to files, except those to be kept, and free their places."""
        for side, group in enumerate(self._sides):
            if group is not None and group not in keep:
                self._write(side)

    def receive(self, files: Mapping[int, StateFile]) -> None:
        """Read partitions from these files from now on: other tasks have trained them."""
        for partition, file in files.items():
            self._files[partition] = file

    def load(self, pair: Pair) -> None:
        """Read the groups of the pair that are not in the buffer. There must be a free place for each."""
        for group in dict.fromkeys(pair):
            if group not in self._sides:
                self._read(group, self._sides.index(None))

    def entities(self) -> dict[str, EntityRows]:
        """Return the rows of both groups, by type, to be trained in place."""
        entities = {}
        for k, name in enumerate(self._types):
            left, right = (0 if group is None else self._rows(group)[:, k].sum() for group in self._sides)
            rows = self._memory[k][self._middle[k] - left : self._middle[k] + right]
            share = len(rows.vectors) / max(int(self._all_rows[k]), 1)
            entities[name] = EntityRows(rows.vectors, rows.accumulators, share)
        return entities

    def first_rows(self) -> dict[int, Integers]:
        """Return for each partition in the buffer its first row in `entities()`, by type (types,)."""
        left = self._sides[0]
        begin = self._middle - (0 if left is None else self._rows(left).sum(axis=0))
        return {partition: first - begin for partition, first in self._positions()}

    @property
    def groups(self) -> set[int]:
        """The groups in the buffer."""
        return {group for group in self._sides if group is not None}

    def take_written(self) -> dict[int, StateFile]:
        """Return the files written since the last call, by partition."""
        written, self.written = self.written, {}
        return written

    def restart_counts(self) -> tuple[int, int]:
        """Return the bytes read and written since the last call."""
        counts = self.read_bytes, self.written_bytes
        self.read_bytes = self.written_bytes = 0
        return counts

    def states(self) -> list[tuple[int, dict[str, EntityState]]]:
        """Return the partitions in the buffer, ascending, in the memory in which they are trained."""
        first_rows = dict(self._positions())
        return [(partition, self._state(partition, first_rows[partition])) for partition in sorted(first_rows)]

    def _positions(self) -> list[tuple[int, Integers]]:
        """Return the partitions in the buffer, and the row of the memory at which each begins (types,)."""
        return [
            position
            for side, group in enumerate(self._sides)
            if group is not None
            for position in self._positions_in(side, group)
        ]

    def _positions_in(self, side: int, group: int) -> list[tuple[int, Integers]]:
        """Return the partitions of a group, and the row at which each begins if the group is on this side."""
        rows = self._rows(group)
        ends = np.cumsum(rows, axis=0)  # (partitions, types)
        total = ends[-1] if len(ends) else np.zeros(len(self._types), np.int64)
        start = self._middle if side else self._middle - total
        return list(zip(self._round.partitions_of(group), start + ends - rows, strict=True))

    def _rows(self, group: int) -> Integers:
        """Return the number of rows of each partition of a group: (partitions, types)."""
        rows = [self._files[p].rows for p in self._round.partitions_of(group)]
        return np.array(rows, dtype=np.int64).reshape(-1, len(self._types))

    def _state(self, partition: int, first: Integers) -> dict[str, EntityState]:
        rows = self._files[partition].rows
        return {name: self._memory[k][first[k] : first[k] + rows[k]] for k, name in enumerate(self._types)}

    def _read(self, group: int, side: int) -> None:
        def read(position: tuple[int, Integers]) -> None:
            partition, first = position
            file = self._files[partition]
            self._folder.read_into(self._state(partition, first), file)
            if file.name not in self._committed:
                self._folder.delete_state(file)  # this task writes a newer one

        positions = self._positions_in(side, group)
        with ThreadTeam(self._threads) as team:
            team.map(read, positions)
        self.read_bytes += sum(self._files[partition].bytes for partition, _ in positions)
        self._sides[side] = group

    def _write(self, side: int) -> None:
        def write(position: tuple[int, Integers]) -> StateFile:
            # A partition that this task has written before is overwritten: no one else knows the file.
            partition, first = position
            return self._folder.write_partition(self._file_name(partition), self._state(partition, first))

        group = self._sides[side]
        assert group is not None
        positions = self._positions_in(side, group)
        with ThreadTeam(self._threads) as team:
            files = team.map(write, positions)
        for (partition, _), file in zip(positions, files, strict=True):
            self._files[partition] = self.written[partition] = file
        self.written_bytes += sum(file.bytes for file in files)
        self._sides[side] = None

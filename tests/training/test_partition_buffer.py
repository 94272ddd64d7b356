"""Groups and slices of unequal sizes in one memory: each keeps its rows, and no step sees a row of another one."""

from __future__ import annotations

import itertools
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twhin_spark.training.bucket_schedule import Round, rounds_of_epoch
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile, state_name
from twhin_spark.training.workers.edge_blocks import Blocks, edges_in_buffer
from twhin_spark.training.workers.partition_buffer import PartitionBuffer

TYPES, DIM = ("user", "tweet"), 3


def _write(folder: RunFolder, rows: list[tuple[int, int]]) -> list[StateFile]:
    """Every vector and accumulator of a partition holds the partition's number."""
    files = []
    for partition, counts in enumerate(rows):
        state = {
            name: EntityState(np.full((count, DIM), partition, np.float32), np.full(count, partition, np.float32))
            for name, count in zip(TYPES, counts, strict=True)
        }
        files.append(folder.write_partition(f"p{partition}", state))
    return files


def _buffer(folder: RunFolder, files: list[StateFile], training_round: Round) -> PartitionBuffer:
    names = itertools.count()  # as tasks of later rounds would name them
    buffer = PartitionBuffer(
        folder, files, TYPES, training_round, lambda p: state_name(p, 1, f"a{next(names)}-0123456789ab"), threads=2
    )
    seats = training_round.seats
    buffer.make_room(
        [seat.resident for seat in seats], [s for seat in seats for s in training_round.visiting_slices(seat)]
    )
    return buffer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=8, max_size=14),
    slices=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_a_step_holds_the_resident_and_a_slice_and_each_keeps_what_was_done_to_it(
    tmp_path: Path, rows: list[tuple[int, int]], slices: int, seed: int
) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, rows)
    steps_with = dict.fromkeys(range(len(rows)), 0)
    rounds = rounds_of_epoch(len(rows), 4, seats=2, slices=slices, seed=seed)
    buffer = _buffer(folder, files, rounds[0])
    buffer.make_room(range(4), range(4 * slices))

    def train(held: list[int]) -> None:
        first_rows = buffer.first_rows()
        assert sorted(first_rows) == sorted(held)
        for k, name in enumerate(TYPES):
            entities = buffer.entities()[name]
            assert len(entities.vectors) == sum(rows[p][k] for p in held)
            assert entities.share * sum(counts[k] for counts in rows) == pytest.approx(len(entities.vectors))
            for p in held:
                part = slice(first_rows[p][k], first_rows[p][k] + rows[p][k])
                assert (entities.vectors[part] == p + 100 * steps_with[p]).all()
                assert (entities.accumulators[part] == p).all()
            entities.vectors += 100
        for p in held:
            steps_with[p] += 1

    def partitions_of(numbers: list[int]) -> list[int]:
        return [p for number in numbers for p in rounds[0].partitions_of(number)]

    for training_round in rounds:
        for seat in training_round.seats:
            buffer.settle(seat.resident)
            resident = partitions_of(training_round.slices_of(seat.resident))
            train(resident)
            visitors = training_round.visiting_slices(seat)
            for number, following in itertools.zip_longest(visitors, visitors[1:]):
                buffer.attend(number, training_round.side_of(number))
                if following is None:
                    buffer.dismiss()
                else:
                    buffer.invite(following, training_round.side_of(following))
                train(resident + partitions_of([number]))
            buffer.write_all(keep=seat.resident if seed % 2 else None)
    buffer.write_all()
    assert buffer.read_bytes == buffer.written_bytes
    for p, file in buffer.take_written().items():
        for state in folder.read_partition(file, TYPES).values():
            assert (state.vectors == p + 100 * steps_with[p]).all()
    buffer.close()


def test_edges_point_at_the_rows_of_their_entities(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(2, 1), (3, 2), (0, 4), (1, 1)])
    training_round = rounds_of_epoch(4, 2)[0]
    buffer = _buffer(folder, files, training_round)
    (seat,) = training_round.seats
    buffer.settle(seat.resident)
    buffer.attend(*training_round.visiting_slices(seat), side=0)
    blocks = deque(
        Blocks(
            np.array([source]),
            np.array([target]),
            counts=np.array([files[source].rows[0]]),
            source=np.arange(files[source].rows[0], dtype=np.int32),
            target=np.zeros(files[source].rows[0], np.int32),
            relation=np.zeros(files[source].rows[0], np.int16),
            weight=np.ones(files[source].rows[0], np.float32),
        )
        for source in range(4)
        for target in range(4)
    )
    edges = edges_in_buffer(blocks, buffer, [(0, 1)])
    assert not blocks
    entities = buffer.entities()
    sources, targets = entities["user"].vectors[edges.source, 0], entities["tweet"].vectors[edges.target, 0]
    expected = [(source, target) for source in range(4) for target in range(4) for _ in range(files[source].rows[0])]
    assert list(zip(sources, targets, strict=True)) == expected


def test_memory_is_made_for_a_group_and_two_slices(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(10, 1)] * 24)
    training_round = rounds_of_epoch(24, 4, seats=2, slices=3)[0]  # six partitions a group, two a slice
    buffer = _buffer(folder, files, training_round)
    buffer.settle(training_round.seats[0].resident)
    entities = buffer.entities()
    assert {name: len(rows.vectors) for name, rows in entities.items()} == {"user": 60, "tweet": 6}
    memory = entities["user"].vectors.base
    assert memory is not None
    assert len(memory) == 60 + 2 * 20


def test_what_another_task_has_trained_is_read_from_its_file(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(2, 1)] * 2)
    training_round = rounds_of_epoch(2, 2)[0]
    buffer = _buffer(folder, files, training_round)
    (seat,) = training_round.seats
    (visiting,) = training_round.visiting_slices(seat)
    (partition,) = training_round.partitions_of(visiting)
    state = {
        name: EntityState(np.full((n, DIM), 7, np.float32), np.zeros(n, np.float32))
        for name, n in zip(TYPES, (2, 1), strict=True)
    }
    file = folder.write_partition("other", state)
    buffer.receive({partition: file})
    buffer.settle(seat.resident)
    buffer.attend(visiting, side=1)
    assert (buffer.entities()["user"].vectors == 7).any()
    assert not (tmp_path / "runs" / "run" / "state" / "other").exists()  # no one else reads it
    assert (tmp_path / "runs" / "run" / "state" / files[partition].name).exists()  # it is committed
    buffer.close()


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_single_group_is_held_whole(tmp_path: Path, partitions: int) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(2, 1)] * partitions)
    buffer = _buffer(folder, files, rounds_of_epoch(partitions, 1)[0])
    buffer.settle(0)
    assert len(buffer.entities()["user"].vectors) == 2 * partitions
    buffer.write_all()
    assert sorted(buffer.take_written()) == list(range(partitions))

"""Groups of unequal sizes swapped in one memory: each keeps its rows, and no step sees a row of another group."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twhin_spark.training.bucket_schedule import Round, rounds_of_epoch
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState, StateFile, state_name
from twhin_spark.training.workers.edge_blocks import Block, edges_in_buffer
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


def _buffer(folder: RunFolder, files: list[StateFile], training_round: Round, task: int) -> PartitionBuffer:
    groups = [group for pair in training_round.walks[task] for group in pair]
    return PartitionBuffer(folder, files, TYPES, training_round, groups, lambda p: state_name(p, 1, "a-0123456789ab"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=8, max_size=12), seed=st.integers(0, 100)
)
def test_a_step_holds_the_rows_of_its_two_groups_and_each_keeps_what_was_done_to_it(
    tmp_path: Path, rows: list[tuple[int, int]], seed: int
) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, rows)
    training_round = rounds_of_epoch(len(rows), 8, 4, seed, 0)[0]
    for task, walk in enumerate(training_round.walks):
        buffer = _buffer(folder, files, training_round, task)
        steps_with = dict.fromkeys(range(len(rows)), 0)
        for pair in walk:
            buffer.evict(pair)
            buffer.load(pair)
            in_buffer = [p for group in pair for p in training_round.partitions_of(group)]
            first_rows = buffer.first_rows()
            assert sorted(first_rows) == sorted(in_buffer)
            for k, name in enumerate(TYPES):
                entities = buffer.entities()[name]
                assert len(entities.vectors) == sum(rows[p][k] for p in in_buffer)
                assert entities.share * sum(counts[k] for counts in rows) == pytest.approx(len(entities.vectors))
                for p in in_buffer:
                    part = slice(first_rows[p][k], first_rows[p][k] + rows[p][k])
                    assert (entities.vectors[part] == p + 100 * steps_with[p]).all()
                    assert (entities.accumulators[part] == p).all()
                entities.vectors += 100
            for p in in_buffer:
                steps_with[p] += 1
        buffer.evict()
        for p, file in buffer.written.items():
            for state in folder.read_partition(file, TYPES).values():
                assert (state.vectors == p + 100 * steps_with[p]).all()
        assert buffer.read_bytes == buffer.written_bytes


def test_edges_point_at_the_rows_of_their_entities(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(2, 1), (3, 2), (0, 4), (1, 1)])
    training_round = rounds_of_epoch(4, 2, 2, 0, 0)[0]
    buffer = _buffer(folder, files, training_round, 0)
    buffer.load((0, 1))
    blocks = deque(
        Block(
            source,
            target,
            source=np.arange(files[source].rows[0], dtype=np.int32),
            target=np.zeros(files[source].rows[0], np.int32),
            relation=np.zeros(files[source].rows[0], np.int16),
            weight=np.ones(files[source].rows[0], np.float32),
        )
        for source in range(4)
        for target in range(4)
    )
    edges = edges_in_buffer(blocks, training_round, buffer, [(0, 1)])
    assert not blocks
    entities = buffer.entities()
    sources, targets = entities["user"].vectors[edges.source, 0], entities["tweet"].vectors[edges.target, 0]
    expected = [(source, target) for source in range(4) for target in range(4) for _ in range(files[source].rows[0])]
    assert list(zip(sources, targets, strict=True)) == expected


def test_memory_is_made_for_the_largest_two_groups_only(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(10, 1)] * 16)
    training_round = rounds_of_epoch(16, 16, 4, 0, 0)[0]
    buffer = _buffer(folder, files, training_round, 0)
    buffer.load(training_round.walks[0][0])
    entities = buffer.entities()
    assert {name: len(rows.vectors) for name, rows in entities.items()} == {"user": 20, "tweet": 2}
    assert all(rows.vectors.base is not None for rows in entities.values())


@pytest.mark.parametrize("partitions", [1, 5])
def test_a_single_group_is_held_whole(tmp_path: Path, partitions: int) -> None:
    folder = RunFolder(str(tmp_path), "run")
    files = _write(folder, [(2, 1)] * partitions)
    training_round = rounds_of_epoch(partitions, 1, 1, 0, 0)[0]
    buffer = _buffer(folder, files, training_round, 0)
    buffer.load(training_round.walks[0][0])
    assert len(buffer.entities()["user"].vectors) == 2 * partitions
    buffer.evict()
    assert sorted(buffer.written) == list(range(partitions))

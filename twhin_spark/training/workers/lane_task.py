"""A lane of a relay: a task that, in each of several rounds, walks pairs of groups, and reads, trains and writes each.

Runs on workers. After a round the lanes tell each other what they have done: some numbers for each relation, and the
names of files. Vectors never pass through Spark.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import pyarrow as pa

from twhin_spark.errors import TwhinError
from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import train_edges
from twhin_spark.tables.worker_tasks import result_batch
from twhin_spark.training.relay import Relay
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.state_files import StateFile, state_files
from twhin_spark.training.workers.edge_blocks import Block, blocks_by_position
from twhin_spark.training.workers.pair_result import PairResult, relations_after
from twhin_spark.training.workers.task_core import StartState, TaskCore, task_generator

Exchange = Callable[[str], list[str]]
_STOP = "stop"


@dataclass(frozen=True)
class LaneResult:
    """Result of a lane: its pairs, and of each round the files that it wrote, by partition."""

    pairs: list[PairResult] = field(default_factory=list)
    files: list[dict[int, StateFile]] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        fields = json.loads(text)
        files = [state_files(of_round) for of_round in fields["files"]]
        return cls([PairResult.from_fields(pair) for pair in fields["pairs"]], files)


@dataclass(frozen=True)
class LaneTask:
    """All that the lanes of a relay need beside their edges. threads: those of each lane."""

    run: RunSettings
    relay: Relay
    start: StartState
    threads: int = 1

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Train the rows of one lane, for `mapInArrow`; yield a row with a LaneResult, see `result_batch`."""
        from pyspark import BarrierTaskContext, TaskContext  # the worker that runs this is Spark's own

        context = TaskContext.get()
        assert context is not None
        exchange = BarrierTaskContext.get().allGather if self.relay.exchanges else _alone
        yield result_batch(lambda: self.train(context.partitionId(), batches, exchange).to_json().encode())

    def train(self, lane: int, batches: Iterable[pa.RecordBatch], exchange: Exchange) -> LaneResult:
        """Train a lane.

        Parameters
        ----------
        lane
            The number of the lane.
        batches
            Rows of `edge_buckets` with the column `position`, by which they are ordered, see `Relay.position`.
        exchange
            Function that sends a message to all lanes, waits until each lane has sent one, and returns all of them.

        Raises
        ------
        InputError
            A state file is damaged.
        TrainingError
            The disk is full.
        """
        return _Lane(self, lane, batches).train(exchange)


class _Lane:
    """A lane at work."""

    def __init__(self, task: LaneTask, lane: int, batches: Iterable[pa.RecordBatch]) -> None:
        self._run, self._relay, self._lane, self._threads = task.run, task.relay, lane, task.threads
        rounds = task.relay.rounds
        groups = task.relay.groups_of(lane, range(len(rounds)))
        self._core = TaskCore(task.run, task.start, rounds[0], groups, task.threads)
        self._relations = task.start.relations
        self._steps = blocks_by_position(batch for batch in batches if batch.num_rows)
        self._next: tuple[int, deque[Block]] | None = None

    def train(self, exchange: Exchange) -> LaneResult:
        """Train all rounds; see `LaneTask.train`."""
        result, last = LaneResult(), len(self._relay.rounds) - 1
        for number in range(last + 1):
            try:
                pairs = list(self._train_round(number))
            except TwhinError:
                if number < last:
                    exchange(_STOP)  # or the others would wait for this lane
                raise
            written = self._core.buffer.take_written()
            result.pairs.extend(pairs)
            result.files.append(written)
            if number < last:
                diverged = any(pair.diverged is not None for pair in pairs)
                messages = exchange(_STOP if diverged else _message(pairs, written))
                if _STOP in messages:
                    break
                self._receive(list(map(json.loads, messages)))
        return result

    def _train_round(self, number: int) -> Iterator[PairResult]:
        """Train the lane's tasks of a round. Those without edges have no result, and change nothing."""
        relay, training_round = self._relay, self._relay.rounds[number]
        leaving = relay.leaving(self._lane, number)
        tasks = relay.tasks_of(self._lane, number)
        if number == 0:
            self._read_blocks()
        for task in tasks:
            if self._place()[:2] != (number, task):
                continue
            self._core.begin(training_round, self._relations)
            result = self._train_pair(number, task)
            keep = self._core.buffer.groups - leaving if task == tasks[-1] else self._core.buffer.groups
            yield result if result.diverged else replace(result, usage=self._core.finish(keep))
            if result.diverged:
                return
        with self._core.clock("write"):
            self._core.buffer.evict(self._core.buffer.groups - leaving)

    def _train_pair(self, number: int, task: int) -> PairResult:
        """Walk the pairs of groups of two super-groups."""
        run, core, training_round = self._run, self._core, self._relay.rounds[number]
        settings = self._relay.settings[number]
        rng = task_generator(run, training_round, task)
        counts: dict[str, int] = {}
        losses: dict[str, float] = {}
        while self._place()[:2] == (number, task):
            assert self._next is not None
            core.swap_in(training_round.walks[task][self._place()[2]])
            with core.clock("edge"):
                edges = sample_edges(core.edges(self._next[1]), run.sampling, rng)
                pa.default_memory_pool().release_unused()  # what the blocks took
            with core.clock("kernel"):
                trained = train_edges(core.model(), edges, settings, rng, self._threads)
            del edges  # before the next step's are unpacked
            if trained.non_finite is not None:
                return PairResult(number, task, diverged=run.relations[trained.non_finite].name)
            for i, count in trained.edges.items():
                name = run.relations[i].name
                counts[name] = counts.get(name, 0) + count
                losses[name] = losses.get(name, 0.0) + trained.loss[i]
            self._read_blocks()
        relations = core.relation_states()
        return PairResult(number, task, counts, losses, {name: relations[name] for name in counts})

    def _read_blocks(self) -> None:
        """Wait for the blocks of the next step."""
        with self._core.clock("edge"):
            self._next = next(self._steps, None)

    def _place(self) -> tuple[int, int, int]:
        """Return the round, task and step of the next blocks; (-1, -1, -1) if there are none."""
        return (-1, -1, -1) if self._next is None else self._relay.place(self._next[0])

    def _receive(self, messages: list[dict[str, Any]]) -> None:
        """Take over what all lanes have done in a round."""
        pairs = [PairResult.from_fields(pair) for message in messages for pair in message["pairs"]]
        self._relations = relations_after(self._relations, pairs)
        for message in messages:
            self._core.buffer.receive(state_files(message["files"]))


def _message(pairs: list[PairResult], written: Mapping[int, StateFile]) -> str:
    """Return what a lane tells the others after a round: its results, and the files that it wrote."""
    shared = [asdict(replace(pair, usage=None)) for pair in pairs]
    return json.dumps({"pairs": shared, "files": {partition: asdict(file) for partition, file in written.items()}})


def _alone(message: str) -> list[str]:
    """Exchange messages in a relay whose lanes have nothing to tell each other."""
    return [message]

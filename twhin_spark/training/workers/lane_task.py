"""A lane of a relay: a task that trains one seat, or several, in each of several rounds. Runs on workers.

After a round, or after a step, the lanes tell each other what they have done: some numbers for each relation, and the
names of files. Vectors never pass through Spark.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Self

import numpy as np
import pyarrow as pa

from twhin_spark.errors import TwhinError
from twhin_spark.kernels.relation_sampling import sample_edges
from twhin_spark.kernels.training_pass import train_edges
from twhin_spark.tables.worker_tasks import result_batch
from twhin_spark.training.bucket_schedule import Seat
from twhin_spark.training.relay import Relay
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.state_files import StateFile, state_files
from twhin_spark.training.workers.edge_blocks import Blocks, blocks_by_position
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
        return _Lane(self, lane, batches, exchange).train()


class _StoppedError(Exception):
    """The end of a lane, as a loss was not finite, or as another lane has ended."""


class _Lane:
    """A lane at work."""

    def __init__(self, task: LaneTask, lane: int, batches: Iterable[pa.RecordBatch], exchange: Exchange) -> None:
        self._run, self._relay, self._lane, self._threads = task.run, task.relay, lane, task.threads
        self._exchange, self._exchanges = exchange, task.relay.messages - 1  # after the last message all is written
        self._relations = task.start.relations
        self._steps = blocks_by_position(batch for batch in batches if batch.num_rows)
        self._next: tuple[int, deque[Blocks]] | None = None  # the blocks of the next step that has any
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="edges")
        self._result = LaneResult()
        rounds = task.relay.rounds
        self._core = TaskCore(task.run, task.start, rounds[0], task.threads)
        seats = [seat for number in range(len(rounds)) for _, seat in task.relay.seats_of(lane, number)]
        slices = {number for seat in seats for number in rounds[0].visiting_slices(seat)}
        self._core.buffer.make_room({seat.resident for seat in seats}, slices)

    def train(self) -> LaneResult:
        """Train all rounds; see `LaneTask.train`."""
        try:
            self._take_blocks(self._read_blocks())
            for number in range(len(self._relay.rounds)):
                self._train_round(number)
        except _StoppedError:
            pass
        except TwhinError:
            self._stop_others()
            raise
        finally:
            self._reader.shutdown()  # waits, as the worker goes on to read from Spark itself
            self._core.buffer.close()
        return self._result

    def _train_round(self, number: int) -> None:
        relay, core = self._relay, self._core
        seats = relay.seats_of(self._lane, number)
        pairs = []
        for task, seat in seats:
            pair = self._train_seat(number, task, seat)
            if seat is seats[-1][1] and relay.ends_with_all_written(number):
                with core.clock("write"):
                    core.buffer.write_all(relay.stays(self._lane, number))
            pairs.append(replace(pair, usage=core.take_usage()))
        if not seats:
            self._wait_for_others(relay.messages_of_round - 1)
        self._result.pairs.extend(pairs)
        self._tell(pairs)

    def _train_seat(self, number: int, task: int, seat: Seat) -> PairResult:
        relay, core, training_round = self._relay, self._core, self._relay.rounds[number]
        rng = task_generator(self._run, training_round, task)
        pair = PairResult(number, task)
        core.begin(training_round, self._relations)  # as all tasks of the round do
        with core.clock("read"):
            core.buffer.settle(seat.resident)
        if seat.inner:
            self._train_step(pair, 0, rng)
        slices = training_round.visiting_slices(seat)
        for step, slice_number in enumerate(slices, start=1):
            with core.clock("read"):
                core.buffer.attend(slice_number, training_round.side_of(slice_number))
                self._invite_after(number, slices[step:])
            self._train_step(pair, step, rng)
            if relay.pipelined and step < len(slices):
                self._tell([])
        if not slices:
            self._wait_for_others(relay.messages_of_round - 1)
        relations = core.relation_states()
        return replace(pair, relations={name: relations[name] for name in pair.edges})

    def _train_step(self, pair: PairResult, step: int, rng: np.random.Generator) -> None:
        """Train the edges of one step, and count them in the pair's result."""
        run, core, settings = self._run, self._core, self._relay.settings[pair.number]
        if self._next is None or self._relay.place(self._next[0]) != (pair.number, pair.task, step):
            return  # it has no edges
        with core.clock("edge"):
            edges = sample_edges(core.edges(self._next[1]), run.sampling, rng)
            pa.default_memory_pool().release_unused()  # what the blocks took
            following = self._read_blocks()
        with core.clock("kernel"):
            trained = train_edges(core.model(), edges, settings, rng, self._threads)
        del edges  # before the next step's are unpacked
        if trained.non_finite is not None:
            diverged = run.relations[trained.non_finite].name
            self._result.pairs.append(PairResult(pair.number, pair.task, diverged=diverged))
            self._stop_others()
            raise _StoppedError
        for i, count in trained.edges.items():
            name = run.relations[i].name
            pair.edges[name] = pair.edges.get(name, 0) + count
            pair.loss[name] = pair.loss.get(name, 0.0) + trained.loss[i]
        self._take_blocks(following)

    def _invite_after(self, number: int, slices: list[int]) -> None:
        """Begin to write the slice that was trained last, and to read the one that is trained next.

        That is the next one of this round or, if another lane has written it by now, the first one of the next round.
        """
        training_round = self._relay.rounds[number]
        if not slices and not self._relay.ends_with_all_written(number):
            training_round = self._relay.rounds[number + 1]
            slices = [
                slice_number
                for _, seat in self._relay.seats_of(self._lane, number + 1)
                for slice_number in training_round.visiting_slices(seat)
            ]
        if slices:
            self._core.buffer.invite(slices[0], training_round.side_of(slices[0]))
        else:
            self._core.buffer.dismiss()

    def _read_blocks(self) -> Future[tuple[int, deque[Blocks]] | None]:
        """Begin to read the blocks of the next step that has any, in a thread."""
        return self._reader.submit(next, self._steps, None)

    def _take_blocks(self, read: Future[tuple[int, deque[Blocks]] | None]) -> None:
        """Wait for the blocks that are being read."""
        with self._core.clock("edge"):
            self._next = read.result()

    def _wait_for_others(self, messages: int) -> None:
        """Take part in the exchange of messages in a round, or the rest of one, in which this lane has no steps."""
        for _ in range(messages):
            self._tell([])

    def _tell(self, pairs: list[PairResult]) -> None:
        """Tell the others what this lane has trained and written since the last message, and take over what they did.

        With the last message, there is no one to tell: the driver takes it from the result.
        """
        with self._core.clock("write"):
            written = self._core.buffer.take_written()
        self._result.files.append(written)
        if not self._exchanges:
            return
        self._exchanges -= 1
        messages = self._exchange(_message(pairs, written))
        if _STOP in messages:
            raise _StoppedError
        told = [json.loads(message) for message in messages]
        for message in told:
            self._core.buffer.receive(state_files(message["files"]))
        of_round = [PairResult.from_fields(pair) for message in told for pair in message["pairs"]]
        self._relations = relations_after(self._relations, of_round)

    def _stop_others(self) -> None:
        """Tell the others, who would wait for this lane's next message, that there is none."""
        if self._exchanges:
            self._exchange(_STOP)


def _message(pairs: list[PairResult], written: Mapping[int, StateFile]) -> str:
    """Return what a lane tells the others after a round: its results, and the files that it wrote."""
    shared = [asdict(replace(pair, usage=None)) for pair in pairs]
    return json.dumps({"pairs": shared, "files": {partition: asdict(file) for partition, file in written.items()}})


def _alone(message: str) -> list[str]:
    """Exchange messages in a relay whose lanes have nothing to tell each other."""
    return [message]

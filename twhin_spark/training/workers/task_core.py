"""The core of all training tasks: their memory, their relations and their clock. Runs on workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np

from twhin_spark.kernels.model import Edges, Model
from twhin_spark.training.anchor import pull_state
from twhin_spark.training.bucket_schedule import Round
from twhin_spark.training.run_settings import RunSettings
from twhin_spark.training.state.relation_state import RelationState, from_kernel, to_kernel
from twhin_spark.training.state.round_report import TaskUsage
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import StateFile, state_name
from twhin_spark.training.workers.edge_blocks import Blocks, edges_in_buffer
from twhin_spark.training.workers.partition_buffer import PartitionBuffer
from twhin_spark.training.workers.task_metrics import StopWatch, peak_rss_bytes


@dataclass(frozen=True)
class StartState:
    """State that a task starts from, as the round before committed it."""

    files: list[StateFile]  # by partition
    relations: Mapping[str, RelationState]
    claim: int  # the fence of the claim under which the task writes
    anchors: list[StateFile] = field(default_factory=list)  # by partition, if vectors are pulled to their start


class TaskCore:
    """A task at work: the buffer with its groups, the relations as the kernels train them, and a clock.

    The clock's parts are the seconds of TaskUsage: edge, read, kernel and write.
    """

    def __init__(self, run: RunSettings, start: StartState, first: Round, threads: int) -> None:
        """Begin with an empty buffer. `first` is a round of the epoch that the task trains."""
        self._run, self._claim, self._attempt = run, start.claim, uuid4().hex[:12]
        self._anchors = start.anchors
        self.clock = StopWatch("edge", "read", "kernel", "write")
        self.folder = RunFolder(run.output, run.run_id)
        self.buffer = PartitionBuffer(self.folder, start.files, run.entity_types, first, self.file_name, threads)
        self.begin(first, start.relations)

    def begin(self, training_round: Round, relations: Mapping[str, RelationState]) -> None:
        """Begin a round with these relations."""
        self._round = training_round
        self.relations = {
            i: to_kernel(settings, relations[settings.name]) for i, settings in enumerate(self._run.relations)
        }

    def file_name(self, partition: int, prefix: str = "") -> str:
        """Return the name of a state file that this task alone writes."""
        position = f"e{self._round.epoch:05d}-r{self._round.number:05d}"
        return state_name(partition, self._claim, f"{prefix}{position}-{self._attempt}")

    def edges(self, blocks: deque[Blocks]) -> Edges:
        """Return the edges of some blocks in rows of the model; empties the deque."""
        return edges_in_buffer(blocks, self.buffer, self._run.relation_ends)

    def model(self) -> Model:
        """Return what is loaded, and the relations, to be trained in place."""
        entities = self.buffer.entities()
        for name in self._run.frozen:
            entities[name].trained = 0
        return Model(entities, self.relations)

    def pull_to_anchor(self) -> None:
        """Pull the partitions in the buffer to their start, if the run has an anchor."""
        if self._anchors:
            with self.clock("read"):
                for partition, state in self.buffer.states():
                    pull_state(state, self.folder.read_partition(self._anchors[partition], self._run.entity_types))

    def relation_states(self) -> dict[str, RelationState]:
        """Return the relations, by name, as they are now."""
        return {self._run.relations[i].name: from_kernel(relation) for i, relation in self.relations.items()}

    def take_usage(self) -> TaskUsage:
        """Return what was used since the last call."""
        seconds = {f"{part}_seconds": value for part, value in self.clock.restart().items()}
        read, written = self.buffer.restart_counts()
        return TaskUsage(**seconds, read_bytes=read, written_bytes=written, peak_rss_bytes=peak_rss_bytes())


def task_generator(run: RunSettings, training_round: Round, task: int) -> np.random.Generator:
    """Return the random numbers of a task, which depend on the run's seed, epoch, round and task alone."""
    seed = np.random.SeedSequence((run.seed, training_round.epoch, training_round.number, task))
    return np.random.Generator(np.random.PCG64(seed))

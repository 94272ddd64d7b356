"""Costs of training: the bytes of a task, the bytes that an epoch moves, and the seconds that an epoch takes.

The constants were measured, see docs/plan.md. `make bench-plan` compares their forecasts with trainings.
"""

from __future__ import annotations

from dataclasses import dataclass

from twhin_spark.kernels.training_pass import SLAB_BYTES
from twhin_spark.training.relay import PIPELINED_SLICES

FLOAT_BYTES = 4
PROCESS_BYTES = 115_000_000  # a Python worker with numpy, scipy and pyarrow, before it has done anything
BATCH_BYTES = 75_000_000  # edges under way from Spark, and freed memory that the allocator keeps
EDGE_BYTES = 14  # source and target int32, relation int16, weight float32
EDGE_ORDER_BYTES = 28  # the random order of a pass, in the kernels
EDGE_LOGQ_BYTES = 34  # the counts behind `logq`
EDGE_DRAW_BYTES = 20  # how often an edge is trained, if relations are sampled
SCORE_COPIES = 4  # of the scores that are computed at once
VECTOR_COPIES = 4  # of the vectors of a batch, and of their gradients

RELAY_SECONDS = 0.25  # Spark: planning, starting tasks, committing
ROUND_SECONDS = 0.02  # of a relay: the lanes tell each other what they have done
EDGE_SECONDS = 0.1e-6  # to sort, send and unpack one edge
NOMINAL_FLOPS = 70e9  # of the kernels on one core
NOMINAL_EDGE_SECONDS = 3e-6  # of the kernels beside matrix products
NOMINAL_BATCH_SECONDS = 0.5e-3  # of a step, however few edges it has
NOMINAL_STATE_BYTES = 1.2e9  # of state that a task reads or writes in a second, checksums included

SMALL_EPOCH_SECONDS = 5.0  # up to which an epoch stays in one task: it has the best negatives, and no rounds
THREAD_EFFICIENCY = 0.95  # of the kernels, in a task of several threads


@dataclass(frozen=True)
class Workload:
    """The size of a graph and of the work that training does for an edge."""

    entities: int
    edges: int
    dim: int
    batch_size: int
    chunk_size: int  # edges that share their negatives
    uniform_negatives: int  # of a chunk on each side, with all other negatives from outside of its edges
    two_sided: bool  # any relation is
    logq: bool
    sampling: float = 1.0  # how many times an epoch trains an edge, on average

    @property
    def trained(self) -> int:
        """Expected number of edges that an epoch trains."""
        return round(self.edges * self.sampling)

    @property
    def model_bytes(self) -> int:
        """Bytes of the vectors and accumulators of all entities."""
        return self.entities * (self.dim + 1) * FLOAT_BYTES

    @property
    def nominal_edge_seconds(self) -> float:
        """Seconds of an edge on one core, by its matrix products: the same on all machines, as plans must be."""
        sides = 2 if self.two_sided else 1  # a one-sided relation scores its in-batch negatives once for both ends
        flops = 6 * self.dim * (sides * self.chunk_size + 2 * self.uniform_negatives)
        return flops / NOMINAL_FLOPS + NOMINAL_EDGE_SECONDS

    @property
    def nominal_task_seconds(self) -> float:
        """Seconds of an epoch of one task that holds the whole model. In a tiny graph, small batches take most."""
        return self.trained * (self.nominal_edge_seconds + NOMINAL_BATCH_SECONDS / self.batch_size)

    def epochs_a_commit(self, commit_seconds: float, threads: int = 1) -> int:
        """Return the number of epochs between commits, if one task holds the whole model and has these threads.

        It goes by nominal time, so no clock changes it.
        """
        seconds = self.nominal_task_seconds / thread_speed(threads)
        return max(1, int(commit_seconds / max(seconds, 1e-3)))

    def rounds_a_commit(self, layout: GroupLayout, commit_seconds: float, threads: int = 1) -> int:
        """Return the number of rounds between commits, by nominal time as well."""
        seconds = self.nominal_task_seconds / thread_speed(threads) / layout.pairs
        return min(layout.rounds, max(1, int(commit_seconds / max(seconds, 1e-3))))


@dataclass(frozen=True)
class GroupLayout:
    """Numbers of partitions, groups, tasks of a round, and slices of a group, see bucket_schedule.py."""

    partitions: int
    groups: int
    tasks: int = 1
    slices: int = 1

    @property
    def pairs(self) -> int:
        """Pairs of groups that meet in an epoch; 1 if there is a single group."""
        return max(self.groups * (self.groups - 1) // 2, 1)

    @property
    def rounds(self) -> int:
        return _rounds(self.groups, self.tasks) + 1  # the last one is for the group that never was a resident

    def loads(self, relays: int = 1) -> int:
        """Return how many times an epoch reads a group, and writes one, if it is cut into some relays.

        A visitor is read for each pair, and a resident when it settles and at the beginning of a relay.
        """
        return 1 if self.groups == 1 else self.pairs + _settlements(self.groups) + 1 + self.tasks * relays


def _rounds(groups: int, tasks: int) -> int:
    """Return the number of rounds of `bucket_schedule.meetings`."""
    if groups < 2:
        return 0
    visitors = (groups + 1) // 2
    residents = groups - visitors
    across = -(-residents // tasks) * visitors
    first, second = _rounds(visitors, tasks), _rounds(residents, tasks)
    return across + (max(first, second) if visitors // 2 + residents // 2 <= tasks else first + second)


def _settlements(groups: int) -> int:
    """Return how many times a group becomes a resident in `bucket_schedule.meetings`."""
    if groups < 2:
        return 0
    visitors = (groups + 1) // 2
    return groups - visitors + _settlements(visitors) + _settlements(groups - visitors)


@dataclass(frozen=True)
class TaskBytes:
    """Peak memory of a task in bytes, by its parts."""

    process: int
    entities: int
    edges: int
    kernel: int

    @property
    def total(self) -> int:
        return self.process + self.entities + self.edges + self.kernel

    def __str__(self) -> str:
        parts = {"vectors": self.entities, "edges": self.edges, "a batch": self.kernel, "Python itself": self.process}
        return ", ".join(f"{name} {format_bytes(count)}" for name, count in parts.items())


def task_bytes(work: Workload, layout: GroupLayout) -> TaskBytes:
    """Return the peak memory of the largest task.

    The sizes of groups, and of slices, differ by one partition. Hashing spreads entities and edges evenly over the
    partitions.
    """
    group = -(-layout.partitions // layout.groups) / layout.partitions  # share of the entities in the largest one
    if layout.groups == 1:
        entities, edges = 1.0, 1.0
    else:
        part = -(-layout.partitions // (layout.groups * layout.slices)) / layout.partitions  # of the largest slice
        entities = group + 2 * part
        edges = max(group * group, 2 * group * part)  # inside the resident, or between it and a slice
    stored = EDGE_BYTES if layout.groups == 1 else 2 * EDGE_BYTES  # the next step's are read meanwhile
    order = EDGE_ORDER_BYTES + (EDGE_LOGQ_BYTES if work.logq else 0)
    if work.sampling != 1:  # the drawn edges are copies
        stored, order = stored + EDGE_DRAW_BYTES, order + EDGE_BYTES
    scores = max(work.chunk_size * (work.chunk_size + 2 * work.uniform_negatives) * FLOAT_BYTES, SLAB_BYTES)
    chunks = work.batch_size // work.chunk_size
    vectors = 2 * (work.batch_size + chunks * work.uniform_negatives) * work.dim * FLOAT_BYTES
    return TaskBytes(
        process=PROCESS_BYTES + BATCH_BYTES,
        entities=round(work.model_bytes * entities),
        edges=round(min(edges, 1.0) * (work.edges * stored + work.trained * order)),
        kernel=SCORE_COPIES * scores + VECTOR_COPIES * vectors,
    )


@dataclass(frozen=True)
class Speed:
    """Speed of one slot: seconds of the kernels for an edge on one thread, and bytes of state moved in a second."""

    edge_seconds: float
    state_bytes: float
    threads: int = 1


def nominal_speed(work: Workload, threads: int = 1) -> Speed:
    """Return the speed that plans go by, which is the same on all machines."""
    return Speed(work.nominal_edge_seconds, NOMINAL_STATE_BYTES, threads)


def thread_speed(threads: int) -> float:
    """Return how many times faster the kernels of a task are with some threads than with one."""
    return 1.0 if threads == 1 else threads * THREAD_EFFICIENCY


def state_bytes_moved(work: Workload, layout: GroupLayout, relays: int = 1) -> int:
    """Return the bytes of state that an epoch reads and writes."""
    return 2 * round(work.model_bytes * layout.loads(relays) / layout.groups)


@dataclass(frozen=True)
class EpochSeconds:
    """Wall seconds of an epoch, by what takes them.

    Attributes
    ----------
    kernels
        Training itself.
    edges
        Sending, sorting and unpacking edges.
    state
        Reading and writing state: what it adds to the time of training.
    rounds
        Messages between the tasks of rounds.
    commits
        Spark jobs and their commits.
    """

    kernels: float
    edges: float
    state: float
    rounds: float
    commits: float

    @property
    def total(self) -> float:
        return self.kernels + self.edges + self.state + self.rounds + self.commits


def epoch_seconds(
    work: Workload, layout: GroupLayout, slots: int, speed: Speed, commit_seconds: float = 60.0
) -> EpochSeconds:
    """Return the wall seconds of an epoch after the first, in which Spark also reads the edges."""
    waves = layout.rounds * -(-layout.tasks // slots) if layout.groups > 1 else 1  # of tasks that run at the same time
    if layout.groups == 1:
        rounds, relays = 0.0, 1 / work.epochs_a_commit(commit_seconds, speed.threads)
    else:
        rounds = float(layout.rounds)
        relays = rounds / work.rounds_a_commit(layout, commit_seconds, speed.threads)
    kernels = work.trained * speed.edge_seconds / thread_speed(speed.threads)
    edges = work.edges * EDGE_SECONDS
    moving = state_bytes_moved(work, layout, round(relays)) / speed.state_bytes
    if layout.slices >= PIPELINED_SLICES and slots >= layout.tasks > 1:  # what moves, moves during training
        moving = max(moving - kernels - edges, 0.0)
    share = waves / layout.pairs
    return EpochSeconds(kernels * share, edges * share, moving * share, rounds * ROUND_SECONDS, relays * RELAY_SECONDS)


def format_bytes(count: int) -> str:
    """Return a number of bytes as text, such as '1.00 GB'."""
    return f"{count / 1e9:,.2f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"

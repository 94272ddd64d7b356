from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from tests.support.configs import small_config
from twhin_spark.errors import ConfigError
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import ENTITIES, ddl
from twhin_spark.training.planning.costs import (
    GroupLayout,
    Workload,
    epoch_seconds,
    nominal_speed,
    state_bytes_moved,
    task_bytes,
)
from twhin_spark.training.planning.forecast import Cluster, Forecast, forecast
from twhin_spark.training.planning.layouts import configured_layout
from twhin_spark.training.planning.plan import GraphSize, Plan, mean_sampling, resolve_plan

LARGE = Workload(10_000_000, 50_000_000, 128, 500, 500, 500, two_sided=False, logq=False)
MIDDLE = replace(LARGE, entities=1_000_000, edges=10_000_000)
SMALL = replace(LARGE, entities=14_541, edges=272_115, dim=100, batch_size=50, chunk_size=50, uniform_negatives=50)


def _plan(
    work: Workload, slots: int = 2, partitions: int = 256, memory: float = 1.0, groups: int | None = None
) -> Plan:
    plan = resolve_plan(work, partitions=partitions, slots=slots, task_memory_gb=memory, groups=groups)
    assert plan.task.total <= memory * 1e9
    return plan


def test_groups_are_twice_the_slots() -> None:
    assert _plan(MIDDLE, slots=2).layout == GroupLayout(256, 4, 2, 3)
    assert _plan(MIDDLE, slots=8).layout == GroupLayout(256, 16, 8, 3)


def test_a_single_slot_takes_all_at_once_if_it_fits() -> None:
    assert _plan(MIDDLE, slots=1, memory=2).layout == GroupLayout(256, 1)


def test_a_small_graph_does_not_pay_for_rounds() -> None:
    plan = _plan(SMALL, slots=2)
    assert plan.layout == GroupLayout(256, 1)
    assert plan.reasons[0].startswith("1 group: the graph is small")


def test_a_model_larger_than_a_task_is_cut_into_more_groups() -> None:
    # 5.16 GB: a group of 32 of 256 partitions and two slices of 11 hold 1.09 GB, with 12 groups .81 GB.
    plan = _plan(LARGE)
    assert plan.layout == GroupLayout(256, 12, 2, 3)
    assert "times 3, so that a group, two slices and their edges fit 1.00 GB" in plan.reasons[0]


def test_bytes_of_an_epoch_grow_with_tasks_and_not_with_their_threads() -> None:
    few, many = (GroupLayout(4096, 2 * tasks, tasks, 3) for tasks in (2, 64))
    assert state_bytes_moved(LARGE, few) < 2 * LARGE.model_bytes * 4
    assert state_bytes_moved(LARGE, many) < 2 * LARGE.model_bytes * (64 + 5)  # half as often as there are groups


def test_what_is_trained_more_than_once_takes_longer_and_has_its_own_memory() -> None:
    layout, speed = GroupLayout(256, 4, 4), nominal_speed(MIDDLE)
    thrice, half = replace(MIDDLE, sampling=3.0), replace(MIDDLE, sampling=0.5)
    assert (thrice.trained, half.trained) == (30_000_000, 5_000_000)
    once, more, less = (epoch_seconds(work, layout, 2, speed, 1e9).total for work in (MIDDLE, thrice, half))
    assert more - once == pytest.approx(4 * (once - less))
    assert task_bytes(thrice, layout).edges > 2 * task_bytes(MIDDLE, layout).edges
    assert task_bytes(half, layout).edges > 0.5 * task_bytes(MIDDLE, layout).edges
    assert replace(SMALL, sampling=2.0).nominal_task_seconds == 2 * SMALL.nominal_task_seconds


def test_the_mean_sampling_is_that_of_the_graphs_edges(spark: SparkSession, tmp_path: Path) -> None:
    store, names = TableStore(spark, str(tmp_path)), ("user", "tweet")
    degrees = [{"follow": 30, "like": 8}, {"like": 2}, {}]
    rows = [("user", str(i), 0, i, 0, 1, out, {}) for i, out in enumerate(degrees)]
    version = store.overwrite(ENTITIES, spark.createDataFrame(rows, ddl(ENTITIES)))
    graph = GraphVersion("g", {"entities": version}, ("follow", "like"), 1, None, {})
    relations = {"follow": {"sampling": 0.5}, "like": {"sampling": 2.5}}
    ends = {"source": names[0], "target": names[1]}
    config = small_config(
        tmp_path, entity_types=list(names), relations={name: {**ends, **one} for name, one in relations.items()}
    )
    assert mean_sampling(store, graph, config) == (30 * 0.5 + 10 * 2.5) / 40
    plain = small_config(tmp_path, entity_types=list(names), relations={"follow": ends, "like": ends})
    assert mean_sampling(store, graph, plain) == 1


def test_never_more_groups_than_partitions() -> None:
    assert _plan(MIDDLE, slots=8, partitions=3).layout == GroupLayout(3, 3, 1)


@pytest.mark.parametrize(
    ("slots", "groups", "tasks", "slices"),
    [(2, 16, 2, 3), (2, 6, 2, 3), (4, 16, 4, 3), (1, 4, 1, 3), (2, 1, 1, 1), (2, 5, 2, 3), (2, 2, 1, 3), (2, 90, 2, 1)],
)
def test_configured_groups_are_trained_by_as_many_tasks_as_there_are_slots(
    slots: int, groups: int, tasks: int, slices: int
) -> None:
    assert _plan(SMALL, slots=slots, groups=groups).layout == GroupLayout(256, groups, tasks, slices)


def test_few_partitions_for_the_groups_are_warned_of() -> None:
    (warning,) = _plan(MIDDLE, partitions=16).warnings
    assert "16 partitions are few for 4 groups" in warning
    assert "graph.partitions: 32" in warning
    assert not _plan(MIDDLE, partitions=32).warnings


def test_idle_slots_are_warned_of() -> None:
    (warning,) = _plan(MIDDLE, slots=8, groups=4).warnings
    assert warning.startswith("only 2 of 8 slots have work")


def test_buckets_with_too_few_edges_are_warned_of() -> None:
    few = replace(MIDDLE, edges=50_000_000)
    assert _plan(few, slots=8, partitions=512).too_many_buckets is None
    warning = _plan(few, slots=8, partitions=2048).too_many_buckets
    assert warning is not None
    assert "4,194,304 buckets with 11.9 edges each" in warning
    worth = int(warning.split("at most ")[1].split()[0])
    assert _plan(few, slots=8, partitions=worth).too_many_buckets is None


def _forecast(cluster: Cluster, partitions: int = 256) -> Forecast:
    user = {"source": "user", "target": "user"}
    config = small_config(Path("unused"), entity_types=["user"], relations={"follow": user}, training=_TRAINING)
    size = GraphSize(LARGE.entities, LARGE.edges)
    return forecast(config, size, partitions=partitions, cluster=cluster, edges_per_second=100_000)


_TRAINING = {"dim": 128, "batch_size": 500, "task_memory_gb": 64}


@pytest.mark.usefixtures("working_folder")
def test_a_slow_link_or_store_is_waited_for() -> None:
    fast, link, store = (_forecast(Cluster(8, 1, **bounds)) for bounds in ({}, {"network_gbit": 1}, {"store_gbit": 8}))
    assert link.epoch.state > fast.epoch.state
    assert link.epoch_seconds == pytest.approx(store.epoch_seconds)  # 8 machines with a link of 1 Gbit/s each
    assert link.epoch.kernels == fast.epoch.kernels
    assert sum(asdict(link.epoch).values()) == link.epoch_seconds


@pytest.mark.usefixtures("working_folder")
def test_tasks_share_the_memory_of_their_machine() -> None:
    assert "training.task_memory_gb: 2.8 is what a machine of 4 GB has" in _forecast(Cluster(8, 1, 4)).plan.reasons
    with pytest.raises(ConfigError, match=r"training.task_memory_gb is 0.14, but a task would hold"):
        _forecast(Cluster(8, 1, 0.2))


@pytest.mark.usefixtures("working_folder")
def test_too_many_partitions_are_refused_by_a_forecast() -> None:
    with pytest.raises(ConfigError, match=r"graph\.partitions: 2048 makes 4,194,304 buckets"):
        _forecast(Cluster(8, 1), partitions=2048)


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _refused(work: Workload, partitions: int = 256, memory: float = 1.0, groups: int | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        _plan(work, partitions=partitions, memory=memory, groups=groups)
    message = str(refused.value)
    assert message.startswith(f"training.task_memory_gb is {memory:g}, but a task would hold ")
    return message.split("it would fit with ")[1]


@pytest.mark.parametrize("named", ["task_memory_gb", "partitions"])
def test_too_few_partitions_are_refused_with_options_that_fit(named: str) -> None:
    options = dict(option.split(": ") for option in _refused(LARGE, partitions=8).split(" (")[0].split(" or "))
    if named == "task_memory_gb":
        assert _plan(LARGE, partitions=8, memory=float(options["training.task_memory_gb"]))
    else:
        plan = _plan(LARGE, partitions=int(options["graph.partitions"]))
        assert plan.layout.groups > 8
        assert not plan.warnings


def test_too_few_configured_groups_are_refused_with_a_number_that_fits() -> None:
    options = dict(option.split(": ") for option in _refused(LARGE, groups=4).split(" or "))
    assert _plan(LARGE, groups=int(options["training.groups"]))


def test_a_batch_that_does_not_fit_is_refused_by_name() -> None:
    assert "a training.batch_size below 9000" in _refused(replace(LARGE, batch_size=9000, chunk_size=9000))


@settings(deadline=None)
@given(
    entities=st.integers(1, 10**8),
    edges=st.integers(1, 10**9),
    partitions=st.sampled_from([1, 3, 8, 100, 256, 1000]),
    slots=st.integers(1, 40),
    memory=st.sampled_from([0.1, 0.2, 0.3, 0.5, 1.0, 2.0]),
    groups=st.none() | st.integers(1, 1000),
)
def test_what_a_refusal_names_fits(
    entities: int, edges: int, partitions: int, slots: int, memory: float, groups: int | None
) -> None:
    work, groups = replace(LARGE, entities=entities, edges=edges), groups and min(groups, partitions)
    try:
        _plan(work, slots, partitions, memory, groups)
        return
    except ConfigError as refused:
        fits = str(refused).split("it would fit with ")[1].replace(" (in a new output: the first build fixes them)", "")
    more, *others = fits.split(" or ")
    assert _plan(work, slots, partitions, float(more.removeprefix("training.task_memory_gb: ")), groups)
    for other in others:
        if other == "a training.batch_size below 500":
            _plan(replace(work, batch_size=1, chunk_size=1), slots, 32_768, memory)
            continue
        named = dict(option.split(": ") for option in other.split(" and "))
        assert named.keys() <= {"training.groups", "graph.partitions"}
        _plan(
            work,
            slots,
            int(named.get("graph.partitions", partitions)),
            memory,
            int(named["training.groups"]) if "training.groups" in named else groups,
        )


def test_no_batch_is_small_enough_for_a_task_that_python_alone_fills() -> None:
    assert _refused(SMALL, memory=0.15).startswith("training.task_memory_gb: ")
    assert " or " not in _refused(SMALL, memory=0.15)


@settings(deadline=None)
@given(
    entities=st.integers(1, 10**9),
    edges=st.integers(1, 10**9),
    multiple=st.integers(1, 6),
    slots=st.integers(1, 8),
)
def test_more_groups_hold_less_and_move_more(entities: int, edges: int, multiple: int, slots: int) -> None:
    work = replace(LARGE, entities=entities, edges=edges)
    fewer, more = (configured_layout(10_000, 2 * slots * n, slots) for n in (multiple, multiple + 1))
    assert task_bytes(work, more).total <= task_bytes(work, fewer).total
    assert state_bytes_moved(work, more) >= state_bytes_moved(work, fewer)
    assert epoch_seconds(work, more, slots, nominal_speed(work)).total > 0

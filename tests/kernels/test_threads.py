"""Teams of threads: order of results, exceptions, NumPy's handling of overflows."""

import threading

import numpy as np
import pytest

from twhin_spark.kernels.threads import ThreadTeam


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    with ThreadTeam(threads) as team:
        assert team.map(lambda item: item * item, range(40)) == [item * item for item in range(40)]
        assert team.map(str, []) == []


def test_all_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)
    with ThreadTeam(3) as team:
        assert sorted(team.map(lambda _: meeting.wait(), range(3))) == [0, 1, 2]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_an_exception_reaches_the_caller(threads: int) -> None:
    def fails(item: int) -> int:
        if item == 5:
            raise ValueError("the fifth")
        return item

    with ThreadTeam(threads) as team:
        with pytest.raises(ValueError, match="the fifth"):
            team.map(fails, range(9))
        assert team.map(fails, range(3)) == [0, 1, 2]


def test_overflows_are_handled_as_the_caller_says() -> None:
    with ThreadTeam(2) as team:
        meeting = threading.Barrier(2, timeout=30)

        def overflows(_: int) -> float:
            meeting.wait()
            return float(np.float32(1e38) * np.float32(1e38))

        with np.errstate(over="ignore"):
            assert team.map(overflows, range(2)) == [np.inf, np.inf]
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            team.map(overflows, range(2))

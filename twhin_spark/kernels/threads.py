"""Threads that share the work of one step. NumPy gives up Python's lock in products and in loops over arrays."""

import contextvars
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar, cast

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ThreadTeam:
    """A number of threads, one of which is the caller's own, to be used as a context manager.

    BLAS must run one thread for each caller (`OPENBLAS_NUM_THREADS=1`), or the threads get in each other's way.
    """

    def __init__(self, threads: int) -> None:
        """Start `threads - 1` threads."""
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="kernel") if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Return the results of `work` on each item, in the items' order. A free thread takes the next item.

        An exception in a thread is raised here, as soon as the items that are under way are done.
        """
        if self._pool is None or len(items) == 1:
            return [work(item) for item in items]
        results: list[_Result | None] = [None] * len(items)
        numbers = itertools.count()  # its next() is atomic

        def take_items() -> None:
            while (number := next(numbers)) < len(items):
                results[number] = work(items[number])

        # NumPy keeps its handling of overflows in the context, which a new thread would not inherit.
        others = min(self.threads, len(items)) - 1
        futures = [self._pool.submit(contextvars.copy_context().run, take_items) for _ in range(others)]
        try:
            take_items()
        finally:
            errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                raise error
        return cast(list[_Result], results)

"""The state that the routes share: the current store, the settings, and the threads that search."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from twhin_spark.config.serving import ServingConfig
from twhin_spark.representations.errors import RequestError
from twhin_spark.serving.neighbours import IndexLookup, exact_index
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.web.observability import Metrics

Result = TypeVar("Result")


class ServiceState:
    """The state of a running service.

    Attributes
    ----------
    store
        The current store. A version switch replaces it as a whole, so a request reads the attribute once.
    problems
        Reasons why versions are not served, by family.
    index_lookup
        Function that returns the index for a search of neighbours.
    """

    def __init__(self, settings: ServingConfig, root: Path, index_lookup: IndexLookup = exact_index) -> None:
        self.settings = settings
        self.root = root
        self.index_lookup = index_lookup
        self.metrics = Metrics()
        self.store = RepresentationStore()
        self.problems: dict[str, Sequence[str]] = {}
        self.searchers = ThreadPoolExecutor(settings.search_threads, "search")

    def check_count(self, field: str, count: int) -> None:
        """Raise RequestError if a field has more entries than one request may have."""
        if count > self.settings.max_entities:
            raise RequestError(f"{field} has {count:,} entries; at most {self.settings.max_entities:,} are allowed")

    async def search(self, work: Callable[[float], Result]) -> Result:
        """Run work(deadline) in a thread and return its result, so that short requests need not wait for it."""
        deadline = time.monotonic() + self.settings.timeout_seconds
        return await asyncio.get_running_loop().run_in_executor(self.searchers, work, deadline)

"""What the routes share: the store as it is now, the settings, the threads that search."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from twhin_spark.config.serving import ServingConfig
from twhin_spark.representations.errors import QuestionError
from twhin_spark.serving.neighbours import IndexOf, exact_index
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.web.observability import Metrics

Result = TypeVar("Result")


class Service:
    """The state of a running service.

    store: replaced as a whole at a version switch, so a request takes it once and keeps it to its end.
    problems: by family, why a version is not served. index_of: finds neighbours.
    """

    def __init__(self, settings: ServingConfig, root: Path, index_of: IndexOf = exact_index) -> None:
        self.settings = settings
        self.root = root
        self.index_of = index_of
        self.metrics = Metrics()
        self.store = RepresentationStore()
        self.problems: dict[str, Sequence[str]] = {}
        self.searchers = ThreadPoolExecutor(settings.search_threads, "search")

    def check_count(self, field: str, count: int) -> None:
        """Raises QuestionError where a question asks for more than one request may."""
        if count > self.settings.max_entities:
            raise QuestionError(f"{field}: found {count:,}; allowed: at most {self.settings.max_entities:,}")

    async def search(self, work: Callable[[float], Result]) -> Result:
        """Runs long work in a thread, as work(deadline), so that short requests need not wait for it."""
        deadline = time.monotonic() + self.settings.timeout_seconds
        return await asyncio.get_running_loop().run_in_executor(self.searchers, work, deadline)

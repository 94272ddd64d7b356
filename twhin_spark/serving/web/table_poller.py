"""Watches a family's table: a publish or a rollback is built beside the version that is served, which is then replaced.

The swap is one assignment. A request has taken the store before it or after it, so what it reads is of one version.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence

from twhin_spark.representations.catalogue import CURRENT
from twhin_spark.representations.errors import StoreError, first_line
from twhin_spark.representations.family import Family, Order, latest_commit
from twhin_spark.serving.store import StoredFamily
from twhin_spark.serving.web.observability import event
from twhin_spark.serving.web.service_state import Service

_MAX_PAUSE = 600.0  # seconds between two tries at the same commits, however often they fail


class Watcher:
    """Keeps one family of a service in line with its table."""

    def __init__(self, service: Service, family: Family) -> None:
        self._service = service
        self._family = family
        self._folder = service.root / family.name
        self._seen: list[int] = []
        self._problems: list[str] = []  # of the last sync
        self._failures = 0
        self._try_again = 0.0  # the time (monotonic) of the next sync, if there is no commit before
        service.problems[family.name] = []

    async def start(self) -> None:
        """Serves what an earlier service has left, if it is sound."""
        try:
            await self._open(verify=self._service.settings.verify)
        except StoreError as error:
            event("nothing to start with", family=self._family.name, reason=str(error))

    async def run(self) -> None:
        """Looks at the table for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._service.settings.poll_seconds)

    async def look(self) -> None:
        """Syncs if the tables have a commit that was not seen yet, or if it is time to try again after a failure."""
        try:
            commits = await asyncio.to_thread(self._latest_commits)
        except Exception as error:  # whatever it is, what is served stays, and the next look may see more
            self._report([f"{self._family.name}: {first_line(error)}"])
            return
        if commits != self._seen or (self._problems and time.monotonic() >= self._try_again):
            self._seen = commits
            self._problems = await self._bring_up_to_date()
            self._failures = self._failures + 1 if self._problems else 0
            pause = self._service.settings.poll_seconds * 2 ** min(self._failures, 16)
            self._try_again = time.monotonic() + min(pause, _MAX_PAUSE)
        self._report(self._problems)

    async def _bring_up_to_date(self) -> list[str]:
        """Syncs, and serves what there is then; returns the problems."""
        name, metrics, started = self._family.name, self._service.metrics, time.monotonic()
        problems: list[str] = []
        try:
            problems += await self._sync()
            await self._open()
        except Exception as error:
            problems.append(f"{name}: {first_line(error)}")
        metrics.sync_seconds.labels(name).observe(time.monotonic() - started)
        metrics.syncs.labels(name, "failed" if problems else "done").inc()
        return problems

    def _latest_commits(self) -> list[int]:
        """Of the family's table, and of the table of versions where names come from there."""
        tables = [self._family.table]
        if self._service.settings.versions and self._family.index:
            tables.append(self._family.index)
        return [latest_commit(table) for table in tables]

    async def _sync(self) -> list[str]:
        """Runs `sync` in a process of its own; returns its problems."""
        settings = self._service.settings
        order = Order(
            root=self._service.root,
            family=self._family,
            names=settings.versions,
            keep=settings.keep,
            verify=settings.verify,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "twhin_spark.serving.sync_store"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            output, errors = await asyncio.to_thread(process.communicate, order.model_dump_json().encode())
        finally:
            process.kill()  # if the service ends before it: the next sync sweeps what is half-built
        if process.returncode == 0:
            problems: list[str] = json.loads(output)
            return problems
        last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
        code = process.returncode
        ended = f"signal {-code}" if code < 0 else f"exit code {code}: {last_line}"
        return [f"{self._family.name}: the building process ended with {ended}; what was served before still is"]

    async def _open(self, *, verify: bool = False) -> None:
        """Serves what the catalogue has now."""
        name, service = self._family.name, self._service
        old = service.store.families.get(name)
        new = await asyncio.to_thread(StoredFamily.open, self._folder, verify=verify, reuse=old)
        service.store = service.store.with_family(name, new)
        current = new.version(CURRENT)
        replaced = old.version(CURRENT) if old else None
        before = replaced.name if replaced else None
        service.metrics.show_current(name, before, current.name, new.catalogue.entries[0].table_version)
        if current is not replaced:
            event("serving", family=name, model_version=current.name, before=before)

    def _report(self, problems: Sequence[str]) -> None:
        """Shows the problems, and logs those that are new."""
        for line in problems:
            if line not in self._service.problems[self._family.name]:
                event("problem", logging.ERROR, family=self._family.name, reason=line)
        self._service.problems[self._family.name] = problems

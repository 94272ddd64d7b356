"""Polling of a family's table. After a publish or a rollback, the new version is built while the old one is served.

Then one assignment replaces the store. A request has read the store before or after the assignment, so all that it
reads is of one version.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence

from twhin_spark.representations.errors import StoreError, first_line
from twhin_spark.representations.published_family import PublishedFamily, latest_commit
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.serving.store import StoredFamily
from twhin_spark.serving.sync_arguments import SyncArguments
from twhin_spark.serving.web.observability import log_event
from twhin_spark.serving.web.service_state import ServiceState

_MAX_PAUSE = 600.0  # seconds between two tries at the same commits, however often they fail


class TablePoller:
    """Keeps one family of a service up to date with its table."""

    def __init__(self, state: ServiceState, family: PublishedFamily) -> None:
        self._state = state
        self._family = family
        self._folder = state.root / family.name
        self._commits: list[int] = []  # at the last sync
        self._problems: list[str] = []  # of the last sync
        self._failures = 0  # syncs that failed since the last one that did not
        self._next_try = 0.0  # time (monotonic) of the next sync after a failure, if no commit comes before
        state.problems[family.name] = []

    async def start(self) -> None:
        """Serve the stores that exist already, if they are sound."""
        try:
            await self._open(verify=self._state.settings.verify)
        except StoreError as error:
            log_event("no stored version", family=self._family.name, reason=str(error))

    async def run(self) -> None:
        """Poll the table until the task is cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(self._state.settings.poll_seconds)

    async def poll(self) -> None:
        """Synchronise if the tables have a new commit, or if it is time to try again after a failure.

        After f failures in a row the next try is `poll_seconds` · 2^f later, at most 10 minutes.
        """
        try:
            commits = await asyncio.to_thread(self._latest_commits)
        except Exception as error:  # of any kind: the served version stays, and the next poll may succeed
            self._report([f"{self._family.name}: {first_line(error)}"])
            return
        if commits != self._commits or (self._problems and time.monotonic() >= self._next_try):
            self._commits = commits
            self._problems = await self._update()
            self._failures = self._failures + 1 if self._problems else 0
            pause = self._state.settings.poll_seconds * 2 ** min(self._failures, 16)
            self._next_try = time.monotonic() + min(pause, _MAX_PAUSE)
        self._report(self._problems)

    async def _update(self) -> list[str]:
        """Synchronise the stores and serve them; return the problems."""
        name, metrics, started = self._family.name, self._state.metrics, time.monotonic()
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
        """Return the latest commits of the family's table and, if versions are served by name, of their table."""
        tables = [self._family.polled]
        if self._state.settings.versions and self._family.versions and not self._family.pinned:
            tables.append(self._family.versions)
        return [latest_commit(table) for table in tables]

    async def _sync(self) -> list[str]:
        """Run `sync_store` in a separate process; return its problems."""
        settings = self._state.settings
        arguments = SyncArguments(
            root=self._state.root,
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
            output, errors = await asyncio.to_thread(process.communicate, arguments.model_dump_json().encode())
        finally:
            process.kill()  # if the service ends first, the next sync removes its unfinished files
        if process.returncode == 0:
            problems: list[str] = json.loads(output)
            return problems
        last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
        code = process.returncode
        reason = f"signal {-code}" if code < 0 else f"exit code {code}: {last_line}"
        return [f"{self._family.name}: the build ended with {reason}; the previous version is still served"]

    async def _open(self, *, verify: bool = False) -> None:
        """Open the stores that the catalogue lists now, and serve them."""
        name, state = self._family.name, self._state
        old = state.store.families.get(name)
        new = await asyncio.to_thread(StoredFamily.open, self._folder, verify=verify, reuse=old)
        state.store = state.store.with_family(name, new)
        current = new.version(CURRENT)
        replaced = old.version(CURRENT) if old else None
        before = replaced.name if replaced else None
        state.metrics.set_current_version(name, before, current.name, new.catalogue.entries[0].table_version)
        if current is not replaced:
            log_event("serving", family=name, model_version=current.name, before=before)

    def _report(self, problems: Sequence[str]) -> None:
        """Show the problems in the list of versions, and log the new ones."""
        for line in problems:
            if line not in self._state.problems[self._family.name]:
                log_event("problem", logging.ERROR, family=self._family.name, reason=line)
        self._state.problems[self._family.name] = problems

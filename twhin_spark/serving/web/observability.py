"""Observability of the service: Prometheus metrics and a log of JSON lines."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

log = logging.getLogger("twhin_spark.serving")

_REQUEST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SYNC_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class Metrics:
    """The metrics of one service. The label `route` is a path's pattern, such as `/v1/rankings/{name}`."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._registry = registry
        self.requests = Counter("twhin_requests", "Requests answered", ["route", "status"], registry=registry)
        self.seconds = Histogram(
            "twhin_request_seconds", "Time of a request", ["route"], buckets=_REQUEST_SECONDS, registry=registry
        )
        self._entities = Counter("twhin_entities", "Representations requested", ["family", "found"], registry=registry)
        self._version = Gauge(
            "twhin_version_info", "1 for the current version", ["family", "model_version"], registry=registry
        )
        self._table_version = Gauge(
            "twhin_table_version", "Delta version of the current version", ["family"], registry=registry
        )
        self.syncs = Counter("twhin_syncs", "Syncs of stores with tables", ["family", "outcome"], registry=registry)
        self.sync_seconds = Histogram(
            "twhin_sync_seconds",
            "Time of a sync with builds",
            ["family"],
            buckets=_SYNC_SECONDS,
            registry=registry,
        )

    def count_read(self, family: str, *, represented: int, missing: int) -> None:
        """Count requested entities: `represented` with a representation and `missing` without."""
        self._entities.labels(family, "yes").inc(represented)
        self._entities.labels(family, "no").inc(missing)

    def set_current_version(self, family: str, before: str | None, model_version: str, table_version: int) -> None:
        """Set a family's current version and remove the version `before` it."""
        if before is not None:
            self._version.remove(family, before)
        self._version.labels(family, model_version).set(1)
        self._table_version.labels(family).set(table_version)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class JsonLines(logging.Formatter):
    """Formats a record as a line of JSON: time (UTC), level, event, and the fields of `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def log_to_stderr() -> None:
    """Send the logs of the service and of uvicorn to stderr, as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("twhin_spark.serving", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False


def log_event(name: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with fields."""
    log.log(level, name, extra={"fields": fields})

"""The stage from raw logs to the tables `events` and `rejected_events`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.errors import InputError
from twhin_spark.logs import counts
from twhin_spark.logs.counts import LogCounts, RowCount
from twhin_spark.logs.expressions import check_expressions
from twhin_spark.logs.files import LogFiles
from twhin_spark.logs.likely_causes import likely_cause
from twhin_spark.logs.outcomes import Outcomes, count_outcomes
from twhin_spark.logs.path_checks import check_inputs
from twhin_spark.logs.reader import RawLog, read_log
from twhin_spark.logs.relations import by_relation
from twhin_spark.logs.replays import COPY, number_deliveries
from twhin_spark.logs.row_checks import OUTCOME, REASON, check_rows, constants
from twhin_spark.logs.splits import with_splits
from twhin_spark.tables.caching import broadcast_if_small, cache
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EVENTS, REJECTED_EVENTS, ROW_COUNTS

__all__ = ["CheckedLogs", "CleanLogs", "check_inputs", "check_logs", "clean_logs", "write_row_counts"]

_NUMBER = "__number"  # number of a checked row, unique over all logs
_SAMPLES = 50  # rejected rows that are looked at for a likely cause
_NAMED_FILES = 3  # files that a progress line names


@dataclass(frozen=True)
class CleanLogs:
    """The tables that were written (Delta versions by name), and the counts by log.

    events: rows of the table `events`, from the cached rows rather than the table's files.
    """

    tables: dict[str, int]
    counts: dict[str, LogCounts]
    events: DataFrame

    @property
    def total(self) -> LogCounts:
        return counts.total(self.counts.values())

    def row_counts(self) -> list[RowCount]:
        return _as_rows(self.counts)


@dataclass(frozen=True)
class CheckedLogs:
    """The rows of all logs with their outcomes, cached, and the counts by log.

    events: the accepted rows without their replays; `split`, `source_type` and `target_type` are not there yet.
    """

    rows: DataFrame
    events: DataFrame
    counts: dict[str, LogCounts]
    raw: dict[str, RawLog]


def clean_logs(
    spark: SparkSession,
    config: Config,
    store: TableStore,
    caches: ExitStack,
    progress: Callable[[str], None],
    dataframes: Mapping[str, DataFrame] | None = None,
) -> CleanLogs:
    """Read every log once and write `rejected_events`, then `events`, whose rows stay cached until `caches` is closed.

    Raises
    ------
    ConfigError
        Spark refuses an expression, `columns` or an option of a log.
    InputError
        A log cannot be read, more than `graph.max_rejected` of its rows are rejected, or no event is left. The
        rejected rows and their counts are in `rejected_events` and `row_counts` all the same.
    """
    checked = check_logs(spark, config, caches, progress, dataframes)
    rejected = store.overwrite(REJECTED_EVENTS, checked.rows.where(F.col(OUTCOME) == "rejected"))
    try:
        _check_counts(config, checked, store)
    except InputError:
        write_row_counts(store, _as_rows(checked.counts))
        raise
    events = _with_types(with_splits(checked.events, config), config)
    version = store.overwrite(EVENTS, events)
    return CleanLogs({REJECTED_EVENTS.name: rejected, EVENTS.name: version}, checked.counts, events)


def check_logs(
    spark: SparkSession,
    config: Config,
    caches: ExitStack,
    progress: Callable[[str], None],
    dataframes: Mapping[str, DataFrame] | None = None,
) -> CheckedLogs:
    """Read every log once and decide about each row; nothing is written. Raises as `clean_logs` does."""
    progress(f"reading {', '.join(config.logs)}")
    raw, checked, all_expressions = {}, [], {}
    for name, log in config.logs.items():
        raw[name] = read_log(spark, name, log, (dataframes or {}).get(name))
        _report_files(name, raw[name], progress)
        expressions = check_expressions(raw[name], name, log)
        if expressions.multiplies:  # a second pass counts the raw rows that yield nothing
            raw[name] = replace(raw[name], rows=cache(raw[name].rows, caches))
        all_expressions[name] = expressions
        checked.append(check_rows(raw[name], expressions, config).withColumn("log", F.lit(name)))
    numbered = reduce(DataFrame.unionByName, checked).withColumn(_NUMBER, F.monotonically_increasing_id())
    same = constants(all_expressions)  # caching these, too, would take half as long as reading the logs
    rows = cache(numbered.drop(*same), caches).withColumns(same)
    outcomes = count_outcomes(rows, raw, all_expressions, config)
    for name, number in outcomes.named_nothing.items():
        progress(
            f"warning: log {name}: {number:,} accepted rows have an id written None, null or NaN, which is an "
            "entity of that name; if it means that there is none, leave such rows out by `where`"
        )
    events, replayed = _each_once(rows.where(F.col(OUTCOME) == "accepted"), config, caches)
    counts_by_log = {name: _counts_of(name, outcomes, replayed[name], raw[name].files) for name in config.logs}
    for name, log_counts in counts_by_log.items():
        progress(f"log {name}: {log_counts.summary()}")
    return CheckedLogs(rows, events, counts_by_log, raw)


def write_row_counts(store: TableStore, rows: list[RowCount]) -> int:
    """Replace `row_counts`, and return the commit's version."""
    columns = "log STRING, outcome STRING, reason STRING, rows BIGINT"
    return store.overwrite(ROW_COUNTS, store.spark.createDataFrame(rows, columns).coalesce(1))


def _report_files(name: str, raw: RawLog, progress: Callable[[str], None]) -> None:
    files = raw.files
    parts = [_number_of_files(len(files.read))] if files.read else []
    for locations, reason in ((files.hidden, "hidden"), (files.empty, "empty"), (files.linked, "linked")):
        if locations:
            names = ", ".join(location.rsplit("/", 1)[-1] for location in locations[:_NAMED_FILES])
            more = ", ..." if len(locations) > _NAMED_FILES else ""
            parts.append(f"left out {len(locations):,} {reason} ({names}{more})")
    parts += _lacking(raw)[:_NAMED_FILES]
    if parts:
        progress(f"log {name}: {', '.join(parts)}")
    for column in files.shadowed:
        progress(
            f"warning: log {name}: column {column} is that of the files, not the one that the names of their folders "
            f"give ({column}=...)"
        )


def _number_of_files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _lacking(raw: RawLog, texts: str | None = None) -> list[str]:
    """Say which columns some files do not have: all of them, or those that the texts of expressions name."""
    return [
        f"{column} is null in {_number_of_files(count)} without it, such as {file.rsplit('/', 1)[-1]}"
        for column, (count, file) in raw.lacking.items()
        if texts is None or re.search(rf"\b{re.escape(column)}\b", texts)
    ]


def _each_once(accepted: DataFrame, config: Config, caches: ExitStack) -> tuple[DataFrame, Counter[str]]:
    """Return the events without their replays, and the number of replays by log."""
    copies = number_deliveries(accepted, config, _NUMBER)
    if copies is None:
        return accepted, Counter()
    again = cache(copies.where(F.col(COPY) > 1), caches)
    replayed = Counter({row["log"]: row["count"] for row in again.groupBy("log").count().collect()})
    if not replayed:
        return accepted, replayed
    return accepted.join(broadcast_if_small(again.select(_NUMBER), replayed.total()), _NUMBER, "left_anti"), replayed


def _as_rows(counts_by_log: dict[str, LogCounts]) -> list[RowCount]:
    return [row for name, log in counts_by_log.items() for row in log.as_rows(name)]


def _counts_of(log: str, outcomes: Outcomes, replayed: int, files: LogFiles) -> LogCounts:
    return LogCounts(
        accepted=outcomes.rows[log, "accepted", None] - replayed,
        replayed=replayed,
        rejected_by_reason=outcomes.rejected_by_reason(log),
        left_out={reason: outcomes.rows[log, "left_out", reason] for reason in ("where", "window")},
        files=files.counts(),
    )


def _check_counts(config: Config, checked: CheckedLogs, store: TableStore) -> None:
    allowed = config.graph.max_rejected
    for name, log in checked.counts.items():
        if log.rejected > allowed * log.read:
            raise InputError(
                f"logs.{name}: {log.rejected:,} of {log.read:,} rows were rejected ({log.rejected / log.read:.1%}), "
                f"more than graph.max_rejected, {allowed:.1%}: {log.reasons()}{_cause(config, checked, name)}; "
                f"the rows are in {store.path(REJECTED_EVENTS)}"
            )
    whole = counts.total(checked.counts.values())
    if whole.accepted == 0:
        causes = "".join(_cause(config, checked, name) for name in checked.counts)
        if whole.files["empty"] and not whole.files["read"]:
            causes += f"; {_number_of_files(whole.files['empty'])} without content"
        raise InputError(
            f"logs: there is no event in {', '.join(checked.counts)} ({whole.summary()}){causes}; check the "
            "paths, `where` and the window"
        )


def _cause(config: Config, checked: CheckedLogs, name: str) -> str:
    """Return the likely cause of most of a log's rejected rows, with a semicolon before it, or nothing."""
    rejected = checked.counts[name].rejected_by_reason
    if not rejected:
        return ""
    reason = max(rejected, key=lambda reason: (rejected[reason], reason))
    sample = F.col("relation" if reason == "unknown_relation" else "raw")
    if reason == "timestamp_out_of_range":  # it may come from a folder rather than from the line
        sample = F.concat_ws(" ", sample, F.col("timestamp").cast("bigint").cast("string"))
    rows = checked.rows.where((F.col("log") == name) & (F.col(REASON) == reason)).select(sample)
    log = config.logs[name]
    cause = likely_cause(log, reason, [row[0] or "" for row in rows.limit(_SAMPLES).collect()])
    used = " ".join(text for text in log.select.model_dump().values() if text is not None)
    return "".join(f"; {said}" for said in [*([cause] if cause else []), *_lacking(checked.raw[name], used)])


def _with_types(events: DataFrame, config: Config) -> DataFrame:
    """Add source_type and target_type: those of the event's relation, or of the relation that it retracts."""
    relations = {**config.relations, **{r.undone_by: r for r in config.relations.values() if r.undone_by is not None}}
    return events.withColumns(
        {
            "source_type": by_relation(relations, lambda relation: relation.source),
            "target_type": by_relation(relations, lambda relation: relation.target),
        }
    )

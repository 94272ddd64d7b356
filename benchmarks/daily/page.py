"""The page docs/results/daily.md, written from the records alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.daily.consumers import K
from benchmarks.daily.records import DEFAULT, DailyRecord, never_loss, summary, task_loss
from benchmarks.markdown import table
from benchmarks.plots import curves

_INTRODUCTION = f"""# The second day

`make bench-daily` writes this page from `benchmarks/results/daily.json`. [The second day](../second-day.md) explains
the methods.

Two logs with times are cut into five versions: half of the events, then a tenth more for each. (Half of Higgs' events
fall on one of its seven days, so tenths of the events stand for days.) Each version is measured on the next tenth: the
recall@{K} of its new edges whose ends the version knows, among all targets, without the source's training edges. The
vectors are trained in one process by the kernels of a training task, with the options of the configs in `conf/`, so
their numbers are those of a run of one group.

Two consumers are built on version 1 and used on version 5, and built anew on version 5:

- a ranker, a logistic regression on the products of the two vectors' components: MRR of the last day's targets among
  100 others;
- a nearest-neighbour list of version 1's targets, searched for version 5's sources: recall@{K}.

A loss is 1 - old / rebuilt. The task's loss is 1 - recall / cold training's recall, the mean of versions 2 to 5. Work
is the number of edges trained over cold training's. Drift is the mean of 1 - cosine from version to version, of the
type that is the median. Backward-compatible embeddings (KDD 2022) lose 0.65% at the consumer and 2.96% at the task.
"""


def write_page(records: Sequence[DailyRecord], folder: Path) -> None:
    """Write daily.md and its plots into a folder."""
    parts = [_INTRODUCTION]
    if records:
        default = summary(list(records))
        parts.append(
            f"With the default settings ({DEFAULT}), over all sets and seeds: a consumer loses "
            f"**{default['consumer_loss']:.2%}**, the task **{default['task_loss']:.2%}**, with "
            f"{default['work']:.0%} of the work.\n"
        )
    for name in sorted({record.data for record in records}):
        of_set = [record for record in records if record.data == name]
        parts.append(f"## {name.capitalize()}\n")
        parts.append(table(_HEAD, _rows(of_set)))
        seeds = ", ".join(str(record.seed) for record in of_set)
        parts.append(
            f"Means of the seeds {seeds}. Version 1, never retrained, loses "
            f"{fmean(never_loss(record) for record in of_set):.1%} at the task on the last day. Rebuilt on version 5 "
            f"of cold training, the ranker reaches {fmean(record.ranker for record in of_set):.4f} and the list "
            f"{fmean(record.neighbours for record in of_set):.4f}. Measured on {of_set[-1].date}, "
            f"{of_set[-1].machine}.\n"
        )
        plot = f"daily-{name}.svg"
        parts.append(f"![Recall of each version on the next day, {name}]({plot})\n")
        curves(_curves(of_set), "version", f"recall@{K} on the next day", folder / plot)
    (folder / "daily.md").write_text("\n".join(parts))


_HEAD = ("method", "recall, versions 2 to 5", "task loss", "ranker loss", "list loss", "drift", "work")


def _rows(records: Sequence[DailyRecord]) -> Iterator[list[str]]:
    for method in records[0].methods:
        values = [record.methods[method] for record in records]
        recalls = [fmean(day) for day in zip(*(value.recall for value in values), strict=True)]
        name = f"**{method}**" if method == DEFAULT else method
        yield [
            name,
            ", ".join(f"{recall:.4f}" for recall in recalls),
            f"{fmean(task_loss(record, method) for record in records):.2%}",
            f"{fmean(value.ranker_loss for value in values):.2%}",
            f"{fmean(value.list_loss for value in values):.2%}",
            f"{fmean(fmean(value.drift) for value in values):.4f}",
            f"{max(max(value.work) for value in values):.2f}",
        ]


def _curves(records: Sequence[DailyRecord]) -> dict[str, dict[str, list[float]]]:
    lines = {}
    for method in ("cold", DEFAULT):
        days = zip(*(record.methods[method].recall for record in records), strict=True)
        lines[method] = {"version": [2.0, 3.0, 4.0, 5.0], f"recall@{K} on the next day": [fmean(day) for day in days]}
    never = zip(*(record.never for record in records), strict=True)
    lines["version 1, never retrained"] = {
        "version": [2.0, 3.0, 4.0, 5.0],
        f"recall@{K} on the next day": [fmean(day) for day in never],
    }
    return lines

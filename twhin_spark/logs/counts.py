"""Counts of the rows and files of a log, by outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

RowCount = tuple[str | None, str, str | None, int]  # a row of `row_counts`: log, outcome, reason, rows


@dataclass(frozen=True)
class LogCounts:
    """Counts of a log: read = accepted + replayed + rejected. Rows that are left out do not count as read.

    files: read, hidden and empty ones; none for a Delta table or a DataFrame.
    """

    accepted: int = 0
    replayed: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=lambda: {"where": 0, "window": 0})
    files: dict[str, int] = field(default_factory=lambda: {"read": 0, "hidden": 0, "empty": 0})

    @property
    def rejected(self) -> int:
        return sum(self.rejected_by_reason.values())

    @property
    def read(self) -> int:
        return self.accepted + self.replayed + self.rejected

    def reasons(self) -> str:
        """Return the counts by reason, largest first: `malformed_line 3, missing_source_id 1`."""
        ordered = sorted(self.rejected_by_reason.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{reason} {count:,}" for reason, count in ordered)

    def summary(self) -> str:
        """Return the counts that are not zero, in one line."""
        parts = [f"{self.read:,} rows", f"{self.accepted:,} accepted"]
        if self.replayed:
            parts.append(f"{self.replayed:,} replayed")
        if self.rejected:
            parts.append(f"{self.rejected:,} rejected ({self.reasons()})")
        parts += [f"{number:,} left out by {reason}" for reason, number in self.left_out.items() if number]
        return ", ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "accepted": self.accepted,
            "replayed": self.replayed,
            "rejected": self.rejected,
            "rejected_by_reason": dict(sorted(self.rejected_by_reason.items())),
            "left_out": self.left_out,
            "files": self.files,
        }

    def as_rows(self, log: str) -> list[RowCount]:
        return [
            *[(log, outcome, None, getattr(self, outcome)) for outcome in ("read", "accepted", "replayed")],
            *[(log, "rejected", reason, count) for reason, count in sorted(self.rejected_by_reason.items())],
            *[(log, "left_out", reason, count) for reason, count in self.left_out.items()],
            *[(log, "files", reason, count) for reason, count in self.files.items()],
        ]


def total(counts: Iterable[LogCounts]) -> LogCounts:
    """Add up the counts of several logs."""
    counts = list(counts)
    rejected: Counter[str] = Counter()
    for log in counts:
        rejected.update(log.rejected_by_reason)
    return LogCounts(
        accepted=sum(log.accepted for log in counts),
        replayed=sum(log.replayed for log in counts),
        rejected_by_reason=dict(rejected),
        left_out={reason: sum(log.left_out[reason] for log in counts) for reason in ("where", "window")},
        files={reason: sum(log.files[reason] for log in counts) for reason in ("read", "hidden", "empty")},
    )

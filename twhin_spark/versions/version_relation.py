"""A relation of a published version. Used on the driver and on workers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VersionRelation:
    """The parameters of a version's relation, by the end that they rank (`target`, and `source` if two-sided)."""

    source_type: str
    target_type: str
    operator: str
    parameters: dict[str, list[float]]

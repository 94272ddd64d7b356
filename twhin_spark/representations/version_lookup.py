"""Published versions: the rule by which a name means one of them, and the relations of a model version.

The rule is the same for retrieval, SQL and the service. They read the tables by different libraries (Spark or
deltalake), so these functions take rows and return rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from twhin_spark.config.base import Measure
from twhin_spark.errors import InputError
from twhin_spark.representations.errors import one_of

CURRENT = "current"
"""Name of the version that the table of representations holds now. After a rollback it is the restored version."""

VERSION_COLUMNS = ("model_version", "alias", "table_version", "tags", "vacuumed_at")
"""Columns of `model_versions` by which a name is looked up. Older tables lack the last two."""

Row = TypeVar("Row", bound=Any)


class PublishedRelation(BaseModel):
    """A relation of a model version: the operator that is applied to a source's vector to rank targets.

    comparator: similarity of the result and a target. It is dot in older tables, which have no such column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relation: str
    source_type: str
    target_type: str
    operator: str
    parameters: list[float]
    comparator: Annotated[Measure, BeforeValidator(lambda value: value or "dot")] = "dot"

    @classmethod
    def columns(cls, available: Iterable[str]) -> list[str]:
        """Return the columns to read from the table of relations, of those that it has."""
        return [name for name in available if name in cls.model_fields]


def find_version_row(rows: Iterable[Row], name: str, setting: str) -> Row:
    """Return the row of `model_versions` whose model version, tag or alias is the name; of several, the last published.

    Parameters
    ----------
    rows
        Rows with those of VERSION_COLUMNS that the table has, in any order.
    name
        A model version, a tag or an alias. The caller resolves CURRENT, as only the table of representations knows it.
    setting
        Table or config key at which an error message starts.

    Raises
    ------
    InputError
        No row has that name, or the version was vacuumed.
    """
    latest_first = sorted(rows, key=lambda row: row["table_version"], reverse=True)
    for row in latest_first:
        if name in (row["model_version"], row["alias"], *tags_of(row)):
            if removed := _value(row, "vacuumed_at"):
                raise InputError(f"{setting}: version '{name}' was vacuumed on {removed:%Y-%m-%d}; use another one")
            return row
    kept = [row for row in latest_first if not _value(row, "vacuumed_at")]
    names = one_of({CURRENT, *(row["model_version"] for row in kept), *(tag for row in kept for tag in tags_of(row))})
    raise InputError(f"{setting}: version '{name}' was not published; use {names}")


def tags_of(row: Any) -> list[str]:
    """Return the tags of a row of `model_versions`; none if the table is older than tags."""
    return list(_value(row, "tags") or ())


def _value(row: Any, column: str) -> Any:
    """Return a column that older tables lack, or None."""
    return row[column] if column in row else None  # noqa: SIM401 - a row of Spark has no `get`


def only_current(family: str, name: str) -> InputError:
    """Return the error for a version other than CURRENT of a family that has no table of versions."""
    return InputError(f"family '{family}' has no table of versions, so version '{name}' is unknown; use '{CURRENT}'")

"""Types of the options of a config, and the base class of its sections."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _utc(value: datetime) -> datetime:
    """Convert a time to UTC. A time without a zone is UTC already."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _not_a_day(value: Any) -> Any:
    """Refuse a number that is a day without its dashes: as Unix seconds, 20260501 is a time in 1970."""
    digits = str(value)
    if isinstance(value, (int, float, str)) and re.fullmatch(r"[12]\d{7}|[12]\d{5}|[12]\d{3}", digits):
        raise ValueError("a time such as 2026-05-01 or 2026-05-01T12:00:00Z")
    return value


def _listed(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


def expanded(location: str) -> str:
    """Replace `~` and `$NAME` in a path or URI, unless a file has the name as it is written."""
    if Path(location).exists():
        return location
    for name in re.findall(r"\$(?:\{(\w+)\}|(\w+))", location):
        if (variable := name[0] or name[1]) not in os.environ:
            raise ValueError(f"a location without ${variable}, which is not set in the environment")
    expanded = os.path.expandvars(location)
    home = os.path.expanduser(expanded)  # noqa: PTH111 - a Path would change a URI
    if home.startswith("~"):
        raise ValueError(f"a location whose '{home.partition('/')[0]}' is the home of a user")
    return home


_T = TypeVar("_T")

Measure = Literal["dot", "cosine"]  # how two vectors make a score
SparseFamily = Literal["interested_in", "producer_embeddings", "item_embeddings"]
Name = Annotated[str, Field(min_length=1)]
Location = Annotated[Name, AfterValidator(expanded)]  # a path, or a URI
Time = Annotated[datetime, BeforeValidator(_not_a_day), AfterValidator(_utc)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]
OneOrMore = Annotated[list[_T], BeforeValidator(_listed), Field(min_length=1)]  # one value stands for a list of one


class Section(BaseModel):
    """A section of the config. Unknown keys are errors, and values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

"""Published tables for the tests of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.configs import small_config
from tests.support.published_tables import Tables
from twhin_spark.config import Config
from twhin_spark.representations.published_family import PublishedFamily

N = 20
FAVORITE = {"favorite": {"source": "user", "target": "tweet"}}


def published_config(output: Path, **serving: object) -> Config:
    """Return the config of tables that `Tables` publishes under a folder."""
    return small_config(output, entity_types=["user", "tweet"], relations=FAVORITE, serving=serving)


@dataclass(frozen=True)
class SqlTables:
    """A dense family of users u0 to u19 and tweets t0 to t19, and a sparse family of the even ones."""

    tables: Tables
    communities: PublishedFamily
    config: Config

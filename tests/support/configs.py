"""A small config for tests, section by section, and what goes with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row

from twhin_spark.config import Config
from twhin_spark.config.consistency import problems

JudgeLog = Callable[..., DataFrame]  # the fixture `judge_log` of the tests of logs

RELATIONS = {
    "follow": {"source": "user", "target": "user", "undone_by": "unfollow"},
    "like": {"source": "user", "target": "item"},
}
SELECT = {"relation": "action", "source": "source", "target": "target", "timestamp": "time"}


def small_config(output: Path | str = "unused", **sections: Any) -> Config:
    """Users follow users and like items; `sections` replace what is said here."""
    logs = {"events": {"path": "unused.csv", "format": "csv", "select": SELECT}}
    given = {"name": "test", "output": str(output), "entity_types": ["user", "item"], "relations": RELATIONS}
    config = Config.model_validate({**given, "logs": logs, **sections})
    assert not problems(config)
    return config


def accepted(judged: DataFrame) -> list[Row]:
    return judged.where("outcome = 'accepted'").orderBy("timestamp", "source_id", "target_id").collect()

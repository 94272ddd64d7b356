"""A small config for tests, with sections that tests replace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
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
    """Return a config in which users follow users and like items; `sections` replace its own."""
    config = Config.model_validate(_document(output, sections))
    assert not problems(config)
    return config


def write_config(folder: Path, **sections: Any) -> Path:
    """Write `config.yaml` into a folder, whose output is `out` beside it; `sections` are those of `small_config`."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(_document(folder / "out", sections), allow_unicode=True), encoding="utf-8")
    return path


def csv_log(path: Path, relation: str, source: str, target: str, **more: Any) -> dict[str, Any]:
    """Return the section of a CSV log with a header, whose rows are all of one relation."""
    select = {"relation": f"'{relation}'", "source": source, "target": target, **more}
    return {"path": str(path), "format": "csv", "options": {"header": True}, "select": select}


def _document(output: Path | str, sections: dict[str, Any]) -> dict[str, Any]:
    logs = {"events": {"path": "unused.csv", "format": "csv", "select": SELECT}}
    document = {"name": "test", "output": str(output), "entity_types": ["user", "item"], "relations": RELATIONS}
    return {**document, "logs": logs, **sections}


def accepted(judged: DataFrame) -> list[Row]:
    return judged.where("outcome = 'accepted'").orderBy("timestamp", "source_id", "target_id").collect()

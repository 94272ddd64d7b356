"""Embeddings of users and items from interaction logs: TwHIN, trained on Spark, kept in Delta tables.

>>> import twhin_spark
>>> config = twhin_spark.load_config("conf/demo.yaml")
>>> with twhin_spark.open_session("demo") as spark:
...     summary = twhin_spark.pipeline(spark, config)
>>> vector = twhin_spark.open_store(config).get("user", "u000009")  # needs no Java

The names of `__all__` are the public API; all others are private. Each is imported when it is first used, so that this
module alone loads nothing beyond the standard library: it is also imported on Spark's workers and by `--help`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twhin_spark.config import Config, load_config
    from twhin_spark.config.serving import Score
    from twhin_spark.errors import ConfigError, InputError, TrainingError, TwhinError
    from twhin_spark.serving.open_store import open_store
    from twhin_spark.serving.store import RepresentationStore
    from twhin_spark.sql.register import register
    from twhin_spark.sql.score_pairs import score_pairs
    from twhin_spark.stages import (
        Summary,
        build_communities,
        build_graph,
        evaluate,
        find_candidates,
        pipeline,
        publish,
        train,
    )
    from twhin_spark.tables.session import open_session

__version__ = "0.1.0"
__all__ = [
    "Config",
    "ConfigError",
    "InputError",
    "RepresentationStore",
    "Score",
    "Summary",
    "TrainingError",
    "TwhinError",
    "__version__",
    "build_communities",
    "build_graph",
    "evaluate",
    "find_candidates",
    "load_config",
    "open_session",
    "open_store",
    "pipeline",
    "publish",
    "register",
    "score_pairs",
    "train",
]

_MODULES = {
    "twhin_spark.config": ("Config", "load_config"),
    "twhin_spark.config.serving": ("Score",),
    "twhin_spark.errors": ("ConfigError", "InputError", "TrainingError", "TwhinError"),
    "twhin_spark.serving.open_store": ("open_store",),
    "twhin_spark.serving.store": ("RepresentationStore",),
    "twhin_spark.sql.register": ("register",),
    "twhin_spark.sql.score_pairs": ("score_pairs",),
    "twhin_spark.stages": (
        "Summary",
        "build_communities",
        "build_graph",
        "evaluate",
        "find_candidates",
        "pipeline",
        "publish",
        "train",
    ),
    "twhin_spark.tables.session": ("open_session",),
}


def __getattr__(name: str) -> Any:
    """Import a name of the public API when it is first used (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            globals()[name] = value = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

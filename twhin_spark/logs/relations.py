"""What the config says of a row's relation, as Spark columns over `relation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pyspark.sql import Column
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.sections import RelationConfig

_Value = TypeVar("_Value", str, float)


def by_relation(relations: Mapping[str, RelationConfig], value_of: Callable[[RelationConfig], _Value | None]) -> Column:
    """A value of the row's relation; null where it has none."""
    names: dict[_Value, list[str]] = {}
    for name, relation in relations.items():
        if (value := value_of(relation)) is not None:
            names.setdefault(value, []).append(name)
    found = F.lit(None)
    for value, having in names.items():
        found = F.when(F.col("relation").isin(having), F.lit(value)).otherwise(found)
    return found


def retracting_relations(config: Config) -> list[str]:
    """The relations whose events take back those of another."""
    return [relation.undone_by for relation in config.relations.values() if relation.undone_by is not None]


def edge_relation(config: Config) -> Column:
    """The relation of the edge that an event is about: its own, or the one that it takes back."""
    found = F.col("relation")
    for name, relation in config.relations.items():
        if relation.undone_by is not None:
            found = F.when(F.col("relation") == relation.undone_by, name).otherwise(found)
    return found

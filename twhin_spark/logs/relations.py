"""Values that the config gives a row's relation, as Spark columns over `relation`.

The expressions are flat, as Spark walks an expression by recursion: 1,500 nested ones would overflow its stack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from pyspark.sql import Column
from pyspark.sql import functions as F

from twhin_spark.config import Config
from twhin_spark.config.sections import RelationConfig

_Value = TypeVar("_Value", str, float)
_FEW_VALUES = 16


def by_relation(relations: Mapping[str, RelationConfig], value_of: Callable[[RelationConfig], _Value | None]) -> Column:
    """Return the value of the row's relation; null if the relation has none."""
    values = {name: value for name, relation in relations.items() if (value := value_of(relation)) is not None}
    return by_name(values)


def retracting_relations(config: Config) -> list[str]:
    """Return the names of the events that retract those of a relation."""
    return [relation.undone_by for relation in config.relations.values() if relation.undone_by is not None]


def edge_relation(config: Config) -> Column:
    """Return the relation of the edge that an event belongs to: its own, or the one that it retracts."""
    retracted = {
        relation.undone_by: name for name, relation in config.relations.items() if relation.undone_by is not None
    }
    relation = F.col("relation")
    return F.when(relation.isin(list(retracted)), by_name(retracted)).otherwise(relation) if retracted else relation


def by_name(values: Mapping[str, _Value]) -> Column:
    """Return the value of `relation` in a dictionary, else null."""
    names: dict[_Value, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    if len(names) > _FEW_VALUES:
        pairs = F.create_map(*[F.lit(part) for pair in values.items() for part in pair])
        return F.try_element_at(pairs, F.col("relation"))
    result = F.lit(None)
    for number, (value, having) in enumerate(names.items()):
        condition = F.col("relation").isin(having)
        result = F.when(condition, F.lit(value)) if number == 0 else result.when(condition, F.lit(value))
    return result

"""The config's queries, with every default resolved against a published version. On the driver."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config import Config
from twhin_spark.config.retrieval import CandidateQuery
from twhin_spark.config.retrieval_consistency import ends_of
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.spark_errors import REFUSALS, one_line
from twhin_spark.retrieval.published_version import Version
from twhin_spark.retrieval.resolved_query import Asked, Merged, Parameters


def asked_queries(config: Config, version: Version) -> list[Asked]:
    """The config's queries. Raises ConfigError without any, InputError where the version has not got a relation."""
    if not config.retrieval.queries:
        raise ConfigError("retrieval.queries: found nothing; required for candidates, one query or more by name")
    return [_asked(config, version, name, query) for name, query in config.retrieval.queries.items()]


def merged_queries(config: Config) -> list[Merged]:
    return [Merged(name, one.queries, one.constant, one.k) for name, one in config.retrieval.blends.items()]


def _asked(config: Config, version: Version, name: str, query: CandidateQuery) -> Asked:
    source, target = ends_of(config, query)
    assert source is not None
    assert target is not None
    numbers = {relation: number for number, relation in enumerate(version.graph.relations)}
    for relation in (*([query.relation] if query.relation else []), *query.exclude):
        if relation not in numbers or relation not in version.relations:
            known = ", ".join(version.relations)
            found = f"found relation '{relation}', which version {version.model_version} has not"
            raise InputError(f"retrieval.queries.{name}: {found}; allowed: one of {known}")
    parameters = version.relations[query.relation] if query.relation else Parameters()
    same = [relation for relation, one in config.relations.items() if (one.source, one.target) == (source, target)]
    return Asked(
        name,
        source,
        target,
        query.relation or source,
        query.measure or parameters.comparator,
        query.k,
        query.method,
        parameters,
        tuple(numbers[relation] for relation in query.exclude),
        tuple(numbers[relation] for relation in same if relation in numbers),
        query.sources,
        query.targets,
        query.recall,
    )


def check_predicates(entities: DataFrame, queries: Sequence[Asked]) -> None:
    """Raises ConfigError with one line for each condition that Spark refuses over `entities`, or that is none."""
    problems = []
    for query in queries:
        for end, text in (("sources", query.sources), ("targets", query.targets)):
            if text is not None and (problem := _problem(entities, text)):
                problems.append(f"retrieval.queries.{query.name}.{end}: found '{text}'; {problem}")
    if problems:
        raise ConfigError("\n".join(problems))


def _problem(entities: DataFrame, text: str) -> str | None:
    try:
        found = entities.select(F.expr(text).alias("condition")).schema["condition"].dataType
        if isinstance(found, T.BooleanType):
            entities.where(text).schema  # noqa: B018 - analysed here: an aggregate, which select takes, is refused
    except REFUSALS as error:
        allowed = f"a Spark SQL condition over the columns {', '.join(entities.columns)}"
        return f"allowed: {allowed}; Spark says: {one_line(error)}"
    if not isinstance(found, T.BooleanType):
        return f"which is of type {found.simpleString()}; allowed: a condition, which is true or false"
    return None

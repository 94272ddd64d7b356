"""Resolving the defaults of the config's queries against a published version. On the driver."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from twhin_spark.config import Config
from twhin_spark.config.retrieval import CandidateQuery
from twhin_spark.config.retrieval_consistency import ends_of, families_of
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.logs.spark_errors import REFUSALS, one_line
from twhin_spark.representations.errors import one_of
from twhin_spark.retrieval.published_version import PublishedVersion
from twhin_spark.retrieval.resolved_query import RelationOperator, ResolvedBlend, ResolvedQuery


def resolve_queries(config: Config, version: PublishedVersion) -> list[ResolvedQuery]:
    """Return the config's queries.

    Raises
    ------
    ConfigError
        The config has no query.
    InputError
        A query uses a relation that the version does not have.
    """
    if not config.retrieval.queries:
        raise ConfigError("retrieval.queries is empty; candidates require one query or more")
    return [_resolve(config, version, name, query) for name, query in config.retrieval.queries.items()]


def resolve_blends(config: Config) -> list[ResolvedBlend]:
    """Return the config's blends."""
    blends = config.retrieval.blends.items()
    return [ResolvedBlend(name, blend.queries, blend.constant, blend.k) for name, blend in blends]


def _resolve(config: Config, version: PublishedVersion, name: str, query: CandidateQuery) -> ResolvedQuery:
    source, target = ends_of(config, query)
    assert source is not None
    assert target is not None
    numbers = {relation: number for number, relation in enumerate(version.graph.relations)}
    for relation in (*([query.relation] if query.relation else []), *query.exclude):
        if relation not in numbers or relation not in version.relations:
            problem = f"version {version.model_version} has no relation '{relation}'"
            raise InputError(f"retrieval.queries.{name}: {problem}; use {one_of(version.relations)}")
    operator = version.relations[query.relation] if query.relation else RelationOperator()
    same_ends = [
        relation
        for relation, settings in config.relations.items()
        if (settings.source, settings.target) == (source, target)
    ]
    return ResolvedQuery(
        name=name,
        source=source,
        target=target,
        via=query.relation or source,
        measure=query.measure or ("dot" if query.method == "communities" else operator.comparator),
        k=query.k,
        method=query.method,
        operator=operator,
        exclude=tuple(numbers[relation] for relation in query.exclude),
        engaged=tuple(numbers[relation] for relation in same_ends if relation in numbers),
        sources=query.sources,
        targets=query.targets,
        recall=query.recall,
        families=families_of(config, query) if query.method == "communities" else (),
    )


def check_conditions(entities: DataFrame, queries: Sequence[ResolvedQuery]) -> None:
    """Check the queries' conditions on `entities`. Raises ConfigError with one line for each that Spark rejects."""
    problems = []
    for query in queries:
        for end, _, condition in query.ends:
            if condition is not None and (problem := _problem(entities, condition)):
                problems.append(f"retrieval.queries.{query.name}.{end}: '{condition}' {problem}")
    if problems:
        raise ConfigError("\n".join(problems))


def _problem(entities: DataFrame, condition: str) -> str | None:
    try:
        data_type = entities.select(F.expr(condition).alias("condition")).schema["condition"].dataType
        if isinstance(data_type, T.BooleanType):
            entities.where(condition).schema  # noqa: B018 - `where` analyses it and rejects aggregates
    except REFUSALS as error:
        required = f"a Spark SQL condition on the columns {', '.join(entities.columns)}"
        return f"must be {required}; Spark says: {one_line(error)}"
    if not isinstance(data_type, T.BooleanType):
        return f"is of type {data_type.simpleString()}; it must be a condition, which is true or false"
    return None

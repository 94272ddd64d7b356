"""Consistency of the section `retrieval` with itself and with the graph's types and relations."""

from __future__ import annotations

from collections.abc import Iterator

from twhin_spark.config.base import SparseFamily
from twhin_spark.config.communities_consistency import consumer_types, item_type
from twhin_spark.config.retrieval import CandidateQuery
from twhin_spark.config.sections import Config


def retrieval(config: Config) -> Iterator[str]:
    """Yield one line for each broken rule: what is wrong, what is required, and what to do."""
    queries, blends = config.retrieval.queries, config.retrieval.blends
    for name, query in queries.items():
        yield from _query(config, f"retrieval.queries.{name}", query)
    for name, blend in blends.items():
        path = f"retrieval.blends.{name}"
        if name in queries:
            yield f"{path} has the name of a query; give it a name that is not under retrieval.queries"
        for query_name in blend.queries:
            if query_name not in queries:
                yield f"{path}.queries.{query_name} names no query; it must be one of {', '.join(queries)}"
        ends = {ends_of(config, queries[query_name]) for query_name in blend.queries if query_name in queries}
        if len(ends) > 1:
            types = " and ".join(sorted(f"{source} → {target}" for source, target in ends))
            yield f"{path}.queries are of {types}; all must have the same entity types"


def ends_of(config: Config, query: CandidateQuery) -> tuple[str | None, str | None]:
    """Return the entity types of a query's sources and targets, None if the config does not say."""
    relation = config.relations.get(query.relation or "")
    source = query.source or (relation.source if relation else None)
    target = query.target or (relation.target if relation else source)
    return source, target


def families_of(config: Config, query: CandidateQuery) -> tuple[SparseFamily, SparseFamily]:
    """Return the representations by communities of a query's sources and targets."""
    assert config.communities is not None
    source, target = ends_of(config, query)
    items = item_type(config)
    by_type: dict[str | None, SparseFamily] = {consumer_types(config)[1]: "producer_embeddings"}
    if items is not None:
        by_type[items] = "item_embeddings"
    consumer: SparseFamily = "interested_in"
    of_source = consumer if source == consumer_types(config)[0] else by_type[source]
    return query.source_family or of_source, by_type[target]


def _by_communities(config: Config, path: str, query: CandidateQuery) -> Iterator[str]:
    if config.communities is None:
        yield f"{path}.method is 'communities', so the section communities is required"
        return
    source, target = ends_of(config, query)
    consumer, producer = consumer_types(config)
    items = item_type(config)
    targets = sorted({producer, *([items] if items else [])})
    if target not in targets:
        yield f"{path}.method is 'communities', so its target must be of type {' or '.join(targets)}, not '{target}'"
    if source not in (consumer, *targets):
        types = " or ".join(sorted({consumer, *targets}))
        yield f"{path}.method is 'communities', so its source must be of type {types}, not '{source}'"
    type_of = {"interested_in": consumer, "producer_embeddings": producer, "item_embeddings": items}
    if query.source_family is not None and type_of[query.source_family] != source:
        family = query.source_family
        yield f"{path}.source_family is '{family}', which has no representation of type '{source}'; remove it"


def _query(config: Config, path: str, query: CandidateQuery) -> Iterator[str]:
    relations, types = config.relations, config.entity_types
    source, target = ends = ends_of(config, query)
    if query.relation is not None and query.relation not in relations:
        yield f"{path}.relation is '{query.relation}', but must be one of relations: {', '.join(relations)}"
        return
    if source is None:
        yield f"{path} has no relation, so {path}.source is required: one of entity_types: {', '.join(types)}"
        return
    for end, entity_type in (("source", source), ("target", target)):
        if entity_type not in types:
            yield f"{path}.{end} is '{entity_type}', but must be one of entity_types: {', '.join(types)}"
            return
    same_ends = [name for name, relation in relations.items() if (relation.source, relation.target) == ends]
    required = f"must be a relation {source} → {target}: {', '.join(same_ends)}"
    if not same_ends:
        required = f"no relation is {source} → {target}; remove it"
    for field, names in (("relation", [query.relation]), ("exclude", query.exclude), ("recall", [query.recall])):
        for name in names:
            if name is not None and name not in same_ends:
                yield f"{path}.{field} is '{name}', but {required}"
    if query.method == "ann" and query.targets is not None:
        yield f"{path}.method is 'ann', whose index has all targets; remove {path}.targets, or set the method to exact"
    if query.method == "communities":
        yield from _by_communities(config, path, query)
    elif query.measure == "log_cosine" or query.source_family:
        field = "measure" if query.measure == "log_cosine" else "source_family"
        value = query.measure if query.measure == "log_cosine" else query.source_family
        yield f"{path}.{field} is '{value}', so {path}.method must be 'communities', not '{query.method}'"
    if query.method == "mixture" and not same_ends:
        yield f"{path}.method is 'mixture', which needs a relation {source} → {target}; set the method to exact or ann"

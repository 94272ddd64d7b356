"""Whether the section `retrieval` agrees with itself and with the graph's types and relations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twhin_spark.config.retrieval import CandidateQuery
from twhin_spark.config.sections import Config


def retrieval(config: Config) -> Iterator[str]:
    """One line for each disagreement: dotted path, what was found, what is allowed."""
    queries, blends = config.retrieval.queries, config.retrieval.blends
    for name, query in queries.items():
        yield from _query(config, f"retrieval.queries.{name}", query)
    for name, blend in blends.items():
        path = f"retrieval.blends.{name}"
        if name in queries:
            yield f"{path}: found the name of a query; allowed: a name of its own"
        for asked in blend.queries:
            if asked not in queries:
                yield f"{path}.queries.{asked}: unknown query; allowed: {_one_of(queries)}"
        ends = {ends_of(config, queries[asked]) for asked in blend.queries if asked in queries}
        if len(ends) > 1:
            found = " and ".join(sorted(f"{source} → {target}" for source, target in ends))
            yield f"{path}.queries: found {found}; allowed: queries of the same entity types"


def ends_of(config: Config, query: CandidateQuery) -> tuple[str | None, str | None]:
    """The entity types of a query's sources and targets, None where nothing says."""
    relation = config.relations.get(query.relation or "")
    source = query.source or (relation.source if relation else None)
    target = query.target or (relation.target if relation else source)
    return source, target


def _query(config: Config, path: str, query: CandidateQuery) -> Iterator[str]:
    relations, types = config.relations, config.entity_types
    source, target = ends = ends_of(config, query)
    if query.relation is not None and query.relation not in relations:
        yield f"{path}.relation: found '{query.relation}'; allowed: {_one_of(relations)}"
        return
    if source is None:
        yield f"{path}.source: found nothing; required without a relation, {_one_of(types)}"
        return
    for end, name in (("source", source), ("target", target)):
        if name not in types:
            yield f"{path}.{end}: found '{name}'; allowed: a declared entity type, {_one_of(types)}"
            return
    same = [name for name, one in relations.items() if (one.source, one.target) == ends]
    allowed = (
        f"a relation {source} → {target}, {_one_of(same)}"
        if same
        else f"nothing, as no relation is {source} → {target}"
    )
    for field, names in (("relation", [query.relation]), ("exclude", query.exclude), ("recall", [query.recall])):
        for name in names:
            if name is not None and name not in same:
                yield f"{path}.{field}: found '{name}'; allowed: {allowed}"
    if query.method == "ann" and query.targets is not None:
        yield f"{path}.targets: found a condition with method: ann, whose index has all; allowed: with exact or mixture"
    if query.method == "mixture" and not same:
        yield f"{path}.method: found mixture; allowed: where a relation is {source} → {target}"


def _one_of(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)

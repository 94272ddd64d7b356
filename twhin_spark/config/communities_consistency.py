"""Consistency of the section `communities` with the graph's types and relations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from twhin_spark.config.sections import Config


def communities(config: Config) -> Iterator[str]:
    """Yield one line for each broken rule: what is wrong, what is required, and what to do."""
    section = config.communities
    if section is None:
        return
    ends = set()
    for path, names in (
        ("communities.consumers.relations", section.consumers.relations),
        *([("communities.items.relations", section.items.relations)] if section.items else []),
    ):
        unknown = [name for name in names if name not in config.relations]
        for name in unknown:
            yield f"{path}.{name} names no relation; it must be one of relations: {', '.join(config.relations)}"
        if unknown:
            return
        ends = _ends(config, names)
        if len(ends) > 1:
            types = " and ".join(sorted(f"{source} → {target}" for source, target in ends))
            yield f"{path} are of {types}; all must have the same entity types"
            return
    if section.items:
        yield from _items(config)
    if len(section.known_for.resolution) > 1 and config.split.by != "source" and not config.split.validation:
        yield (
            "communities.known_for.resolution has several values, so split.validation must be above 0, as held-out "
            "edges pick one"
        )


def consumer_types(config: Config) -> tuple[str, str]:
    """Return the entity types of consumers and producers."""
    assert config.communities is not None
    relation = config.relations[next(iter(config.communities.consumers.relations))]
    return relation.source, relation.target


def item_type(config: Config) -> str | None:
    """Return the entity type of items, or None if there are none."""
    if config.communities is None or config.communities.items is None:
        return None
    return config.relations[next(iter(config.communities.items.relations))].target


def _items(config: Config) -> Iterator[str]:
    assert config.communities is not None
    assert config.communities.items is not None
    items, consumer = config.communities.items, consumer_types(config)[0]
    ((source, item),) = _ends(config, items.relations)
    if source != consumer:
        yield f"communities.items.relations lead from type '{source}', but must lead from consumers, type '{consumer}'"
    if items.authors is None:
        return
    if items.authors not in config.relations:
        names = ", ".join(config.relations)
        yield f"communities.items.authors is '{items.authors}', but must be one of relations: {names}"
        return
    found = config.relations[items.authors]
    if (found.source, found.target) != (consumer, item):
        yield (
            f"communities.items.authors is '{items.authors}', a relation {found.source} → {found.target}, "
            f"but must be a relation {consumer} → {item}"
        )


def _ends(config: Config, names: Iterable[str]) -> set[tuple[str, str]]:
    return {(config.relations[name].source, config.relations[name].target) for name in names}

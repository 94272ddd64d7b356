"""The routes of the Representation Manager."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from twhin_spark.representations.catalogue import CURRENT
from twhin_spark.representations.errors import NotServedError, QuestionError
from twhin_spark.serving import neighbours as nearest
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.store import DEFAULT_FAMILY, StoredFamily
from twhin_spark.serving.web import requests, responses
from twhin_spark.serving.web.encodings import ARROW, RAW, json_answer, representations_answer
from twhin_spark.serving.web.service_state import Service

Family = Annotated[str, Query(description="Family of representations")]
VersionName = Annotated[str, Query(description="Model version or alias")]

_FORMATS: dict[int | str, dict[str, Any]] = {200: {"content": {ARROW: {}, RAW: {}}}}


def manager_routes(service: Service) -> APIRouter:
    """Reads, neighbours and the list of versions."""
    routes = APIRouter(prefix="/v1", tags=["Representation Manager"])

    @routes.get("/representations/{entity_type}/{entity_id:path}", response_model=responses.OneRepresentation)
    async def read_one(
        entity_type: str, entity_id: str, family: Family = DEFAULT_FAMILY, version: VersionName = CURRENT
    ) -> Response:
        """One entity's representation."""
        read = service.store.version(version, family=family)
        stored = read.type(entity_type)
        row = read.row((entity_type, entity_id))
        service.metrics.count_read(family, known=int(row != NOT_FOUND), unknown=int(row == NOT_FOUND))
        if row == NOT_FOUND:
            raise NotServedError(f"{entity_type} '{entity_id}' has no representation in version {read.name}")
        return json_answer(
            {
                "family": family,
                "model_version": read.name,
                "entity": (entity_type, entity_id),
                "representation": stored.rows.row(row),
                "degree": stored.degree(row),
            }
        )

    @routes.post("/representations", response_model=responses.ManyRepresentations, responses=_FORMATS)
    async def read_many(
        question: requests.Representations, accept: Annotated[str, Header()] = "application/json"
    ) -> Response:
        """The representations of many entities, in their order; the unknown are null.

        As an Arrow stream: columns entity_type, entity_id, embedding. As raw little-endian float32: one vector after
        the other, NaN where an entity is unknown; the header X-Shape says how many and how long.
        """
        service.check_count("entities", len(question.entities))
        version = service.store.version(question.version, family=question.family)
        found = version.get_many(question.entities)
        known = sum(representation is not None for representation in found)
        service.metrics.count_read(question.family, known=known, unknown=len(found) - known)
        return representations_answer(version, question.entities, found, accept)

    @routes.post("/neighbours", response_model=responses.Neighbours)
    async def find_neighbours(question: requests.Neighbours) -> Response:
        """The entities of one type that are closest to an entity or to a vector."""
        if question.k > service.settings.max_neighbours:
            raise QuestionError(f"k: found {question.k:,}; allowed: at most {service.settings.max_neighbours:,}")
        version = service.store.version(question.version, family=question.family)
        query = nearest.Query(**question.model_dump(exclude={"family", "version"}))
        found = await service.search(
            lambda deadline: nearest.find_neighbours(version, query, deadline, service.index_of)
        )
        return json_answer({"family": question.family, "model_version": version.name, **vars(found)})

    @routes.get("/versions", response_model=responses.Versions)
    async def list_versions() -> Response:
        """What is served, and why something is not."""
        store = service.store
        families = [_family(name, store.families.get(name), lines) for name, lines in service.problems.items()]
        return json_answer({"families": families})

    return routes


def _family(name: str, family: StoredFamily | None, problems: Any) -> dict[str, Any]:
    if family is None:
        return {"family": name, "current": None, "problems": problems, "versions": []}
    return {
        "family": name,
        "current": family.version(CURRENT).name,
        "problems": [*problems, *family.problems],
        "versions": [_version(family, folder) for folder in family.versions],
    }


def _version(family: StoredFamily, folder: str) -> dict[str, Any]:
    version = family.versions[folder]
    types = version.types
    entry = next(entry for entry in family.catalogue.entries if entry.folder == folder)
    return {
        "model_version": version.name,
        "aliases": [alias for alias, named in family.catalogue.aliases.items() if named == folder],
        "table_version": entry.table_version,
        "kind": version.manifest.kind,
        "dim": version.manifest.dim,
        "entities": {name: len(stored) for name, stored in types.items()},
        "examples": {name: [stored.index.ids[i] for i in range(min(5, len(stored)))] for name, stored in types.items()},
        "relations": {r.relation: (r.source_type, r.target_type) for r in version.relations.values()},
        "built_at": version.manifest.built_at,
    }

"""The routes of the Representation Manager."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from twhin_spark.representations.errors import NotServedError, RequestError
from twhin_spark.representations.published_family import DEFAULT_FAMILY
from twhin_spark.representations.version_lookup import CURRENT
from twhin_spark.serving import neighbours as search
from twhin_spark.serving.fold_in import NewEdge, fold_in
from twhin_spark.serving.id_index import NOT_FOUND
from twhin_spark.serving.store import StoredFamily
from twhin_spark.serving.web import requests, responses
from twhin_spark.serving.web.encodings import ARROW, RAW, json_response, representations_response
from twhin_spark.serving.web.service_state import ServiceState

FamilyName = Annotated[str, Query(description="Family of representations")]
VersionName = Annotated[str, Query(description="Model version or alias")]
SpaceName = Annotated[str | None, Query(description="Model version in whose space the vector is returned")]

_FORMATS: dict[int | str, dict[str, Any]] = {200: {"content": {ARROW: {}, RAW: {}}}}


def representation_routes(state: ServiceState) -> APIRouter:
    """Return the routes of representations, neighbours and the list of versions."""
    routes = APIRouter(prefix="/v1", tags=["Representation Manager"])

    @routes.get("/representations/{entity_type}/{entity_id:path}", response_model=responses.RepresentationResponse)
    async def read_one(
        entity_type: str,
        entity_id: str,
        family: FamilyName = DEFAULT_FAMILY,
        version: VersionName = CURRENT,
        space: SpaceName = None,
    ) -> Response:
        """Return one entity's representation."""
        stored = state.store.version(version, family=family)
        entities = stored.type(entity_type)
        row = stored.row((entity_type, entity_id))
        state.metrics.count_read(family, represented=int(row != NOT_FOUND), missing=int(row == NOT_FOUND))
        if row == NOT_FOUND:
            raise NotServedError(f"{entity_type} '{entity_id}' has no representation in version {stored.name}")
        return json_response(
            {
                "family": family,
                "model_version": stored.name,
                "entity": (entity_type, entity_id),
                "representation": stored.get(entity_type, entity_id, space),
                "degree": entities.degree(row),
            }
        )

    @routes.post("/representations", response_model=responses.RepresentationsResponse, responses=_FORMATS)
    async def read_many(
        body: requests.RepresentationsRequest, accept: Annotated[str, Header()] = "application/json"
    ) -> Response:
        """Return the representations of many entities, in their order; null for an unknown entity.

        The Arrow stream has the columns entity_type, entity_id and embedding. The raw format is one vector after the
        other in little-endian float32, NaN for an unknown entity; the header X-Shape has their number and length.
        """
        state.check_count("entities", len(body.entities))
        version = state.store.version(body.version, family=body.family)
        representations = version.get_many(body.entities, body.space)
        represented = sum(representation is not None for representation in representations)
        state.metrics.count_read(body.family, represented=represented, missing=len(representations) - represented)
        return representations_response(version, body.entities, representations, accept)

    @routes.post("/representations/fold-in", response_model=responses.FoldInResponse)
    async def fold_in_one(body: requests.FoldInRequest) -> Response:
        """Return a vector for a new entity from its edges to known ones, without storing it."""
        state.check_count("edges", len(body.edges))
        version = state.store.version(body.version, family=body.family)
        edges = [NewEdge(edge.relation, edge.entity, edge.weight, edge.side) for edge in body.edges]
        vector, neighbours = fold_in(version, body.entity_type, edges)
        return json_response(
            {
                "family": body.family,
                "model_version": version.name,
                "representation": vector,
                "neighbours": neighbours,
            }
        )

    @routes.post("/neighbours", response_model=responses.NeighboursResponse)
    async def find_neighbours(body: requests.NeighboursRequest) -> Response:
        """Return the entities of one type that are most similar to an entity or to a vector."""
        if body.k > state.settings.max_neighbours:
            raise RequestError(f"k is {body.k:,}; at most {state.settings.max_neighbours:,} are allowed")
        version = state.store.version(body.version, family=body.family)
        of = None if body.target_family is None else state.store.version(family=body.target_family)
        query = search.NeighbourQuery(**body.model_dump(exclude={"family", "version", "target_family"}))
        neighbours = await state.search(
            lambda deadline: search.find_neighbours(version, query, deadline, state.index_lookup, of=of)
        )
        return json_response({"family": body.family, "model_version": version.name, **vars(neighbours)})

    @routes.get("/versions", response_model=responses.VersionsResponse)
    async def list_versions() -> Response:
        """Return the versions that are served, and the reasons why others are not."""
        store = state.store
        families = [_family(name, store.families.get(name), lines) for name, lines in state.problems.items()]
        return json_response({"families": families})

    return routes


def _family(name: str, family: StoredFamily | None, problems: Sequence[str]) -> dict[str, Any]:
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
        "aliases": [alias for alias, target in family.catalogue.aliases.items() if target == folder],
        "table_version": entry.table_version,
        "kind": version.manifest.kind,
        "dim": version.manifest.dim,
        "entities": {name: len(stored) for name, stored in types.items()},
        "examples": {name: [stored.index.ids[i] for i in range(min(5, len(stored)))] for name, stored in types.items()},
        "relations": {r.relation: (r.source_type, r.target_type) for r in version.relations.values()},
        "built_at": version.manifest.built_at,
    }

"""The application: its routes, its pages, and the pollers that run as long as it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.responses import HTMLResponse, Response

from twhin_spark import __version__
from twhin_spark.config.serving import ServingConfig
from twhin_spark.representations.published_family import PublishedFamily
from twhin_spark.serving.neighbours import IndexLookup, exact_index
from twhin_spark.serving.web import responses
from twhin_spark.serving.web.encodings import json_response
from twhin_spark.serving.web.error_responses import add_error_handlers
from twhin_spark.serving.web.middleware import RequestMiddleware
from twhin_spark.serving.web.representation_routes import representation_routes
from twhin_spark.serving.web.scorer_routes import scorer_routes
from twhin_spark.serving.web.service_state import ServiceState
from twhin_spark.serving.web.table_poller import TablePoller

_PAGE = Path(__file__).with_name("neighbours.html")
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": responses.ErrorResponse, "description": "The request is invalid; one line says why"}
}


def create_app(
    settings: ServingConfig,
    root: Path,
    families: Sequence[PublishedFamily],
    *,
    token: str | None = None,
    index_lookup: IndexLookup = exact_index,
) -> FastAPI:
    """Create the ASGI application.

    Parameters
    ----------
    settings
        The section `serving` of a config.
    root
        Folder of the stores.
    families
        The families to serve.
    token
        Bearer token that callers must send; None: no token.
    index_lookup
        Function that returns the index for a search of neighbours. By default every vector is scored.
    """
    state = ServiceState(settings, root, index_lookup)
    pollers = [TablePoller(state, family) for family in families]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for poller in pollers:
            await poller.start()
        tasks = [asyncio.create_task(poller.run()) for poller in pollers]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        state.searchers.shutdown(wait=False, cancel_futures=True)

    app = FastAPIOffline(
        title="twhin-spark",
        description="Representations of entities, their neighbours, and scores of how similar entities are.",
        version=__version__,
        redoc_url=None,
        lifespan=lifespan,
        responses=_ERRORS,
        dependencies=[Security(HTTPBearer(auto_error=False))] if token else [],  # shows the token's field in /docs
    )
    app.add_middleware(RequestMiddleware, settings=settings, token=token, metrics=state.metrics)
    add_error_handlers(app)
    app.include_router(representation_routes(state))
    app.include_router(scorer_routes(state))
    app.include_router(_operation_routes(state, [family.name for family in families]))
    return app


def _operation_routes(state: ServiceState, families: Sequence[str]) -> APIRouter:
    """Return the routes for operators: the page of neighbours, health, readiness and metrics."""
    routes = APIRouter(tags=["Operation"])
    page = _PAGE.read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"

    @routes.get("/", include_in_schema=False)
    async def neighbours_page() -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    @routes.get("/health")
    async def health() -> Response:
        """Report that the process is alive."""
        return json_response({"status": "ok"})

    @routes.get("/ready")
    async def ready() -> Response:
        """Report whether every family has a version that is served: status 200, or 503 until then."""
        waiting = [name for name in families if name not in state.store.families]
        return json_response({"ready": not waiting, "waiting_for": waiting}, 503 if waiting else 200)

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(state.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes

"""The application: routes, pages, and the watchers that live as long as it does."""

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
from twhin_spark.representations.family import Family
from twhin_spark.serving.neighbours import IndexOf, exact_index
from twhin_spark.serving.web import responses as answers
from twhin_spark.serving.web.encodings import json_answer
from twhin_spark.serving.web.error_responses import explain
from twhin_spark.serving.web.middleware import Gate
from twhin_spark.serving.web.representation_routes import manager_routes
from twhin_spark.serving.web.scorer_routes import scorer_routes
from twhin_spark.serving.web.service_state import Service
from twhin_spark.serving.web.table_poller import Watcher

_PAGE = Path(__file__).with_name("neighbours.html")
_PROBLEMS: dict[int | str, dict[str, Any]] = {"4XX": {"model": answers.Problem, "description": "A mistake, in a line"}}


def create_app(
    settings: ServingConfig,
    root: Path,
    families: Sequence[Family],
    *,
    token: str | None = None,
    index_of: IndexOf = exact_index,
) -> FastAPI:
    """The service over the families' tables, with its stores under `root`.

    token: what callers must send, None for nothing. index_of: finds neighbours; by default it scores every vector.
    """
    service = Service(settings, root, index_of)
    watchers = [Watcher(service, family) for family in families]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for watcher in watchers:
            await watcher.start()
        tasks = [asyncio.create_task(watcher.run()) for watcher in watchers]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        service.searchers.shutdown(wait=False, cancel_futures=True)

    app = FastAPIOffline(
        title="twhin-spark",
        description="Representations of entities, their neighbours, and how close they are.",
        version=__version__,
        redoc_url=None,
        lifespan=lifespan,
        responses=_PROBLEMS,
        dependencies=[Security(HTTPBearer(auto_error=False))] if token else [],  # the page's field for the token
    )
    app.add_middleware(Gate, settings=settings, token=token, metrics=service.metrics)
    explain(app)
    app.include_router(manager_routes(service))
    app.include_router(scorer_routes(service))
    app.include_router(_operations(service, [family.name for family in families]))
    return app


def _operations(service: Service, families: Sequence[str]) -> APIRouter:
    """What machines and people look at."""
    routes = APIRouter(tags=["Operation"])
    page = _PAGE.read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"

    @routes.get("/", include_in_schema=False)
    async def neighbours_page() -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    @routes.get("/health")
    async def health() -> Response:
        """The process answers."""
        return json_answer({"status": "ok"})

    @routes.get("/ready")
    async def ready() -> Response:
        """200 once every family has a version that is served, 503 until then."""
        waiting = [name for name in families if name not in service.store.families]
        return json_answer({"ready": not waiting, "waiting_for": waiting}, 503 if waiting else 200)

    @routes.get("/metrics")
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes

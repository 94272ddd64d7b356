"""What every request passes first: the token, the limits on body and time, the count and the log line."""

from __future__ import annotations

import asyncio
import hmac
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twhin_spark.config.serving import ServingConfig
from twhin_spark.serving.web.error_responses import HttpError, problem
from twhin_spark.serving.web.observability import Metrics, event

_GUARDED = ("/v1/", "/metrics")
_DISCONNECTED = 499  # no answer was sent; as nginx counts it


class Gate:
    """An ASGI middleware. It reads the whole body, so that a slow or a large one ends here."""

    def __init__(self, app: ASGIApp, settings: ServingConfig, token: str | None, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._expected = f"Bearer {token}".encode() if token else None
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                try:
                    receive = await self._admitted(scope, receive)
                    await self._app(scope, receive, observed)
                except HttpError as error:
                    await problem(error.status, str(error))(scope, receive, observed)
        except TimeoutError:
            if not status:
                limit = f"{self._settings.timeout_seconds:g} seconds"
                await problem(504, f"the request took more than {limit}")(scope, receive, observed)
        except _DisconnectedError:
            status = _DISCONNECTED
        finally:
            self._observe(scope, status or 500, time.perf_counter() - started)

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """Checks the request's head and body; returns where the body is read again. Raises HttpError."""
        headers = Headers(scope=scope)
        if self._expected and scope["path"].startswith(_GUARDED):
            given = headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                raise HttpError(401, "Authorization: no valid token; expected 'Bearer TOKEN'")
        if scope["method"] != "POST":
            return receive
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise HttpError(415, f"Content-Type: found '{content_type}'; allowed: application/json")
        body = await self._body(headers, receive)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        return again

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        length = headers.get("content-length", "0")
        parts: list[bytes] = []
        size = int(length) if length.isdigit() else 0
        if size > limit:
            raise HttpError(413, f"body: found {size:,} bytes; allowed: at most {limit:,}")
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > limit:
                raise HttpError(413, f"body: found more than {limit:,} bytes; allowed: at most {limit:,}")
        return b"".join(parts)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if self._settings.log_requests or status >= 500:
            client = scope.get("client")
            event(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 3),
                client=client[0] if client else None,
            )


class _DisconnectedError(Exception):
    """The caller went away before the body was there."""

"""The middleware that every request passes: token, limits on size and time, metrics and the log line."""

from __future__ import annotations

import asyncio
import hmac
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from twhin_spark.config.serving import ServingConfig
from twhin_spark.serving.web.error_responses import HttpError, error_response
from twhin_spark.serving.web.observability import Metrics, log_event

_GUARDED = ("/v1/", "/metrics")
_DISCONNECTED = 499  # nginx's status for a request without a response


class RequestMiddleware:
    """An ASGI middleware. It reads the whole body, so that a slow or large body never reaches a route."""

    def __init__(self, app: ASGIApp, settings: ServingConfig, token: str | None, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._authorization = f"Bearer {token}".encode() if token else None
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                try:
                    receive = await self._check(scope, receive)
                    await self._app(scope, receive, send_and_note)
                except HttpError as error:
                    await error_response(error.status, str(error))(scope, receive, send_and_note)
        except TimeoutError:
            if not status:
                line = f"the request took more than {self._settings.timeout_seconds:g} seconds"
                await error_response(504, line)(scope, receive, send_and_note)
        except _DisconnectedError:
            status = _DISCONNECTED
        finally:
            self._record(scope, status or 500, time.perf_counter() - started)

    async def _check(self, scope: Scope, receive: Receive) -> Receive:
        """Check the request's headers and body; return a function that receives the body again. Raises HttpError."""
        headers = Headers(scope=scope)
        if self._authorization and scope["path"].startswith(_GUARDED):
            authorization = headers.get("authorization", "").encode()
            if not hmac.compare_digest(authorization, self._authorization):
                raise HttpError(401, "Authorization: no valid token; send 'Bearer TOKEN'")
        if scope["method"] != "POST":
            return receive
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise HttpError(415, f"Content-Type is '{content_type}', but it must be application/json")
        body = await self._body(headers, receive)
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        return receive_again

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        length = headers.get("content-length", "0")
        parts: list[bytes] = []
        size = int(length) if length.isdigit() else 0
        if size > limit:
            raise HttpError(413, f"the body has {size:,} bytes; at most {limit:,} are allowed")
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > limit:
                raise HttpError(413, f"the body has more than {limit:,} bytes; at most {limit:,} are allowed")
        return b"".join(parts)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        """Add the request to the metrics and to the log."""
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if self._settings.log_requests or status >= 500:
            client = scope.get("client")
            log_event(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 3),
                client=client[0] if client else None,
            )


class _DisconnectedError(Exception):
    """The caller disconnected before its body was complete."""

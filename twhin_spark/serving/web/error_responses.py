"""Error responses: a status of 4xx or 5xx and one line, {"error": "k is 0, but it must be greater than 0"}."""

from __future__ import annotations

import re
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from twhin_spark.representations.errors import RequestError


class HttpError(Exception):
    """An error response: its status and its line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def error_response(status: int, line: str) -> Response:
    """Return an error response."""
    line = line.encode(errors="replace").decode()  # it may quote a surrogate, which UTF-8 cannot encode
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(orjson.dumps({"error": line}), status, headers, media_type="application/json")


def add_error_handlers(app: FastAPI) -> None:
    """Make the application respond to every error with one line."""

    @app.exception_handler(RequestValidationError)
    async def invalid_body(_: Request, error: RequestValidationError) -> Response:
        first, *others = error.errors()
        if first["type"] == "json_invalid":
            return error_response(400, f"body: not valid JSON at character {first['loc'][-1]}: {first['ctx']['error']}")
        more = f" (and {len(others)} more)" if others else ""
        return error_response(422, _line(first) + more)

    @app.exception_handler(RequestError)
    async def invalid_request(_: Request, error: RequestError) -> Response:
        return error_response(error.status, str(error))

    @app.exception_handler(HttpError)
    async def http_error(_: Request, error: HttpError) -> Response:
        return error_response(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def framework_error(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return error_response(404, f"no such page: {request.url.path}; /docs lists the pages")
        return error_response(error.status_code, f"{request.method} {request.url.path}: {error.detail}")

    @app.exception_handler(TimeoutError)
    async def timeout(_: Request, __: TimeoutError) -> Response:
        return error_response(504, "the request took too long; request less, or raise serving.timeout_seconds")

    @app.exception_handler(Exception)
    async def internal_error(_: Request, __: Exception) -> Response:
        return error_response(500, "internal error; the service's log has the details")


def _line(detail: Any) -> str:
    """Return one line for one of pydantic's errors."""
    path = ".".join(str(part) for part in detail["loc"][1:]) or "body"
    if detail["type"] == "missing":
        return f"{path} is required"
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown field; /docs lists the fields"
    if detail["type"] == "value_error":
        return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
    required = re.sub(r"^(Input|Value|List|Tuple) should ", "it must ", detail["msg"])
    return f"{path} is {_shortened(detail['input'])}, but {required}"


def _shortened(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."

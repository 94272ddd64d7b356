"""Every mistake is answered with a 4xx and one line: {"error": "what was found; what is allowed"}."""

from __future__ import annotations

import re
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from twhin_spark.representations.errors import QuestionError


class HttpError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def problem(status: int, line: str) -> Response:
    line = line.encode(errors="replace").decode()  # it may quote what is no Unicode
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(orjson.dumps({"error": line}), status, headers, media_type="application/json")


def explain(app: FastAPI) -> None:
    """Makes the app answer errors in one line."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first, *others = error.errors()
        if first["type"] == "json_invalid":
            return problem(400, f"body: not valid JSON at character {first['loc'][-1]}: {first['ctx']['error']}")
        more = f" (and {len(others)} more)" if others else ""
        return problem(422, _line(first) + more)

    @app.exception_handler(QuestionError)
    async def question(_: Request, error: QuestionError) -> Response:
        return problem(error.status, str(error))

    @app.exception_handler(HttpError)
    async def answer(_: Request, error: HttpError) -> Response:
        return problem(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return problem(404, f"no such page: {request.url.path}; /docs lists what there is")
        return problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}")

    @app.exception_handler(TimeoutError)
    async def late(_: Request, __: TimeoutError) -> Response:
        return problem(504, "the request took too long; ask for less, or raise serving.timeout_seconds")

    @app.exception_handler(Exception)
    async def bug(_: Request, __: Exception) -> Response:
        return problem(500, "internal error; the service's log has the details")


def _line(detail: Any) -> str:
    """One line for one of pydantic's errors."""
    path = ".".join(str(part) for part in detail["loc"][1:]) or "body"
    allowed = re.sub(r"^(Value error, |(Input|Value|List|Tuple) should (be |have )?)", "", detail["msg"])
    if detail["type"] == "missing":
        return f"{path}: found nothing; this field is required"
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown field; /docs lists what there is"
    return f"{path}: found {_shown(detail['input'])}; allowed: {allowed}"


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."

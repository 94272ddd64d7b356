"""A service in a thread, on a free port of the loopback interface, and a client."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from twhin_spark.config.serving import ServingConfig
from twhin_spark.representations.published_family import PublishedFamily
from twhin_spark.serving.neighbours import IndexLookup, exact_index
from twhin_spark.serving.web.app import create_app


@dataclass(frozen=True)
class ServiceResponse:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        line = self.json["error"]
        assert "\n" not in line
        assert list(self.json) == ["error"]
        return line


class Caller:
    """One connection to the service."""

    def __init__(self, port: int, headers: dict[str, str] | None = None) -> None:
        self.port = port
        self.headers = headers or {}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(self, path: str, **headers: str) -> ServiceResponse:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> ServiceResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, content, {"Content-Type": "application/json", **headers})

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> ServiceResponse:
        self._connection.request(method, path, body, self.headers | headers)
        response = self._connection.getresponse()
        lowered = {name.lower(): value for name, value in response.getheaders()}
        return ServiceResponse(response.status, lowered, response.read())

    def versions(self, family: str = "twhin") -> dict[str, Any]:
        families = self.get("/v1/versions").json["families"]
        return next(entry for entry in families if entry["family"] == family)

    def wait_for(self, condition: Callable[[dict[str, Any]], object], seconds: float = 30) -> None:
        """Wait until the condition holds for the list of versions."""
        until = time.monotonic() + seconds
        while not condition(self.versions()):
            assert time.monotonic() < until, self.versions()
            time.sleep(0.02)

    def wait_for_version(self, name: str) -> None:
        self.wait_for(lambda listed: listed["current"] == name)


@contextmanager
def running(
    root: Path,
    families: Sequence[PublishedFamily],
    *,
    token: str | None = None,
    index_lookup: IndexLookup = exact_index,
    **settings: Any,
) -> Iterator[Caller]:
    """Run the service in a thread; yield a client once it listens, and end it afterwards."""
    app = create_app(
        ServingConfig(**{"poll_seconds": 0.05, **settings}), root, families, token=token, index_lookup=index_lookup
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", timeout_keep_alive=600))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Caller(port, {"Authorization": f"Bearer {token}"} if token else {})
    finally:
        server.should_exit = True
        thread.join()

"""Invalid requests get a status of 4xx and one line, and requests over a limit end."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.published_tables import Tables
from tests.support.service_client import Caller, running

NEIGHBOURS = {"entity": ["user", "u1"]}
SIGNAL = {"entity": ["user", "u1"], "at": 1_700_000_000}
NO_AGE = {"entity": ["tweet", "t1"], "features": {"age": None}}
MANY = b'{"entities": [' + b",".join(b'["user", "%d"]' % i for i in range(1_000_000)) + b"]}"


@pytest.mark.parametrize(
    ("path", "body", "status", "line"),
    [
        ("representations", b'{"entities": [', 400, "body: not valid JSON at character 14"),
        ("representations", MANY, 413, "bytes; at most 1,048,576 are allowed"),
        ("representations", {"entities": [["user", "1"]] * 1001}, 422, "entities has 1,001 entries; at most 1"),
        ("representations", {"entities": [["usr", "1"]]}, 422, "unknown entity type 'usr'; use one of tweet"),
        ("representations", {"entities": [["user", 1]]}, 422, "entities.0.1 is 1, but it must be a valid string"),
        ("representations", {"entities": [["user"]]}, 422, "entities.0.1 is required"),
        ("representations", {"entities": [["user", "\ud800"]]}, 422, "entities.0.1 is"),
        ("representations", {"entities": [["\ud800", "1"]]}, 422, "entities.0.0 is"),
        ("representations", {"entities": [], "family": "\ud800"}, 404, "family '?' is not served"),
        ("representations", {"entities": "u1"}, 422, "entities is 'u1', but it must be a valid list"),
        ("representations", {}, 422, "entities is required"),
        ("representations", [], 422, "body is []"),
        ("representations", {"entities": [], "x": 1}, 422, "x: unknown field"),
        ("representations", {"entities": [], "version": "m0"}, 404, "version 'm0' is not served; use one of"),
        ("representations", {"entities": [], "family": "f"}, 404, "family 'f' is not served; use one of comm"),
        ("neighbours", b'{"vector": [NaN, 1, 1, 1]}', 422, "vector.0 is nan, but it must be a finite number"),
        ("neighbours", b'{"vector": [1e999, 1, 1, 1]}', 422, "vector.0 is inf, but it must be a finite number"),
        ("neighbours", {"vector": [1e30]}, 422, "vector.0 is 1e+30, but it must be less than or equal to"),
        ("neighbours", {"vector": [1.0] * 3, "target_type": "user"}, 422, "numbers; version m1 requires 4"),
        ("neighbours", {"vector": [1.0] * 4}, 422, "a query by vector requires target_type, one of tweet"),
        ("neighbours", {}, 422, "either entity or vector is required"),
        ("neighbours", NEIGHBOURS | {"vector": [1.0] * 4}, 422, "either entity or vector is required"),
        ("neighbours", {"entity": ["user", "nobody"]}, 404, "user 'nobody' has no representation in version m1"),
        ("neighbours", NEIGHBOURS | {"k": 0}, 422, "k is 0, but it must be greater than or equal to 1"),
        ("neighbours", NEIGHBOURS | {"k": 1001}, 422, "k is 1,001; at most 1,000 are allowed"),
        ("neighbours", NEIGHBOURS | {"measure": "manhattan"}, 422, "unknown measure 'manhattan' for neighbours"),
        ("neighbours", NEIGHBOURS | {"relation": "likes"}, 422, "unknown relation 'likes'; use one of favorite"),
        ("neighbours", NEIGHBOURS | {"relation": "same", "target_type": "user"}, 422, "a target of type 'tweet'"),
        ("neighbours", {"entity": ["tweet", "t1"], "relation": "same"}, 422, "requires a source of type 'user'"),
        ("neighbours", NEIGHBOURS | {"family": "communities"}, 404, "user 'u1' has no representation in version s1"),
        ("scores/pairs", {"pairs": [[["user", "u1"]]]}, 422, "pairs.0.1 is required"),
        ("scores/pairs", {"pairs": [], "scores": []}, 422, "scores is [], but it must have at least 1 item"),
        ("scores/list", {"source": ["user", "u1"], "targets": [], "scores": [{"measure": "x"}]}, 422, "unknown m"),
        ("signals", {"candidates": [], "windows_days": [-1]}, 422, "windows_days.0 is -1, but it must be greater"),
        ("signals", {"candidates": [], "signals": {"f": [SIGNAL | {"at": "then"}]}}, 422, "signals.f.0.at is"),
        ("signals", {"candidates": [], "signals": {"\ud800": [SIGNAL]}}, 422, "signals."),
        ("rankings/home", {"user": ["user", "1"], "candidates": [NO_AGE]}, 422, "candidates.0.features.age is"),
    ],
)  # fmt: skip
def test_an_invalid_body_gets_one_line(caller: Caller, path: str, body: Any, status: int, line: str) -> None:
    response = caller.post(f"/v1/{path}", body)
    assert line in response.error
    assert response.status == status


def test_an_invalid_path_or_header_gets_one_line(caller: Caller) -> None:
    assert "no such page" in caller.get("/v2").error
    assert (caller.get("/v1/neighbours").status, caller.get("/v1/neighbours").error) == (
        405,
        "GET /v1/neighbours: Method Not Allowed",
    )
    response = caller.post("/v1/representations", {"entities": []}, Accept="text/html")
    assert (response.status, response.error[:19]) == (406, "Accept: 'text/html'")
    response = caller.post("/v1/representations", {}, **{"Content-Type": "text/plain"})
    assert (response.status, response.error) == (415, "Content-Type is 'text/plain', but it must be application/json")
    response = caller.get("/v1/representations/user/nobody")
    assert (response.status, response.error) == (404, "user 'nobody' has no representation in version m1")


def test_a_body_without_a_length_is_limited_too(caller: Caller) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=30)
    chunks = (b" " * 65_536 for _ in range(17))
    connection.request("POST", "/v1/representations", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413


def test_a_token_guards_the_data(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.publish("m1")
    with running(tmp_path / "serving", [tables.family], token="secret") as caller:
        caller.wait_for_version("m1")
        stranger = Caller(caller.port)
        for path in ("/v1/versions", "/v1/representations/user/u1", "/metrics"):
            assert stranger.get(path).status == 401
            assert stranger.get(path, Authorization="Bearer wrong").error.startswith("Authorization: no valid token")
            assert caller.get(path).status == 200
        for path in ("/health", "/ready", "/", "/docs"):
            assert stranger.get(path).status == 200


class EndlessIndex:
    """An index whose searches do not end before their deadline."""

    def search(self, query: Any, k: int, measure: str, deadline: float) -> Any:
        while time.monotonic() < deadline:
            time.sleep(0.01)
        raise TimeoutError


def test_a_request_ends_in_time(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.publish("m1")
    settings = {"timeout_seconds": 0.5, "index_lookup": lambda *_: EndlessIndex()}
    with running(tmp_path / "serving", [tables.family], **settings) as caller:
        caller.wait_for_version("m1")
        slow = socket.create_connection(("127.0.0.1", caller.port))
        head = (
            b"POST /v1/neighbours HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
        )
        slow.sendall(head + b'{"entity"')
        slow.settimeout(10)
        assert b"504" in slow.recv(100)
        slow.close()
        response = caller.post("/v1/neighbours", NEIGHBOURS)
        assert response.status == 504
        assert "took" in response.error
        assert caller.get("/v1/representations/user/u1").status == 200

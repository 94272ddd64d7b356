"""Every mistake gets a 4xx and one line; a limit holds whatever the caller does."""

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
        ("representations", MANY, 413, "bytes; allowed: at most 1,048,576"),
        ("representations", {"entities": [["user", "1"]] * 1001}, 422, "entities: found 1,001; allowed: at most 1"),
        ("representations", {"entities": [["usr", "1"]]}, 422, "unknown entity type 'usr'; allowed: one of tweet"),
        ("representations", {"entities": [["user", 1]]}, 422, "entities.0.1: found 1; allowed: a valid string"),
        ("representations", {"entities": [["user"]]}, 422, "entities.0.1: found nothing; this field is required"),
        ("representations", {"entities": [["user", "\ud800"]]}, 422, "entities.0.1: found"),
        ("representations", {"entities": [["\ud800", "1"]]}, 422, "entities.0.0: found"),
        ("representations", {"entities": [], "family": "\ud800"}, 404, "family '?' is not served"),
        ("representations", {"entities": "u1"}, 422, "entities: found 'u1'; allowed: a valid list"),
        ("representations", {}, 422, "entities: found nothing; this field is required"),
        ("representations", [], 422, "body: found []"),
        ("representations", {"entities": [], "x": 1}, 422, "x: unknown field"),
        ("representations", {"entities": [], "version": "m0"}, 404, "version 'm0' is not served; allowed: one of"),
        ("representations", {"entities": [], "family": "f"}, 404, "family 'f' is not served; allowed: one of comm"),
        ("neighbours", b'{"vector": [NaN, 1, 1, 1]}', 422, "vector.0: found nan; allowed: a finite number"),
        ("neighbours", b'{"vector": [1e999, 1, 1, 1]}', 422, "vector.0: found inf; allowed: a finite number"),
        ("neighbours", {"vector": [1e30]}, 422, "vector.0: found 1e+30; allowed: less than or equal to"),
        ("neighbours", {"vector": [1.0] * 3, "target_type": "user"}, 422, "vector: found 3 numbers; allowed: 4"),
        ("neighbours", {"vector": [1.0] * 4}, 422, "target_type: found nothing beside a vector; allowed: one of tweet"),
        ("neighbours", {}, 422, "allowed: one of entity and vector"),
        ("neighbours", NEIGHBOURS | {"vector": [1.0] * 4}, 422, "allowed: one of entity and vector"),
        ("neighbours", {"entity": ["user", "nobody"]}, 404, "user 'nobody' has no representation in version m1"),
        ("neighbours", NEIGHBOURS | {"k": 0}, 422, "k: found 0; allowed: greater than or equal to 1"),
        ("neighbours", NEIGHBOURS | {"k": 1001}, 422, "k: found 1,001; allowed: at most 1,000"),
        ("neighbours", NEIGHBOURS | {"measure": "manhattan"}, 422, "unknown measure 'manhattan' for neighbours"),
        ("neighbours", NEIGHBOURS | {"relation": "likes"}, 422, "unknown relation 'likes'; allowed: one of favorite"),
        ("neighbours", NEIGHBOURS | {"relation": "same", "target_type": "user"}, 422, "allowed: tweet"),
        ("neighbours", {"entity": ["tweet", "t1"], "relation": "same"}, 422, "found an entity of type 'tweet'"),
        ("neighbours", NEIGHBOURS | {"family": "communities"}, 422, "family 'communities' is sparse"),
        ("scores/pairs", {"pairs": [[["user", "u1"]]]}, 422, "pairs.0.1: found nothing"),
        ("scores/pairs", {"pairs": [], "scores": []}, 422, "scores: found []"),
        ("scores/list", {"source": ["user", "u1"], "targets": [], "scores": [{"measure": "x"}]}, 422, "unknown m"),
        ("signals", {"candidates": [], "windows_days": [-1]}, 422, "windows_days.0: found -1; allowed: greater than 0"),
        ("signals", {"candidates": [], "signals": {"f": [SIGNAL | {"at": "then"}]}}, 422, "signals.f.0.at: found"),
        ("signals", {"candidates": [], "signals": {"\ud800": [SIGNAL]}}, 422, "signals."),
        ("rankings/home", {"user": ["user", "1"], "candidates": [NO_AGE]}, 422, "candidates.0.features.age: found"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(caller: Caller, path: str, body: Any, status: int, line: str) -> None:
    answer = caller.post(f"/v1/{path}", body)
    assert line in answer.error
    assert answer.status == status


def test_mistakes_of_the_request_itself(caller: Caller) -> None:
    assert "no such page" in caller.get("/v2").error
    assert (caller.get("/v1/neighbours").status, caller.get("/v1/neighbours").error) == (
        405,
        "GET /v1/neighbours: Method Not Allowed",
    )
    answer = caller.post("/v1/representations", {"entities": []}, Accept="text/html")
    assert (answer.status, answer.error[:25]) == (406, "Accept: found 'text/html'")
    answer = caller.post("/v1/representations", {}, **{"Content-Type": "text/plain"})
    assert (answer.status, answer.error) == (415, "Content-Type: found 'text/plain'; allowed: application/json")
    answer = caller.get("/v1/representations/user/nobody")
    assert (answer.status, answer.error) == (404, "user 'nobody' has no representation in version m1")


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


class Endless:
    """An index that finds nothing in time."""

    def search(self, query: Any, k: int, measure: str, deadline: float) -> Any:
        while time.monotonic() < deadline:
            time.sleep(0.01)
        raise TimeoutError


def test_a_request_ends_in_time(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.publish("m1")
    settings = {"timeout_seconds": 0.5, "index_of": lambda *_: Endless()}
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
        answer = caller.post("/v1/neighbours", NEIGHBOURS)
        assert answer.status == 504
        assert "took" in answer.error
        assert caller.get("/v1/representations/user/u1").status == 200

"""Responses of the service over a real connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.support.published_tables import DEGREE, DIM, Tables, vectors
from tests.support.service_client import Caller, running
from twhin_spark.kernels.pair_scores import cosine

USERS, TWEETS = vectors(0, 20), vectors(1000, 20)
ARROW = "application/vnd.apache.arrow.stream"
RAW = "application/octet-stream"
ENTITIES = [["tweet", "t3"], ["user", "u1"], ["user", "nobody"], ["tweet", "t3"]]
EXPECTED = [TWEETS[3], USERS[1], None, TWEETS[3]]


def test_one_representation(caller: Caller) -> None:
    response = caller.get("/v1/representations/user/u1")
    assert response.status == 200
    content = response.json
    np.testing.assert_array_equal(np.array(content.pop("representation"), np.float32), USERS[1])
    assert content == {"family": "twhin", "model_version": "m1", "entity": ["user", "u1"], "degree": DEGREE}
    assert caller.get("/v1/representations/user/u1?version=m1").status == 200


def test_many_as_json(caller: Caller) -> None:
    response = caller.post("/v1/representations", {"entities": ENTITIES})
    assert response.headers["x-model-version"] == response.json["model_version"] == "m1"
    for vector, expected in zip(response.json["representations"], EXPECTED, strict=True):
        assert (vector is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(np.array(vector, np.float32), expected)


def test_many_as_arrow(caller: Caller) -> None:
    response = caller.post("/v1/representations", {"entities": ENTITIES}, Accept=f"text/html, {ARROW};q=0.9")
    assert response.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(response.body).read_all()
    assert table.schema.metadata == {b"family": b"twhin", b"model_version": b"m1"}
    assert [list(pair) for pair in zip(*table.select([0, 1]).to_pydict().values(), strict=True)] == ENTITIES
    assert table["embedding"].to_pylist() == [row if row is None else row.tolist() for row in EXPECTED]


def test_many_as_raw_floats(caller: Caller) -> None:
    response = caller.post("/v1/representations", {"entities": ENTITIES}, Accept=RAW)
    assert (response.headers["x-shape"], response.headers["x-model-version"]) == (f"4,{DIM}", "m1")
    matrix = np.frombuffer(response.body, "<f4").reshape(4, DIM)
    np.testing.assert_array_equal(matrix, [np.full(DIM, np.nan) if row is None else row for row in EXPECTED])


def test_an_empty_request_gets_an_empty_response(caller: Caller) -> None:
    for media_type in ("application/json", ARROW, RAW):
        assert caller.post("/v1/representations", {"entities": []}, Accept=media_type).status == 200
    assert caller.post("/v1/scores/pairs", {"pairs": []}).json["scores"] == []


def test_sparse_representations(caller: Caller) -> None:
    single = caller.get("/v1/representations/user/u0?family=communities").json
    assert single["representation"] == {"a": 1.0, "b": 2.0}
    body = {"family": "communities", "entities": [["user", "u9"], ["user", "u0"]]}
    assert caller.post("/v1/representations", body).json["representations"] == [None, {"a": 1.0, "b": 2.0}]
    table = pa.ipc.open_stream(caller.post("/v1/representations", body, Accept=ARROW).body).read_all()
    assert table["embedding"].to_pylist() == [None, [("a", 1.0), ("b", 2.0)]]
    assert "sparse" in caller.post("/v1/representations", body, Accept=RAW).error


def test_neighbours_by_id_and_by_vector(caller: Caller) -> None:
    by_id = caller.post("/v1/neighbours", {"entity": ["user", "u1"], "k": 5}).json
    scores = cosine(USERS[1:2], USERS)
    scores[1] = -np.inf
    order = np.argsort(-scores)[:5]
    assert [entry["entity"] for entry in by_id["neighbours"]] == [["user", f"u{i}"] for i in order]
    np.testing.assert_allclose([entry["score"] for entry in by_id["neighbours"]], scores[order], rtol=1e-12)
    assert (by_id["model_version"], by_id["measure"], by_id["target_type"]) == ("m1", "cosine", "user")
    assert {entry["degree"] for entry in by_id["neighbours"]} == {DEGREE}

    by_vector = caller.post("/v1/neighbours", {"vector": USERS[1].tolist(), "target_type": "user", "k": 6}).json
    assert by_vector["neighbours"][0]["entity"] == ["user", "u1"]
    assert by_vector["neighbours"][1:] == by_id["neighbours"]


def test_neighbours_by_a_relation(caller: Caller) -> None:
    content = caller.post("/v1/neighbours", {"entity": ["user", "u1"], "relation": "favorite", "k": 100}).json
    scores = TWEETS.astype(float) @ (USERS[1].astype(float) + 1)
    assert [entry["entity"][1] for entry in content["neighbours"]] == [f"t{i}" for i in np.argsort(-scores)]
    assert content["measure"] == "dot"
    by_vector = {"vector": USERS[1].tolist(), "relation": "favorite", "k": 100}
    assert caller.post("/v1/neighbours", by_vector).json["neighbours"] == content["neighbours"]


def test_scores(caller: Caller) -> None:
    scores = [{"measure": "dot", "relation": "favorite", "weight": 2}, {"measure": "cosine"}]
    pairs = [[["user", "u1"], ["tweet", "t1"]], [["user", "u1"], ["tweet", "x"]], [["user", "u2"], ["tweet", "t1"]]]
    content = caller.post("/v1/scores/pairs", {"pairs": pairs, "scores": scores, "parts": True}).json
    dot = [(USERS[i].astype(float) + 1) @ TWEETS[1] for i in (1, 2)]
    cosines = cosine(USERS[1:3], TWEETS[1:2])
    assert content["scores"][1] is content["parts"][0][1] is content["parts"][1][1] is None
    np.testing.assert_allclose(content["scores"][::2], 2 * np.array(dot) + cosines)
    np.testing.assert_allclose(content["parts"][1][::2], cosines)
    listed = caller.post(
        "/v1/scores/list", {"source": ["user", "u1"], "targets": [["tweet", "x"], ["tweet", "t1"]], "scores": scores}
    ).json
    assert listed == {"model_versions": {"twhin": "m1"}, "scores": [None, content["scores"][0]], "parts": None}


def test_signals_in_one_call(caller: Caller) -> None:
    now = 1_700_000_000
    body = {
        "candidates": [["tweet", "t1"], ["tweet", "nobody"]],
        "signals": {
            "favorite": [{"entity": ["tweet", "t2"], "at": now - 3600}, {"entity": ["tweet", "t3"], "at": now - 5e5}],
            "retweet": [{"entity": ["tweet", "t4"], "at": "2023-11-14T22:13:20Z"}],
        },
        "now": now,
    }
    features = caller.post("/v1/signals", body).json["features"]
    near, far, last = cosine(TWEETS[1:2], TWEETS[2:5]).tolist()
    assert features["favorite"]["1"] == {"max": [near, None], "average": [near, None], "signals": 1}
    assert features["favorite"]["7"] == {
        "max": [max(near, far), None],
        "average": [pytest.approx((near + far) / 2), None],
        "signals": 2,
    }
    assert features["retweet"]["1"]["max"] == [last, None]
    assert list(features["retweet"]) == ["1", "7", "30"]


def test_ranking(caller: Caller) -> None:
    candidates: list[dict[str, Any]] = [
        {"entity": ["tweet", "t1"], "features": {"age_hours": 1}},
        {"entity": ["tweet", "t2"]},
        {"entity": ["tweet", "t3"], "features": {"age_hours": 100}},
    ]
    body = {"user": ["user", "u1"], "candidates": candidates, "parts": True}
    content = caller.post("/v1/rankings/home", body).json
    affinity = (USERS[1].astype(float) + 1) @ TWEETS[1:4].T
    np.testing.assert_allclose(content["scores"][::2], [affinity[0] - 1, affinity[2] - 100])
    assert (content["scores"][1], content["ranks"]) == (None, [1, None, 2])
    assert content["parts"]["recent"] == [0, 0, 0]
    assert "unknown ranking 'away'; use one of home" in caller.post("/v1/rankings/away", body).error


def test_versions_and_pages(caller: Caller) -> None:
    listed = caller.versions()
    assert (listed["current"], listed["problems"]) == ("m1", [])
    (version,) = listed["versions"]
    assert version["aliases"] == ["current"]
    assert (version["kind"], version["dim"], version["entities"]) == ("dense", DIM, {"tweet": 20, "user": 20})
    assert version["relations"]["favorite"] == ["user", "tweet"]
    assert caller.get("/health").json == {"status": "ok"}
    assert caller.get("/ready").json == {"ready": True, "waiting_for": []}
    for path in ("/", "/docs"):
        assert b"<html" in caller.get(path).body
    assert b"http" not in caller.get("/").body  # the page loads no other file
    paths = caller.get("/openapi.json").json["paths"]
    assert {"/v1/representations", "/v1/neighbours", "/v1/scores/list", "/v1/signals"} < set(paths)
    metrics = caller.get("/metrics").body.decode()
    assert 'twhin_version_info{family="twhin",model_version="m1"} 1.0' in metrics
    assert 'route="/v1/representations/{entity_type}/{entity_id:path}",status="200"' in metrics
    assert 'twhin_entities_total{family="twhin",found="no"}' in metrics


def test_ids_of_a_path_are_any_text(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.publish("m1", {"user": {"a/b": [1.0, 0.0], "ü?": [0.0, 1.0], "": [1.0, 1.0]}})
    with running(tmp_path / "serving", [tables.family]) as caller:
        caller.wait_for_version("m1")
        for path, expected in (("a/b", [1, 0]), ("a%2Fb", [1, 0]), ("%C3%BC%3F", [0, 1]), ("", [1, 1])):
            assert caller.get(f"/v1/representations/user/{path}").json["representation"] == expected


def test_a_new_entity_is_folded_in_without_being_stored(caller: Caller) -> None:
    users, tweets = vectors(0, 20), vectors(1000, 20)
    edges = [{"relation": "favorite", "entity": ["tweet", "t1"]}, {"relation": "favorite", "entity": ["tweet", "none"]}]
    body = {"entity_type": "user", "edges": [*edges, {"relation": "favorite", "entity": ["tweet", "t2"], "weight": 3}]}
    answer = caller.post("/v1/representations/fold-in", body).json
    assert answer["neighbours"] == 2
    np.testing.assert_allclose(answer["representation"], (tweets[1] + 3 * tweets[2]) / 4, rtol=1e-5)
    body = {"entity_type": "tweet", "edges": [{"relation": "favorite", "entity": ["user", "u5"]}]}
    answer = caller.post("/v1/representations/fold-in", body).json
    np.testing.assert_allclose(answer["representation"], users[5] + 1, rtol=1e-5)
    wrong = {"entity_type": "user", "edges": [{"relation": "favorite", "entity": ["user", "u5"]}]}
    failed = caller.post("/v1/representations/fold-in", wrong)
    assert failed.status == 422
    assert "relation 'favorite' leads from user to tweet" in failed.json["error"]

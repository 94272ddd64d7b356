"""The service as a process: it listens, logs its address, and ends on a signal."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.published_tables import Tables
from tests.support.service_client import Caller
from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.config.serving import ServingConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.serving.store_locations import published_families, store_folder
from twhin_spark.serving.web.server import read_token, serve

SERVE = """
import sys
from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.config.serving import ServingConfig
from twhin_spark.serving.web.server import serve
serve(ServingConfig.model_validate_json(sys.argv[1]), sys.argv[2], AnnConfig())
"""


def test_the_service_listens_and_ends(tables: Tables) -> None:
    tables.publish("m1")
    settings = ServingConfig(port=0, poll_seconds=0.1).model_dump_json()
    command = [sys.executable, "-c", SERVE, settings, str(tables.output)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        listening = json.loads(process.stderr.readline())
        assert listening["event"] == "listening"
        assert listening["address"].startswith("http://127.0.0.1:")
        caller = Caller(int(listening["address"].rpartition(":")[2]))
        while json.loads(process.stderr.readline())["event"] != "serving":
            pass
        assert caller.get("/v1/representations/user/u1").status == 200
        process.send_signal(signal.SIGINT)
        lines = [json.loads(line) for line in process.stderr]
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.stderr.close()
    (request,) = [line for line in lines if line["event"] == "request"]
    assert (request["path"], request["status"], request["level"]) == ("/v1/representations/user/u1", 200, "info")
    assert (tables.output / "serving" / "twhin" / "catalogue.json").exists()


def test_a_service_that_cannot_start_raises_one_line(tables: Tables, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="embeddings: no Delta table; run `twhin-spark publish` to write it"):
        serve(ServingConfig(), str(tables.output), AnnConfig())
    tables.publish("m1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            serve(ServingConfig(port=port), str(tables.output), AnnConfig())
    with pytest.raises(InputError, match=r"cannot listen on no\.such\.host\.invalid:8080"):
        serve(ServingConfig(host="no.such.host.invalid"), str(tables.output), AnnConfig())


def test_folders_and_tables_of_a_config(tmp_path: Path) -> None:
    assert store_folder(ServingConfig(), str(tmp_path)) == tmp_path / "serving"
    assert store_folder(ServingConfig(store=str(tmp_path / "x")), "s3://bucket/out") == tmp_path / "x"
    with pytest.raises(ConfigError, match=r"serving\.store is required"):
        store_folder(ServingConfig(), "s3://bucket/out")
    more = ServingConfig.model_validate({"families": {"communities": {"table": "s3://bucket/communities"}}})
    published, other = published_families(more, "s3://bucket/out/")
    assert published.table == "s3://bucket/out/tables/embeddings"
    assert (other.name, other.table, other.relations) == ("communities", "s3://bucket/communities", None)
    with pytest.raises(ConfigError, match=r"serving\.families\.twhin is the name"):
        published_families(ServingConfig.model_validate({"families": {"twhin": {"table": "x"}}}), "out")


def test_the_token_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(ConfigError, match=r"serving\.token_file: cannot read"):
        read_token(ServingConfig(token_file=str(path)))
    path.write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        read_token(ServingConfig(token_file=str(path)))
    path.write_text("secret\n")
    assert read_token(ServingConfig(token_file=str(path))) == "secret"
    assert read_token(ServingConfig()) is None

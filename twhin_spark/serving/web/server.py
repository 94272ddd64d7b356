"""Starts the service of a config."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import uvicorn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.config.serving import ServingConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import absolute, is_uri
from twhin_spark.representations.family import Family, latest_commit
from twhin_spark.serving.neighbours import exact_index
from twhin_spark.serving.store import DEFAULT_FAMILY
from twhin_spark.serving.web.ann_indexes import Indexes
from twhin_spark.serving.web.app import create_app
from twhin_spark.serving.web.observability import event, log_to_stderr


def serve(settings: ServingConfig, output: str, ann: AnnConfig) -> None:
    """Serves what is published under `output` until the process is told to end (SIGINT, SIGTERM).

    ann: how the indexes are searched that `candidates` has left there.

    Raises ConfigError or InputError, before it listens, where it could never serve anything.
    """
    root = store_folder(settings, output)
    families = published_families(settings, output)
    for family in families:
        if not (root / family.name).exists():
            latest_commit(family.table)  # nothing stored, and nothing to store: better told now than by /ready
    index_of = exact_index if is_uri(output) else Indexes(Path(output), ann)
    app = create_app(settings, root, families, token=read_token(settings), index_of=index_of)
    listening = _listen(settings)
    log_to_stderr()
    event("listening", address="http://{}:{}".format(*listening.getsockname()[:2]), store=str(root))
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=settings.max_connections,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=75,  # seconds; longer than callers' pools keep an idle connection
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 1,
    )
    # A search takes the cores of `search_threads` and leaves the others to requests. Ctrl-C is a way to end.
    with threadpool_limits(1), contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


def store_folder(settings: ServingConfig, output: str) -> Path:
    """Where the stores are: a local folder, as they are mapped into memory."""
    if settings.store is not None:
        return Path(settings.store).absolute()
    if is_uri(output):
        raise ConfigError(f"serving.store: found nothing with output '{output}'; required where output is not local")
    return Path(output).absolute() / "serving"


def published_families(settings: ServingConfig, output: str) -> list[Family]:
    """The family that `publish` writes, and those that the config adds."""
    if DEFAULT_FAMILY in settings.families:
        raise ConfigError(f"serving.families: found '{DEFAULT_FAMILY}'; allowed: names beside that of `publish`")
    tables = absolute(f"{output.rstrip('/')}/tables")
    own = Family(DEFAULT_FAMILY, f"{tables}/embeddings", f"{tables}/relations", f"{tables}/model_versions")
    return [own, *(Family(name, family.table) for name, family in settings.families.items())]


def read_token(settings: ServingConfig) -> str | None:
    """The bearer token; None where callers need none."""
    if settings.token_file is None:
        return None
    try:
        token = Path(settings.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"serving.token_file: cannot read '{settings.token_file}': {error.strerror}") from None
    if not token:
        raise ConfigError(f"serving.token_file: '{settings.token_file}' is empty; allowed: a token")
    return token


def _listen(settings: ServingConfig) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(settings.max_connections)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise InputError(f"serving.port: cannot listen on {where}: {error.strerror}; is a service running?") from None
    return listening

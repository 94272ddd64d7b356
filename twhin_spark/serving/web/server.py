"""The server process, which serves the versions that are published under an output."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import uvicorn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from twhin_spark.config.retrieval import AnnConfig
from twhin_spark.config.serving import ServingConfig
from twhin_spark.errors import ConfigError, InputError
from twhin_spark.locations import is_uri
from twhin_spark.representations.published_family import latest_commit
from twhin_spark.serving.neighbours import exact_index
from twhin_spark.serving.store_locations import published_families, store_folder
from twhin_spark.serving.web.ann_indexes import AnnIndexes
from twhin_spark.serving.web.app import create_app
from twhin_spark.serving.web.observability import log_event, log_to_stderr


def serve(settings: ServingConfig, output: str, ann: AnnConfig) -> None:
    """Serve the published versions under an output until SIGINT or SIGTERM.

    Parameters
    ----------
    settings
        The section `serving` of a config.
    output
        Path or URI of the config's output.
    ann
        Search settings for the indexes that the job `candidates` has built there.

    Raises
    ------
    ConfigError, InputError
        The service cannot start. Both are raised before it listens.
    """
    root = store_folder(settings, output)
    families = published_families(settings, output)
    for family in families:
        if not (root / family.name).exists():
            latest_commit(family.polled)  # raises if no version is published either, before the service listens
    index_lookup = exact_index if is_uri(output) else AnnIndexes(Path(output), ann)
    app = create_app(settings, root, families, token=read_token(settings), index_lookup=index_lookup)
    listener = _listen(settings)
    log_to_stderr()
    log_event("listening", address="http://{}:{}".format(*listener.getsockname()[:2]), store=str(root))
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
    # One BLAS thread: a search uses the cores of `search_threads` and leaves the others to requests.
    with threadpool_limits(1), contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def read_token(settings: ServingConfig) -> str | None:
    """Return the bearer token, or None if callers need none. Raises ConfigError if its file is unreadable or empty."""
    if settings.token_file is None:
        return None
    try:
        token = Path(settings.token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"serving.token_file: cannot read '{settings.token_file}': {error.strerror}") from None
    if not token:
        raise ConfigError(f"serving.token_file: '{settings.token_file}' is empty; write a token into it")
    return token


def _listen(settings: ServingConfig) -> socket.socket:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(settings.max_connections)
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        line = f"serving.port: cannot listen on {address}: {error.strerror}; is another service running?"
        raise InputError(line) from None
    return listener

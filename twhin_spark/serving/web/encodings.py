"""Encodings of a response: JSON, Arrow or raw float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import pyarrow as pa
from starlette.responses import Response

from twhin_spark.serving.dense import Vectors
from twhin_spark.serving.stored_version import Entity, Representation, StoredVersion
from twhin_spark.serving.web.error_responses import HttpError

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
RAW = "application/octet-stream"

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def json_response(content: Mapping[str, Any], status: int = 200) -> Response:
    """Return a JSON response. NumPy arrays become lists, and NaN becomes null."""
    return Response(orjson.dumps(content, option=_OPTIONS), status, media_type=JSON)


def negotiate_format(accept: str) -> str:
    """Return the first supported media type of an Accept header, JSON for a wildcard. Raises HttpError."""
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in (JSON, ARROW, RAW):
            return media_type
        if media_type in ("", "*/*", "application/*"):
            return JSON
    raise HttpError(406, f"Accept: '{accept}' is not supported; use {JSON}, {ARROW} or {RAW}")


def representations_response(
    version: StoredVersion,
    entities: Sequence[Entity],
    representations: Sequence[Representation | None],
    accept: str,
) -> Response:
    """Return the entities' representations in the format of the Accept header.

    The header `X-Model-Version` names the version in each format.
    """
    family, name = version.manifest.family, version.name
    headers = {"X-Family": quote(family), "X-Model-Version": quote(name)}
    media_type = negotiate_format(accept)
    if media_type == RAW:
        vectors = _raw(version, representations)
        headers["X-Shape"] = f"{vectors.shape[0]},{vectors.shape[1]}"
        return Response(vectors.tobytes(), media_type=RAW, headers=headers)
    if media_type == ARROW:
        metadata = {"family": family, "model_version": name}
        return Response(_arrow(version, entities, representations, metadata), media_type=ARROW, headers=headers)
    response = json_response({"family": family, "model_version": name, "representations": representations})
    response.headers.update(headers)
    return response


def _raw(version: StoredVersion, representations: Sequence[Representation | None]) -> Vectors:
    """Return the vectors as little-endian float32 (n, dim), NaN for an unknown entity."""
    if version.manifest.kind != "dense":
        raise HttpError(406, f"Accept: {RAW} is not supported for a sparse family; use {JSON} or {ARROW}")
    vectors = np.full((len(representations), version.manifest.dim), np.nan, "<f4")
    for vector, representation in zip(vectors, representations, strict=True):
        if representation is not None:
            vector[:] = representation
    return vectors


def _arrow(
    version: StoredVersion,
    entities: Sequence[Entity],
    representations: Sequence[Representation | None],
    metadata: Mapping[str, str],
) -> bytes:
    """Return an Arrow stream of one batch: entity_type, entity_id, and embedding, null for an unknown entity."""
    embedding: pa.Array
    if version.manifest.kind == "dense":
        missing = np.array([row is None for row in representations], bool)
        offsets = np.concatenate([[0], np.cumsum(~missing * version.manifest.dim)]).astype(np.int32)
        vectors = (row for row in representations if isinstance(row, np.ndarray))
        values = np.concatenate([np.zeros(0, np.float32), *vectors])
        embedding = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=pa.array(missing))
    else:
        weights = [list(row.items()) if isinstance(row, dict) else None for row in representations]
        embedding = pa.array(weights, pa.map_(pa.string(), pa.float32()))
    types, ids = [entity[0] for entity in entities], [entity[1] for entity in entities]
    columns = {"entity_type": pa.array(types, pa.string()), "entity_id": pa.array(ids, pa.string())}
    batch = pa.record_batch({**columns, "embedding": embedding}).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content

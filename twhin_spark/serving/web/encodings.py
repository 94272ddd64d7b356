"""The bytes of an answer: JSON, Arrow or raw float32."""

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


def json_answer(content: Mapping[str, Any], status: int = 200) -> Response:
    """NumPy arrays become lists, and NaN becomes null."""
    return Response(orjson.dumps(content, option=_OPTIONS), status, media_type=JSON)


def accepted(accept: str) -> str:
    """The first format of an Accept header that the service has; JSON for any."""
    for part in accept.lower().split(","):
        media_type = part.partition(";")[0].strip()
        if media_type in (JSON, ARROW, RAW):
            return media_type
        if media_type in ("", "*/*", "application/*"):
            return JSON
    raise HttpError(406, f"Accept: found '{accept}'; allowed: {JSON}, {ARROW}, {RAW}")


def representations_answer(
    version: StoredVersion, entities: Sequence[Entity], found: Sequence[Representation | None], accept: str
) -> Response:
    """The entities' representations in the format asked for; `X-Model-Version` names the version in each."""
    family, name = version.manifest.family, version.name
    headers = {"X-Family": quote(family), "X-Model-Version": quote(name)}
    media_type = accepted(accept)
    if media_type == RAW:
        vectors = _raw(version, found)
        headers["X-Shape"] = f"{vectors.shape[0]},{vectors.shape[1]}"
        return Response(vectors.tobytes(), media_type=RAW, headers=headers)
    if media_type == ARROW:
        about = {"family": family, "model_version": name}
        return Response(_arrow(version, entities, found, about), media_type=ARROW, headers=headers)
    answer = json_answer({"family": family, "model_version": name, "representations": found})
    answer.headers.update(headers)
    return answer


def _raw(version: StoredVersion, found: Sequence[Representation | None]) -> Vectors:
    """Vectors one after the other, little-endian float32 (n, dim); NaN for an unknown entity."""
    if version.manifest.kind != "dense":
        raise HttpError(406, f"Accept: found {RAW} for a sparse family; allowed: {JSON}, {ARROW}")
    vectors = np.full((len(found), version.manifest.dim), np.nan, "<f4")
    for vector, row in zip(vectors, found, strict=True):
        if row is not None:
            vector[:] = row
    return vectors


def _arrow(
    version: StoredVersion,
    entities: Sequence[Entity],
    found: Sequence[Representation | None],
    about: Mapping[str, str],
) -> bytes:
    """A stream of one batch: entity_type, entity_id, embedding (null for an unknown entity)."""
    embedding: pa.Array
    if version.manifest.kind == "dense":
        missing = np.array([row is None for row in found], bool)
        offsets = np.concatenate([[0], np.cumsum(~missing * version.manifest.dim)]).astype(np.int32)
        values = np.concatenate([np.zeros(0, np.float32), *(row for row in found if isinstance(row, np.ndarray))])
        embedding = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=pa.array(missing))
    else:
        weights = [list(row.items()) if isinstance(row, dict) else None for row in found]
        embedding = pa.array(weights, pa.map_(pa.string(), pa.float32()))
    types, ids = [entity[0] for entity in entities], [entity[1] for entity in entities]
    columns = {"entity_type": pa.array(types, pa.string()), "entity_id": pa.array(ids, pa.string())}
    batch = pa.record_batch({**columns, "embedding": embedding}).replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    content: bytes = sink.getvalue().to_pybytes()
    return content

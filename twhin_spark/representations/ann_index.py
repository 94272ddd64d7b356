"""The approximate index: Faiss (Douze et al. 2024) proposes targets by quantised vectors, exact scores decide.

The index divides the vectors into lists and keeps 4 bits for every two numbers, 1/16 of their bytes (Jégou et al.:
Product Quantization for Nearest Neighbor Search, 2011; scanned as by André et al.: Quicker ADC, 2019).

Lists and codes are to lose little of a score q · x, not of x itself: if C is the second moment of sources q, the mean
squared error of the scores with x replaced by y is (x - y)ᵀ C (x - y). So the index holds C^½ x, where that is a plain
distance, and is asked for C^-½ q, which leaves every product as it is. Sources that a relation has translated have one
long direction in common, along which lists must be narrow. Cosines are of directions: there lists of directions do.

It is built and searched on the driver, with all its cores: workers need no Faiss. There is one artifact for each
version, entity type, measure and kind of source, which the service uses too: the index, what turns sources, the ids of
the vectors, and, written last, what it is of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from twhin_spark.errors import ConfigError
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.locations import is_uri

_TRAINING_VECTORS = 39  # of each list: Faiss' own least for a sound k-means
_FEW = 1000  # vectors; so few are kept as they are, in no lists
_SEED = 0
_BATCH = 4096  # sources that are searched at a time
_SHRINKAGE = 0.01  # of the sources' mean square that is added in every direction, as few of them leave some empty


@dataclass(frozen=True)
class Contents:
    """What an index is of.

    published: Delta version of `embeddings` that published the model version: a run that is trained and published anew
    keeps its name. via: the relation that its sources are seen through, else their entity type. lists: None where all
    vectors are kept as they are.
    """

    model_version: str
    published: int
    entity_type: str
    measure: str
    via: str
    vectors: int
    dim: int
    lists: int | None


class Index:
    """An index of vectors, numbered in the order in which they were added."""

    def __init__(self, index: Any, turn: Floats, contents: Contents) -> None:
        self._index = index
        self._turn = turn  # (dim, dim), for sources
        self.contents = contents

    @classmethod
    def build(cls, parts: Callable[[], Iterator[Floats]], sources: Floats, contents: Contents) -> Index:
        """Builds it from vectors (n, dim) that come in parts, twice: a sample to train on, then all.

        sources: some of those that it will be asked for, (m, dim), as the relation shows them.
        """
        fitted = contents.lists is not None and contents.measure == "dot"
        stretch, turn = _stretches(sources) if fitted else 2 * (np.eye(contents.dim, dtype=np.float32),)
        if contents.lists is None:
            index = faiss.IndexFlatIP(contents.dim)
        else:
            sample = np.ascontiguousarray(_sample(parts(), contents) @ stretch)
            index = _trained(sample, contents.lists, directions=not fitted)
        for part in parts():
            index.add(np.ascontiguousarray(part.astype(np.float32) @ stretch))
        if fitted:
            _ask_by_product(index)
        return cls(index, turn, contents)

    @classmethod
    def read(cls, path: Path) -> Index:
        about = Contents(**json.loads(path.with_suffix(".json").read_text()))
        return cls(faiss.read_index(str(path)), np.load(path.with_suffix(".npy")), about)

    def write(self, path: Path, ids: pa.Array) -> int:
        """Writes the artifact, with the ids of the vectors in their order; returns the bytes of the index alone.

        Who reads finds all of it or none.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, write in (
            (path, lambda new: faiss.write_index(self._index, str(new))),
            (path.with_suffix(".npy"), lambda new: _write_array(self._turn, new)),
            (path.with_suffix(".ids"), lambda new: _write_ids(ids, new)),
            (path.with_suffix(".json"), lambda new: new.write_text(json.dumps(asdict(self.contents)))),
        ):
            new = target.with_name(f".{target.name}-{uuid4().hex[:12]}")
            write(new)
            new.replace(target)
        return path.stat().st_size

    def search(self, queries: Floats, count: int, probes: int) -> NDArray[np.int64]:
        """For each query (m, dim) the numbers of the vectors that seem to score highest: (m, count), -1 for none."""
        if self.contents.lists is not None:
            self._index.nprobe = min(probes, self.contents.lists)
        count = min(count, self.contents.vectors)
        found = np.empty((len(queries), count), np.int64)
        for begin in range(0, len(queries), _BATCH):
            part = slice(begin, begin + _BATCH)
            _, found[part] = self._index.search(
                np.ascontiguousarray(queries[part].astype(np.float32) @ self._turn), count
            )
        return found


def one_thread() -> None:
    """Searches that the calling thread starts from now on take no other."""
    faiss.omp_set_num_threads(1)


def lists_for(vectors: int, wanted: int | None) -> int | None:
    """How many lists n vectors are divided into; None where they are too few for any."""
    if vectors < _FEW:
        return None
    return max(1, min(wanted or int(2 * vectors**0.5), vectors // _TRAINING_VECTORS))


def index_path(output: str, model_version: str, entity_type: str, measure: str, via: str) -> Path:
    """Where the index is. Raises ConfigError where the output is not local, as Faiss reads and writes local files."""
    if is_uri(output):
        raise ConfigError(f"retrieval: found method ann with output '{output}'; allowed: with a local output")
    return Path(output).absolute() / "indexes" / model_version / f"{entity_type}-{measure}-{via}.faiss"


def read_ids(path: Path) -> pa.Array:
    """The ids of an index' vectors, large strings in its order, mapped from their file."""
    return pa.ipc.open_file(pa.memory_map(str(path.with_suffix(".ids")))).get_batch(0)["entity_id"]


def open_or_build(
    output: str,
    parts: Callable[[], Iterator[Floats]],
    ids: Callable[[], pa.Array],
    sources: Callable[[], Floats],
    contents: Contents,
    progress: Callable[[str], None],
) -> Index:
    """The version's index, built where there is none of these contents; the ids are those of the vectors in `parts`."""
    path = index_path(output, contents.model_version, contents.entity_type, contents.measure, contents.via)
    try:
        found = Index.read(path)
        if found.contents == contents:
            return found
    except (OSError, RuntimeError, ValueError, TypeError):
        pass  # none there, or not whole
    index = Index.build(parts, sources(), contents)
    size = index.write(path, ids())
    progress(f"index of {contents.vectors:,} {contents.entity_type} vectors: {size / 1e6:.1f} MB, {path}")
    return index


def _write_ids(ids: pa.Array, path: Path) -> None:
    batch = pa.record_batch({"entity_id": ids.cast(pa.large_string())})
    with pa.ipc.new_file(str(path), batch.schema) as file:
        file.write_batch(batch)


def _write_array(array: Floats, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _stretches(sources: Floats) -> tuple[Floats, Floats]:
    """C^½ and C^-½ of sources (m, dim), up to a factor: both float32 (dim, dim), symmetric."""
    wide = sources.astype(np.float64)
    squares, axes = np.linalg.eigh(wide.T @ wide)
    mean = squares.mean() or 1.0
    scale = np.sqrt(np.maximum(squares, 0) / mean + _SHRINKAGE)
    return ((axes * scale) @ axes.T).astype(np.float32), ((axes / scale) @ axes.T).astype(np.float32)


def _trained(sample: Floats, lists: int, *, directions: bool) -> Any:
    """An index that has no vectors yet, with lists of directions, or else of vectors that are near each other."""
    dim = sample.shape[1]
    pieces = dim // 2 if dim % 2 == 0 else dim
    centres = faiss.IndexFlatIP(dim) if directions else faiss.IndexFlatL2(dim)
    index = faiss.IndexIVFPQFastScan(centres, dim, lists, pieces, 4, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True
    index.cp.spherical = directions
    index.train(sample)
    return index


def _ask_by_product(index: Any) -> None:
    """From now on a source probes the lists with whose centres it has the highest products."""
    centres: Any = faiss.IndexFlatIP(index.d)
    centres.add(index.quantizer.reconstruct_n(0, index.nlist))
    index.quantizer = centres
    centres.this.disown()  # the index frees it
    index.own_fields = True


def _sample(parts: Iterator[Floats], contents: Contents) -> Floats:
    """Enough vectors to train on, evenly from all."""
    assert contents.lists is not None
    wanted = max(4 * _TRAINING_VECTORS * contents.lists, 4096)
    step = max(1, contents.vectors // wanted)
    first: int = 0
    picked: list[Floats] = []
    for part in parts:
        rows: Integers = np.arange(-first % step, len(part), step)
        picked.append(part[rows])
        first += len(part)
    return np.ascontiguousarray(np.concatenate(picked), np.float32)

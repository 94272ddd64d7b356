"""The approximate index: Faiss (Douze et al. 2024) proposes targets by quantised vectors, exact scores decide.

The index divides the vectors into lists and keeps 4 bits for every two numbers, 1/16 of their bytes (Jégou et al.:
Product Quantization for Nearest Neighbor Search, 2011; scanned as by André et al.: Quicker ADC, 2019).

Quantisation replaces a vector x by y. The error of a score q · x matters, not that of x itself. If C is the second
moment of the sources q, the mean squared error of the scores is (x - y)ᵀ C (x - y). So the index holds C^½ x, for which
this error is a plain distance, and is searched with C^-½ q, which leaves every product unchanged:
(C^-½ q) · (C^½ x) = q · x. For example, sources that a relation has translated share one long direction; C^½ stretches
it, so that lists are narrow along it. Cosines depend on directions alone, so their index uses lists of directions.

The driver builds and searches the index, with all its cores; workers need no Faiss. There is one artifact for each
version, entity type, measure and kind of source, which the service uses too. Its files are the index (`.faiss`), the
matrix C^-½ (`.npy`), the ids of the vectors (`.ids`) and, written last, the description (`.json`).
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

_TRAINING_VECTORS = 39  # for each list: the least that Faiss accepts for k-means without a warning
_FEW = 1000  # vectors; an index of fewer keeps them unquantised, without lists
_SEED = 0
_BATCH = 4096  # sources in one search
_SHRINKAGE = 0.01  # share of the mean square that is added in every direction, because few sources leave some empty


@dataclass(frozen=True)
class IndexDescription:
    """The content of an index.

    Attributes
    ----------
    model_version
        Model version of the vectors.
    published
        Delta version of `embeddings` that published the model version. A run that is trained and published again keeps
        its model version, but not this number.
    entity_type
        Type of the entities in the index.
    measure
        `dot` or `cosine`.
    via
        Kind of source: the relation that is applied to the sources or, for plain similarity, their entity type.
    vectors, dim
        Number and length of the vectors.
    lists
        Number of lists; None if the vectors are kept unquantised.
    """

    model_version: str
    published: int
    entity_type: str
    measure: str
    via: str
    vectors: int
    dim: int
    lists: int | None


class AnnIndex:
    """An index of vectors, which are numbered in the order in which they were added."""

    def __init__(self, index: Any, source_transform: Floats, description: IndexDescription) -> None:
        self._index = index
        self._source_transform = source_transform  # (dim, dim)
        self.description = description

    @classmethod
    def build(cls, parts: Callable[[], Iterator[Floats]], sources: Floats, description: IndexDescription) -> AnnIndex:
        """Build an index.

        Parameters
        ----------
        parts
            Function that yields the vectors in parts (n, dim). It is called twice: to sample training vectors, and to
            add all vectors.
        sources
            Sample of the sources that will be searched for, after the relation's operator, (m, dim).
        description
            Content of the index.
        """
        fitted = description.lists is not None and description.measure == "dot"
        vector_transform, source_transform = (
            _source_moments(sources) if fitted else 2 * (np.eye(description.dim, dtype=np.float32),)
        )
        if description.lists is None:
            index = faiss.IndexFlatIP(description.dim)
        else:
            sample = np.ascontiguousarray(_sample(parts(), description) @ vector_transform)
            index = _trained(sample, description.lists, directions=not fitted)
        for part in parts():
            index.add(np.ascontiguousarray(part.astype(np.float32) @ vector_transform))
        if fitted:
            _probe_by_product(index)
        return cls(index, source_transform, description)

    @classmethod
    def read(cls, path: Path) -> AnnIndex:
        """Read an artifact. Raises the errors of its libraries if a file is missing or damaged."""
        description = IndexDescription(**json.loads(path.with_suffix(".json").read_text()))
        return cls(faiss.read_index(str(path)), np.load(path.with_suffix(".npy")), description)

    def write(self, path: Path, ids: pa.Array) -> int:
        """Write the artifact, with the ids of the vectors in their order; return the bytes of the index alone.

        The description is written last, so that a reader does not use an unfinished artifact.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, write in (
            (path, lambda new: faiss.write_index(self._index, str(new))),
            (path.with_suffix(".npy"), lambda new: _write_array(self._source_transform, new)),
            (path.with_suffix(".ids"), lambda new: _write_ids(ids, new)),
            (path.with_suffix(".json"), lambda new: new.write_text(json.dumps(asdict(self.description)))),
        ):
            new = target.with_name(f".{target.name}-{uuid4().hex[:12]}")
            write(new)
            new.replace(target)
        return path.stat().st_size

    def search(self, queries: Floats, count: int, probes: int) -> NDArray[np.int64]:
        """Return the numbers of the vectors that probably score highest for each query.

        Parameters
        ----------
        queries
            Sources after the relation's operator, (m, dim).
        count
            Vectors for each query; at most as many as the index has.
        probes
            Lists that are searched for each query.

        Returns
        -------
        int64 (m, count)
            Numbers of vectors, best first; -1 if there are fewer.
        """
        if self.description.lists is not None:
            self._index.nprobe = min(probes, self.description.lists)
        count = min(count, self.description.vectors)
        numbers = np.empty((len(queries), count), np.int64)
        for begin in range(0, len(queries), _BATCH):
            part = slice(begin, begin + _BATCH)
            _, numbers[part] = self._index.search(
                np.ascontiguousarray(queries[part].astype(np.float32) @ self._source_transform), count
            )
        return numbers


def search_on_one_thread() -> None:
    """Restrict the searches that the calling thread starts from now on to that thread."""
    faiss.omp_set_num_threads(1)


def number_of_lists(vectors: int, configured: int | None) -> int | None:
    """Return the number of lists for n vectors: `configured`, by default 2 √n; None if n is too small for lists."""
    if vectors < _FEW:
        return None
    return max(1, min(configured or int(2 * vectors**0.5), vectors // _TRAINING_VECTORS))


def index_path(output: str, model_version: str, entity_type: str, measure: str, via: str) -> Path:
    """Return the path of an index. Raises ConfigError if the output is not local, because Faiss needs local files."""
    if is_uri(output):
        raise ConfigError(f"retrieval: method ann requires a local output, and '{output}' is not local")
    return Path(output).absolute() / "indexes" / model_version / f"{entity_type}-{measure}-{via}.faiss"


def read_ids(path: Path) -> pa.Array:
    """Return the ids of an index's vectors: large strings in the order of their numbers, mapped from the file."""
    return pa.ipc.open_file(pa.memory_map(str(path.with_suffix(".ids")))).get_batch(0)["entity_id"]


def open_or_build_index(
    output: str,
    parts: Callable[[], Iterator[Floats]],
    ids: Callable[[], pa.Array],
    sources: Callable[[], Floats],
    description: IndexDescription,
    progress: Callable[[str], None],
) -> AnnIndex:
    """Return the index of a description; build and write it if the output has none.

    Parameters
    ----------
    output
        Path of the config's output.
    parts, sources
        Functions that return the arguments of `AnnIndex.build`.
    ids
        Function that returns the ids of the vectors in `parts`.
    description
        Content of the index.
    progress
        Function that is called with a line after a build.
    """
    path = index_path(output, description.model_version, description.entity_type, description.measure, description.via)
    try:
        existing = AnnIndex.read(path)
        if existing.description == description:
            return existing
    except (OSError, RuntimeError, ValueError, TypeError):
        pass  # missing or damaged
    index = AnnIndex.build(parts, sources(), description)
    size = index.write(path, ids())
    progress(f"index of {description.vectors:,} {description.entity_type} vectors: {size / 1e6:.1f} MB, {path}")
    return index


def _write_ids(ids: pa.Array, path: Path) -> None:
    batch = pa.record_batch({"entity_id": ids.cast(pa.large_string())})
    with pa.ipc.new_file(str(path), batch.schema) as file:
        file.write_batch(batch)


def _write_array(array: Floats, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _source_moments(sources: Floats) -> tuple[Floats, Floats]:
    """Return C^½ and C^-½ of sources (m, dim), up to a factor: both float32 (dim, dim), symmetric."""
    wide = sources.astype(np.float64)
    squares, axes = np.linalg.eigh(wide.T @ wide)
    mean = squares.mean() or 1.0
    scale = np.sqrt(np.maximum(squares, 0) / mean + _SHRINKAGE)
    return ((axes * scale) @ axes.T).astype(np.float32), ((axes / scale) @ axes.T).astype(np.float32)


def _trained(sample: Floats, lists: int, *, directions: bool) -> Any:
    """Return a trained index without vectors, with lists of directions or of vectors that are close to each other."""
    dim = sample.shape[1]
    pieces = dim // 2 if dim % 2 == 0 else dim
    centres = faiss.IndexFlatIP(dim) if directions else faiss.IndexFlatL2(dim)
    index = faiss.IndexIVFPQFastScan(centres, dim, lists, pieces, 4, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = True
    index.cp.spherical = directions
    index.train(sample)
    return index


def _probe_by_product(index: Any) -> None:
    """Make searches probe the lists whose centres have the highest products with the source."""
    centres: Any = faiss.IndexFlatIP(index.d)
    centres.add(index.quantizer.reconstruct_n(0, index.nlist))
    index.quantizer = centres
    centres.this.disown()  # the index frees it
    index.own_fields = True


def _sample(parts: Iterator[Floats], description: IndexDescription) -> Floats:
    """Return enough vectors to train on, spread evenly over all parts."""
    assert description.lists is not None
    sample_size = max(4 * _TRAINING_VECTORS * description.lists, 4096)
    step = max(1, description.vectors // sample_size)
    first: int = 0
    picked: list[Floats] = []
    for part in parts:
        rows: Integers = np.arange(-first % step, len(part), step)
        picked.append(part[rows])
        first += len(part)
    return np.ascontiguousarray(np.concatenate(picked), np.float32)

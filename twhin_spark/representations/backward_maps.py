"""Linear maps between versions, as the table `alignments` keeps them, and their composition over a chain."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np

from twhin_spark.errors import InputError
from twhin_spark.kernels.arrays import Floats
from twhin_spark.representations.errors import one_of

BACKWARD = "backward"
PUBLISHED = "published"


def find_map(rows: Iterable[Mapping[str, object]], from_version: str, to_version: str) -> Floats | None:
    """Return the map from one version's vectors to another's, composed of the fewest stored ones.

    Parameters
    ----------
    rows
        Rows of the table `alignments`. Only backward maps count.
    from_version, to_version
        Model versions.

    Returns
    -------
    numpy.ndarray or None
        float64 (dim, dim of the other version); None if the two are one version, whose map is the identity.

    Raises
    ------
    InputError
        No chain of maps leads from one to the other.

    Examples
    --------
    Version c was mapped to b, and b to a, so c is mapped to a by way of b:

    >>> steps = [("c", "b", [0.0, 1.0, 1.0, 0.0]), ("b", "a", [2.0, 0.0, 0.0, 3.0])]
    >>> rows = [dict(from_version=f, to_version=t, kind="backward", dim=2, matrix=m) for f, t, m in steps]
    >>> find_map(rows, "c", "a").tolist()
    [[0.0, 3.0], [2.0, 0.0]]
    """
    if from_version == to_version:
        return None
    spaces = reachable_spaces(rows, from_version)
    if to_version not in spaces:
        raise InputError(
            f"space '{to_version}': no map leads to it from version '{from_version}'; use {one_of(spaces)}, or publish "
            "with publishing.align, which keeps a map to the version before"
        )
    return spaces[to_version]


def reachable_spaces(rows: Iterable[Mapping[str, object]], from_version: str) -> dict[str, Floats]:
    """Return the maps from a version's vectors to those of all versions that a chain of backward maps leads to."""
    steps: dict[str, list[tuple[str, Floats]]] = {}
    for row in rows:
        if row["kind"] == BACKWARD:
            matrix = np.array(row["matrix"], np.float64).reshape(row["dim"], -1)  # type: ignore[call-overload]
            steps.setdefault(str(row["from_version"]), []).append((str(row["to_version"]), matrix))
    spaces: dict[str, Floats] = {}
    queue = deque([from_version])
    while queue:
        version = queue.popleft()
        for following, matrix in sorted(steps.get(version, []), key=lambda step: step[0]):
            if following not in spaces and following != from_version:
                spaces[following] = spaces[version] @ matrix if version in spaces else matrix
                queue.append(following)
    return spaces


def in_space(vectors: Floats, matrix: Floats) -> Floats:
    """Return vectors (n, dim) in the space that a map leads to, float32 (n, dim of that version)."""
    mapped: Floats = (vectors.astype(np.float64) @ matrix).astype(np.float32)
    return mapped

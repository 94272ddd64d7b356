"""Draw a fifth of Gowalla's training edges with the test split's distribution of degrees, for tuning.

A random fifth would mislead, as the places of the test split are more popular than those of a random training edge.
Places are binned by half powers of two of their degree, and an edge is drawn with a probability proportional to the
test split's edges over the training edges in its bin. Nothing of the test split is used but how popular its places are.
The files train.txt and test.txt are to be named by `--set` in place of the paths in conf/gowalla.yaml.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.paths import BUILD, data_file
from twhin_spark.kernels.arrays import Integers

_BINS = 64


def draw(trained: Integers, tested: Integers, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a share of the training edges, distributed over bins of degree as the test edges are.

    Parameters
    ----------
    trained, tested
        The places of the training edges (n,) and of the test edges (m,), as numbers from 0.
    share
        The expected share of the training edges that is drawn.
    rng
        The source of randomness.

    Returns
    -------
    numpy.ndarray
        For each training edge (n,) if it is drawn.
    """
    degree = np.bincount(trained, minlength=tested.max() + 1)
    trained_bin, tested_bin = (
        np.minimum(2 * np.log2(np.maximum(degree[edges], 1)), _BINS - 1).astype(int) for edges in (trained, tested)
    )
    ratio = np.bincount(tested_bin, minlength=_BINS) / np.maximum(np.bincount(trained_bin, minlength=_BINS), 1)
    probability = ratio[trained_bin] * share / ratio[trained_bin].mean()
    drawn: NDArray[np.bool_] = rng.random(len(trained)) < probability
    return drawn


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--out", default=BUILD / "gowalla-fifth", type=click.Path(path_type=Path), help="Folder to write.")
@click.option("--seed", default=0, help="Seed of the draw.")
def main(out: Path, seed: int) -> None:
    """Draw a fifth of Gowalla's training edges as the test split is, and write both parts in the data set's format."""
    (users, places), (_, tested) = (_edges(data_file(f"gowalla/{name}.txt.gz")) for name in ("train", "test"))
    drawn = draw(places, tested, 0.2, np.random.default_rng(seed))
    out.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", ~drawn), ("test", drawn)):
        _write(out / f"{name}.txt", users[part], places[part])
        click.echo(f"{out / name}.txt: {part.sum():,} edges")


def _edges(path: Path) -> tuple[Integers, Integers]:
    """Return the users and places (n,) of lines `user place place ...`."""
    with gzip.open(path, "rt") as lines:
        rows = [np.array(line.split(), dtype=np.int64) for line in lines]
    return np.repeat([row[0] for row in rows], [len(row) - 1 for row in rows]), np.concatenate(
        [row[1:] for row in rows]
    )


def _write(path: Path, users: Integers, places: Integers) -> None:
    """Write a line for each user; the edges must be in the order of their users."""
    first = np.flatnonzero(np.diff(users, prepend=-1))
    with path.open("w") as file:
        for user, visited in zip(users[first].tolist(), np.split(places, first[1:]), strict=True):
            file.write(" ".join(map(str, [user, *visited.tolist()])) + "\n")


if __name__ == "__main__":
    main()

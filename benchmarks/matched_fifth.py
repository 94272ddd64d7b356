"""A fifth of Gowalla's training edges, drawn as its test is: what tuning asks for where a random fifth would mislead.

The test's places are more popular than those of a random training edge. Places are binned by half powers of two of
their degree, and an edge is drawn in proportion to the test's edges over training's in its bin: all that is used of the
test is how popular its places are. Writes train.txt and test.txt, to be named by `--set` in place of
the paths of conf/gowalla.yaml.
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
    """Which of the training edges (n,) are drawn: `share` of them, in bins of degree as the test's edges (m,) are.

    trained, tested: the edges' places, numbers from 0.
    """
    degree = np.bincount(trained, minlength=tested.max() + 1)
    mine, theirs = (
        np.minimum(2 * np.log2(np.maximum(degree[edges], 1)), _BINS - 1).astype(int) for edges in (trained, tested)
    )
    ratio = np.bincount(theirs, minlength=_BINS) / np.maximum(np.bincount(mine, minlength=_BINS), 1)
    chance = ratio[mine] * share / ratio[mine].mean()
    drawn: NDArray[np.bool_] = rng.random(len(trained)) < chance
    return drawn


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--out", default=BUILD / "gowalla-fifth", type=click.Path(path_type=Path), help="Folder that is written.")
@click.option("--seed", default=0, help="Of the draw.")
def main(out: Path, seed: int) -> None:
    """Draws the fifth, and writes both parts in the format of the data set."""
    (users, places), (_, tested) = (_edges(data_file(f"gowalla/{name}.txt.gz")) for name in ("train", "test"))
    drawn = draw(places, tested, 0.2, np.random.default_rng(seed))
    out.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", ~drawn), ("test", drawn)):
        _write(out / f"{name}.txt", users[part], places[part])
        click.echo(f"{out / name}.txt: {part.sum():,} edges")


def _edges(path: Path) -> tuple[Integers, Integers]:
    """Users and places (n,) of lines `user place place ...`."""
    with gzip.open(path, "rt") as lines:
        rows = [np.array(line.split(), dtype=np.int64) for line in lines]
    return np.repeat([row[0] for row in rows], [len(row) - 1 for row in rows]), np.concatenate(
        [row[1:] for row in rows]
    )


def _write(path: Path, users: Integers, places: Integers) -> None:
    """The edges come by user."""
    first = np.flatnonzero(np.diff(users, prepend=-1))
    with path.open("w") as file:
        for user, own in zip(users[first].tolist(), np.split(places, first[1:]), strict=True):
            file.write(" ".join(map(str, [user, *own.tolist()])) + "\n")


if __name__ == "__main__":
    main()

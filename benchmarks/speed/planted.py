"""A planted social graph on disk: users follow users and favorite tweets, mostly of their own community.

Degrees are heavy-tailed: the weight of an entity in a draw follows a Pareto distribution. All edges are distinct, so
that both sides train as many edges as the file has lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.console import progress
from benchmarks.paths import BUILD
from twhin_spark.kernels.arrays import Floats, Integers

TYPES = {"user": 0.6, "tweet": 0.4}  # by share of the entities
RELATIONS = {"follow": ("user", "user", 0.5), "favorite": ("user", "tweet", 0.3), "retweet": ("user", "tweet", 0.2)}
_COMMUNITY = 2000  # entities of all types, on average
_LOCAL = 0.9  # share of the edges that stay in their source's community
_TAIL = 1.5  # Pareto's exponent: the lower, the heavier the tail


@dataclass(frozen=True)
class PlantedGraph:
    """A graph of the given numbers of entities and edges, in a folder of its own."""

    entities: int
    edges: int

    @property
    def folder(self) -> Path:
        """Return the graph's folder, whether it exists or not."""
        return BUILD / f"planted-{self.entities}-{self.edges}"

    def file(self) -> Path:
        """Return the TSV file of source, relation and target, which is made once."""
        path = self.folder / "edges.tsv"
        if not path.exists():
            progress(f"planting {self.edges:,} edges of {self.entities:,} entities in {path}")
            self.folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
            pyarrow.csv.write_csv(self._table(), part, write_options=options)
            part.rename(path)
        return path

    def _table(self) -> pa.Table:
        rng = np.random.default_rng((self.entities, self.edges))
        communities = max(self.entities // _COMMUNITY, 1)
        populations = {
            name: _Population(rng, round(self.entities * share), communities) for name, share in TYPES.items()
        }
        parts = []
        for relation, (source, target, share) in RELATIONS.items():
            pairs = _distinct_pairs(rng, populations[source], populations[target], round(self.edges * share))
            ends = [_named(entity_type, ids) for entity_type, ids in zip((source, target), pairs, strict=True)]
            parts.append(pa.table([ends[0], pa.repeat(relation, len(pairs[0])), ends[1]], ["s", "r", "t"]))
        table = pa.concat_tables(parts)
        return table.take(pa.array(rng.permutation(table.num_rows)))


class _Population:
    """Entities of one type in the order of their communities, each with a weight."""

    def __init__(self, rng: np.random.Generator, count: int, communities: int) -> None:
        self.community: Integers = np.sort(rng.integers(communities, size=count))
        self.names: Integers = rng.permutation(count)
        weights = np.concatenate([[0.0], 1 + rng.pareto(_TAIL, size=count)])
        self._sums: Floats = np.cumsum(weights)  # (count + 1,)
        self._first: Integers = np.searchsorted(self.community, np.arange(communities + 1))

    def draw(self, rng: np.random.Generator, count: int) -> Integers:
        """Draw entities of all communities by weight."""
        return self._at(rng.random(count) * self._sums[-1])

    def draw_in(self, rng: np.random.Generator, communities: Integers) -> Integers:
        """Draw an entity of each of the given communities by weight."""
        begin, end = self._sums[self._first[communities]], self._sums[self._first[communities + 1]]
        return self._at(begin + rng.random(len(communities)) * (end - begin))

    def _at(self, point: Floats) -> Integers:
        entity: Integers = np.searchsorted(self._sums, point, side="right") - 1
        return np.minimum(entity, len(self.names) - 1)


def _distinct_pairs(
    rng: np.random.Generator, sources: _Population, targets: _Population, count: int
) -> tuple[Integers, Integers]:
    """Draw `count` distinct pairs without self-loops, as ids of their types."""
    width = len(targets.names)
    distinct = np.empty(0, np.int64)
    while len(distinct) < count:
        drawn = int((count - len(distinct)) * 1.3) + 1000
        source = sources.draw(rng, drawn)
        is_local = rng.random(drawn) < _LOCAL
        target = np.where(is_local, targets.draw_in(rng, sources.community[source]), targets.draw(rng, drawn))
        pairs = sources.names[source] * width + targets.names[target]
        if sources is targets:
            pairs = pairs[source != target]
        distinct = np.unique(np.concatenate([distinct, pairs]))
    distinct = rng.choice(distinct, count, replace=False, shuffle=False)
    return distinct // width, distinct % width


def _named(entity_type: str, ids: Integers) -> pa.Array:
    """Return ids as in a log: u12 is user 12."""
    return pc.binary_join_element_wise(entity_type[0], pa.array(ids).cast(pa.string()), "")

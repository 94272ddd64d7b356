"""A small graph with a model, and a plain loop (`expected_ranks`) that counts every rank, for any partition count.

Vectors are small whole numbers by default, so that scores are exact however they are computed, and many of them tie.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from twhin_spark.config import Config
from twhin_spark.graph.graph_version import GraphVersion
from twhin_spark.graph.packing import pack
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.topk import comparison_vectors
from twhin_spark.tables.delta import TableStore
from twhin_spark.tables.schemas import EDGE_BUCKETS, EDGES, ENTITIES, METRICS, TRAINING_ROUNDS, ddl
from twhin_spark.training.state.manifest import Manifest
from twhin_spark.training.state.relation_state import RelationState
from twhin_spark.training.state.run_folder import RunFolder
from twhin_spark.training.state.state_files import EntityState
from twhin_spark.training.trained_run import TrainedRun

DIM = 4
PARTITIONS = 3
RELATIONS = ("follow", "like", "block", "share")
ENDS = {"follow": ("user", "user"), "like": ("user", "tweet"), "block": ("user", "user"), "share": ("user", "tweet")}
OPERATOR = {"follow": "translation", "like": "complex", "block": "identity", "share": "translation"}
TWO_SIDED = ("like",)
TYPES = ["tweet", "user"]
Edge = tuple[str, str]  # source and target id
Score = Callable[[str, str], float]  # of a source and target id


def config(
    output: str, *, validation: float = 0.1, sides: str = "target", comparator: str = "dot", **als: object
) -> Config:
    relations = {
        name: {
            "source": ENDS[name][0],
            "target": ENDS[name][1],
            "operator": OPERATOR[name],
            "two_sided": name in TWO_SIDED,
        }
        for name in RELATIONS
    }
    return Config.model_validate(
        {
            "name": "ranked",
            "output": output,
            "entity_types": TYPES,
            "relations": relations,
            "logs": {
                "log": {
                    "path": "none",
                    "format": "csv",
                    "select": {"relation": "r", "source": "s", "target": "t", "timestamp": "x"},
                }
            },
            "split": {"validation": validation},
            "training": {"dim": DIM, "comparator": comparator},
            "evaluation": {"sides": sides, "als": {"rank": 4, "iterations": 2, **als}},
        }
    )


@dataclass(frozen=True)
class ExpectedRank:
    """The expected rank of a query's positive: how many candidates score above it, and how many others tie with it."""

    source: str
    target: str
    new: tuple[int, int]
    filtered: tuple[int, int]

    @property
    def ranks(self) -> tuple[float, float]:
        """The rank among new candidates, and the filtered rank."""
        return 1 + self.new[0] + self.new[1] / 2, 1 + self.filtered[0] + self.filtered[1] / 2


class RankedGraph:
    """A graph of four relations.

    follow and like have queries of every kind. All test edges of block are training edges. The sources of share's test
    edges have no training edge of share.
    """

    def __init__(self, seed: int = 0, *, self_loops: bool = False, whole_numbers: bool = True) -> None:
        self.self_loops = self_loops
        rng = np.random.default_rng(seed)
        users, tweets = [f"u{i}" for i in range(40)], [f't,{i} "é"' for i in range(60)]
        self.edges: dict[str, dict[str, dict[Edge, float]]] = {
            name: {split: {} for split in ("train", "validation", "test")} for name in RELATIONS
        }
        for name, count in (("follow", 400), ("like", 500)):
            targets = users if ENDS[name][1] == "user" else tweets
            for _ in range(count):
                # The last four ids of each type occur in held-out edges only, so training does not see them.
                split = str(rng.choice(["train", "validation", "test"], p=[0.7, 0.1, 0.2]))
                stop = -4 if split == "train" else None
                source = users[:stop][int(rng.beta(0.6, 1.5) * len(users[:stop]))]
                target = targets[:stop][int(rng.beta(0.6, 1.5) * len(targets[:stop]))]
                if source != target or self_loops:
                    self.edges[name][split][source, target] = float(rng.integers(1, 4))
        self.edges["block"]["train"] = {("u0", "u1"): 1.0, ("u2", "u3"): 1.0}
        self.edges["block"]["test"] = {("u0", "u1"): 1.0}
        self.edges["share"]["train"] = {("u0", 't,0 "é"'): 1.0, ("u1", 't,0 "é"'): 2.0, ("u1", 't,2 "é"'): 2.0}
        self.edges["share"]["test"] = {("u2", 't,0 "é"'): 1.0, ("u3", 't,1 "é"'): 1.0}
        seen = {
            (ENDS[name][end], edge[end]) for name in RELATIONS for edge in self.edges[name]["train"] for end in (0, 1)
        }
        # An entity keeps its row in later graphs: one entity has edges in an earlier graph only.
        self.entities = sorted(seen | {("user", users[-1])})
        self.seen = seen
        vectors = (
            rng.integers(-2, 3, (len(self.entities), DIM))
            if whole_numbers
            else rng.normal(size=(len(self.entities), DIM))
        )
        self.vectors = dict(zip(self.entities, vectors.astype(np.float32), strict=True))
        self.parameters = {"follow": [1.0, 0, -1, 0], "like": [1.0, 0, 1, -1], "block": [], "share": [0.0, 1, 0, 0]}
        self.backward = {"like": [0.0, 1, -1, 1]}

    def locations(self, partitions: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Return the partition and the row of every entity."""
        rows: dict[tuple[str, int], int] = defaultdict(int)
        locations = {}
        for entity in self.entities:
            partition = zlib.crc32(repr(entity).encode()) % partitions
            locations[entity] = partition, rows[entity[0], partition]
            rows[entity[0], partition] += 1
        return locations

    def entities_table(self, spark: SparkSession, partitions: int) -> DataFrame:
        def degrees(entity_type: str, name: str, end: int) -> dict[str, int]:
            counts = {
                r: sum(edge[end] == name for edge in self.edges[r]["train"])
                for r in RELATIONS
                if ENDS[r][end] == entity_type
            }
            return {relation: count for relation, count in counts.items() if count}

        rows = []
        for (entity_type, name), location in self.locations(partitions).items():
            out, into = degrees(entity_type, name, 0), degrees(entity_type, name, 1)
            rows.append((entity_type, name, *location, 0, sum(out.values()) + sum(into.values()), out, into))
        return spark.createDataFrame(rows, ddl(ENTITIES))

    def edges_table(self, spark: SparkSession) -> DataFrame:
        rows = [
            (name, ENDS[name][0], source, ENDS[name][1], target, split, weight, 1, None, None)
            for name in RELATIONS
            for split, edges in self.edges[name].items()
            for (source, target), weight in edges.items()
        ]
        return spark.createDataFrame(rows, ddl(EDGES))

    def buckets_table(self, spark: SparkSession, partitions: int) -> DataFrame:
        locations = self.locations(partitions)
        buckets: dict[tuple[int, int], list[dict[str, float]]] = defaultdict(list)
        for number, name in enumerate(RELATIONS):
            for (source, target), weight in self.edges[name]["train"].items():
                (sp, sr), (tp, tr) = locations[ENDS[name][0], source], locations[ENDS[name][1], target]
                buckets[sp, tp].append({"source": sr, "target": tr, "relation": number, "weight": weight})
        packed = [pack(bucket, pa.Table.from_pylist(edges), 20) for bucket, edges in buckets.items()]
        return spark.createDataFrame(pa.concat_tables(packed)).select(*EDGE_BUCKETS.names)

    def run(self, output: Path, partitions: int, tables: dict[str, int] | None = None) -> TrainedRun:
        """Write the model's state as training does and return the run."""
        folder = RunFolder(str(output), "run-1")
        locations = self.locations(partitions)
        files = []
        for partition in range(partitions):
            state = {}
            for entity_type in TYPES:
                entities = [e for e in self.entities if e[0] == entity_type and locations[e][0] == partition]
                vectors = np.array([self.vectors[e] for e in entities], np.float32).reshape(len(entities), DIM)
                state[entity_type] = EntityState(vectors, np.zeros(len(entities), np.float32))
            files.append(folder.write_partition(f"p{partition}", state))
        relations = {}
        for name, target in self.parameters.items():
            values = {"target": target} | ({"source": self.backward[name]} if name in TWO_SIDED else {})
            relations[name] = RelationState(values, values)
        manifest = Manifest(folder.run_id, 1, 0, 0, True, 1, files, relations, "")
        folder.commit(manifest)
        counts = {
            "read": 1200,
            "accepted": 1000,
            "replayed": 50,
            "rejected": 150,
            "left_out": {"where": 7, "window": 0},
        }
        rows = {**counts, "rejected_by_reason": {"empty source id": 100, "malformed line": 50}}
        return TrainedRun(
            folder.run_id, folder, manifest, GraphVersion("g", tables or {}, RELATIONS, partitions, None, rows)
        )

    def trained_score(self, name: str, end: int = 1, comparator: str = "dot") -> Score:
        """Return the model's scores for ranking targets (end 1) or sources (end 0)."""
        end_types, operator = ENDS[name], OPERATORS[OPERATOR[name]]
        backward = end == 0 and name in TWO_SIDED
        parameters = np.array((self.backward if backward else self.parameters)[name], np.float32)

        def score(source: str, target: str) -> float:
            ends = [self.vectors[end_types[0], source], self.vectors[end_types[1], target]]
            changed = operator.apply(parameters, ends[backward][None])[0]
            pair = comparison_vectors(np.stack([changed, ends[not backward]]), comparator).astype(np.float64)
            return float(pair[0] @ pair[1])

        return score

    def popularity(self, name: str, by: str, end: int = 1) -> Score:
        def score(*ends: str) -> float:
            trained = self.edges[name]["train"].items()
            return sum(w if by == "weight" else 1.0 for edge, w in trained if edge[end] == ends[end])

        return score

    def held_out_edges(self, name: str, split: str) -> list[Edge]:
        return sorted(edge for edge in self.edges[name][split] if edge not in self.edges[name]["train"])

    def queries(self, name: str, split: str) -> list[Edge]:
        end_types = ENDS[name]
        return [e for e in self.held_out_edges(name, split) if all((end_types[i], e[i]) in self.seen for i in (0, 1))]

    def expected_ranks(self, name: str, split: str, score: Score, end: int = 1) -> dict[Edge, ExpectedRank]:
        """Rank by a loop over all queries and candidates: targets (end 1) or sources (end 0)."""
        candidates = sorted(entity_id for entity_type, entity_id in self.seen if entity_type == ENDS[name][end])
        edges = {s: set(self.edges[name][s]) for s in ("train", "validation", "test")}
        expected = {}
        for edge in self.queries(name, split):
            positive_score, query = score(*edge), edge[1 - end]
            counts = {}
            for filter_name, excluded in (("new", edges["train"]), ("filtered", set().union(*edges.values()))):
                itself = None if self.self_loops else query
                pairs = [(query, c) if end else (c, query) for c in candidates if c not in (itself, edge[end])]
                others = [score(*pair) for pair in pairs if pair not in excluded]
                above, ties = sum(s > positive_score for s in others), sum(s == positive_score for s in others)
                counts[filter_name] = above, ties
            expected[edge] = ExpectedRank(query, edge[end], counts["new"], counts["filtered"])
        return expected


def write_tables(spark: SparkSession, graph: RankedGraph, output: Path, partitions: int = PARTITIONS) -> TrainedRun:
    store = TableStore(spark, str(output))
    rounds = [
        ("run-1", e, r, name, 10 * r + 1, 2.0 - e, 1.0, 0.1) for e in (0, 1) for r in (0, 1) for name in RELATIONS
    ]
    not_measured = (None,) * (len(TRAINING_ROUNDS.columns) - len(rounds[0]))
    progress = spark.createDataFrame([row + not_measured for row in rounds], ddl(TRAINING_ROUNDS))
    tables = {
        "edges": store.overwrite(EDGES, graph.edges_table(spark)),
        "entities": store.overwrite(ENTITIES, graph.entities_table(spark, partitions)),
        "edge_buckets": store.overwrite(EDGE_BUCKETS, graph.buckets_table(spark, partitions)),
    }
    store.overwrite(TRAINING_ROUNDS, progress)
    other_run = ("run-0", "follow", None, "twhin", "mrr", 0.5, 0.4, 0.6, 3, 0.0)
    store.overwrite(METRICS, spark.createDataFrame([other_run], ddl(METRICS)))
    return graph.run(output, partitions, tables)

"""Retrieval measured: exact top k, approximate indexes, mixtures. `make bench-retrieval` writes the page of it.

Every time is CPU time of one thread, so that what else runs on the machine counts little. What was measured is kept
under build/bench-retrieval, part by part; `--fresh` measures all of it again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import hnswlib
import matplotlib as mpl
import numpy as np
from deltalake import DeltaTable
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from usearch.index import Index as UsearchIndex

from benchmarks.mixture_world import measure_mixtures
from twhin_spark.kernels.arrays import Floats, Integers
from twhin_spark.kernels.ranking import Excluded
from twhin_spark.kernels.topk import Candidates, TopK, exact_scores, in_fixed_point, unit_vectors
from twhin_spark.retrieval.task import sgemm_speed

KEPT = Path("build/bench-retrieval")
DOCS = Path("docs")
QUERIES = 1000
EXACT_QUERIES = 8192
Row = dict[str, Any]


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds that the work took, and its result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def clustered(count: int, dim: int, clusters: int, seed: int) -> Floats:
    """Unit vectors around random centres of different sizes, float32 (count, dim)."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, dim), dtype=np.float32)
    sizes = rng.dirichlet(np.ones(clusters))
    vectors = centres[rng.choice(clusters, count, p=sizes)]
    vectors += 0.7 * rng.standard_normal((count, dim), dtype=np.float32)
    return unit_vectors(vectors)


def higgs_vectors(output: Path) -> tuple[Floats, Floats]:
    """Published vectors (n, dim) and the parameters of `retweet` (dim,)."""
    table = DeltaTable(str(output / "tables/embeddings")).to_pyarrow_table(columns=["embedding", "model_version"])
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(table), -1).astype(np.float32)
    rows = DeltaTable(str(output / "tables/relations")).to_pyarrow_table().to_pylist()
    version = table["model_version"][0].as_py()
    parameters = next(r for r in rows if r["relation"] == "retweet" and r["model_version"] == version)["parameters"]
    return vectors, np.array(parameters, np.float32)


def sets(name: str, higgs: Path) -> tuple[Floats, Floats]:
    """The sources as they are seen, and the targets, both in fixed point."""
    rng = np.random.default_rng(0)
    if name == "clustered":
        vectors = clustered(1_000_000, 128, 2000, 0)
        return vectors[rng.choice(len(vectors), EXACT_QUERIES, replace=False)], vectors
    vectors, parameters = higgs_vectors(higgs)
    picked = rng.choice(len(vectors), EXACT_QUERIES, replace=False)
    if name == "higgs, similar (cosine)":
        units = unit_vectors(vectors)
        return units[picked], units
    return in_fixed_point(vectors[picked] + parameters), in_fixed_point(vectors)


def exact(queries: Floats, targets: Floats, k: int) -> tuple[float, Integers]:
    """CPU seconds a query, and the places (m, k)."""
    none = Excluded(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def run() -> Integers:
        top = TopK(queries, k)
        for part in np.array_split(np.arange(len(targets)), 32):
            top.add(Candidates(targets[part], part, part), none)
        return top.best().places

    seconds, places = cpu(run)
    return seconds / len(queries), places


def exact_rows(queries: Floats, targets: Floats) -> tuple[list[Row], dict[int, Integers]]:
    """Exact speed, and its share of sgemm's, for k = 10 and 100."""
    rows, truth = [], {}
    for k in (10, 100):
        speed = sgemm_speed(queries, targets)
        seconds, truth[k] = exact(queries, targets, k)
        flops = 2.0 * targets.size
        share = flops / seconds / ((speed + sgemm_speed(queries, targets)) / 2)
        rows.append({"method": "exact", "k": k, "recall": 1.0, "us": seconds * 1e6, "share_of_sgemm": share})
    return rows, {k: places[:QUERIES] for k, places in truth.items()}


Search = Callable[[Floats, int], Integers]
Built = tuple[float, int, Iterator[tuple[str, Search]]]


def faiss_index(recipe: str, targets: Floats, parameter: str, values: tuple[int, ...]) -> Built:
    index = faiss.index_factory(targets.shape[1], recipe, faiss.METRIC_INNER_PRODUCT)

    def build() -> None:
        index.train(targets[:: max(1, len(targets) // 200_000)])
        index.add(targets)

    seconds, _ = cpu(build)

    def searches() -> Iterator[tuple[str, Search]]:
        for value in values:
            if parameter:
                faiss.ParameterSpace().set_index_parameter(index, parameter, value)
            yield f"{parameter} {value}" if parameter else "", lambda queries, k: index.search(queries, k)[1]

    return seconds, faiss.serialize_index(index).nbytes, searches()


def hnswlib_index(targets: Floats, values: tuple[int, ...]) -> Built:
    index = hnswlib.Index("ip", targets.shape[1])
    index.init_index(len(targets), M=16, ef_construction=100, random_seed=0)
    index.set_num_threads(1)
    seconds, _ = cpu(lambda: index.add_items(targets, num_threads=1))

    def searches() -> Iterator[tuple[str, Search]]:
        for value in values:

            def search(queries: Floats, k: int, ef: int = value) -> Integers:
                index.set_ef(max(ef, k))
                found: Integers = index.knn_query(queries, k, num_threads=1)[0].astype(np.int64)
                return found

            yield f"ef {value}", search

    with tempfile.TemporaryDirectory() as folder:
        index.save_index(f"{folder}/index")
        size = Path(folder, "index").stat().st_size
    return seconds, size, searches()


def usearch_index(targets: Floats, values: tuple[int, ...]) -> Built:
    index = UsearchIndex(ndim=targets.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=100)
    seconds, _ = cpu(lambda: index.add(np.arange(len(targets)), targets, threads=1))

    def searches() -> Iterator[tuple[str, Search]]:
        for value in values:

            def search(queries: Floats, k: int, ef: int = value) -> Integers:
                index.expansion_search = max(ef, k)  # type: ignore[misc]
                keys = index.search(queries, k, threads=1).keys
                return np.asarray(keys, np.int64).reshape(len(queries), -1)

            yield f"ef {value}", search

    return seconds, int(index.serialized_length), searches()


def recall(found: Integers, truth: Integers) -> float:
    k = truth.shape[1]
    hits = [len(set(a[:k]) & set(b)) / k for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    return float(np.mean(hits))


def rescored(search: Search, targets: Floats, refine: int) -> Search:
    """The best k of refine · k proposals by their exact scores: what the job does."""

    def run(queries: Floats, k: int) -> Integers:
        proposed = search(queries, min(refine * k, len(targets)))
        row, column = np.nonzero(proposed >= 0)
        scores = np.full(proposed.shape, -np.inf)
        scores[row, column] = exact_scores(queries, targets, row, proposed[row, column])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found: Integers = np.take_along_axis(proposed, order, axis=1)
        return found

    return run


def measure_indexes(name: str, higgs: Path, say: Callable[[str], None]) -> list[Row]:
    """Rows of one set: method, setting, k, recall, us (CPU microseconds a query), build (CPU seconds), bytes."""
    queries, targets = sets(name, higgs)
    rows, truth = exact_rows(queries, targets)
    for row in rows:
        say(f"{name}: {row}")
    queries = np.ascontiguousarray(queries[:QUERIES])
    lists = int(4 * len(targets) ** 0.5)
    probes = (8, 16, 32, 64, 128)
    pieces = targets.shape[1] // 2
    builders: dict[str, Callable[[], Built]] = {
        "faiss IVF, PQ 16x": lambda: faiss_index(f"IVF{lists},PQ{pieces}x4fs", targets, "nprobe", probes),
        "faiss PQ 16x": lambda: faiss_index(f"PQ{pieces}x4fs", targets, "", (0,)),
        "faiss IVF": lambda: faiss_index(f"IVF{lists},Flat", targets, "nprobe", probes),
        "usearch HNSW": lambda: usearch_index(targets, (16, 64, 256)),
        "hnswlib HNSW": lambda: hnswlib_index(targets, (16, 64, 256)),
        "faiss HNSW": lambda: faiss_index("HNSW16", targets, "efSearch", (16, 64, 256)),
    }
    for method, build in builders.items():
        seconds, size, searches = build()
        say(f"{name}: {method} built in {seconds:.0f} CPU s, {size / 1e6:.0f} MB")
        for setting, search in searches:
            refines = (1, 4, 16) if "PQ" in method else (1,)
            for refine in refines:
                find = rescored(search, targets, refine) if "PQ" in method else search
                for k in (10, 100):
                    if refine * k > 1024:
                        continue
                    took, found = cpu(partial(find, queries, k))
                    label = setting + (f", {refine} proposed for each" if refine > 1 else "")
                    value = recall(found, truth[k])
                    row = {"method": method, "setting": label.strip(", "), "k": k, "recall": value}
                    rows.append({**row, "us": took / QUERIES * 1e6, "build": seconds, "bytes": size})
    return rows


def kept(part: str, fresh: bool, measure: Callable[[], list[Row]]) -> list[Row]:
    """What was measured of a part, measured now where there is nothing."""
    path = KEPT / f"{part}.json"
    if fresh or not path.exists():
        rows = measure()
        KEPT.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1))
    found: list[Row] = json.loads(path.read_text())
    return found


def best_at(rows: list[Row], method: str, k: int, least: float) -> Row | None:
    """The quickest setting of a method that reaches a recall; None where none does."""
    mine = [row for row in rows if row["method"] == method and row["k"] == k and row["recall"] >= least]
    return min(mine, key=lambda row: float(row["us"]), default=None)


def index_table(rows: list[Row]) -> Iterator[str]:
    exact_us = {row["k"]: row["us"] for row in rows if row["method"] == "exact"}
    share = {row["k"]: row["share_of_sgemm"] for row in rows if row["method"] == "exact"}
    yield "| index | build, CPU s | MB | recall@10 ≥ .95 with | queries/s | × exact | best recall@10 | @100 |"
    yield "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |"
    yield (
        f"| exact ({share[10]:.0%} of sgemm at k = 10, {share[100]:.0%} at 100) | | | | "
        f"{1e6 / exact_us[10]:,.0f} | 1 | 1.000 | 1.000 |"
    )
    for method in dict.fromkeys(row["method"] for row in rows if row["method"] != "exact"):
        mine = [row for row in rows if row["method"] == method]
        top = {k: max(row["recall"] for row in mine if row["k"] == k) for k in (10, 100)}
        found = best_at(rows, method, 10, 0.95)
        reached = ("none of those tried", "", "")
        if found:
            reached = found["setting"], f"{1e6 / found['us']:,.0f}", f"{exact_us[10] / found['us']:.0f}"
        first = mine[0]
        yield (
            f"| {method} | {first['build']:.0f} | {first['bytes'] / 1e6:.0f} | {' | '.join(reached)} | "
            f"{top[10]:.3f} | {top[100]:.3f} |"
        )


def plot_indexes(measured: dict[str, list[Row]], path: Path) -> None:
    mpl.rcParams["svg.hashsalt"] = "twhin"
    figure = Figure(figsize=(4.2 * len(measured), 4.0), layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured.items(), strict=True):
        exact_us = next(row["us"] for row in rows if row["method"] == "exact" and row["k"] == 10)
        for method in dict.fromkeys(row["method"] for row in rows if row["method"] != "exact"):
            mine = sorted((r["us"], r["recall"]) for r in rows if r["method"] == method and r["k"] == 10)
            front = [(us, value) for i, (us, value) in enumerate(mine) if all(value > v for _, v in mine[:i])]
            axes.plot([exact_us / us for us, _ in front], [value for _, value in front], "o-", ms=3, label=method)
        axes.axhline(0.95, color="0.7", lw=0.8)
        axes.axvline(20, color="0.7", lw=0.8)
        axes.set(title=name, xscale="log", xlabel="times as fast as exact", ylabel="recall@10", ylim=(0, 1.02))
    axes.legend(fontsize=7, loc="lower left")
    figure.savefig(path, metadata={"Date": None})


def mixture_table(rows: list[Row]) -> Iterator[str]:
    yield "| list | recall@10 | @50 | @100 | clusters in 10 | in 50 | in 100 | similarity in 10 | in 50 | in 100 |"
    yield "| --- " + "| ---: " * 9 + "|"
    for row in rows:
        cells = [f"{row[f'recall@{k}']:.4f}" for k in (10, 50, 100)]
        cells += [f"{row[f'clusters@{k}']:.1f}" for k in (10, 50, 100)]
        cells += [f"{row[f'similarity@{k}']:.3f}" for k in (10, 50, 100)]
        yield f"| {row['list']} | {' | '.join(cells)} |"


def plot_mixtures(measured: dict[str, list[Row]], path: Path) -> None:
    figure = Figure(figsize=(4.2 * len(measured), 3.6), layout="constrained")
    for axes, (name, rows) in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured.items(), strict=True):
        for row in rows:
            xs, ys = zip(*((row[f"similarity@{k}"], row[f"recall@{k}"]) for k in (10, 50, 100)), strict=True)
            axes.plot(xs, ys, "o-", ms=4, label=row["list"])
        axes.set(title=name, xlabel="mean cosine within a list (10, 50, 100)", ylabel="recall")
        axes.legend(fontsize=6)
    figure.savefig(path, metadata={"Date": None})


PAGE = """# Retrieval, measured

<!-- Written by `make bench-retrieval`. -->

Times are CPU time of one thread. How the job works: [candidates](candidates.md).

## Exact and approximate

{queries:,} sources, k = 10 for the speeds. An index of product quantisation proposes targets, 4 or 16 for each one
wanted where it says so, and these are scored exactly; the time includes that. `exact` is the job's kernel: all products
in float32, exact scores for what may be among the best k.

![recall and speed](images/retrieval-indexes.svg)

{indexes}

## Product quantisation at 1/16 of the bytes

Without exact scores, all lists searched or none made: what the codes alone tell.

{codes}

## Mixtures

The new test edges' targets among the first k candidates, known edges excluded. `clusters`: how many of 64 clusters of
the targets a list has; `similarity`: mean cosine of two targets of a list.

![recall and similarity](images/retrieval-mixtures.svg)

{mixtures}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--higgs", type=Path, default=Path("build/higgs"), help="output of `make higgs`")
    parser.add_argument("--lastfm", type=Path, default=Path("build/lastfm"), help="output of conf/lastfm.yaml")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    with threadpool_limits(1):
        mixtures = {
            name: kept(f"mixtures {name}", given.fresh, partial(measure_mixtures, output, relation, say))
            for name, output, relation in (("Higgs", given.higgs, "retweet"), ("Last.fm", given.lastfm, "listen"))
        }
        names = ("higgs, similar (cosine)", "higgs, through retweet (dot)", "clustered")
        indexes = {name: kept(name, given.fresh, partial(measure_indexes, name, given.higgs, say)) for name in names}
    shown = {"clustered": "1M vectors in 2,000 clusters (cosine)"}
    indexes = {shown.get(name, name): rows for name, rows in indexes.items()}
    (DOCS / "images").mkdir(exist_ok=True)
    plot_indexes(indexes, DOCS / "images/retrieval-indexes.svg")
    plot_mixtures(mixtures, DOCS / "images/retrieval-mixtures.svg")
    codes = ["| vectors | recall@10 | recall@100 | of 10, in 160 proposed |", "| --- | ---: | ---: | ---: |"]
    for name, rows in indexes.items():
        flat = [row for row in rows if row["method"] == "faiss PQ 16x"]
        plain = {row["k"]: row["recall"] for row in flat if "proposed" not in row["setting"]}
        wide = next(row["recall"] for row in flat if row["k"] == 10 and row["setting"].startswith("16"))
        codes.append(f"| {name} | {plain[10]:.3f} | {plain[100]:.3f} | {wide:.3f} |")
    page = PAGE.format(
        queries=QUERIES,
        indexes="\n\n".join("\n".join([f"### {name}\n", *index_table(rows)]) for name, rows in indexes.items()),
        codes="\n".join(codes),
        mixtures="\n\n".join("\n".join([f"### {name}\n", *mixture_table(rows)]) for name, rows in mixtures.items()),
    )
    (DOCS / "retrieval-benchmarks.md").write_text(page)
    result = {"page": str(DOCS / "retrieval-benchmarks.md"), "indexes": indexes, "mixtures": mixtures}
    print(json.dumps(result))  # noqa: T201


if __name__ == "__main__":
    main()

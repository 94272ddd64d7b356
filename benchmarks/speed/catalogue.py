"""Descriptions of the benchmarks for their page and their `--help`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """The title and description of a benchmark. goal, aim: bounds of its ratio, if there are any."""

    title: str
    about: str
    goal: float | None
    aim: float | None
    lower_is_better: bool = False


_KERNEL = (
    "Training speed on the 272,115 edges of FB15k-237 with the translation operator, dot products, {dim} dimensions, "
    "{negatives} in-batch and {negatives} uniform negatives a side and 1,000 edges a gradient step. Both sides use two "
    "processes. PyTorch-BigGraph's speed is the number of edges over the seconds in which its workers trained them, "
    "according to its own log; start-up and I/O do not count. It has two modes: one relation a batch, which is "
    "one-sided like our model and is compared in the headline, and mixed relations, which are two-sided (a second "
    "vector for each relation, twice the in-batch scores); the page has the ratios to both. Our speed is that of "
    "`train_edges` as a training task runs it (gathering, masks, Adagrad, relation updates); each process has half of "
    "the edges, a model of its own and one BLAS thread. First epochs are warm-up. The runs of a repeat follow each "
    "other, and the medians of all epochs are compared. The headline is the softmax loss, ours without logQ "
    "correction, which PyTorch-BigGraph does not have."
)

AIMED_OVERHEAD = 0.05  # of an epoch's wall time, outside kernels

BENCHMARKS = {
    "kernel_d128_500_500": Benchmark("Kernel, large", _KERNEL.format(dim=128, negatives=500), 3.5, 4.2),
    "kernel_d100_50_50": Benchmark("Kernel, small", _KERNEL.format(dim=100, negatives=50), 2.0, 3.0),
    "sgemm_share_d128": Benchmark(
        "Share of the matrix product's speed",
        "One process on one core. Ours: the floating-point operations of the score and gradient products that "
        "`train_edges` needs (6·dim·(B² + 2·B·U) for a chunk of B edges and U uniform negatives a side) over its "
        "time. Peer: the speed of a plain float32 product of 512x128 and 128x512 in the same run. Both use one BLAS "
        "thread. FB15k-237, 128 dimensions, 500 in-batch and 500 uniform negatives, softmax without logQ correction. "
        "All else in a step (gathering, exponentials, masks, sums of equal rows, Adagrad) takes time but counts no "
        "operation.",
        None,
        0.8,
    ),
    "ranking_share_d128": Benchmark(
        "Ranking's share of the matrix product's speed",
        "One process on one core. Ours: the floating-point operations of the scores that `evaluate` compares over the "
        "time of a ranking. Peer: the speed of a plain float32 product, as above. Ranks are exact: scores are computed "
        "in float64, which has half of float32's speed, from vectors in fixed point, and each answer is compared with "
        "every candidate.",
        None,
        None,
    ),
    "engine_overhead": Benchmark(
        "What the engine adds",
        "One epoch on a planted graph with 128 dimensions, 500 in-batch and 500 uniform negatives, through the "
        "training stage on all cores. Ours: the share of the epoch's wall time in which a task slot runs no kernel, "
        "from the commit of the first vectors to the end of training; a round's kernel time is the mean over the slots "
        "in use. Peer: the aim. The ratio is our share over the aim: up to 1 it is within the aim, up to 2 within the "
        "goal.",
        2.0,
        1.0,
        lower_is_better=True,
    ),
    "graph_build": Benchmark(
        "Building the graph",
        "From a TSV file on disk (source, relation, target) to the graph's tables: `twhin-spark build-graph`, in a "
        "process of its own with the start of its JVM, and `torchbiggraph_import_from_tsv` of the same kind of file. "
        "Our side cleans the rows, quarantines invalid ones, aggregates repeats, numbers entities and packs buckets; "
        "the other numbers entities and writes edge lists.",
        10.0,
        20.0,
    ),
    "whole_job": Benchmark(
        "The whole job",
        "From a TSV file on disk to published vectors, one epoch with 100 dimensions, 50 in-batch and 50 uniform "
        "negatives a side and 1,000 edges a gradient step: `twhin-spark pipeline`, with the start of its JVM, and "
        "PyTorch-BigGraph's import, training and export to TSV with two workers. Both use the softmax loss, ours with "
        "logQ correction, its default. No edge is held out, so evaluation only writes its report.",
        5.0,
        10.0,
    ),
    "small_graph_overhead": Benchmark(
        "A small graph",
        "20 epochs of FB15k-237 with 100 dimensions, 50 in-batch and 50 uniform negatives, through the training stage "
        "on all cores. Ours: wall seconds of the stage, from the run's claim to its last row in training_rounds; the "
        "start of the Spark session does not count. Peer: seconds in kernels; those of a round are the mean over the "
        "task slots in use.",
        1.5,
        None,
        lower_is_better=True,
    ),
}

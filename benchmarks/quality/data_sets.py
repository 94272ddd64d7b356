"""The data sets that quality is measured on: configs, protocols, peers, and overrides for tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import pytorch_biggraph as pbg
from benchmarks.paths import CONFIG_DATA
from benchmarks.quality.peer import PeerTraining

MetricRows = Sequence[Mapping[str, Any]]  # rows of the table `metrics`
Figures = Callable[[MetricRows], dict[str, float]]


@dataclass(frozen=True)
class DataSet:
    """A data set: a config in conf/, its protocol, and its peers.

    config: the name of the config's file.
    about: the protocol, in a sentence or two.
    headline: the metrics that it is compared by, the most important one first.
    figures: the function that computes all metrics from the rows of `evaluate`.
    trial: overrides for tuning: training edges are ranked, and test edges are neither read nor trained on.
    peers: figures that are published or measured by other means, by name.
    measured_peers: the function that computes the figures of the baselines that `evaluate` ranks beside the model.
    tuned: a description of how the baselines that are measured here were tuned.
    peer: settings of PyTorch-BigGraph on the same graph, measured with seed 0; its headline is a peer, too.
    ablations: overrides of another training on the same graph with the same queries, by name.
    variants: overrides of runs of their own, which `make quality-ablations` measures with seed 0. They are added to
        those of a smaller model, SMALLER, which trains in a fraction of the time, and compared with it.
    curve: overrides of a run that holds out training edges, on which every epoch is measured. It is made with the
        variants, if the config itself holds out no validation edges.
    """

    config: str
    about: str
    headline: Sequence[str]
    figures: Figures
    trial: Sequence[str]
    peers: Mapping[str, float] = field(default_factory=dict)
    measured_peers: Figures = lambda metrics: {}
    tuned: str = ""
    peer: PeerTraining | None = None
    ablations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    variants: Sequence[Sequence[str]] = ()
    curve: Sequence[str] = ()


def knowledge_graph(queries: int) -> Figures:
    """Compute filtered MRR and hits@k over all queries of the protocol; a query with an unknown end counts as 0."""

    def figures(metrics: MetricRows) -> dict[str, float]:
        micro = [row for row in metrics if row["model"] == "twhin" and row["average"] == "micro"]
        values = {row["metric"]: row["value"] * row["queries"] / queries for row in micro}
        return {name: values[name] for name in ("mrr", "hits@1", "hits@3", "hits@10")}

    return figures


def recommendation(relation: str, *names: str, model: str = "twhin") -> Figures:
    """Compute metrics of a relation, with the bounds of their intervals."""

    def figures(metrics: MetricRows) -> dict[str, float]:
        values = {}
        for row in metrics:
            if (row["relation"], row["model"]) == (relation, model) and row["metric"] in names:
                values[row["metric"]] = row["value"]
                values |= {f"{row['metric']} {bound}": row[bound] for bound in ("low", "high")}
        return values

    return figures


def baselines(relation: str, *names: str) -> Figures:
    """Compute the same metrics of ALS and popularity, by model and metric."""

    def figures(metrics: MetricRows) -> dict[str, float]:
        return {
            f"{model} {name}": value
            for model in ("als", "popularity")
            for name, value in recommendation(relation, *names, model=model)(metrics).items()
        }

    return figures


def alone(*others: str) -> list[str]:
    """Return overrides under which no edge of the other relations is trained.

    The edges stay in the graph, so that queries and candidates are the same.
    """
    return [f"relations.{name}.sampling=1.0e-9" for name in others]


def peer_training(
    relation: str, ends: Mapping[str, tuple[str, str]], epochs: int, learning_rate: float
) -> PeerTraining:
    """Return settings of PyTorch-BigGraph without operators.

    A single relation is ranked, in which a translation of the source changes the order of no targets.
    """
    relations = tuple(pbg.PeerRelation(name, source, target, "none") for name, (source, target) in ends.items())
    settings = pbg.PeerSettings(relations, False, "softmax", 128, 50, 200, epochs, learning_rate=learning_rate)
    return PeerTraining(relation, settings)


# A condition on places: a tenth of a user's training places, by a hash of both.
_GOWALLA_TENTH = (
    "explode(filter(slice(split(trim(value), ' '), 2, 100000), "
    "place -> pmod(xxhash64(split(value, ' ')[0], place), 10) {} 0))"
)
# Listens with 0 or 1 are the test split of conf/lastfm.yaml.
_LASTFM_TENTH = "pmod(xxhash64(userID, artistID), 10)"

_FB15K = (
    "Both ends of the 20,466 test edges are ranked among all entities without the other known answers; an edge with an "
    "end that is not in training counts as 0."
)
_FB15K_TRIAL = ("logs.validation.select.split=\"'test'\"", "logs.test.where='1 = 0'", "training.keep=last")
SMALLER = ["training.dim=128"]
_FOUR = ("graph.partitions=32", "training.groups=4")
_SIXTEEN = ("graph.partitions=128", "training.groups=16")
# With as many partitions as groups, the same entities share a group in every epoch.
_SIXTEEN_FIXED = ("graph.partitions=16", "training.groups=16")
# The best epoch by a sample of edges differs from run to run; the last does not.
_LAST = "training.keep=last"
# `keep: best` measures the ranks of validation edges after each epoch.
_MEASURED = ("training.validation.edges=5000", "training.keep=best")
# Earlier settings of Gowalla, before its vectors were bounded.
_COSINES = ("relations.check_in.operator=identity", "training.comparator=cosine", "training.max_norm=null")

SETS = {
    "fb15k-237": DataSet(
        "fb15k-237.yaml",
        _FB15K,
        ("mrr", "hits@10"),
        knowledge_graph(2 * 20_466),
        _FB15K_TRIAL,
        {
            "LibKGE TransE": 0.313,
            "LibKGE DistMult": 0.343,
            "LibKGE ComplEx": 0.348,
            "PyTorch-BigGraph ComplEx, 30 epochs": 0.217,
        },
        variants=(
            [],
            ["training.regularization=null"],
            ["training.uniform_negatives=128"],
            ["training.loss=logistic"],
            *([_LAST, *groups] for groups in ((), _FOUR, _SIXTEEN)),
        ),
    ),
    "fb15k-237-translation": DataSet(
        "fb15k-237-translation.yaml",
        _FB15K,
        ("mrr", "hits@10"),
        knowledge_graph(2 * 20_466),
        _FB15K_TRIAL,
        {"LibKGE TransE": 0.313, "GraphVite TransE": 0.288, "PyTorch-BigGraph translation": 0.241},
    ),
    "gowalla": DataSet(
        "gowalla.yaml",
        "All places that a test user has not visited in training are ranked, for all of the user's test places.",
        ("recall@20", "ndcg@20"),
        recommendation("check_in", "recall@20", "ndcg@20"),
        [
            f'logs.train.select.target="{_GOWALLA_TENTH.format(">")}"',
            f'logs.test.select.target="{_GOWALLA_TENTH.format("=")}"',
            f"logs.test.path={CONFIG_DATA}/gowalla/train.txt.gz",
        ],
        {
            f"{name} {metric}": value
            for name, values in {
                "ALS": (0.152, 0.130),
                "MF-BPR": (0.163, 0.138),
                "LightGCN": (0.183, 0.155),
                "UltraGCN": (0.186, 0.158),
                "SimpleX": (0.187, 0.156),
            }.items()
            for metric, value in zip(("recall@20", "ndcg@20"), values, strict=True)
        },
        variants=([], _FOUR, _SIXTEEN, _SIXTEEN_FIXED, _COSINES),
        curve=(
            *_MEASURED,
            *SMALLER,
            f'logs.train.select.target="{_GOWALLA_TENTH.format(">")}"',
            f"logs.validation.path={CONFIG_DATA}/gowalla/train.txt.gz",
            "logs.validation.format=text",
            "logs.validation.select.relation=\"'check_in'\"",
            "logs.validation.select.source=split(value, ' ')[0]",
            f'logs.validation.select.target="{_GOWALLA_TENTH.format("=")}"',
            "logs.validation.select.split=\"'validation'\"",
        ),
    ),
    "lastfm": DataSet(
        "lastfm.yaml",
        "A fifth of the listens is held out; all artists but those of the user's other listens are ranked.",
        ("recall@20", "ndcg@20"),
        recommendation("listen", "recall@20", "ndcg@20"),
        [
            f"logs.listens.where={_LASTFM_TENTH} > 1",
            f"logs.listens.select.split=IF({_LASTFM_TENTH} = 2, 'test', 'train')",
        ],
        measured_peers=baselines("listen", "recall@20", "ndcg@20"),
        tuned=(
            "The peers were tuned like the model, by recall@20 of listens that are neither in training nor in the test "
            "split. ALS: ranks of 32, 64 and 128, alphas from .1 to 40, regularisations from .03 to 3. "
            "PyTorch-BigGraph with 128 dimensions and all three relations: learning rate .1 gives .142; .02 gives .200 "
            "after 20 epochs and .185 after 40; .01 gives .210 after 30; .005 gives .201 after 40. Its logistic loss "
            "gives .139, its cosine similarity .049."
        ),
        peer=peer_training(
            "listen", {"friend": ("user", "user"), "listen": ("user", "artist"), "tag": ("artist", "tag")}, 30, 0.01
        ),
        ablations={"listens alone": alone("friend", "tag")},
        curve=(
            *_MEASURED,
            f"logs.listens.select.split=CASE WHEN {_LASTFM_TENTH} < 2 THEN 'test' "
            f"WHEN {_LASTFM_TENTH} = 2 THEN 'validation' ELSE 'train' END",
        ),
    ),
    "higgs": DataSet(
        "higgs.yaml",
        "The last tenth of the events is held out. Every new retweet with both ends in training is a query, and all "
        "users are candidates.",
        ("recall@10", "mrr"),
        recommendation("retweet", "recall@10", "mrr"),
        ["window.until=2012-07-05T22:49:31Z", "split.test=0.1111"],
        measured_peers=baselines("retweet", "recall@10", "mrr"),
        tuned=(
            "The peers were tuned like the model, on the tenth of the events after the first 80%. ALS: regularisations "
            "of .1, 1 and 10 with alphas of 10, 40 and 100. PyTorch-BigGraph with 128 dimensions, 10 epochs and all "
            "three relations: recall@10 is .048 with a learning rate of .1, .073 with .02 and .070 with .01."
        ),
        peer=peer_training("retweet", dict.fromkeys(("mention", "reply", "retweet"), ("user", "user")), 10, 0.02),
        ablations={"retweets alone": alone("mention", "reply")},
        curve=(*_MEASURED, "split.validation=0.1"),
    ),
}

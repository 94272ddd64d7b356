"""The sets that quality is measured on: configs, protocols, peers, and what tuning measures in place of the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Metrics = Sequence[Mapping[str, Any]]  # rows of `metrics`
Figures = Callable[[Metrics], dict[str, float]]


@dataclass(frozen=True)
class DataSet:
    """A config in conf/, and what is asked of it.

    figures: the headline, from the rows of `evaluate`.
    trial: overrides under which edges of training are asked for, and the test's are neither read nor trained on.
    peers: published figures, or those measured by other means, by name.
    measured_peers: figures of the baselines that `evaluate` ranks beside the model.
    ablations: by name, overrides of another training on the same graph, which answers the same queries.
    """

    config: str
    figures: Figures
    trial: Sequence[str]
    peers: Mapping[str, float] = field(default_factory=dict)
    measured_peers: Figures = lambda metrics: {}
    ablations: Mapping[str, Sequence[str]] = field(default_factory=dict)


def knowledge_graph(questions: int) -> Figures:
    """Filtered MRR and hits@k over all questions of the protocol; one with an end that is not in training counts 0."""

    def figures(metrics: Metrics) -> dict[str, float]:
        mine = [row for row in metrics if row["model"] == "twhin" and row["average"] == "micro"]
        found = {row["metric"]: row["value"] * row["queries"] / questions for row in mine}
        return {name: found[name] for name in ("mrr", "hits@1", "hits@3", "hits@10")}

    return figures


def recommendation(relation: str, *names: str, model: str = "twhin") -> Figures:
    """Metrics of a relation, with the ends of their intervals."""

    def figures(metrics: Metrics) -> dict[str, float]:
        found = {}
        for row in metrics:
            if (row["relation"], row["model"]) == (relation, model) and row["metric"] in names:
                found[row["metric"]] = row["value"]
                found |= {f"{row['metric']} {end}": row[end] for end in ("low", "high")}
        return found

    return figures


def baselines(relation: str, *names: str) -> Figures:
    """The same of ALS and popularity, by the names of both."""

    def figures(metrics: Metrics) -> dict[str, float]:
        return {
            f"{model} {name}": value
            for model in ("als", "popularity")
            for name, value in recommendation(relation, *names, model=model)(metrics).items()
        }

    return figures


def alone(*others: str) -> list[str]:
    """Overrides under which no edge of other relations is trained.

    They stay in the graph, so that queries and candidates are the same.
    """
    return [f"relations.{name}.sampling=1.0e-9" for name in others]


# A tenth of a user's training places, by a hash of both.
_GOWALLA_TENTH = (
    "explode(filter(slice(split(trim(value), ' '), 2, 100000), "
    "place -> pmod(xxhash64(split(value, ' ')[0], place), 10) {} 0))"
)
# The listens that conf/lastfm.yaml tests on have 0 or 1 there.
_LASTFM_TENTH = "pmod(xxhash64(userID, artistID), 10)"

SETS = {
    "fb15k-237": DataSet(
        "fb15k-237.yaml",
        knowledge_graph(2 * 20_466),
        ["logs.validation.select.split=\"'test'\"", "logs.test.where='1 = 0'"],
        {
            "LibKGE TransE": 0.313,
            "LibKGE DistMult": 0.343,
            "LibKGE ComplEx": 0.348,
            "PyTorch-BigGraph ComplEx, 30 epochs": 0.217,
        },
    ),
    "gowalla": DataSet(
        "gowalla.yaml",
        recommendation("check_in", "recall@20", "ndcg@20"),
        [
            f'logs.train.select.target="{_GOWALLA_TENTH.format(">")}"',
            f'logs.test.select.target="{_GOWALLA_TENTH.format("=")}"',
            "logs.test.path=../shared/data/gowalla/train.txt.gz",
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
    ),
    "lastfm": DataSet(
        "lastfm.yaml",
        recommendation("listen", "recall@20", "ndcg@20"),
        [
            f"logs.listens.where={_LASTFM_TENTH} > 1",
            f"logs.listens.select.split=IF({_LASTFM_TENTH} = 2, 'test', 'train')",
        ],
        measured_peers=baselines("listen", "recall@20", "ndcg@20"),
        ablations={"listens alone": alone("friend", "tag")},
    ),
    "higgs": DataSet(
        "higgs.yaml",
        recommendation("retweet", "recall@10", "mrr"),
        ["window.until=2012-07-05T22:49:31Z", "split.test=0.1111"],
        measured_peers=baselines("retweet", "recall@10", "mrr"),
        ablations={"retweets alone": alone("mention", "reply")},
    ),
}

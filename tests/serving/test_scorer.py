from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.published_tables import DEGREE, DIM, Tables, publish_sparse, vectors
from twhin_spark.config.serving import RankingConfig, Score
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES
from twhin_spark.representations.errors import RequestError
from twhin_spark.serving.dense import DenseRows
from twhin_spark.serving.exact_neighbours import ExactNeighbours
from twhin_spark.serving.neighbours import NeighbourQuery, find_neighbours
from twhin_spark.serving.scorer import Scorer
from twhin_spark.serving.signal_features import DAY, UserSignal, window_features
from twhin_spark.serving.store import RepresentationStore
from twhin_spark.serving.sync_store import sync_family
from twhin_spark.serving.weighted_ranker import RankingCandidate, RankingInput, rank_candidates

USERS, TWEETS = vectors(0, 20), vectors(1000, 20)
NOW = 1_700_000_000.0


@pytest.fixture
def store(root: Path, tables: Tables) -> RepresentationStore:
    tables.publish("m1")
    communities = publish_sparse(
        root.parent / "communities",
        {("user", "u0"): {"a": 1.0, "b": 2.0}, ("tweet", "t0"): {"b": 3.0, "c": 1.0}, ("tweet", "t1"): {}},
    )
    assert sync_family(root, tables.family) + sync_family(root, communities) == []
    return RepresentationStore.open(root)


@pytest.mark.parametrize("measure", DENSE_MEASURES)
def test_scores_have_the_order_of_the_pairs_and_nan_for_unknown_entities(
    store: RepresentationStore, measure: str
) -> None:
    scorer = Scorer(store)
    sources = [("user", "u3"), ("user", "nobody"), ("tweet", "t1"), ("user", "u3"), ("user", "u0")]
    targets = [("tweet", "t1"), ("tweet", "t1"), ("user", "u3"), ("tweet", "nobody"), ("user", "u0")]
    scores = scorer.pairs(Score(measure=measure), sources, targets)
    u3_t1 = DENSE_MEASURES[measure](USERS[3:4], TWEETS[1:2])[0]
    u0_u0 = DENSE_MEASURES[measure](USERS[:1], USERS[:1])[0]
    np.testing.assert_allclose(scores, [u3_t1, np.nan, u3_t1, np.nan, u0_u0], rtol=1e-12)
    assert scorer.model_versions == {"twhin": "m1"}


def test_one_source_is_paired_with_all_targets(store: RepresentationStore) -> None:
    targets = [("tweet", "t2"), ("tweet", "nobody"), ("tweet", "t2")]
    scores = Scorer(store).pairs(Score(measure="dot"), [("user", "u1")], targets)
    expected = USERS[1].astype(float) @ TWEETS[2]
    np.testing.assert_allclose(scores, [expected, np.nan, expected])
    assert np.isnan(Scorer(store).pairs(Score(), [("user", "nobody")], targets)).all()
    assert Scorer(store).pairs(Score(), [("user", "u1")], []).shape == (0,)


def test_the_score_of_a_relation_is_the_models(store: RepresentationStore) -> None:
    pair = [("user", "u1")], [("tweet", "t2")]
    expected = (USERS[1].astype(float) + 1) @ TWEETS[2]
    np.testing.assert_allclose(Scorer(store).pairs(Score(relation="favorite"), *pair), [expected])
    np.testing.assert_allclose(Scorer(store).pairs(Score(relation="same"), *pair), [USERS[1].astype(float) @ TWEETS[2]])
    cosine = DENSE_MEASURES["cosine"](USERS[1:2] + np.float64(np.float32(0.3)), TWEETS[2:3])
    np.testing.assert_allclose(Scorer(store).pairs(Score(relation="twin"), *pair), cosine)


def test_neighbours_through_a_relation_are_those_of_its_comparator(store: RepresentationStore) -> None:
    query = NeighbourQuery(entity=("user", "u1"), relation="twin", k=3)
    result = find_neighbours(store.version(), query, time.monotonic() + 60)
    assert result.measure == "cosine"
    cosines = DENSE_MEASURES["cosine"](USERS[1:2] + np.float64(np.float32(0.3)), TWEETS)
    np.testing.assert_allclose([neighbour.score for neighbour in result.neighbours], np.sort(cosines)[:-4:-1])


def test_relations_without_a_comparator_compare_by_dot(root: Path, tables: Tables) -> None:
    tables.publish("m1", comparators=False)
    assert sync_family(root, tables.family) == []
    relations = RepresentationStore.open(root).version().relations
    assert {relation.comparator for relation in relations.values()} == {"dot"}


@pytest.mark.parametrize("measure", SPARSE_MEASURES)
def test_sparse_families_have_the_same_interface(store: RepresentationStore, measure: str) -> None:
    targets = [("tweet", "t0"), ("tweet", "t1"), ("tweet", "t2")]
    scores = Scorer(store).pairs(Score(measure=measure, family="communities"), [("user", "u0")], targets)
    expected = {
        "dot": 6,
        "cosine": 6 / math.sqrt(5 * 10),
        "jaccard": 1 / 3,
        "log_cosine": 6 / (math.log(6) * math.log(11)),
        "exp_scaled_cosine": 6 / 50**0.3,
        "fuzzy_jaccard": 2 / 5,
        "euclidean": math.sqrt(3),
        "manhattan": 3,
    }
    empty = {"euclidean": math.sqrt(5), "manhattan": 3}  # distances to a tweet without communities
    np.testing.assert_allclose(scores, [expected[measure], empty.get(measure, 0), np.nan])


def test_a_weighted_sum_over_families(store: RepresentationStore) -> None:
    scorer = Scorer(store)
    summands = [Score(measure="dot", weight=2), Score(measure="dot", family="communities", weight=-1)]
    total, parts = scorer.weighted(summands, [("user", "u0")], [("tweet", "t0"), ("tweet", "t5")])
    dense = USERS[0].astype(float) @ TWEETS[[0, 5]].T
    np.testing.assert_allclose(total, [2 * dense[0] - 6, np.nan])
    np.testing.assert_allclose(parts, [dense, [6, np.nan]])
    assert scorer.model_versions == {"twhin": "m1", "communities": "s1"}


@pytest.mark.parametrize(
    ("score", "pair", "line"),
    [
        (
            {"measure": "jaccard"},
            ("user", "tweet"),
            "unknown measure 'jaccard' for a dense family; use one of cos",
        ),
        ({"measure": "hamming", "family": "communities"}, ("user", "tweet"), "'hamming' for a sparse family"),
        (
            {"family": "communities", "target_family": "twhin"},
            ("user", "tweet"),
            "families 'communities' and 'twhin' are sparse and dense; both must be of one kind",
        ),
        ({"relation": "likes"}, ("user", "tweet"), "unknown relation 'likes'; use one of favorite, same, "),
        ({"relation": "favorite"}, ("tweet", "tweet"), "requires a source of type 'user', not 'tweet'"),
        ({"relation": "favorite"}, ("user", "user"), "requires a target of type 'tweet', not 'user'"),
        ({"relation": "favorite", "family": "communities"}, ("user", "tweet"), "use one of none"),
        ({}, ("usr", "tweet"), "unknown entity type 'usr'; use one of tweet, user"),
    ],
)
def test_invalid_scores_are_one_line(
    store: RepresentationStore, score: dict[str, Any], pair: tuple[str, str], line: str
) -> None:
    with pytest.raises(RequestError, match=line):
        Scorer(store).pairs(Score(**score), [(pair[0], "1")], [(pair[1], "1")])


def test_signals_of_windows(store: RepresentationStore) -> None:
    days_old = {"t0": -1, "t1": 0.5, "t2": 1, "t3": 3, "nobody": 2, "t4": 29, "t5": 31}
    signals = [UserSignal(("tweet", name), NOW - DAY * age) for name, age in days_old.items()]
    candidates = [("tweet", "t9"), ("tweet", "unknown"), ("user", "u1")]
    windows = window_features(Scorer(store), Score(), candidates, signals, NOW, [1, 7, 30, 0.1])
    members = {1: [1, 2], 7: [1, 2, 3], 30: [1, 2, 3, 4]}
    for days, tweets in members.items():
        for i, vector in ((0, TWEETS[9]), (2, USERS[1])):
            scores = DENSE_MEASURES["cosine"](vector[None], TWEETS[tweets])
            np.testing.assert_allclose(windows[days].max[i], scores.max())
            np.testing.assert_allclose(windows[days].average[i], scores.mean())
        assert np.isnan([windows[days].max[1], windows[days].average[1]]).all()
    assert [windows[days].signals for days in (1, 7, 30, 0.1)] == [2, 4, 5, 0]
    assert np.isnan(windows[0.1].max).all()


def test_only_the_last_ten_signals_count(store: RepresentationStore) -> None:
    signals = [UserSignal(("tweet", f"t{i}"), NOW - i) for i in range(15)]
    window = window_features(Scorer(store), Score(measure="dot"), [("user", "u0")], signals[::-1], NOW, [1])[1]
    scores = TWEETS[:10].astype(float) @ USERS[0]
    np.testing.assert_allclose([window.max[0], window.average[0], window.signals], [scores.max(), scores.mean(), 10])


def test_signals_without_a_representation_have_no_score(store: RepresentationStore) -> None:
    unknown = [UserSignal(("tweet", "nobody"), NOW)]
    window = window_features(Scorer(store), Score(), [("user", "u0")], unknown, NOW, [1])[1]
    assert np.isnan(window.max).all()
    assert np.isnan(window.average).all()


RANKING = RankingConfig.model_validate(
    {
        "scores": {"affinity": {"relation": "favorite", "weight": 0.5}},
        "signals": {"recent": {"signal": "favorite", "window_days": 7, "weight": 2, "missing": 0}},
        "features": {"degree": {"weight": 0.1, "log": True}, "age_hours": {"weight": -1}},
    }
)


def ranking_input(*candidates: tuple[str, dict[str, float]], signals: list[UserSignal] | None = None) -> RankingInput:
    ranked = [RankingCandidate(("tweet", name), features) for name, features in candidates]
    return RankingInput(("user", "u0"), ranked, {"favorite": signals or []}, NOW)


def test_a_ranking_adds_up_its_parts(store: RepresentationStore) -> None:
    request = ranking_input(
        ("t1", {"age_hours": 3}),
        ("t2", {}),
        ("nobody", {"age_hours": 0}),
        ("t3", {"age_hours": 0, "degree": 0}),
        signals=[UserSignal(("tweet", "t5"), NOW)],
    )
    ranked = rank_candidates(Scorer(store), RANKING, request)
    affinity = (USERS[0].astype(float) + 1) @ TWEETS[[1, 3]].T
    recent = DENSE_MEASURES["cosine"](TWEETS[5:6], TWEETS[[1, 3]])
    degree = [math.log(1 + DEGREE), 0]
    expected = 0.5 * affinity + 2 * recent + 0.1 * np.array(degree) - np.array([3, 0])
    np.testing.assert_allclose(ranked.scores, [expected[0], np.nan, np.nan, expected[1]])
    assert ranked.ranks == ([1, None, None, 2] if expected[0] > expected[1] else [2, None, None, 1])
    assert list(ranked.parts) == ["affinity", "recent", "degree", "age_hours"]
    np.testing.assert_allclose(ranked.parts["age_hours"], [3, np.nan, 0, 0])
    np.testing.assert_allclose(ranked.parts["recent"][[0, 3]], recent)
    assert ranked.parts["recent"][2] == 0  # unknown, and `missing` says 0


def test_the_log_of_a_negative_feature_is_an_error(store: RepresentationStore) -> None:
    with pytest.raises(RequestError, match="feature 'degree' is -2; its log requires a value of 0 or more"):
        rank_candidates(Scorer(store), RANKING, ranking_input(("t1", {"age_hours": 0, "degree": -2})))


def test_parts_of_a_ranking_have_distinct_names() -> None:
    for invalid in ({}, {"scores": {"degree": {}}, "features": {"degree": {"weight": 1}}}):
        with pytest.raises(ValueError, match="a name of its own"):
            RankingConfig.model_validate(invalid)


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize("k", [1, 10, 299, 300, 500])
def test_neighbours_are_the_sorted_scores(
    root: Path, tables: Tables, monkeypatch: pytest.MonkeyPatch, measure: str, k: int
) -> None:
    monkeypatch.setattr("twhin_spark.serving.exact_neighbours._BLOCK_ROWS", 64)
    users = vectors(5, 300)
    users[200:] = users[:100]  # ties
    users[7] = 0
    tables.publish("m1", {"user": {f"u{i}": vector.tolist() for i, vector in enumerate(users)}})
    sync_family(root, tables.family)
    rows = RepresentationStore.open(root).version().types["user"].rows
    assert isinstance(rows, DenseRows)
    query = vectors(6, 1)[0].astype(np.float64)
    nearest, scores = ExactNeighbours(rows).search(query, k, measure, time.monotonic() + 60)
    expected = DENSE_MEASURES[measure](query[None], users)
    order = np.lexsort((np.arange(300), -expected))[:k]
    np.testing.assert_array_equal(nearest, order)
    np.testing.assert_array_equal(scores, expected[order])


def test_a_search_ends_at_its_deadline(store: RepresentationStore) -> None:
    rows = store.version().types["user"].rows
    assert isinstance(rows, DenseRows)
    with pytest.raises(TimeoutError):
        ExactNeighbours(rows).search(np.ones(DIM), 3, "dot", time.monotonic() - 1)

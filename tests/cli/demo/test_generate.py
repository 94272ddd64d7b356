from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twhin_spark.cli.demo.defects import CSV_COLUMNS, FOLLOW_DEFECTS, INTERACTION_DEFECTS
from twhin_spark.cli.demo.delivery import ExpectedCounts
from twhin_spark.cli.demo.events import (
    EVENTS,
    SHARES,
    WeightedMembers,
    draw_follow_log,
    draw_interaction_log,
)
from twhin_spark.cli.demo.generate import GeneratedLogs, generate
from twhin_spark.cli.demo.population import END, START, Population, draw_population
from twhin_spark.errors import ConfigError

SCALE = 0.1
EARLIEST, LATEST = pd.Timestamp("2000-01-01", tz="UTC"), pd.Timestamp("2100-01-01", tz="UTC")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GeneratedLogs]:
    folder = tmp_path_factory.mktemp("small")
    return folder, generate(folder, scale=0.01, seed=3)


@pytest.fixture(scope="module")
def population() -> Population:
    return draw_population(np.random.default_rng(1), SCALE)


@pytest.fixture(scope="module")
def interactions(population: Population) -> pd.DataFrame:
    return draw_interaction_log(np.random.default_rng(2), population, SCALE)


@pytest.fixture(scope="module")
def follows(population: Population) -> pd.DataFrame:
    return draw_follow_log(np.random.default_rng(3), population, SCALE)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_reason(record: dict[str, str | None], relations: set[str], columns: tuple[str, str, str, str]) -> str | None:
    """Return the reason for which a reader must reject the record of a well-formed line, or None."""
    relation, source, target, time = (record.get(column) for column in columns)
    if not source:
        return "missing_source_id"
    if not target:
        return "missing_target_id"
    if (relation or "").lower() not in relations:
        return "unknown_relation"
    try:
        when = pd.Timestamp(time or "").as_unit("s")
    except ValueError:
        return "unparsable_timestamp"
    when = when.tz_localize("UTC") if when.tzinfo is None else when
    if not EARLIEST <= when < LATEST:
        return "timestamp_out_of_range"
    weight = float(record.get("weight") or 1.0)
    if not np.isfinite(weight):
        return "non_finite_weight"
    return None if weight > 0 else "non_positive_weight"


def recount(reasons_by_id: list[tuple[str | None, str | None]]) -> ExpectedCounts:
    """Count the lines of a log, given the event id of each and the reason for which it is rejected."""
    rejected = Counter(reason for _, reason in reasons_by_id if reason)
    sound = [event_id for event_id, reason in reasons_by_id if not reason]
    return ExpectedCounts(
        lines=len(reasons_by_id),
        accepted=len(set(sound)),
        replayed=len(sound) - len(set(sound)),
        rejected_by_reason=dict(sorted(rejected.items())),
    )


def test_a_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    generate(tmp_path / "a", scale=0.01, seed=3)
    generate(tmp_path / "b", scale=0.01, seed=3)
    generate(tmp_path / "c", scale=0.01, seed=4)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "c").values())


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    generate(tmp_path / "a", scale=0.015, seed=3)
    generate(tmp_path / "a", scale=0.01, seed=3)
    generate(tmp_path / "b", scale=0.01, seed=3)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_interactions_read_back_as_counted(small: tuple[Path, GeneratedLogs]) -> None:
    folder, generated = small
    lines: list[tuple[str | None, str | None]] = []
    for path in sorted((folder / "interactions").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        assert tuple(header) == CSV_COLUMNS
        for row in rows:
            record: dict[str, str | None] = dict(zip(CSV_COLUMNS, row, strict=False))
            relations = {"favorite", "unfavorite", "retweet", "reply"}
            reason = read_reason(record, relations, ("action", "user_id", "tweet_id", "time"))
            lines.append((row[0], reason if len(row) == len(CSV_COLUMNS) else "malformed_line"))
    assert recount(lines) == generated.logs["interactions"]


def test_follows_read_back_as_counted(small: tuple[Path, GeneratedLogs]) -> None:
    folder, generated = small
    lines: list[tuple[str | None, str | None]] = []
    for line in (folder / "follows.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            lines.append((None, "malformed_line"))
            continue
        reason = read_reason(record, {"follow", "unfollow"}, ("verb", "follower", "followed", "at"))
        lines.append((record["id"], reason))
    assert recount(lines) == generated.logs["follows"]


def test_every_reason_occurs_at_the_smallest_scale(small: tuple[Path, GeneratedLogs]) -> None:
    logs = small[1].logs
    assert set(logs["interactions"].rejected_by_reason) == {defect.reason for defect in INTERACTION_DEFECTS}
    assert set(logs["follows"].rejected_by_reason) == {defect.reason for defect in FOLLOW_DEFECTS}
    for counts, defects in ((logs["interactions"], INTERACTION_DEFECTS), (logs["follows"], FOLLOW_DEFECTS)):
        assert counts.rejected >= len(defects)  # so every defect, too
        assert counts.lines == counts.accepted + counts.replayed + counts.rejected
        assert 0.02 < counts.rejected / counts.lines < 0.04
        assert 0.005 < counts.replayed / counts.lines < 0.015


def test_expected_json_holds_what_was_returned(small: tuple[Path, GeneratedLogs]) -> None:
    folder, generated = small
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    logs = {name: ExpectedCounts(**counts) for name, counts in expected.pop("logs").items()}
    assert GeneratedLogs(**expected, logs=logs) == generated


def test_replays_are_copies_of_whole_lines(small: tuple[Path, GeneratedLogs]) -> None:
    folder, generated = small
    texts = [path.read_text(encoding="utf-8") for path in sorted((folder / "interactions").glob("*.csv"))]
    lines = [line for text in texts for line in text.splitlines()[1:]]
    assert len(lines) - len(set(lines)) == generated.logs["interactions"].replayed
    assert len(set(lines)) == len({line.split(",")[0] for line in lines})


def test_communities_name_every_entity_once(small: tuple[Path, GeneratedLogs]) -> None:
    folder, generated = small
    truth = pd.read_parquet(folder / "communities.parquet")
    assert list(truth.columns) == ["entity_type", "entity_id", "community"]
    assert truth["entity_type"].value_counts().to_dict() == {
        "user": generated.users,
        "tweet": generated.tweets,
    }
    assert not truth.duplicated(["entity_type", "entity_id"]).any()
    assert truth["community"].between(0, generated.communities - 1).all()


@pytest.mark.parametrize("scale", [0.0, -1.0, 0.009, float("nan"), float("inf")])
def test_a_scale_out_of_range_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(ConfigError, match=rf"^scale is {scale}, but must be 0.01 or more$"):
        generate(tmp_path / "logs", scale=scale)
    assert not (tmp_path / "logs").exists()


def test_relations_have_their_shares(interactions: pd.DataFrame, follows: pd.DataFrame) -> None:
    counts = pd.concat([interactions, follows])["relation"].value_counts().to_dict()
    assert counts == {relation: round(EVENTS * SCALE * share) for relation, share in SHARES.items()}
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_most_events_stay_inside_a_community(
    population: Population, interactions: pd.DataFrame, follows: pd.DataFrame
) -> None:
    users, tweets = population.user_community, population.tweet_community
    for log, targets in ((interactions, tweets), (follows, users)):
        inside = users[log["source"]] == targets[log["target"]]
        # Draws from everywhere hit the own community too; pairs drawn twice, mostly inside, are dropped.
        assert 0.8 < inside.mean() < 0.9


def test_degrees_are_heavy_tailed(population: Population, interactions: pd.DataFrame) -> None:
    for end, entities, least in (
        ("source", population.activity.size, 0.05),
        ("target", population.created.size, 0.1),
    ):
        degrees = np.sort(np.bincount(interactions[end], minlength=entities))[::-1]
        assert degrees[: entities // 100].sum() > least * degrees.sum()  # an even spread gives 0.01
        assert degrees.mean() > 1.3 * np.median(degrees)


def test_communities_are_of_unequal_size(population: Population) -> None:
    sizes = np.bincount(population.user_community, minlength=population.communities)
    assert sizes.min() > 0
    assert sizes.max() > 2 * sizes.min()


def test_pairs_of_single_events_are_distinct(interactions: pd.DataFrame, follows: pd.DataFrame) -> None:
    for log, relations in ((interactions, ("favorite", "retweet")), (follows, ("follow",))):
        for relation in relations:
            assert not log[log["relation"] == relation].duplicated(["source", "target"]).any()
    assert (follows["source"] != follows["target"]).all()
    assert interactions[interactions["relation"] == "reply"].duplicated(["source", "target"]).any()


def test_events_lie_in_the_window_and_after_their_tweet(
    population: Population, interactions: pd.DataFrame, follows: pd.DataFrame
) -> None:
    for log in (interactions, follows):
        assert log["time"].between(START, END - 1).all()
        assert log["time"].is_monotonic_increasing
    assert (interactions["time"].to_numpy() >= population.created[interactions["target"]]).all()


def test_a_retraction_comes_after_its_event(interactions: pd.DataFrame, follows: pd.DataFrame) -> None:
    for log, done, taken_back in (
        (interactions, "favorite", "unfavorite"),
        (follows, "follow", "unfollow"),
    ):
        later = log[log["relation"] == taken_back]
        both = later.merge(log[log["relation"] == done], on=["source", "target"], suffixes=("", "_done"))
        assert len(both) == len(later) > 0
        assert (both["time"] > both["time_done"]).all()


def test_most_late_favorites_are_of_known_users_and_tweets(interactions: pd.DataFrame) -> None:
    cut = int(0.9 * len(interactions))
    train, test = interactions[:cut], interactions[cut:]
    favorites = test[test["relation"] == "favorite"]
    known = favorites["source"].isin(train["source"]) & favorites["target"].isin(train["target"])
    assert known.mean() > 0.7


def test_a_community_predicts_better_than_popularity(population: Population, interactions: pd.DataFrame) -> None:
    """Compare recall@10 of late favorites, without training pairs, by popularity in the community and in all."""
    favorites = interactions[interactions["relation"] == "favorite"]
    cut = int(0.9 * len(favorites))
    train, test = favorites[:cut], favorites[cut:]
    shape = (population.communities, population.created.size)
    liked = np.zeros(shape)
    np.add.at(liked, (population.user_community[train["source"]], train["target"].to_numpy()), 1.0)
    test = test[(liked.sum(axis=0)[test["target"]] > 0) & (test["source"] < 500)]
    own = train.groupby("source")["target"].agg(list)

    def recall(scores: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
        hits = 0
        for user, targets in test.groupby("source")["target"]:
            mine = scores[population.user_community[user]].copy()
            mine[own.get(user, [])] = -1.0
            hits += targets.isin(np.argsort(-mine, kind="stable")[:10]).sum()
        return hits / len(test)

    assert recall(liked) > 6 * recall(np.broadcast_to(liked.sum(axis=0), shape))


def test_members_are_drawn_by_weight_and_community() -> None:
    members = WeightedMembers(np.array([2, 0, 2, 0]), np.array([1.0, 5.0, 3.0, 0.0]), communities=3)
    rng = np.random.default_rng(0)

    def shares(community: int, inside: bool) -> list[float]:
        drawn = members.draw(rng, np.full(20_000, community), np.full(20_000, inside))
        return list(np.bincount(drawn, minlength=4) / drawn.size)

    everywhere = pytest.approx([1 / 9, 5 / 9, 3 / 9, 0], abs=0.02)
    assert shares(2, inside=True) == pytest.approx([1 / 4, 0, 3 / 4, 0], abs=0.02)
    assert shares(0, inside=True) == [0, 1, 0, 0]
    assert shares(2, inside=False) == everywhere
    assert shares(1, inside=True) == everywhere  # nobody in there

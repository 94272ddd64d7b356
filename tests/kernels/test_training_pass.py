"""Training passes on planted blocks: falling loss, directions, weights, bounds, reproducibility."""

from dataclasses import replace

import numpy as np
import pytest

from twhin_spark.kernels.gradients import LossSettings
from twhin_spark.kernels.initial_vectors import initial_vectors
from twhin_spark.kernels.losses import Logistic, Loss, Softmax
from twhin_spark.kernels.model import DirectionParameters, Edges, EntityRows, Model, RelationModel
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.training_pass import TrainSettings, train_edges

DIM, USERS, TWEETS = 8, 60, 80


def fresh_parameters(operator: str) -> DirectionParameters:
    values = OPERATORS[operator].initial_parameters(DIM)
    return DirectionParameters(values, np.zeros_like(values))


def fresh_relation(source: str, target: str, operator: str, two_sided: bool, weight: float = 1.0) -> RelationModel:
    backward = fresh_parameters(operator) if two_sided else None
    return RelationModel(source, target, operator, weight, fresh_parameters(operator), backward)


def two_blocks(operator: str = "translation", two_sided: bool = False) -> tuple[Model, Edges]:
    """Return a model and edges by which users follow users and favorite tweets of their own half (even or odd rows)."""
    model = Model(
        {
            "user": EntityRows(initial_vectors(np.arange(USERS), DIM, 0.1, 0), np.zeros(USERS, np.float32)),
            "tweet": EntityRows(initial_vectors(np.arange(TWEETS), DIM, 0.1, 1), np.zeros(TWEETS, np.float32)),
        },
        {
            3: fresh_relation("user", "user", operator, two_sided),
            5: fresh_relation("user", "tweet", operator, two_sided, weight=2.0),
        },
    )
    rng = np.random.default_rng(0)
    source = rng.integers(USERS, size=2000, dtype=np.int32)
    relation = np.where(np.arange(2000) < 900, 3, 5).astype(np.int16)
    half = np.where(relation == 3, USERS // 2, TWEETS // 2)
    target = (2 * rng.integers(half) + source % 2).astype(np.int32)
    return model, Edges(source, target, relation, np.ones(2000, np.float32))


def settings(loss: Loss, *, logq: bool = False) -> TrainSettings:
    return TrainSettings(
        LossSettings(loss, logq=logq),
        batch_size=100,
        in_batch_negatives=50,
        uniform_negatives=20,
        entity_learning_rate=0.1,
        relation_learning_rate=0.01,
    )


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(("loss", "logq"), [(Logistic(), False), (Softmax(), False), (Softmax(), True)], ids=str)
def test_loss_falls_and_blocks_come_apart(loss: Loss, logq: bool, operator: str, two_sided: bool) -> None:
    model, edges = two_blocks(operator, two_sided)
    rng = np.random.default_rng(0)
    passes = [train_edges(model, edges, settings(loss, logq=logq), rng) for _ in range(5)]
    assert all(result.edges == {3: 900, 5: 1100} and result.non_finite is None for result in passes)
    for number in (3, 5):
        assert passes[-1].loss[number] < 0.95 * passes[0].loss[number]
    users, tweets = model.entities["user"].vectors, model.entities["tweet"].vectors
    scores = OPERATORS[operator].apply(model.relations[5].forward.values, users) @ tweets.T
    same = np.arange(USERS)[:, None] % 2 == np.arange(TWEETS) % 2
    assert scores[same].min() > scores[~same].max() - 0.5 * scores.std()
    assert scores[same].mean() > scores[~same].mean() + scores.std()


def test_vectors_grow_to_the_bound_and_no_further() -> None:
    model, edges = two_blocks("translation", two_sided=False)
    bound = replace(settings(Softmax(0.1), logq=True), max_norm=0.5)
    rng = np.random.default_rng(0)
    passes = [train_edges(model, edges, bound, rng) for _ in range(5)]
    assert all(passes[-1].loss[number] < 0.95 * passes[0].loss[number] for number in (3, 5))
    for entities in model.entities.values():
        lengths = np.linalg.norm(entities.vectors, axis=1)
        assert 0.49 < np.median(lengths) <= lengths.max() <= 0.5 + 1e-6


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(("loss", "logq"), [(Logistic(), False), (Softmax(), True)], ids=str)
def test_cross_negatives_rank_an_entity_below_its_targets(loss: Loss, logq: bool, two_sided: bool) -> None:
    """Half of the users follow the other half; only cross negatives show that users do not follow themselves."""
    shares = []
    for crossing in (False, True):
        users = EntityRows(initial_vectors(np.arange(USERS), DIM, 0.1, 0), np.zeros(USERS, np.float32))
        model = Model({"user": users}, {0: fresh_relation("user", "user", "translation", two_sided)})
        rng = np.random.default_rng(0)
        source, target = rng.integers([0, USERS // 2], [USERS // 2, USERS], size=(600, 2), dtype=np.int32).T
        edges = Edges(source, target, np.zeros(600, np.int16), np.ones(600, np.float32))
        chosen = replace(settings(loss, logq=logq), relation_learning_rate=0.1, cross_negatives=crossing)
        for _ in range(5):
            train_edges(model, edges, chosen, rng)
        scores = (users.vectors[: USERS // 2] + model.relations[0].forward.values) @ users.vectors.T
        self_scores = scores.diagonal()
        shares.append(np.mean(scores[:, USERS // 2 :] > self_scores[:, None]))
    assert shares[1] > shares[0]
    assert shares[1] > 0.7


def test_only_relations_that_join_a_type_with_itself_have_cross_negatives() -> None:
    vectors = []
    for crossing in (False, True):
        model, edges = two_blocks()
        favorites = edges.relation == 5
        kept = Edges(
            edges.source[favorites], edges.target[favorites], edges.relation[favorites], edges.weight[favorites]
        )
        train_edges(model, kept, replace(settings(Softmax()), cross_negatives=crossing), np.random.default_rng(0))
        vectors.append(model.entities["user"].vectors)
    np.testing.assert_array_equal(*vectors)


def test_the_same_generator_gives_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        model, edges = two_blocks(two_sided=True)
        train_edges(model, edges, settings(Logistic()), np.random.default_rng(4))
        runs.append(model)
    for name in ("user", "tweet"):
        np.testing.assert_array_equal(runs[0].entities[name].vectors, runs[1].entities[name].vectors)
        np.testing.assert_array_equal(runs[0].entities[name].accumulators, runs[1].entities[name].accumulators)


def test_relations_learn_in_both_directions() -> None:
    model, edges = two_blocks(two_sided=True)
    train_edges(model, edges, settings(Logistic()), np.random.default_rng(4))
    for relation in model.relations.values():
        assert relation.forward.values.any()
        assert relation.backward is not None
        assert relation.backward.values.any()


def test_edge_weight_times_relation_weight() -> None:
    heavy, edges = two_blocks()
    plain, _ = two_blocks()
    plain.relations[5].weight = 1.0
    weighted = Edges(edges.source, edges.target, edges.relation, np.where(edges.relation == 5, 2, 1).astype(np.float32))
    first = train_edges(heavy, edges, settings(Logistic()), np.random.default_rng(0))
    second = train_edges(plain, weighted, settings(Logistic()), np.random.default_rng(0))
    assert first.loss == second.loss
    np.testing.assert_array_equal(heavy.entities["tweet"].vectors, plain.entities["tweet"].vectors)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("loss", [Logistic(), Softmax()], ids=str)
def test_a_gradient_that_is_not_finite_ends_the_pass_at_its_relation(loss: Loss, poison: float) -> None:
    model, edges = two_blocks()
    model.entities["tweet"].vectors[:] = poison
    result = train_edges(model, edges, settings(loss), np.random.default_rng(0))
    assert result.non_finite == 5
    assert result.edges.get(3, 0) < 900
    assert 5 not in result.edges
    assert np.isfinite(model.entities["user"].vectors).all()


@pytest.mark.parametrize("scale", [0, 1e-30, 1e15])
def test_a_cosine_learns_beside_vectors_of_any_length(scale: float) -> None:
    model, edges = two_blocks()
    for rows in model.entities.values():
        rows.vectors[:9] *= np.float32(scale)
    cosine = settings(Logistic())
    cosine = replace(cosine, loss=replace(cosine.loss, comparator="cosine"))
    passes = [train_edges(model, edges, cosine, np.random.default_rng(0)) for _ in range(3)]
    assert all(result.non_finite is None for result in passes)
    assert passes[-1].loss[5] < passes[0].loss[5]
    for rows in model.entities.values():
        assert np.isfinite(rows.accumulators).all()
        assert (np.linalg.norm(rows.vectors[:9], axis=1) > 0.01).all()  # the shortest vectors have moved


def test_no_edges() -> None:
    model, edges = two_blocks()
    none = Edges(edges.source[:0], edges.target[:0], edges.relation[:0], edges.weight[:0])
    result = train_edges(model, none, settings(Logistic()), np.random.default_rng(0))
    assert (result.edges, result.loss, result.non_finite) == ({}, {}, None)


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("crossing", [False, True])
@pytest.mark.parametrize("scale", [1, 100])  # some chunks have scores too great for an exponential, and others not
def test_any_threads_give_the_same_bits(threads: int, crossing: bool, scale: float) -> None:
    chosen = replace(settings(Softmax(), logq=True), cross_negatives=crossing, batch_size=400)
    models = []
    for number in (1, threads):
        model, edges = two_blocks("complex", two_sided=True)
        model.entities["user"].vectors[:3] *= np.float32(scale)
        model.entities["tweet"].vectors *= np.float32(scale)
        result = train_edges(model, edges, chosen, np.random.default_rng(0), number)
        models.append((model, result))
    (alone, expected), (shared, result) = models
    assert result == expected
    for name, rows in alone.entities.items():
        np.testing.assert_array_equal(shared.entities[name].vectors, rows.vectors)
        np.testing.assert_array_equal(shared.entities[name].accumulators, rows.accumulators)
    for number, relation in alone.relations.items():
        np.testing.assert_array_equal(shared.relations[number].forward.values, relation.forward.values)


def test_threads_leave_the_model_as_it_was_if_a_gradient_is_not_finite() -> None:
    model, edges = two_blocks()
    model.entities["tweet"].vectors[:] = np.inf
    users = model.entities["user"].vectors.copy()
    only_favorites = Edges(*(column[edges.relation == 5] for column in vars(edges).values()))
    result = train_edges(model, only_favorites, settings(Logistic()), np.random.default_rng(0), threads=2)
    assert (result.non_finite, result.edges) == (5, {})
    np.testing.assert_array_equal(model.entities["user"].vectors, users)


@pytest.mark.parametrize("threads", [1, 2])
def test_frozen_rows_and_relations_take_part_and_stay(threads: int) -> None:
    model, edges = two_blocks()
    free, _ = two_blocks()
    model.entities["tweet"].trained, model.entities["user"].trained = 0, 7
    model.relations[3].frozen = True
    train_edges(model, edges, settings(Softmax()), np.random.default_rng(0), threads)
    start, _ = two_blocks()
    for name, first in (("tweet", 0), ("user", 7)):
        for rows, before in ((model.entities[name], start.entities[name]),):
            assert np.array_equal(rows.vectors[first:], before.vectors[first:])
            assert np.array_equal(rows.accumulators[first:], before.accumulators[first:])
    assert (model.entities["user"].accumulators[:7] > 0).all()
    assert not model.relations[3].forward.values.any()
    assert model.relations[5].forward.values.any()
    for rows in free.entities.values():
        rows.trained = len(rows.vectors)
    whole, _ = two_blocks()
    for each in (free, whole):
        train_edges(each, edges, settings(Softmax()), np.random.default_rng(0), threads)
    assert all(np.array_equal(free.entities[name].vectors, whole.entities[name].vectors) for name in free.entities)

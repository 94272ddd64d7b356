"""Weights of edges: one edge of weight 1 has the expected gradients of two edges of weight 0.5 with the same ends."""

import numpy as np
import pytest

from twhin_spark.kernels.arrays import Floats
from twhin_spark.kernels.batches import deal_batches
from twhin_spark.kernels.gradients import Direction, Ends, LossSettings, chunk_gradients
from twhin_spark.kernels.losses import Logistic, Loss, Softmax
from twhin_spark.kernels.operators import OPERATORS

ENTITIES, DIM, CHUNK, PASSES = 199, 4, 10, 400


def _expected_gradients(loss: Loss, weights: list[float]) -> tuple[Floats, Floats]:
    """Average the gradients of passes at the first edge's source and target, (DIM,) each.

    Edge i goes from source i to target i. The first edge has a copy for each of `weights`; the others have weight 1.
    """
    rng = np.random.default_rng(0)
    sources, targets = rng.standard_normal((2, ENTITIES, DIM)) / 2
    entity = np.concatenate([np.zeros(len(weights), int), np.arange(1, ENTITIES)])
    weight = np.concatenate([weights, np.ones(ENTITIES - 1)])
    relation, sums = np.zeros(len(entity), int), np.zeros((2, DIM))
    for _ in range(PASSES):
        (batch,) = deal_batches(relation, np.zeros(1, int), CHUNK, len(entity), rng)
        ids = entity[batch.edges]  # (C, CHUNK)
        filled = np.arange(CHUNK) < batch.sizes[:, None]
        gradients = chunk_gradients(
            Ends(sources[ids], ids),
            Ends(targets[ids], ids),
            weight[batch.edges] * filled,
            Direction(OPERATORS["translation"], np.zeros((len(ids), DIM))),
            None,
            LossSettings(loss),
        )
        is_first_edge = (ids == 0) & filled
        sums += gradients.source[is_first_edge].sum(axis=0), gradients.target[is_first_edge].sum(axis=0)
    return sums[0] / PASSES, sums[1] / PASSES


@pytest.mark.parametrize("loss", [Logistic(), Softmax()], ids=str)
def test_half_an_edge_twice_is_one_edge(loss: Loss) -> None:
    for once, halves, twice in zip(
        *(_expected_gradients(loss, weights) for weights in ([1.0], [0.5, 0.5], [1.0, 1.0])), strict=True
    ):
        assert np.linalg.norm(halves - once) < 0.07 * np.linalg.norm(once)
        assert np.linalg.norm(twice - 2 * once) < 0.07 * np.linalg.norm(2 * once)

from __future__ import annotations

import numpy as np

from twhin_spark.cli.demo.preview import nearest, shared_community


def test_nearest_goes_by_cosine_and_leaves_the_entity_out() -> None:
    vectors = np.array([[1.0, 0.0], [9.0, 1.0], [0.0, 2.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(nearest(vectors, np.array([0, 2]), 2), [[1, 2], [1, 0]])


def test_shared_community_against_chance() -> None:
    communities = np.array([0, 0, 0, 1, 1])
    share, chance = shared_community(communities, np.array([0, 3]), np.array([[1, 3], [4, 0]]))
    assert share == 0.5
    assert np.isclose(chance, (2 / 4 + 1 / 4) / 2)

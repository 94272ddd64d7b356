"""A drawn fifth has the test split's distribution of degrees."""

from __future__ import annotations

import numpy as np

from benchmarks.matched_fifth import draw


def test_the_drawn_edges_have_places_as_popular_as_those_of_the_test_split() -> None:
    rng = np.random.default_rng(0)
    trained = np.repeat(np.arange(300), np.repeat([2, 20, 200], 100))  # places of three degrees
    tested = np.concatenate([rng.integers(0, 100, 500), rng.integers(100, 200, 1000), rng.integers(200, 300, 8500)])
    drawn = draw(trained, tested, 0.2, rng)
    assert abs(drawn.mean() - 0.2) < 0.02
    shares = np.bincount(trained[drawn] // 100, minlength=3) / drawn.sum()
    np.testing.assert_allclose(shares[1:], [0.1, 0.85], atol=0.02)

"""The parts of a search by communities, without Spark."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from twhin_spark.retrieval.community_task import BestSoFar, first_entries, scaled


def test_the_first_entries_of_a_row_are_the_largest() -> None:
    matrix = sparse.csr_array(np.array([[0, 3, 1, 3, 2], [0, 0, 0, 0, 0], [5, 0, 0, 0, 1]], float))
    expected = [[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]]
    assert first_entries(matrix, 2).toarray().tolist() == expected


@pytest.mark.parametrize(("measure", "norm"), [("dot", 1), ("cosine", 5), ("log_cosine", np.log(26))])
def test_rows_are_divided_by_the_norm_of_the_measure(measure: str, norm: float) -> None:
    matrix = sparse.csr_array(np.array([[3.0, 0, 4], [0, 0, 0]]))
    np.testing.assert_allclose(scaled(matrix, measure).toarray(), np.array([[3, 0, 4], [0, 0, 0]]) / norm)


def test_the_best_of_parts_are_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    score, key = rng.integers(0, 6, (4, 30)).astype(float), rng.integers(0, 3, 30)
    best = BestSoFar(5, 7)  # the last source has no candidate
    for part in np.array_split(rng.permutation(30), 4):
        row, column = np.divmod(np.arange(4 * len(part)), len(part))
        best.add(row, score[row, part[column]], key[part[column]], part[column])
    found = best.candidates()
    for row in range(4):
        order = np.lexsort((np.arange(30), key, -score[row]))[:7]
        assert found.positions[row].tolist() == order.tolist()
        assert found.scores[row].tolist() == score[row, order].tolist()
    assert found.positions[4].tolist() == [-1] * 7

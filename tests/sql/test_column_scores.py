"""Scores of Arrow columns as workers compute them, without Spark."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twhin_spark.errors import InputError
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.pair_scores import DENSE_MEASURES, SPARSE_MEASURES
from twhin_spark.sql.column_scores import score_by_relation, score_columns

DIM = 4
FLOATS = pa.list_(pa.float32())
WEIGHTS = pa.map_(pa.string(), pa.float32())
numbers = st.floats(-100, 100, width=32)
dense = st.none() | st.lists(numbers, min_size=DIM, max_size=DIM)
sparse = st.none() | st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 10, width=32)).map(
    lambda d: list(d.items())
)


def one_by_one(measure: str, x: pa.Array, y: pa.Array) -> list[float | None]:
    """Score each pair alone."""
    return [score_columns(measure, x.slice(i, 1), y.slice(i, 1))[0].as_py() for i in range(len(x))]


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(st.tuples(dense, dense), max_size=8),
    skipped=st.integers(0, 3),
    measure=st.sampled_from([*DENSE_MEASURES]),
)
def test_dense_rows_are_scored_by_the_kernel_and_nulls_stay(rows: list, skipped: int, measure: str) -> None:
    x, y = (pa.array([row[side] for row in rows], FLOATS).slice(skipped) for side in (0, 1))
    scores = score_columns(measure, x, y).to_pylist()
    for (left, right), score in zip(rows[skipped:], scores, strict=True):
        if left is None or right is None:
            assert score is None
        else:
            alone = DENSE_MEASURES[measure](np.array([left], np.float32), np.array([right], np.float32))[0]
            assert score == pytest.approx(alone, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(st.tuples(sparse, sparse), max_size=8),
    skipped=st.integers(0, 3),
    measure=st.sampled_from([*SPARSE_MEASURES]),
)
def test_sparse_rows_do_not_depend_on_the_batch(rows: list, skipped: int, measure: str) -> None:
    x, y = (pa.array([row[side] for row in rows], WEIGHTS).slice(skipped) for side in (0, 1))
    scores = score_columns(measure, x, y)
    alone = one_by_one(measure, x, y)
    np.testing.assert_allclose(scores.to_numpy(zero_copy_only=False), np.array(alone, float), rtol=1e-12)
    assert [score is None for score in scores.to_pylist()] == [None in row for row in rows[skipped:]]


def test_rows_may_have_different_relations() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 30, DIM)).astype(np.float32)
    params = {name: rng.standard_normal(op.parameter_count(DIM)).astype(np.float32) for name, op in OPERATORS.items()}
    chosen = [[*OPERATORS, None][i] for i in rng.integers(0, 5, 30)]
    comparator = {name: ("dot", "cosine")[i % 2] for i, name in enumerate(OPERATORS)}
    relations = [
        name
        and {
            "relation": name,
            "operator": name,
            "parameters": params[name].tolist(),
            "comparator": comparator[name],
        }
        for name in chosen
    ]
    scores = score_by_relation(pa.array(relations), pa.array(x.tolist(), FLOATS), pa.array(y.tolist(), FLOATS))
    for name, score, source, target in zip(chosen, scores.to_pylist(), x, y, strict=True):
        if name is None:
            assert score is None
        else:
            transformed = OPERATORS[name].apply(params[name].astype(float), source[None].astype(float))[0]
            norms = np.linalg.norm(transformed) * np.linalg.norm(target.astype(float))
            assert score == pytest.approx(transformed @ target / (norms if comparator[name] == "cosine" else 1))


@pytest.mark.parametrize(
    ("measure", "x", "y", "line"),
    [
        ("dot", [[1.0, 2.0]], [[1.0]], "dot requires vectors of one length, not of 2 and of 1 numbers"),
        ("dot", [[1.0], [1.0, 2.0]], [[1.0], [1.0]], "a column has vectors of 1 and of 2 numbers"),
        ("jaccard", [[1.0]], [[1.0]], "jaccard requires maps of community to weight"),
        ("dot", [[1.0]], [1.0], "dot requires arrays of numbers"),
        ("hamming", [[("a", 1.0)]], [[("a", 1.0)]], "hamming requires arrays of numbers, not maps"),
    ],
)
def test_columns_that_cannot_be_compared_are_one_line(measure: str, x: list, y: list, line: str) -> None:
    column_type = WEIGHTS if measure == "hamming" else None
    with pytest.raises(InputError, match=line):
        score_columns(measure, pa.array(x, column_type), pa.array(y, column_type))

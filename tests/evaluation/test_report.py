"""Parts of the report that need no Spark: charts, the choice of relations, principal axes."""

from __future__ import annotations

import base64
import warnings

import numpy as np
import pytest

from twhin_spark.evaluation.charts import degree_chart, loss_chart, metric_chart, projection_chart
from twhin_spark.evaluation.report_summary import EdgeCounts, largest_relations, principal_axes


def svg(uri: str) -> str:
    return base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,")).decode()


def test_charts_keep_every_name_as_text() -> None:
    """Names may contain letters that Matplotlib's font lacks, and text that it would parse as mathematics."""
    names = ["follow", "聞く", "a_$x^2$ <b>", "пишет"]
    images = [
        loss_chart({name: [1.0, 0.5] for name in names}),
        metric_chart({name: {"twhin": 0.2, "als": 0.1, "popularity": 0.0} for name in names}),
        degree_chart({name: (np.array([1, 3]), np.array([5, 1])) for name in names}),
    ]
    for image in map(svg, images):
        for name in ["follow", "聞く", "a_$x^2$ &lt;b&gt;", "пишет"]:
            assert f">{name}</text>" in image


def test_a_chart_shows_the_relations_with_the_most_edges() -> None:
    edges = {f"r{n}": EdgeCounts(train=n, validation=0, test=0, events=n) for n in range(237)}
    drawn = largest_relations([*edges, "without_edges"], edges, 8)
    assert drawn == [f"r{n}" for n in range(229, 237)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib warns if names leave no room for the axes.
        assert svg(loss_chart({name: [1.0, 0.5] for name in drawn}))
    assert largest_relations(["b", "a"], {}, 8) == ["a", "b"]


def test_the_same_data_gives_the_same_image() -> None:
    assert loss_chart({"follow": [1.0]}) == loss_chart({"follow": [1.0]})


def test_principal_axes_span_the_plane_of_the_points() -> None:
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((50, 2)) * (5, 2)
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0][:2]  # (2, 6), orthonormal rows
    vectors = (plane @ basis + 3).astype(np.float32)
    projection = principal_axes({"user": vectors[:20], "tweet": vectors[20:]})
    assert projection is not None
    points = np.concatenate([projection.points["user"], projection.points["tweet"]])
    assert projection.share.sum() == pytest.approx(1)
    assert projection.share[0] > projection.share[1]
    distances = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(points[:, None] - points[None], axis=2), distances, atol=1e-4)
    assert svg(projection_chart(projection))


def test_vectors_of_one_dimension_have_no_projection() -> None:
    assert principal_axes({"user": np.ones((5, 1), np.float32)}) is None

"""Reference implementation of a chunk's loss: inputs, the loss in slow Python, gradients by finite differences."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from twhin_spark.kernels.gradients import ChunkGradients, Direction, Ends, LossSettings, chunk_gradients
from twhin_spark.kernels.losses import CosineContrastive, Logistic, Loss, Softmax
from twhin_spark.kernels.operators import OPERATORS
from twhin_spark.kernels.pair_scores import DENSE_MEASURES


@dataclass
class Inputs:
    """Everything that the loss of a chunk depends on.

    Attributes
    ----------
    source, target
        Vectors of the edges' ends, then of the uniform negatives, (B + U, dim).
    forward, backward
        Parameters of the directions, (k,); `backward` is None for a one-sided relation.
    source_ids, target_ids
        Numbers of the entities, (B + U,).
    weights
        Weights of the edges, (B,).
    operator
        A name in OPERATORS.
    settings
        The loss and its weights.
    source_expected, target_expected
        Divisors of the negatives' weights, (B + U,), or None.
    """

    source: np.ndarray
    target: np.ndarray
    forward: np.ndarray
    backward: np.ndarray | None
    source_ids: np.ndarray
    target_ids: np.ndarray
    weights: np.ndarray
    operator: str
    settings: LossSettings
    source_expected: np.ndarray | None = None
    target_expected: np.ndarray | None = None

    @classmethod
    def random(
        cls,
        loss: Loss,
        operator: str,
        two_sided: bool,
        edges: int = 5,
        uniform: int = 4,
        seed: int = 0,
        scale: float = 1.0,
        dtype: type = np.float64,
        distinct: int = 6,
        comparator: str = "dot",
    ) -> "Inputs":
        """Draw inputs of dim 4 with `distinct` entities at each end."""
        rng = np.random.default_rng(seed)
        count = OPERATORS[operator].parameter_count(4)
        return cls(
            source=(scale * rng.standard_normal((edges + uniform, 4))).astype(dtype),
            target=(scale * rng.standard_normal((edges + uniform, 4))).astype(dtype),
            forward=rng.standard_normal(count).astype(dtype),
            backward=rng.standard_normal(count).astype(dtype) if two_sided else None,
            source_ids=rng.integers(distinct, size=edges + uniform),
            target_ids=rng.integers(distinct, size=edges + uniform),
            weights=rng.uniform(0.2, 3.0, edges).astype(dtype),
            operator=operator,
            settings=LossSettings(loss, in_batch_weight=0.7, uniform_weight=1.6, comparator=comparator),
        )

    def gradients(self) -> "Gradients":
        """Compute the gradients of this chunk by the kernels."""
        return Gradients.of_chunk(several_chunks([self]), 0)


@dataclass
class Gradients:
    """The loss and gradients of a chunk, without the axis of chunks."""

    loss: float
    source: np.ndarray
    target: np.ndarray
    forward: np.ndarray
    backward: np.ndarray | None

    @classmethod
    def of_chunk(cls, gradients: ChunkGradients, chunk: int) -> "Gradients":
        """Take the loss and gradients of a chunk, by its number."""
        assert gradients.loss is not None
        return cls(
            float(gradients.loss[chunk]),
            gradients.source[chunk],
            gradients.target[chunk],
            gradients.forward[chunk],
            None if gradients.backward is None else gradients.backward[chunk],
        )


def several_chunks(chunks: list[Inputs], *, measure: bool = True) -> ChunkGradients:
    """Compute the gradients of chunks of one shape, whose relations differ in their parameters only."""

    def stacked(name: str) -> np.ndarray:
        return np.stack([getattr(chunk, name) for chunk in chunks])

    def ends(side: str) -> Ends:
        expected = stacked(f"{side}_expected") if getattr(chunks[0], f"{side}_expected") is not None else None
        return Ends(stacked(side), stacked(f"{side}_ids"), expected)

    operator = OPERATORS[chunks[0].operator]
    return chunk_gradients(
        ends("source"),
        ends("target"),
        stacked("weights"),
        Direction(operator, stacked("forward")),
        None if chunks[0].backward is None else Direction(operator, stacked("backward")),
        chunks[0].settings,
        measure=measure,
    )


def slow_loss(inputs: Inputs, weighed: Inputs | None = None) -> float:
    """Compute the loss by its formula, one edge and one negative at a time.

    Parameters
    ----------
    inputs
        Inputs of the loss.
    weighed
        Inputs whose scores weigh the negatives of an adversarial loss; by default, `inputs`.
    """
    total = 0.0
    for (weight, positive, negatives), (_, _, weighing) in zip(
        corruptions(inputs), corruptions(weighed or inputs), strict=True
    ):
        if isinstance(inputs.settings.loss, Logistic) and (alpha := inputs.settings.loss.adversarial_temperature):
            powers = [w * math.exp(alpha * f) for w, f in weighing]
            shares = [power * sum(w for w, _ in negatives) / sum(powers) for power in powers]
            negatives = [(share, f) for share, (_, f) in zip(shares, negatives, strict=True)]
        total += weight * slow_edge_loss(inputs.settings.loss, positive, negatives)
    return total + slow_penalty(inputs)


def slow_penalty(inputs: Inputs) -> float:
    """Compute the penalty by its formula, one edge at a time."""
    penalty, total = inputs.settings.penalty, 0.0
    if penalty is not None:
        for i, weight in enumerate(inputs.weights):
            for factor, arrays in (
                (penalty.entities, [inputs.source[i], inputs.target[i]]),
                (penalty.relations, [inputs.forward, *([] if inputs.backward is None else [inputs.backward])]),
            ):
                total += weight * factor * sum(float((np.abs(values) ** penalty.power).sum()) for values in arrays)
    return total


def corruptions(inputs: Inputs) -> Iterator[tuple[float, float, list[tuple[float, float]]]]:
    """Yield for each end of each edge: the edge's weight and score, and the weights and scores of its negatives."""
    operator, measure = OPERATORS[inputs.operator], DENSE_MEASURES[inputs.settings.comparator]

    def forward(s: np.ndarray, t: np.ndarray) -> float:
        return float(measure(operator.apply(inputs.forward, s[None]), t[None])[0])

    def backward(s: np.ndarray, t: np.ndarray) -> float:
        if inputs.backward is None:
            return forward(s, t)
        return float(measure(s[None], operator.apply(inputs.backward, t[None]))[0])

    mean = inputs.weights.mean()
    edges = len(inputs.weights)
    for i in range(edges):
        s, t = inputs.source[i], inputs.target[i]
        ends = [
            (forward(s, t), inputs.target_ids, [forward(s, other) for other in inputs.target], inputs.target_expected),
            (
                backward(s, t),
                inputs.source_ids,
                [backward(other, t) for other in inputs.source],
                inputs.source_expected,
            ),
        ]
        for positive, ids, scores, expected in ends:
            negatives = []
            for n, score in enumerate(scores):
                if ids[n] == ids[i]:
                    continue
                in_batch = inputs.settings.in_batch_weight * (inputs.weights[n] / mean if n < edges else 0)
                weight = in_batch if n < edges else inputs.settings.uniform_weight
                negatives.append((weight if expected is None else weight / expected[n], score))
            yield inputs.weights[i], positive, negatives


def slow_edge_loss(loss: Loss, positive: float, negatives: list[tuple[float, float]]) -> float:
    """Compute the loss of an edge of weight 1 from its score and the weights and scores of its negatives."""
    if isinstance(loss, Softmax):
        e = math.exp(positive / loss.temperature)
        return -math.log(e / (e + sum(weight * math.exp(f / loss.temperature) for weight, f in negatives)))

    if isinstance(loss, CosineContrastive):
        return 1 - positive + sum(w / len(negatives) * max(0.0, f - loss.margin) for w, f in negatives)

    def sigmoid(f: float) -> float:
        return 1 / (1 + math.exp(-f))

    return -math.log(sigmoid(positive)) - sum(w / len(negatives) * math.log(sigmoid(-f)) for w, f in negatives)


def finite_differences(
    inputs: Inputs, values: np.ndarray, loss: Callable[[], float] | None = None, step: float = 1e-5
) -> np.ndarray:
    """Estimate the gradient of a loss by central differences.

    Parameters
    ----------
    inputs
        Inputs of the loss.
    values
        The array of the inputs at which the gradient is wanted; its elements are changed and restored.
    loss
        Function of the current inputs; by default, their loss by the kernels.
    step
        Difference of an element in either direction.
    """
    loss = loss or (lambda: inputs.gradients().loss)
    differences = np.zeros_like(values)
    for index in np.ndindex(values.shape):
        value = values[index]
        values[index] = value + step
        above = loss()
        values[index] = value - step
        below = loss()
        values[index] = value
        differences[index] = (above - below) / (2 * step)
    return differences

"""Relation operators: how a relation changes the vector of one end before it is compared with the other.

Each operator is linear in the vector and has one parameter vector a relation. Its fresh parameters
(`initial_parameters`) leave vectors unchanged.
"""

from typing import Protocol

import numpy as np

from twhin_spark.kernels.arrays import Floats


class Operator(Protocol):
    """A map of vectors x (..., n, dim) with parameters params (..., parameter_count(dim)), one for each n vectors."""

    def parameter_count(self, dim: int) -> int:
        """The length of the parameter vector for vectors of length dim."""
        ...

    def initial_parameters(self, dim: int) -> Floats:
        """The parameters under which the operator is the identity, float32 (parameter_count(dim),)."""
        ...

    def apply(self, params: Floats, x: Floats) -> Floats:
        """The changed vectors, as x."""
        ...

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        """From the gradient at the changed vectors: that at x and at params, in their shapes."""
        ...


class Identity:
    """x."""

    def parameter_count(self, dim: int) -> int:
        return 0

    def initial_parameters(self, dim: int) -> Floats:
        return np.zeros(0, np.float32)

    def apply(self, params: Floats, x: Floats) -> Floats:
        return x

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        return grad_out, np.zeros_like(params)


class Translation:
    """x + θ (TransE; the operator of TwHIN)."""

    def parameter_count(self, dim: int) -> int:
        return dim

    def initial_parameters(self, dim: int) -> Floats:
        return np.zeros(dim, np.float32)

    def apply(self, params: Floats, x: Floats) -> Floats:
        return x + params[..., None, :]

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        return grad_out, grad_out.sum(axis=-2)


class Diagonal:
    """x * θ (DistMult)."""

    def parameter_count(self, dim: int) -> int:
        return dim

    def initial_parameters(self, dim: int) -> Floats:
        return np.ones(dim, np.float32)

    def apply(self, params: Floats, x: Floats) -> Floats:
        return x * params[..., None, :]

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        return grad_out * params[..., None, :], np.einsum("...nd,...nd->...d", grad_out, x)


class ComplexDiagonal:
    """The complex product x * θ (ComplEx). A vector holds its dim/2 real parts, then its imaginary parts."""

    def parameter_count(self, dim: int) -> int:
        if dim % 2:
            raise ValueError(f"the complex operator needs an even dimension, not {dim}")
        return dim

    def initial_parameters(self, dim: int) -> Floats:
        params = np.zeros(self.parameter_count(dim), np.float32)
        params[: dim // 2] = 1
        return params

    def apply(self, params: Floats, x: Floats) -> Floats:
        return _complex_product(x, params[..., None, :])

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        # Multiplication by a complex number is linear over the reals; its transpose multiplies by the conjugate.
        return (
            _complex_product(grad_out, _conjugate(params)[..., None, :]),
            _complex_product(grad_out, _conjugate(x)).sum(axis=-2),
        )


def _complex_product(a: Floats, b: Floats) -> Floats:
    half = a.shape[-1] // 2
    a_re, a_im = a[..., :half], a[..., half:]
    b_re, b_im = b[..., :half], b[..., half:]
    return np.concatenate([a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re], axis=-1)


def _conjugate(a: Floats) -> Floats:
    half = a.shape[-1] // 2
    return np.concatenate([a[..., :half], -a[..., half:]], axis=-1)


OPERATORS: dict[str, Operator] = {
    "identity": Identity(),
    "translation": Translation(),
    "diagonal": Diagonal(),
    "complex": ComplexDiagonal(),
}

"""Operators: maps by which a relation changes the vector of one end before it is compared with the other.

Each operator is affine in the vector and has one parameter vector for each relation, with which it starts as the
identity (`initial_parameters`).
"""

from typing import Protocol

import numpy as np

from twhin_spark.kernels.arrays import Floats


class Operator(Protocol):
    """A map of vectors (..., n, dim), of which n share a parameter vector, (..., parameter_count(dim))."""

    def parameter_count(self, dim: int) -> int:
        """Return the length of the parameter vector for vectors of length dim.

        Raises
        ------
        ValueError
            If the operator has no parameters for this dim.
        """
        ...

    def initial_parameters(self, dim: int) -> Floats:
        """Return the parameters with which the operator is the identity, float32 (parameter_count(dim),)."""
        ...

    def apply(self, params: Floats, x: Floats) -> Floats:
        """Change vectors.

        Parameters
        ----------
        params
            (..., parameter_count(dim)).
        x
            (..., n, dim).

        Returns
        -------
        (..., n, dim)
            The changed vectors.
        """
        ...

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        """Return the gradients at x and params, in their shapes, from the gradient at the changed vectors.

        Parameters
        ----------
        params, x
            As in `apply`.
        grad_out
            (..., n, dim).
        """
        ...


class Identity:
    """The map x, without parameters."""

    def parameter_count(self, dim: int) -> int:
        return 0

    def initial_parameters(self, dim: int) -> Floats:
        return np.zeros(0, np.float32)

    def apply(self, params: Floats, x: Floats) -> Floats:
        return x

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        return grad_out, np.zeros_like(params)


class Translation:
    """The map x + θ, as in TransE (A. Bordes et al., NeurIPS 2013) and TwHIN (A. El-Kishky et al., KDD 2022)."""

    def parameter_count(self, dim: int) -> int:
        return dim

    def initial_parameters(self, dim: int) -> Floats:
        return np.zeros(dim, np.float32)

    def apply(self, params: Floats, x: Floats) -> Floats:
        return x + params[..., None, :]

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        return grad_out, grad_out.sum(axis=-2)


class Diagonal:
    """The map x * θ by component, as in DistMult (B. Yang et al., ICLR 2015)."""

    def parameter_count(self, dim: int) -> int:
        return dim

    def initial_parameters(self, dim: int) -> Floats:
        return np.ones(dim, np.float32)

    def apply(self, params: Floats, x: Floats) -> Floats:
        return x * params[..., None, :]

    def backward(self, params: Floats, x: Floats, grad_out: Floats) -> tuple[Floats, Floats]:
        return grad_out * params[..., None, :], np.einsum("...nd,...nd->...d", grad_out, x)


class ComplexDiagonal:
    """The map x * θ of complex numbers, as in ComplEx (T. Trouillon et al., ICML 2016).

    A vector holds dim/2 real parts, then dim/2 imaginary parts.
    """

    def parameter_count(self, dim: int) -> int:
        if dim % 2:
            raise ValueError(f"the complex operator requires an even dimension, not {dim}")
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

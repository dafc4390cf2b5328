"""The symmetric root of the regression's matrix by a Padé approximation.

With X = (Σ - c I) / c and c between the least and the largest eigenvalue of Σ,

    Σ^{1/2} v = √c (I + X)^{1/2} v ≈ √c (v + Σ_j (a_j / b_j) (v - u_j)),
    a_j = 2 / (2 m + 1) sin²(j π / (2 m + 1)),   b_j = cos²(j π / (2 m + 1)),
    (I + b_j X) u_j = v.

Each of the m systems is a ridge regression, ((1 - b_j) c I + b_j Σ) u_j = c v, which
gradient descent solves beside the others.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, proof of the theorem on linear Thompson
sampling, from Lu 1998, "A Padé approximation method for square roots". They solve for
a_j (I + b_j X)⁻¹ X v, which must be multiplied by Σ before; this is the same number.
"""

from typing import NamedTuple

import numpy as np

from icrl.theory.ridge import System, curvatures
from icrl.theory.stream import dot


class Root(NamedTuple):
    """How the root of ridge I + Σ x xᵀ is taken."""

    ridge: float
    centre: float  # c
    a: np.ndarray
    b: np.ndarray
    scales: np.ndarray  # by which each system is multiplied, to have one step size
    least: float  # curvature of any system
    most: float


def root(terms: int, ridge: float, largest: float, steps: int) -> Root:
    """Returns the approximation with this number of terms.

    A system's own condition number is at most that of the regression itself, or 2 T -
    1, the number of tokens; multiplied by its scale, its largest curvature is theirs.

    Args:
        terms: m.
        ridge: on the diagonal of Σ.
        largest: squared norm of a feature vector, at most.
        steps: T.
    """
    angles = np.arange(1, terms + 1) * np.pi / (2 * terms + 1)
    a, b = 2 / (2 * terms + 1) * np.sin(angles) ** 2, np.cos(angles) ** 2
    centre = np.sqrt(ridge * ((steps - 1) * largest + ridge))
    diagonals = (1 - b) * centre + b * ridge
    of_each = [
        curvatures(diagonal, weight * largest, steps, tight=True)
        for diagonal, weight in zip(diagonals, b, strict=True)
    ]
    least, most = curvatures(ridge, largest, steps, tight=True)
    scales = np.array([most / highest for _, highest in of_each])
    lowest = min(scale * low for scale, (low, _) in zip(scales, of_each, strict=True))
    return Root(ridge, centre, a, b, scales, min(least, lowest), most)


def systems(root: Root, vector: np.ndarray) -> list[System]:
    """The systems of all terms, for forms [dim]; 0 where nothing is decided."""
    return [
        System(
            vector * (scale * root.centre),
            scale * ((1 - b) * root.centre + b * root.ridge),
            scale * b,
        )
        for b, scale in zip(root.b, root.scales, strict=True)
    ]


def combined(root: Root, vector: np.ndarray, solved: np.ndarray) -> np.ndarray:
    """Σ^{1/2} times the vector, as forms [dim] of what solves the systems [m, dim]."""
    ratio = root.a / root.b
    first = np.sqrt(root.centre) * (1 + ratio.sum())
    weights = -np.sqrt(root.centre) * ratio
    return np.array(
        [v * first + dot(weights, u) for v, u in zip(vector, solved.T, strict=True)]
    )

"""Gauss-Legendre quadrature on [0, 1], and of the integrals from 0 to each node."""

from typing import NamedTuple

import numpy as np


class Rule(NamedTuple):
    """Nodes of a panel, and what makes integrals of the values there.

    Attributes:
        nodes: [nodes], in (0, 1).
        weights: [nodes], of the integral over the panel.
        cumulative: [nodes, nodes]: row i integrates from 0 to node i.
    """

    nodes: np.ndarray
    weights: np.ndarray
    cumulative: np.ndarray


def gauss_legendre(num_nodes: int) -> Rule:
    """The rule that is exact for polynomials of degree 2 num_nodes - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    basis = np.eye(num_nodes)
    values = np.polynomial.legendre.legvander(nodes, num_nodes - 1)
    integrals = np.stack(
        [
            np.polynomial.legendre.legval(
                nodes, np.polynomial.legendre.legint(row, lbnd=-1)
            )
            for row in basis
        ],
        axis=-1,
    )
    cumulative = integrals @ np.linalg.inv(values)
    rule = (nodes + 1) / 2, weights / 2, cumulative / 2
    return Rule(*(x.astype(np.float32) for x in rule))


FINE = gauss_legendre(8)  # for what is compared
ROUGH = gauss_legendre(3)  # for labels

"""Gauss-Legendre quadrature on [0, 1], and of the integrals from 0 to each node."""

import numpy as np

NUM_NODES = 8


def _gauss_legendre() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(NUM_NODES)
    basis = np.eye(NUM_NODES)
    values = np.polynomial.legendre.legvander(nodes, NUM_NODES - 1)
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
    return (nodes + 1) / 2, weights / 2, cumulative / 2


# [nodes], [nodes] and [nodes, nodes]: row i integrates from 0 to node i
NODES, WEIGHTS, CUMULATIVE = (x.astype(np.float32) for x in _gauss_legendre())

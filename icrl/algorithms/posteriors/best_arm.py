"""Which independent arm is best: the probabilities of exact posterior sampling."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from icrl.algorithms.posteriors.quadrature import FINE, Rule


def best_arm_probabilities(
    log_density: Callable[
        [Float[Array, "panels nodes"]], Float[Array, "arms panels nodes"]
    ],
    edges: Float[Array, "arms edges"],
    rule: Rule = FINE,
) -> Float[Array, " arms"]:
    """P(arm a has the largest mean) = ∫ f_a(x) Π_{b≠a} F_b(x) dx, for every arm.

    Gauss-Legendre quadrature on panels between `edges`. The panels follow every arm's
    scale, so arms pulled once and a million times are handled alike. Densities need no
    normaliser: distribution functions are integrated from the same nodes. In float32
    the result is right to about 1e-6, provided that differences between arms are: give
    all points by their distance from somewhere near the best arms.

    Args:
        log_density: every arm's log density at some points, up to a constant per arm.
            Points may be means, or any function that grows with them.
        edges: where each arm's density changes by its own scale, including the ends of
            what matters of its support.
        rule: the nodes of a panel.
    """
    edges = jnp.sort(edges.ravel())
    left, width = edges[:-1, None], jnp.diff(edges)[:, None]
    log_f = log_density(left + width * rule.nodes[None])
    f = jnp.exp(log_f - log_f.max((1, 2), keepdims=True)) * width[None]
    mass = (f * rule.weights[None, None]).sum(-1)
    total = mass.sum(-1)[:, None, None]
    before = (jnp.cumsum(mass, -1) - mass)[..., None]
    within = (f[..., None, :] * rule.cumulative[None, None]).sum(-1)
    cdf = jnp.clip((before + within) / total, 0, 1)
    inner = (f / total * _product_of_others(cdf) * rule.weights[None, None]).sum((1, 2))
    return inner / inner.sum()


def _product_of_others(
    x: Float[Array, "arms panels nodes"],
) -> Float[Array, "arms panels nodes"]:
    """Product over all arms but one: from products before and after, never divided."""
    one = jnp.ones_like(x[:1])
    before = jnp.cumprod(jnp.concatenate([one, x[:-1]]), axis=0)
    after = jnp.cumprod(jnp.concatenate([one, x[:0:-1]]), axis=0)[::-1]
    return before * after

"""Which independent arm is best: the probabilities of exact posterior sampling."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from icrl.algorithms.posteriors.quadrature import FINE, Rule


def best_arm_probabilities(
    log_density: Callable[
        [Float[Array, "nodes panels"]], Float[Array, "arms nodes panels"]
    ],
    edges: Float[Array, " edges"],
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
            what matters of its support; in any order.
        rule: the nodes of a panel.
    """
    edges = jnp.sort(edges)
    left, width = edges[:-1], jnp.diff(edges)
    # panels are the last axis, as they are many: sums over nodes are vectorised
    log_f = log_density(left[None] + width[None] * rule.nodes[:, None])
    f = jnp.exp(log_f - log_f.max((1, 2), keepdims=True)) * width[None, None]
    mass = (f * rule.weights[None, :, None]).sum(1)
    up_to = jnp.cumsum(mass, axis=-1)
    total = up_to[:, None, -1:]
    before = (up_to - mass)[:, None]
    within = [
        sum(f[:, j] * weight for j, weight in enumerate(row)) for row in rule.cumulative
    ]
    cdf = jnp.clip((before + jnp.stack(within, axis=1)) / total, 0, 1)
    others = _product_of_others(cdf)
    inner = (f / total * others * rule.weights[None, :, None]).sum((1, 2))
    return inner / inner.sum()


def _product_of_others(
    x: Float[Array, "arms nodes panels"],
) -> Float[Array, "arms nodes panels"]:
    """Product over all arms but one: from products before and after, never divided."""
    one = jnp.ones_like(x[:1])
    before = jnp.cumprod(jnp.concatenate([one, x[:-1]]), axis=0)
    after = jnp.cumprod(jnp.concatenate([one, x[:0:-1]]), axis=0)[::-1]
    return before * after

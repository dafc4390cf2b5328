"""The quantile of the Beta law, fast enough for one call a step."""

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, betaln
from jaxtyping import Array, Float

_NEWTON_STEPS = 10
_SMALLEST = 1e-30


def upper_quantile(
    tail: Float[Array, ""], a: Float[Array, " arms"], b: Float[Array, " arms"]
) -> Float[Array, " arms"]:
    """The point above which Beta(a, b) has probability `tail`.

    Newton's method on the logarithm of the smaller tail, in the log-odds z of the
    point. There Beta has a log-concave density, so that logarithm is concave and the
    method settles after at most one step too far; steps are cut so that this one does
    not reach where float32 has nothing left of the tail.
    """
    flip = tail < 0.5
    p, first, second = jnp.where(flip, tail, 1 - tail), *_swap(flip, a, b)
    longest_step = 3 * jnp.sqrt(1 / first + 1 / second)
    log_p, log_normaliser = jnp.log(jnp.maximum(p, _SMALLEST)), betaln(a, b)

    def step(_, z):
        x = jax.nn.sigmoid(z)
        tail = jnp.maximum(betainc(first, second, x), _SMALLEST)
        log_density = (
            first * jax.nn.log_sigmoid(z)
            + second * jax.nn.log_sigmoid(-z)
            - log_normaliser
        )
        slope = jnp.exp(log_density - jnp.log(tail))
        change = (log_p - jnp.log(tail)) / jnp.maximum(slope, _SMALLEST)
        return z + jnp.clip(change, -longest_step, longest_step)

    z = jax.lax.fori_loop(0, _NEWTON_STEPS, step, jnp.log(first / second))
    x = jax.nn.sigmoid(jnp.where(flip, -z, z))
    return jnp.where(p <= 0, jnp.where(flip, 1.0, 0.0), x)


def _swap(
    swapped: Array, x: Float[Array, " arms"], y: Float[Array, " arms"]
) -> tuple[Array, Array]:
    return jnp.where(swapped, y, x), jnp.where(swapped, x, y)

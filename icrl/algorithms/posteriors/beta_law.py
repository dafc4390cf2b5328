"""The Beta law in log-odds, right in float32 whatever its parameters.

The log-odds z of a Beta(a, b) variable have a smooth and log-concave density,

    log f(z) = a log σ(z) + b log σ(-z) + constant,   σ(z) = 1 / (1 + exp(-z)),

of slope a on the far left and -b on the far right, where that of the variable itself
has poles at 0 and 1, or no digits left. Points are given by their distance from the
mode, log(a / b).
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, betaln
from jaxtyping import Array, Float

PerArm = Float[Array, " arms"]
Values = Float[Array, "..."]

# Panels of an integral end where the density has fallen by e to these, on the left of
# the mode (negative) or on the right, where the law of a maximum has steep parts.
LEVELS = (-22.0, -14.0, -7.0, -2.5, -0.5, 0.5, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0)
_FAR_LEVELS = (*LEVELS[:6], 2.0, 4.5, 8.0, 13.0, 20.0, 30.0, 41.0, 52.0, 64.0)
NEAR = 0.25  # distance from the mode, within which a series keeps more digits
_FALL_STEPS = 2
_NEWTON_STEPS = 10
_SMALLEST = 1e-30


def log_density(z: Values, a: Values, b: Values) -> Values:
    """The log density in log-odds, less its value at the mode.

    With m = a / (a + b) and the distance z from the mode it is

        -(a + b) (log(1 + m (exp(z) - 1)) - m z).

    Args:
        z: distance from the mode.
        a: first parameter, positive; of a shape that broadcasts with `z`.
        b: second parameter.
    """
    # The same law from the other side, so that m is at most 1/2
    n, m, z = a + b, jnp.minimum(a, b) / (a + b), jnp.where(a > b, -1.0, 1.0) * z
    near = _by_cumulants(z, m)
    bounded = jnp.minimum(z, 60.0)  # exp(z) stays finite; 1 is nothing beside it
    far = jnp.log1p(m * (jnp.exp(bounded) - 1)) + (z - bounded) - m * z
    return -n * jnp.where(abs(z) < NEAR, near, far)


def edges(
    a: PerArm, b: PerArm, levels: tuple[float, ...] = LEVELS
) -> Float[Array, "arms edges"]:
    """Where panels of an integral end, by their distance from the mode, in order.

    Args:
        a: first parameter.
        b: second parameter.
        levels: as `LEVELS`.
    """
    level, (a, b) = jnp.asarray(levels)[None], (x[:, None] for x in (a, b))
    right = level > 0
    fall = _fall(jnp.where(right, a, b), jnp.where(right, b, a), abs(level))
    z = jnp.where(right, fall, -fall)
    middle = sum(level < 0 for level in levels)
    return jnp.insert(z, middle, 0.0, axis=-1)


def _by_cumulants(z: Values, m: Values) -> Values:
    """log(1 + m (exp(z) - 1)) - m z for |z| ≤ 1/4, to eight digits.

    It is of order z², and both of its terms are of order z. So it is summed as the
    logarithm of a moment generating function: the kth cumulant of a Bernoulli variable
    times z^k / k!, from k = 2 to 7.
    """
    v, skew = m * (1 - m), 1 - 2 * m
    series = skew * (1 + v * (360 * v - 60)) / 5040
    series = (1 + v * (120 * v - 30)) / 720 + z * series
    series = skew * (1 - 12 * v) / 120 + z * series
    series = (1 - 6 * v) / 24 + z * series
    series = skew / 6 + z * series
    return v * z * z * (0.5 + z * series)


def _fall(a: Values, b: Values, level: Values) -> Values:
    """How far to the right of the mode the density has fallen by e to the level.

    It starts as a parabola, and never lies above the line that it nears far off. From
    these, Newton's method on log fall by log distance.
    """
    parabola = jnp.sqrt(2 * level * (1 / a + 1 / b))
    line = (a + b) / b * jnp.log1p(b / a)
    z = level / b + jnp.minimum(parabola, line)
    for _ in range(_FALL_STEPS):
        fall, growth = -log_density(z, a, b), jnp.expm1(jnp.minimum(z, 60.0))
        slope = a * b * growth / (a + b + a * growth)
        z = z * (level / fall) ** (fall / (z * slope))
    return z


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

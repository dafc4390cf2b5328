"""The Beta distribution in log-odds, right in float32 whatever its parameters.

The log-odds z of a Beta(a, b) variable have a smooth and log-concave density,

    log f(z) = a log σ(z) + b log σ(-z) + constant,   σ(z) = 1 / (1 + exp(-z)),

of slope a on the far left and -b on the far right, where that of the variable itself
has poles at 0 and 1, or no digits left. Points are given by their distance from the
mode, log(a / b).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from icrl.algorithms.posteriors import compensated
from icrl.algorithms.posteriors.quadrature import FINE

PerArm = Float[Array, " arms"]
Values = Float[Array, "..."]

# Panels of an integral end where the density has fallen by e to these, on the left of
# the mode (negative) or on the right, where the density of a maximum has steep parts.
LEVELS = (-22.0, -14.0, -7.0, -2.5, -0.5, 0.5, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0)
_FAR_LEVELS = (*LEVELS[:6], 2.0, 4.5, 8.0, 13.0, 20.0, 30.0, 41.0, 52.0, 64.0)
ROUGH_LEVELS = (-6.0, -1.0, 1.0, 5.0)  # where 3 nodes a panel must do
NEAR = 0.25  # distance from the mode, within which a series keeps more digits
PROPOSALS = 4  # of a gamma variable; the last is accepted in any case
_FALL_STEPS = 2
_NEWTON_STEPS = 6


def log_density(z: Values, a: Values, b: Values) -> Values:
    """The log density in log-odds, less its value at the mode.

    With m = a / (a + b) and the distance z from the mode it is

        -(a + b) (log(1 + m (exp(z) - 1)) - m z).

    Args:
        z: distance from the mode.
        a: first parameter, positive; of a shape that broadcasts with `z`.
        b: second parameter.
    """
    # The same distribution from the other side, so that m is at most 1/2
    n, m, z = a + b, jnp.minimum(a, b) / (a + b), jnp.where(a > b, -1.0, 1.0) * z
    near = _by_cumulants(z, m)
    bounded = jnp.minimum(z, 60.0)  # exp(z) stays finite; 1 is nothing beside it
    far = jnp.log1p(m * (jnp.exp(bounded) - 1)) + (z - bounded) - m * z
    return -n * jnp.where(abs(z) < NEAR, near, far)


def modes_from_highest(a: PerArm, b: PerArm) -> tuple[Int[Array, ""], PerArm]:
    """The arm of highest mode, and every mode less that one, in log-odds.

    It is the logarithm of a b' / (b a'), where a' and b' are that arm's. Where this is
    near 1, its difference to 1 is computed, which keeps its digits.
    """
    best = jnp.argmax(a / b)
    product, other = a * b[best], b * a[best]
    difference = compensated.difference_of_products(a, b[best], b, a[best]) / other
    near = jnp.log1p(difference)
    return best, jnp.where(difference > -0.5, near, jnp.log(product / other))


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


def upper_quantile(tail: Float[Array, ""], a: PerArm, b: PerArm) -> PerArm:
    """The point above which Beta(a, b) has probability `tail`.

    The panel in which it lies is found from the integrals over all panels, and the
    point in it by Newton's method on the logarithm of what lies above. That is concave,
    so the method settles after at most one step too far.
    """
    flip = tail > 0.5  # then it is the lower tail that has all digits
    tail = jnp.where(flip, 1 - tail, tail)
    a, b = jnp.where(flip, b, a), jnp.where(flip, a, b)
    ends = edges(a, b, _FAR_LEVELS)
    masses = _integral(ends[:, :-1], jnp.diff(ends), a[:, None], b[:, None])
    above = jnp.cumsum(masses[:, ::-1], axis=-1)[:, ::-1] - masses  # of each panel
    wanted = tail * masses.sum(-1)
    panel = (above >= wanted[:, None]).sum(-1, keepdims=True)
    low, high, beyond = (
        jnp.take_along_axis(x, panel, axis=-1)[:, 0]
        for x in (ends[:, :-1], ends[:, 1:], above)
    )

    def step(_, z: PerArm) -> PerArm:
        mass = beyond + _integral(z, high - z, a, b)
        slope = jnp.exp(log_density(z, a, b)) / jnp.maximum(mass, 1e-37)
        change = jnp.log(mass / wanted) / jnp.maximum(slope, 1e-37)
        return jnp.clip(z + change, low, high)

    z = jax.lax.fori_loop(0, _NEWTON_STEPS, step, low) + jnp.log(a / b)
    x = jax.nn.sigmoid(jnp.where(flip, -z, z))
    return jnp.where(tail <= 0, jnp.where(flip, 0.0, 1.0), x)


def draw(key: jax.Array, a: PerArm, b: PerArm, *, proposals: int = PROPOSALS) -> PerArm:
    """A draw of Beta(a, b), of which a and b are at least 1.

    It is X / (X + Y) of gamma variables that are proposed and accepted as by Marsaglia
    and Tsang, but the last proposal is taken in any case: `jax.random.beta` loops until
    all values of a batch are accepted, and splits a key for each, which takes 6 times
    as long. One proposal in 20 is refused where the parameter is 1, and fewer where it
    is larger: all but the last of 4 are for one variable in 8,000, and the distribution
    of the last is within 1/20 of the right one, so that the draw's is within 10^-5.

    Source: Marsaglia and Tsang 2000, "A simple method for generating gamma variables".
    """
    key_normal, key_accept = jax.random.split(key)
    shape = jnp.stack([a, b]) - 1 / 3
    proposed = jax.random.normal(key_normal, (proposals, *shape.shape))
    root = 1 + proposed / jnp.sqrt(9 * shape[None])
    cubed = jnp.maximum(root, 1e-10) ** 3  # a negative one is refused
    chances = (proposals - 1, *shape.shape)
    uniform = jax.random.uniform(key_accept, chances, minval=1e-7)
    gain = shape[None] * (1 - cubed[:-1] + jnp.log(cubed[:-1]))
    accepted = jnp.log(uniform) < proposed[:-1] ** 2 / 2 + gain
    accepted = accepted & (root[:-1] > 0)
    chosen = cubed[-1]
    for number in reversed(range(proposals - 1)):
        chosen = jnp.where(accepted[number], cubed[number], chosen)
    x, y = shape * chosen
    return x / (x + y)


def _integral(left: Values, width: Values, a: Values, b: Values) -> Values:
    """Of the density, less the constant factor that `log_density` leaves out."""
    one_axis = (1,) * left.ndim
    nodes, weights = (x.reshape(*one_axis, -1) for x in FINE[:2])
    z = left[..., None] + width[..., None] * nodes
    density = jnp.exp(log_density(z, a[..., None], b[..., None]))
    return (density * weights).sum(-1) * width


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

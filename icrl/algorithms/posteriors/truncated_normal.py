"""The normal distribution on an interval, right in float32 however far the interval is.

`jax.random.truncated_normal` inverts the error function, which is 1 in float32 from
five standard deviations on: beyond, it returns a bound, and often the wrong one. Here
lengths are measured from the bound nearer to the mode, in standard deviations, and the
tail beyond `TAIL` uses Mills' ratio R(x) = P(Z > x) / φ(x), which never underflows.
Where the density hardly changes over the interval, these formulas take differences of
numbers that are nearly equal; there the mean is integrated, and quantiles are those of
an exponential distribution.
"""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from envs.base import Scalar

TAIL = 4.0  # standard deviations from which the tail formulas are used

FLAT = 6.0  # the mean is integrated where the log density changes by less
THIN = 0.02  # width in standard deviations, below which it is nearly exponential

Values = Float[Array, "..."]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)  # on [-1, 1]


def quantile(
    below: Values,
    above: Values,
    mode: Values,
    std: Values,
    low: float,
    high: float,
    origin: Scalar = 0.0,
    *,
    near: bool = False,
) -> Values:
    """A point of N(mode, std²) kept to [low, high], by the probability on its sides.

    Both probabilities are given, as `1 - p` has no digits of a small p.

    Args:
        below: probability of what lies below the point, in [0, 1].
        above: 1 less that.
        mode: mean of the normal distribution before it is cut; anywhere.
        std: its standard deviation, positive. Values of the same shape as `mode`.
        low: lower end of the interval.
        high: upper end.
        origin: the point is given by its distance from there, which has all its digits
            where it is small.
        near: for labels, 20 times faster: a mode farther than `TAIL` standard
            deviations outside counts as one at `TAIL`, which among tasks of the prior
            happens to an arm in 30,000; for intervals wider than `THIN`.
    """
    flip, a, width = _from_near_bound(mode, std, low, high)
    p, rest = jnp.where(flip, above, below), jnp.where(flip, below, above)
    excess = _body_quantile(p, rest, jnp.minimum(a, TAIL), width)
    if not near:
        excess = jnp.where(a < TAIL, excess, _tail_quantile(p, rest, a, width))
        excess = jnp.where(width < THIN, _thin_quantile(p, rest, a, width), excess)
    excess = std * jnp.clip(excess, 0, width)
    first, last = low - origin, high - origin
    return jnp.clip(jnp.where(flip, last - excess, first + excess), first, last)


def mean(mode: Values, std: Values, low: float, high: float) -> Values:
    """The mean of N(mode, std²) kept to [low, high]; arguments as in `quantile`."""
    flip, a, width = _from_near_bound(mode, std, low, high)
    b = a + width
    mass = ndtr(-a) - ndtr(-b)
    body = (_density(a) - _density(b)) / jnp.maximum(mass, 1e-30) - a
    # E[X - a | a < X < b] from the mean excesses e(x) = E[X - x | X > x]:
    # e(a) = (1 - r) E[X - a | a < X < b] + r (width + e(b)), r = P(X > b | X > a).
    log_r = _log_tail_ratio(a, width)
    excess_a, excess_b = _mean_excess(a), _mean_excess(b)
    kept = jnp.maximum(-jnp.expm1(log_r), 1e-30)
    tail = (excess_a - jnp.exp(log_r) * (excess_b + width)) / kept
    excess = std * jnp.clip(jnp.where(a < TAIL, body, tail), 0, width)
    cut = jnp.where(flip, high - excess, low + excess)
    flat, change = _flat_mean(mode, std, low, high)
    return jnp.where(change < FLAT, flat, cut)


def _flat_mean(
    mode: Values, std: Values, low: float, high: float
) -> tuple[Values, Values]:
    """The mean by Gauss-Legendre quadrature, and how much the log density changes.

    It is half the width times E[v], v in [-1, 1]: the integral of v times the density,
    less its value in the middle, which adds nothing and would take all digits.
    """
    half, middle = (high - low) / 2, (high + low) / 2
    slope, curve = half * (mode - middle) / std / std, (half / std) ** 2 / 2
    moment, mass = jnp.zeros_like(slope), jnp.zeros_like(slope)
    for v, weight in zip(_NODES, _WEIGHTS, strict=True):
        more = jnp.expm1(slope * v - curve * v * v)
        moment, mass = moment + weight * v * more, mass + weight * (1 + more)
    return middle + half * moment / mass, 2 * abs(slope) + curve


def _from_near_bound(
    mode: Values, std: Values, low: float, high: float
) -> tuple[Array, Values, Values]:
    """Whether `high` is the bound nearer the mode; how far it is, and the width.

    The distance is positive for a mode outside the interval, in standard deviations.
    """
    flip = mode > (low + high) / 2
    inside = jnp.where(flip, high - mode, mode - low)
    return flip, -inside / std, (high - low) / std


def _body_quantile(p: Values, rest: Values, a: Values, width: Values) -> Values:
    b = a + width
    below = rest * ndtr(a) + p * ndtr(b)
    above = rest * ndtr(-a) + p * ndtr(-b)
    deviations = ndtri(jnp.maximum(jnp.minimum(below, above), 1e-37))
    return jnp.where(below < above, deviations, -deviations) - a


def _thin_quantile(p: Values, rest: Values, a: Values, width: Values) -> Values:
    """The quantile with an exponential density of the same slope in the middle."""
    change = jnp.maximum(width * (a + width / 2), 1e-12)
    return width * _minus_log(p, rest, -change) / change


def _tail_quantile(p: Values, rest: Values, a: Values, width: Values) -> Values:
    """Solves P(X > a + t | X > a) = rest + p r for t; rest is 1 - p.

    With e for -log of the right side it is `a t + t²/2 - log R(a+t)/R(a) = e`. Without
    the logarithm it is solved in closed form, 6 % too high at most for a ≥ 4. The left
    side has the slope 1 / R(a+t), and two of Newton's steps reach rounding error.
    """
    a = jnp.maximum(a, TAIL)  # where it is smaller the result is not used
    e = _minus_log(p, rest, _log_tail_ratio(a, width))
    t = 2 * e / (a + jnp.sqrt(a * a + 2 * e))
    for _ in range(2):
        mills = _mills(a + t)
        excess = a * t + t * t / 2 - jnp.log(mills / _mills(a)) - e
        t = jnp.maximum(t - excess * mills, 0)
    return t


def _minus_log(p: Values, rest: Values, log_r: Values) -> Values:
    """-log(rest + p r), of which neither a small nor a large value loses its digits."""
    small = jnp.log1p(p * jnp.expm1(log_r))
    large = jnp.log(jnp.maximum(rest + p * jnp.exp(log_r), 1e-37))
    return -jnp.where((p < 0.5) | (log_r > -1), small, large)


def _log_tail_ratio(a: Values, width: Values) -> Values:
    """Log P(Z > a + width) / P(Z > a), for a ≥ TAIL."""
    a = jnp.maximum(a, TAIL)
    ratio = _mills(a + width) / _mills(a)
    return -(a * width + width * width / 2) + jnp.log(ratio)


def _mean_excess(x: Values) -> Values:
    """E[Z - x | Z > x] for x ≥ TAIL, as the continued fraction 1/(x + 2/(x + 3/…))."""
    x = jnp.maximum(x, TAIL)
    tail = x
    for k in range(12, 1, -1):
        tail = x + k / tail
    return 1 / tail


def _mills(x: Values) -> Values:
    """P(Z > x) / φ(x) for x ≥ TAIL."""
    x = jnp.maximum(x, TAIL)
    return 1 / (x + _mean_excess(x))


def _density(x: Values) -> Values:
    return jnp.exp(-x * x / 2) / jnp.sqrt(2 * jnp.pi)

"""Sums and differences in float32 that keep what rounding would take."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Values = Float[Array, "..."]


def add(total: Values, excess: Values, term: Values) -> tuple[Values, Values]:
    """The sum after one more term, and by how much rounding made it too large.

    Source: Kahan 1965, "Further remarks on reducing truncation errors".

    Args:
        total: the sum before; zero at the start.
        excess: how much too large that is; zero at the start.
        term: what is added.
    """
    term = term - excess
    after = total + term
    return after, (after - total) - term


def difference_of_products(a: Values, b: Values, c: Values, d: Values) -> Values:
    """A b - c d, with half as many digits again as each product has.

    The products of halves of the factors have no more digits than a number holds.
    """
    (a1, a0), (b1, b0), (c1, c0), (d1, d0) = map(_halves, (a, b, c, d))
    mixed = (a1 * b0 - c1 * d0) + (a0 * b1 - c0 * d1)
    return (a1 * b1 - c1 * d1) + mixed + (a0 * b0 - c0 * d0)


def _halves(x: Values) -> tuple[Values, Values]:
    """The first half of the digits of every number, and the rest."""
    info = jnp.finfo(x.dtype)
    high = jax.lax.reduce_precision(x, info.nexp, info.nmant // 2)
    return high, x - high

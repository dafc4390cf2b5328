"""Exact draws from Dirichlet distributions, fast enough to plan with on a CPU."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def dirichlet(
    key: jax.Array, concentration: Float[Array, "*rows states"]
) -> Float[Array, "*rows states"]:
    """One draw of every row: gamma variables over their sum.

    The distribution is exact, as that of `jax.random.dirichlet`, which is 20 times
    slower on a CPU: its gamma variables are drawn one after another there.

    Args:
        key: consumed.
        concentration: positive; tiny ones are safe, since sums are taken of logarithms.
    """
    return jax.nn.softmax(log_gamma(key, concentration))


def log_gamma(key: jax.Array, shape: Float[Array, "*rest"]) -> Float[Array, "*rest"]:
    """Logarithms of gamma variables of these shapes and scale 1.

    Source: Marsaglia and Tsang 2000, "A simple method for generating gamma variables":
    X of shape a is Y U^(1/a), Y of shape a + 1 by their rejection, which keeps at least
    98 % of its proposals there. All are proposed again until the last is kept.
    """
    key_propose, key_power = jax.random.split(key)
    flat = shape.reshape(-1)  # six times faster than three short axes
    d = flat + 1 - 1 / 3
    width = 1 / jnp.sqrt(9 * d)

    def propose(carry: tuple[Int[Array, ""], Array, Bool[Array, "*rest"]]):
        attempt, kept, done = carry
        key_normal, key_uniform = jax.random.split(
            jax.random.fold_in(key_propose, attempt)
        )
        normal = jax.random.normal(key_normal, flat.shape)
        root = 1 + width * normal
        cube = jnp.maximum(root, 1e-10) ** 3
        log_level = -jax.random.exponential(key_uniform, flat.shape)
        bound = normal**2 / 2 + d * (1 - cube + jnp.log(cube))
        keep = (root > 0) & (log_level < bound)
        return attempt + 1, jnp.where(done, kept, cube), done | keep

    first = jnp.zeros((), jnp.int32), jnp.ones_like(d), jnp.zeros(d.shape, bool)
    cube = jax.lax.while_loop(lambda carry: ~carry[2].all(), propose, first)[1]
    log_power = -jax.random.exponential(key_power, flat.shape) / flat
    return (jnp.log(d) + jnp.log(cube) + log_power).reshape(shape.shape)

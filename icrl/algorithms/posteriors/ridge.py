"""Ridge regression, one observation at a time: what linear learners share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Scalar


class RidgeState(NamedTuple):
    """A ridge regression in square-root form.

    The inverse of the Gram matrix `ridge I + Σ x xᵀ` is `root @ root.T`, so it stays
    positive definite in float32 whatever is added to it.
    """

    root: Float[Array, "*batch dim dim"]
    theta_hat: Float[Array, "*batch dim"]
    num_observed: Int[Array, "*batch"]


def ridge_prior(dim: int, ridge: Scalar, prior_mean: float = 0.0) -> RidgeState:
    """The regression before any observation.

    Args:
        dim: length of a feature vector.
        ridge: weight of the prior, positive.
        prior_mean: of every coefficient.
    """
    return RidgeState(
        root=jnp.eye(dim) / ridge**0.5,
        theta_hat=jnp.full(dim, prior_mean, float),
        num_observed=jnp.zeros((), jnp.int32),
    )


def ridge_update(
    state: RidgeState, x: Float[Array, " dim"], reward: Float[Array, ""]
) -> RidgeState:
    """The regression after one more observation, without solving anything.

    Source: Sherman and Morrison 1950, in the square-root form of Potter (Bierman 1977,
    "Factorization Methods for Discrete Sequential Estimation", Section II.5). With
    v = rootᵀ x and s² = 1 + |v|²:

        root' = root (I - v vᵀ / (s (s + 1))),    θ' = θ + root v (reward - x·θ) / s²
    """
    v = (state.root * x[:, None]).sum(0)
    along = (state.root * v[None]).sum(1)  # root v
    square = 1 + (v * v).sum()
    scale = jnp.sqrt(square)
    error = reward - (x * state.theta_hat).sum()
    return RidgeState(
        root=state.root - along[:, None] * v[None] / (scale * (scale + 1)),
        theta_hat=state.theta_hat + along * error / square,
        num_observed=state.num_observed + 1,
    )


def ridge_before(
    features: Float[Array, "time dim"], rewards: Float[Array, " time"], ridge: Scalar
) -> RidgeState:
    """The regressions before each observation of a history, along a leading axis."""

    def step(state: RidgeState, now: tuple[Array, Array]) -> tuple[RidgeState, Any]:
        return ridge_update(state, *now), state

    first = ridge_prior(features.shape[1], ridge)
    return jax.lax.scan(step, first, (features, rewards))[1]


def ridge_scores(
    state: RidgeState, features: Float[Array, "arms dim"]
) -> Float[Array, " arms"]:
    """Predicted reward of every arm."""
    return (features * state.theta_hat[None]).sum(-1)


def ridge_norms(
    state: RidgeState, features: Float[Array, "arms dim"]
) -> Float[Array, " arms"]:
    """√(xᵀ gram⁻¹ x) of every arm."""
    whitened = (features[:, :, None] * state.root[None]).sum(1)
    return jnp.sqrt((whitened * whitened).sum(-1))

"""Bernoulli bandits: arm `a` pays 1 with probability `means[a]`, else 0."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import NOTHING, Family, Key, TimeStep, bandit_timestep, require
from envs.registry import register


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class BernoulliBandit:
    """One bandit. Its state is the number of pulls so far; it shows nothing."""

    means: Float[Array, "*batch arms"]
    horizon: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Arms."""
        return self.means.shape[-1]

    def reset(self, key: Key) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Starts; there is nothing to draw."""
        del key
        return jnp.zeros((), jnp.int32), jnp.asarray(NOTHING, jnp.int32)

    def step(
        self, key: Key, state: Int[Array, ""], action: Int[Array, ""]
    ) -> tuple[Int[Array, ""], TimeStep]:
        """Pays 0 or 1: 1 where a uniform draw falls below the arm's mean."""
        reward = (jax.random.uniform(key) < self.means[action]).astype(jnp.float32)
        obs = jnp.asarray(NOTHING, jnp.int32)
        return state + 1, bandit_timestep(obs, reward, state + 1, self.horizon)

    def gaps(self, state: Int[Array, ""]) -> Float[Array, " arms"]:
        """Distance of every arm's mean to the best."""
        del state
        return self.means.max() - self.means

    def state_from_obs(self, step: Int[Array, ""], obs: Any) -> Int[Array, ""]:
        """The step is all there is."""
        del obs
        return step


@dataclasses.dataclass(frozen=True, kw_only=True)
class BernoulliBanditFamily(Family):
    """Bandits whose arms' means are independent draws from Beta(alpha, beta)."""

    num_arms: int = 5
    alpha: float = 1.0  # Beta(1, 1) is uniform on [0, 1]
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.num_arms >= 1, "num_arms must be at least 1", self.num_arms)
        require(self.alpha > 0, "alpha must be positive", self.alpha)
        require(self.beta > 0, "beta must be positive", self.beta)

    @property
    def num_actions(self) -> int:
        """Arms."""
        return self.num_arms

    def sample(self, key: Key) -> BernoulliBandit:
        """Draws one bandit from the prior."""
        if self.alpha == self.beta == 1:  # the same distribution, far cheaper to draw
            means = jax.random.uniform(key, (self.num_arms,))
        else:
            means = jax.random.beta(key, self.alpha, self.beta, (self.num_arms,))
        return BernoulliBandit(means=means, horizon=self.horizon)

    def task(self, means: Any) -> BernoulliBandit:
        """The bandit with these means.

        Raises:
            ValueError: if a mean is not a probability, or their number is not
                `num_arms`.
        """
        means = jnp.asarray(means, jnp.float32)
        require(
            means.shape == (self.num_arms,),
            f"means must have shape ({self.num_arms},)",
            means.shape,
        )
        outside = means[(means < 0) | (means > 1) | jnp.isnan(means)]
        require(outside.size == 0, "a probability must lie in [0, 1]", outside.tolist())
        return BernoulliBandit(means=means, horizon=self.horizon)


register(
    BernoulliBanditFamily(
        name="BernoulliBandit-Lin2023-v0",
        source="Lin, Bai and Mei 2023, arXiv 2310.08566, Section 5 (Figure 1 right)",
        horizon=200,
    )
)
register(
    BernoulliBanditFamily(
        name="BernoulliBandit-DPT-v0",
        source="Lee et al. 2023, arXiv 2306.14892, appendix (Bernoulli bandits)",
        horizon=500,
    )
)

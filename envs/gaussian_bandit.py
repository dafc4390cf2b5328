"""Gaussian bandits: arm `a` pays `means[a]` plus Gaussian noise."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import NOTHING, Family, Key, TimeStep, bandit_timestep, require
from envs.registry import register


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class GaussianBandit:
    """One bandit. Its state is the number of pulls so far; it shows nothing."""

    means: Float[Array, "*batch arms"]
    noise_std: Float[Array, "*batch"]  # reward units
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
        """Pays the arm's mean plus noise, which is the same whatever the arm."""
        reward = self.means[action] + self.noise_std * jax.random.normal(key)
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
class GaussianBanditFamily(Family):
    """Bandits whose arms' means are independent and uniform on [low, high]."""

    num_arms: int = 5
    noise_std: float = 0.3  # reward units; a standard deviation, not a variance
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.num_arms >= 1, "num_arms must be at least 1", self.num_arms)
        require(self.noise_std >= 0, "noise_std must not be negative", self.noise_std)
        require(self.low < self.high, "low must be below high", (self.low, self.high))

    @property
    def num_actions(self) -> int:
        """Arms."""
        return self.num_arms

    def sample(self, key: Key) -> GaussianBandit:
        """Draws one bandit from the prior."""
        means = jax.random.uniform(
            key, (self.num_arms,), minval=self.low, maxval=self.high
        )
        return self.task(means)

    def task(self, means: Any) -> GaussianBandit:
        """The bandit with these means.

        Raises:
            ValueError: if their number is not `num_arms`.
        """
        means = jnp.asarray(means, jnp.float32)
        require(
            means.shape == (self.num_arms,),
            f"means must have shape ({self.num_arms},)",
            means.shape,
        )
        noise_std = jnp.asarray(self.noise_std, jnp.float32)
        return GaussianBandit(means=means, noise_std=noise_std, horizon=self.horizon)


register(
    GaussianBanditFamily(
        name="GaussianBandit-DPT-v0",
        source="Lee et al. 2023, arXiv 2306.14892, Section 5 (Figure 2); 0.3 is a "
        "standard deviation there, although the code calls it var",
        horizon=500,
    )
)

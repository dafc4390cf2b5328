"""Random MDPs: Dirichlet transitions, rewards drawn for every state and action."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp

from envs.base import Key, require
from envs.registry import register
from envs.tabular_mdp import SizedFamily, TabularMDP, make_task


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomMDPFamily(SizedFamily):
    """MDPs whose rows of transitions are Dirichlet draws, and whose start is state 0.

    Attributes:
        states: states.
        actions: actions.
        concentration: of the symmetric Dirichlet distribution of each row.
        reward_prior: of mean rewards: normal with mean and deviation
            `reward_location`, `reward_scale`, or uniform from the first to the sum.
        noise_std: of the Gaussian noise on rewards.
    """

    states: int = 10
    actions: int = 5
    concentration: float = 1.0
    reward_prior: Literal["normal", "uniform"] = "normal"
    reward_location: float = 1.0
    reward_scale: float = 1.0
    noise_std: float = 1.0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(
            self.concentration > 0, "concentration must be positive", self.concentration
        )
        for name in ("reward_scale", "noise_std"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must not be negative", value)

    def sample(self, key: Key) -> TabularMDP:
        """Draws one MDP from the prior."""
        key_move, key_reward = jax.random.split(key)
        shape = self.num_states, self.num_actions
        if self.concentration == 1:  # the same distribution, far cheaper to draw
            weights = jax.random.exponential(key_move, (*shape, self.num_states))
            transitions = weights / weights.sum(-1, keepdims=True)
        else:
            alpha = jnp.full(self.num_states, self.concentration)
            transitions = jax.random.dirichlet(key_move, alpha, shape)
        draw = {"normal": jax.random.normal, "uniform": jax.random.uniform}
        unscaled = draw[self.reward_prior](key_reward, shape)
        return make_task(
            transitions=transitions,
            rewards=self.reward_location + self.reward_scale * unscaled,
            noise_std=self.noise_std,
            horizon=self.horizon,
        )


register(
    RandomMDPFamily(
        name="RandomMDP-RL2-v0",
        source="Duan et al. 2016, arXiv 1611.02779, Section 3.2 (tabular MDPs)",
        horizon=10,
    )
)
register(
    RandomMDPFamily(
        name="RandomMDP-Small-v0",
        source="ours: sizes at which UCB-VI learns within 50 episodes",
        states=5,
        actions=3,
        horizon=5,
        reward_prior="uniform",
        reward_location=0.0,
        reward_scale=1.0,
        noise_std=0.1,
    )
)

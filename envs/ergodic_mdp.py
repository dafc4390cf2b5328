"""Ergodic MDPs: states on a ring, where every action may lead to all neighbours.

In the spirit of AnyMDP (Wang et al. 2025, arXiv 2502.02869), whose random MDPs move
within a band of states, too. We follow the idea, and no version of their generator:
theirs shuffles the numbers of states, has terminal pits and goals, and draws again
until the goal is worth the way. Ours is a ring, so that no state is special; has a
least probability, so that every policy visits every state for ever; and pays for states
by themselves, so that it matters where one goes.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from envs.base import Key, require
from envs.planning import EXACT
from envs.registry import register
from envs.tabular_mdp import SizedFamily, TabularMDP, make_task


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErgodicMDPFamily(SizedFamily):
    """MDPs that move by at most `band` states a step, to any of them.

    The rest of the probability, above `least_probability` each, is uniform over the
    simplex, for every state and action.

    Attributes:
        states: states of the ring; an episode starts in state 0.
        actions: actions.
        band: states on either side that a step can reach.
        least_probability: of every state in reach.
        state_reward_std: deviation of what arriving in each state pays, in the mean.
        action_reward_std: of what each state and action pays besides.
        noise_std: of the Gaussian noise on rewards.
    """

    states: int = 16
    actions: int = 5
    band: int = 2
    least_probability: float = 0.02
    state_reward_std: float = 1.0
    action_reward_std: float = 0.2
    noise_std: float = 0.1

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.band >= 1, "band must be at least 1", self.band)
        rule = f"states must be at least {self.width}, the states in reach"
        require(self.states >= self.width, rule, self.states)
        rule = f"least_probability must lie in (0, 1/{self.width}]"
        allowed = 0 < self.least_probability <= 1 / self.width
        require(allowed, rule, self.least_probability)
        for name in ("state_reward_std", "action_reward_std", "noise_std"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must not be negative", value)

    @property
    def width(self) -> int:
        """States that a step can reach."""
        return 2 * self.band + 1

    def sample(self, key: Key) -> TabularMDP:
        """Draws one MDP from the prior."""
        key_move, key_state, key_action = jax.random.split(key, 3)
        shape = (self.states, self.actions)
        weights = jax.random.exponential(key_move, (*shape, self.width))
        shares = weights / weights.sum(-1, keepdims=True)
        free = 1 - self.width * self.least_probability
        probabilities = self.least_probability + free * shares
        in_reach = jax.nn.one_hot(self._neighbours(), self.states)
        on_arrival = jax.random.normal(key_state, (self.states,))
        return make_task(
            transitions=jnp.einsum(
                "sak,skt->sat", probabilities, in_reach, precision=EXACT
            ),
            rewards=self.action_reward_std * jax.random.normal(key_action, shape),
            arrival_rewards=self.state_reward_std * on_arrival,
            noise_std=self.noise_std,
            horizon=self.horizon,
        )

    def _neighbours(self) -> Int[Array, "states width"]:
        steps = np.arange(-self.band, self.band + 1)
        return jnp.asarray((np.arange(self.states)[:, None] + steps) % self.states)


register(
    ErgodicMDPFamily(
        name="ErgodicMDP-v0",
        source="ours, in the spirit of AnyMDP (Wang et al. 2025, arXiv 2502.02869)",
        horizon=20,
    )
)

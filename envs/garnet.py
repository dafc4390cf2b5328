"""Garnet: random MDPs of a given branching, "generic average reward non-stationary".

Archibald, McKinnon and Thomas 1995 (JORS 46(3), "On the generation of Markov decision
processes"); here as Bhatnagar, Sutton, Ghavamzadeh and Lee 2009 (Automatica 45(11),
"Natural actor-critic algorithms") write them, GARNET(states, actions, branching,
noise_std, 0). Theirs never end; ours have episodes, which start in state 0. They draw a
mean reward for every transition, we for every state and action.
"""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Key, require
from envs.planning import EXACT
from envs.registry import register
from envs.tabular_mdp import SizedFamily, TabularMDP, make_task


@dataclasses.dataclass(frozen=True, kw_only=True)
class GarnetFamily(SizedFamily):
    """MDPs in which every state and action leads to few states.

    Which ones is uniform, and their probabilities are the pieces of the unit interval
    cut at uniform points.

    Attributes:
        states: states.
        actions: actions.
        branching: different next states of every state and action.
        reward_prior: of mean rewards: standard normal for every state and action, or
            sparse: `rewarding` states pay a uniform draw from [0, 1], whatever is
            done there, and the others nothing.
        rewarding: states that pay, where rewards are sparse.
        noise_std: of the Gaussian noise on rewards.
    """

    states: int = 30
    actions: int = 4
    branching: int = 2
    reward_prior: Literal["normal", "sparse"] = "normal"
    rewarding: int = 3
    noise_std: float = 0.1

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        for name in ("branching", "rewarding"):
            value = getattr(self, name)
            rule = f"{name} must lie in [1, {self.states}], the number of states"
            require(1 <= value <= self.states, rule, value)
        require(self.noise_std >= 0, "noise_std must not be negative", self.noise_std)

    def sample(self, key: Key) -> TabularMDP:
        """Draws one MDP from the prior."""
        key_move, key_reward = jax.random.split(key)
        return make_task(
            transitions=self._draw_transitions(key_move),
            rewards=self._draw_rewards(key_reward),
            noise_std=self.noise_std,
            horizon=self.horizon,
        )

    def _draw_transitions(self, key: Key) -> Float[Array, "states actions states"]:
        key_states, key_cuts = jax.random.split(key)
        rows = (self.states, self.actions)
        # The places of the largest of uniform draws: distinct states, uniformly.
        scores = jax.random.uniform(key_states, (*rows, self.states))
        _, next_states = jax.lax.top_k(scores, self.branching)
        cuts = jax.random.uniform(key_cuts, (*rows, self.branching - 1))
        ends = jnp.zeros((*rows, 1)), jnp.ones((*rows, 1))
        cuts = jnp.concatenate([ends[0], jnp.sort(cuts), ends[1]], axis=-1)
        chosen = jax.nn.one_hot(next_states, self.states)
        return jnp.einsum("sab,sabt->sat", jnp.diff(cuts), chosen, precision=EXACT)

    def _draw_rewards(self, key: Key) -> Float[Array, "states actions"]:
        shape = (self.states, self.actions)
        if self.reward_prior == "normal":
            return jax.random.normal(key, shape)
        key_states, key_pay = jax.random.split(key)
        paying = jax.random.permutation(key_states, self.states) < self.rewarding
        pay = jnp.where(paying, jax.random.uniform(key_pay, (self.states,)), 0.0)
        return jnp.broadcast_to(pay[:, None], shape)


register(
    GarnetFamily(
        name="Garnet-v0",
        source="Bhatnagar et al. 2009, Automatica 45(11), GARNET(30, 4, 2, 0.1, 0); "
        "ours: episodes of 20 steps",
        horizon=20,
    )
)
register(
    GarnetFamily(
        name="Garnet-Sparse-v0",
        source="ours: the same transitions, and a tenth of the states pays",
        horizon=20,
        reward_prior="sparse",
        rewarding=3,
    )
)

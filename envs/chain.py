"""Chains: a combination lock, opened by the right action in every state.

After the reset state spaces of Koenig and Simmons 1993 (AAAI, "Complexity analysis of
real-time reinforcement learning"): the right action leads one state on, any other back
to the start. Ours hides which action is right where; and an open lock stays open and
pays at every step, so that time lost is reward lost and every gap says how much.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from envs.base import Key, require
from envs.codes import CodedFamily
from envs.registry import register
from envs.tabular_mdp import TabularMDP, make_task


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChainFamily(CodedFamily):
    """Locks whose combinations are uniform.

    Attributes:
        length: of the combination; state `length` is the open lock, where each step
            that ends there pays 1.
        actions: actions.
    """

    length: int = 5
    actions: int = 3

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.length >= 2, "length must be at least 2", self.length)
        require(self.actions >= 2, "actions must be at least 2", self.actions)

    @property
    def num_states(self) -> int:
        """Actions entered so far."""
        return self.length + 1

    @property
    def num_actions(self) -> int:
        """Actions."""
        return self.actions

    def draw_code(self, key: Key) -> Int[Array, " length"]:
        """Draws the combination."""
        return jax.random.randint(key, (self.length,), 0, self.actions)

    def task(self, code: Int[Array, " length"]) -> TabularMDP:
        """The lock with this combination.

        Raises:
            ValueError: if the code has another length, or is no action.
        """
        self.require_code(code, self.length, self.actions)
        is_right = jnp.arange(self.actions)[None] == code[:, None]
        on = jnp.arange(1, self.length + 1)[:, None]
        opened = jnp.full((1, self.actions), self.length)
        next_states = jnp.concatenate([jnp.where(is_right, on, 0), opened])
        return make_task(
            transitions=jax.nn.one_hot(next_states, self.num_states),
            rewards=jnp.zeros((self.num_states, self.actions)),
            arrival_rewards=jax.nn.one_hot(self.length, self.num_states),
            horizon=self.horizon,
        )


register(
    ChainFamily(
        name="Chain-v0",
        source="ours, after the reset state spaces of Koenig and Simmons 1993 (AAAI)",
        horizon=20,
    )
)

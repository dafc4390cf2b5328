"""RiverSwim: a small reward downstream, and a large one far up against the current.

Strehl and Littman 2008 (JCSS 74(8), "An analysis of model-based interval estimation"),
in the version of Osband, Russo and Van Roy 2013. There an agent learns one river whose
actions are called left and right; here a task hides which of two actions swims right,
state by state, and `task()` is theirs.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from envs.base import Key, require
from envs.codes import CodedFamily
from envs.registry import register
from envs.tabular_mdp import TabularMDP, make_task

BACK, STAY, AHEAD = 0.05, 0.6, 0.35  # swimming right, between the ends
AT_END = 0.4, 0.6  # the two states of an end, from left to right
CLASSICAL = 1  # the action that swims right in every state


@dataclasses.dataclass(frozen=True, kw_only=True)
class RiverSwimFamily(CodedFamily):
    """Rivers in which either action of each state is as likely to swim right.

    Swimming left always succeeds, and pays `small_reward` in the first state. Swimming
    right pays `large_reward` in the last. An episode starts in the first.
    """

    states: int = 6
    small_reward: float = 5 / 1000
    large_reward: float = 1.0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.states >= 3, "states must be at least 3", self.states)

    @property
    def num_states(self) -> int:
        """Places in the river."""
        return self.states

    @property
    def num_actions(self) -> int:
        """Left and right, in a hidden order."""
        return 2

    def draw_code(self, key: Key) -> Int[Array, " states"]:
        """Draws the action that swims right in every state."""
        return jax.random.bernoulli(key, shape=(self.states,)).astype(jnp.int32)

    def task(self, code: Int[Array, " states"] | None = None) -> TabularMDP:
        """The river with these actions that swim right.

        Args:
            code: 0 or 1 for every state; 1 everywhere, which is the classical river,
                if None.

        Raises:
            ValueError: if the code has another length, or other values.
        """
        code = jnp.full(self.states, CLASSICAL) if code is None else code
        self.require_code(code, self.states, 2)
        swims_right = jnp.arange(2)[None] == code[:, None]
        left, right = self._transitions()
        transitions = jnp.where(
            swims_right[..., None], jnp.asarray(right)[:, None], left[:, None]
        )
        first, last = jnp.eye(self.states)[jnp.array([0, -1])]
        rewards = jnp.where(
            swims_right,
            self.large_reward * last[:, None],
            self.small_reward * first[:, None],
        )
        return make_task(transitions=transitions, rewards=rewards, horizon=self.horizon)

    def _transitions(self) -> tuple[Float[np.ndarray, "states states"], ...]:
        """Where swimming left and right leads to."""
        num = self.states
        left = np.eye(num, k=-1)
        left[0, 0] = 1
        right = BACK * np.eye(num, k=-1) + STAY * np.eye(num) + AHEAD * np.eye(num, k=1)
        right[0, :2] = right[-1, -2:] = AT_END
        return left, right


register(
    RiverSwimFamily(
        name="RiverSwim-v0",
        source="Osband, Russo and Van Roy 2013, arXiv 1306.0940, Section 6 "
        "(RiverSwim); ours: a hidden order of actions",
        horizon=20,
    )
)

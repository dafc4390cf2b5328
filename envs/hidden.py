"""Tasks that show what matters once, or a little of it, and are won by memory.

What is hidden is drawn from the task's seed: two seeds may hide the same. An agent that
knows the family meets every kind of it in training, and none of the seeds of the test.
"""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from envs.base import Family, Key, State, TimeStep

TaskT = TypeVar("TaskT", bound="HiddenTask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiddenTask:
    """A task of which every episode hides what its seed says.

    No episode ends before its horizon. A state has a `step`; what is hidden, what a
    step does and what is shown, each task says.
    """

    seed: UInt32[Array, "*batch 2"]
    horizon: int = dataclasses.field(metadata={"static": True})

    def reset(self, key: Key) -> tuple[State, Any]:
        """Starts an episode, which is like every other."""
        del key
        state = self._hide(jax.random.wrap_key_data(self.seed))
        return state, self._show(state)

    def step(
        self, key: Key, state: State, action: Int[Array, ""]
    ) -> tuple[State, TimeStep]:
        """Moves one step."""
        state, reward = self._next(key, state, action)
        return state, TimeStep(
            obs=self._show(state),
            reward=reward,
            terminated=jnp.zeros((), bool),
            truncated=state.step >= self.horizon,
        )

    def gaps(self, state: State) -> Float[Array, " actions"]:
        """They are not known, unless the task says them.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"a {type(self).__name__} does not know its gaps")

    def state_from_obs(self, step: Int[Array, ""], obs: Any) -> State:
        """There is none: what is shown is not all.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("an observation does not show what is hidden")

    def _hide(self, key: Key) -> State:
        """The first state, with what it hides."""
        raise NotImplementedError

    def _show(self, state: State) -> Any:
        """What is seen in a state."""
        raise NotImplementedError

    def _next(
        self, key: Key, state: State, action: Int[Array, ""]
    ) -> tuple[State, Float[Array, ""]]:
        """The state after an action, and its reward."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class HiddenFamily(Family):
    """Tasks by their seeds."""

    def sample(self, key: Key) -> Any:
        """Draws a seed."""
        return self.task(jax.random.bits(key, (2,), jnp.uint32))

    def task(self, seed: UInt32[Array, "2"]) -> Any:
        """The task of this seed."""
        raise NotImplementedError

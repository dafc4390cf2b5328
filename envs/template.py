"""Corridor: walk to a hidden goal and stay there. A template to copy.

To add an environment, copy this file under another name, here or in your own package,
and change it from top to bottom; copy `tests/test_template.py` as its test. In your own
package, name the module under the entry-point group `icrl.envs` in pyproject.toml:

    [project.entry-points."icrl.envs"]
    my_corridor = "my_package.my_corridor"

Then `icrl envs` lists it, `icrl check-env NAME` tests it, `gymnasium.make("icrl/NAME")`
makes it, and everything else takes its name.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs import splits
from envs.base import Family, Key, TimeStep, require
from envs.observation import Discrete
from envs.registry import register

# What an action is. Everything static and shared by all tasks stands outside the task.
MOVES = (-1, 0, 1)


class CorridorState(NamedTuple):
    """Where an episode stands: all that changes. `gaps` depend on the step, too."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch"]


# The task: array fields are its parameters, hidden from the agent. Write every method
# for one task and one step; `jax.vmap` adds the batch, which is why the annotations of
# fields begin with "*batch".
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Corridor:
    """One corridor: being at the goal after a step pays 1, plus Gaussian noise."""

    goal: Int[Array, "*batch"]
    noise_std: Float[Array, "*batch"]  # reward units
    length: int = dataclasses.field(metadata={"static": True})
    horizon: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """One step left, none, or one step right."""
        return len(MOVES)

    def reset(self, key: Key) -> tuple[CorridorState, Int[Array, ""]]:
        """Starts in the middle; there is nothing to draw."""
        del key
        position = jnp.asarray(self.length // 2)
        return CorridorState(step=jnp.asarray(0), position=position), position

    def step(
        self, key: Key, state: CorridorState, action: Int[Array, ""]
    ) -> tuple[CorridorState, TimeStep]:
        """Moves, stopping at the walls, and pays. Use the key once (or split it)."""
        position = self._move(state.position, action)
        noise = self.noise_std * jax.random.normal(key)
        state = CorridorState(step=state.step + 1, position=position)
        # An episode that can end early says `terminated` from that step on, stays in
        # that state and pays 0; it still has `horizon` steps.
        return state, TimeStep(
            obs=position,
            reward=(position == self.goal) + noise,
            terminated=jnp.zeros((), bool),
            truncated=state.step >= self.horizon,
        )

    def gaps(self, state: CorridorState) -> Float[Array, " actions"]:
        """V* - Q* of every action: exact, without noise, zero for the best.

        Here there is a closed form. Where there is none but states are few, compute
        the table by backward induction in `sample` and look it up here. Where nobody
        knows them, raise NotImplementedError, here and in `state_from_obs`, and write
        `has_gaps = False` into the family: it is then scored by return.
        """
        position = self._move(state.position, jnp.arange(self.num_actions))
        steps_left = self.horizon - state.step - 1
        q_values = (position == self.goal) + self._value(position, steps_left)
        return q_values.max() - q_values

    def state_from_obs(
        self, step: Int[Array, ""], obs: Int[Array, ""]
    ) -> CorridorState:
        """The observation is the position."""
        return CorridorState(step=step, position=obs)

    def _move(self, position: Array, action: Array) -> Array:
        return jnp.clip(position + jnp.asarray(MOVES)[action], 0, self.length - 1)

    def _value(self, position: Array, steps_left: Array) -> Float[Array, " actions"]:
        """Steps that can still end at the goal: all, less those of the way but one."""
        way = abs(position - self.goal)
        return jnp.maximum(0, steps_left - jnp.maximum(way - 1, 0)).astype(jnp.float32)


# The family: sizes and priors. Users can change its fields, so check them here: the
# rule, then the value.
@dataclasses.dataclass(frozen=True, kw_only=True)
class CorridorFamily(Family):
    """Corridors whose goal is uniform over all positions."""

    length: int = 9
    noise_std: float = 0.1  # reward units

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.length >= 2, "length must be at least 2", self.length)
        require(self.noise_std >= 0, "noise_std must not be negative", self.noise_std)

    @property
    def num_actions(self) -> int:
        """Left, stay, right."""
        return len(MOVES)

    # What is shown (`envs/observation.py`): an integer; `Box` real numbers; `Arms` the
    # features of arms. A bandit, which shows nothing, leaves this out.
    @property
    def observation(self) -> Discrete:
        """Positions."""
        return Discrete(self.length)

    def sample(self, key: Key) -> Corridor:
        """Draws one corridor from the prior."""
        return self.task(jax.random.randint(key, (), 0, self.length))

    def task(self, goal: Int[Array, ""]) -> Corridor:
        """The corridor with this goal."""
        noise_std = jnp.asarray(self.noise_std, jnp.float32)
        return Corridor(
            goal=goal, noise_std=noise_std, length=self.length, horizon=self.horizon
        )

    # Only where tasks are finitely many: a test task must not be a training task.
    # With a continuous prior, leave this method out.
    def split(self) -> splits.Split:
        """Even goals train, odd goals test."""
        tasks = [self.task(jnp.asarray(goal)) for goal in range(self.length)]
        return splits.split_tasks(
            self,
            train=splits.stack_tasks(tasks[::2]),
            test=splits.stack_tasks(tasks[1::2]),
        )


# The name pins all of the above: a change of rules, sizes or priors is a new version.
FAMILY = CorridorFamily(
    name="Corridor-v0",
    source="ours: a template to copy, and nobody's benchmark",
    horizon=20,
)
if __name__ != "envs.template":  # drop this line from your copy
    register(FAMILY)

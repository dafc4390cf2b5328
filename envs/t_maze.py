"""The passive T-maze: a cue at the start says where to turn at the end.

A corridor of some cells, and an arm to either side of its end. The cue is seen at the
first step alone; then all cells look alike but the last. An episode has one step more
than the corridor has cells: who walks straight on has one step left to turn, and earns
1 if the cue said so. A step that leaves the agent behind the straight way costs one
over the length.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Key, require
from envs.hidden import HiddenFamily, HiddenTask
from envs.observation import Box
from envs.registry import register
from envs.viewer import GridPicture, Mark

RIGHT, UP, LEFT, DOWN = range(4)


class TMazeState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch"]  # cells from the start
    goal: Int[Array, "*batch"]  # the move that is right at the end: UP or DOWN


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TMaze(HiddenTask):
    """One maze; it shows the cue (1 for up, -1 for down, else 0) and the junction."""

    @property
    def num_actions(self) -> int:
        """Right, up, left, down."""
        return 4

    @property
    def length(self) -> int:
        """Cells of the corridor."""
        return self.horizon - 1

    def gaps(self, state: TMazeState) -> Float[Array, " actions"]:
        """V* - Q* of somebody who has seen the cue."""
        actions = jnp.arange(self.num_actions)
        after, rewards = jax.vmap(self._next, (None, None, 0))(None, state, actions)
        q_values = rewards + self._value(after)
        return jnp.where(state.step < self.horizon, q_values.max() - q_values, 0.0)

    def picture(self, state: TMazeState) -> GridPicture:
        """The corridor with an arm to either side of its end; the right one as goal."""
        walls = [Mark(x, y, "wall") for x in range(self.length) for y in (0, 2)]
        arm = 2 if int(state.goal) == UP else 0
        return GridPicture(
            size=(self.length + 1, 3),
            agent=(int(state.position), 1),
            marks=[*walls, Mark(self.length, arm, "goal")],
        )

    def _hide(self, key: Key) -> TMazeState:
        up = jax.random.bernoulli(key)
        nothing = jnp.zeros((), jnp.int32)
        return TMazeState(nothing, nothing, jnp.where(up, UP, DOWN))

    def _show(self, state: TMazeState) -> Float[Array, "2"]:
        cue = jnp.where(state.goal == UP, 1.0, -1.0) * (state.step == 0)
        return jnp.stack([cue, (state.position == self.length).astype(jnp.float32)])

    def _next(
        self, key: Key | None, state: TMazeState, action: Int[Array, ""]
    ) -> tuple[TMazeState, Float[Array, ""]]:
        del key  # deterministic
        move = jnp.where(action == RIGHT, 1, jnp.where(action == LEFT, -1, 0))
        position = jnp.clip(state.position + move, 0, self.length)
        is_last = state.step == self.length
        right = is_last & (state.position == self.length) & (action == state.goal)
        late = ~is_last & (position <= state.step)
        reward = right.astype(jnp.float32) - late / self.length
        return TMazeState(state.step + 1, position, state.goal), reward

    def _value(self, state: TMazeState) -> Float[Array, "*batch"]:
        """1 on the straight way; else a penalty for every step before the last."""
        steps_left = jnp.maximum(self.length - state.step, 0)
        lost = -steps_left / self.length
        straight = (state.position == state.step).astype(jnp.float32)
        return jnp.where(state.position >= state.step, straight, lost)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TMazeFamily(HiddenFamily):
    """Mazes whose corridor is as long as the horizon less one; both cues are as likely.

    The optimum earns 1, and who forgets the cue 1/2.
    """

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.horizon >= 2, "horizon must be at least 2", self.horizon)

    @property
    def num_actions(self) -> int:
        """Right, up, left, down."""
        return 4

    @property
    def observation(self) -> Box:
        """The cue, and whether this is the junction."""
        return Box((2,), -1.0, 1.0)

    def task(self, seed: Array) -> TMaze:
        """The maze of this seed."""
        return TMaze(seed=seed, horizon=self.horizon)


register(
    TMazeFamily(
        name="PassiveTMaze-v0",
        source="Ni et al. 2023, arXiv 2307.03864 (T-Maze, passive), whose corridors "
        "have 1 to 1500 cells; ours has 50",
        horizon=51,
    )
)

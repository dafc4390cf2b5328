"""A memory maze on a grid: find an apple, and find it again from anywhere.

The apple lies in a hidden cell for good. Whoever reaches it earns 1 and is put into a
random cell. What is seen are the cells around, with walls, landmarks and the apple.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs import grid
from envs.base import Key, require
from envs.hidden import HiddenFamily, HiddenTask
from envs.observation import Box
from envs.registry import register
from envs.viewer import GridPicture, Mark


class MemoryMazeState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch 2"]
    apple: Int[Array, "*batch 2"]
    landmarks: Int[Array, "*batch landmarks 2"]  # in cells of their own


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryMaze(HiddenTask):
    """One maze; it shows the cells around the agent, those of a square."""

    size: int = dataclasses.field(metadata={"static": True})
    view: int = dataclasses.field(metadata={"static": True})
    num_landmarks: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Right (+x), left, up (+y), down and stay."""
        return grid.NUM_ACTIONS

    def picture(self, state: MemoryMazeState) -> GridPicture:
        """The maze with its apple as goal and its landmarks as keys."""
        x, y = (int(coordinate) for coordinate in state.apple)
        cells = [(int(x), int(y)) for x, y in state.landmarks]
        return GridPicture(
            size=(self.size, self.size),
            agent=(int(state.position[0]), int(state.position[1])),
            marks=[*(Mark(*cell, "key") for cell in cells), Mark(x, y, "goal")],
        )

    def _hide(self, key: Key) -> MemoryMazeState:
        key_cells, key_start = jax.random.split(key)
        cells = jax.random.permutation(key_cells, self.size**2)
        cells = grid.position_of(cells[: self.num_landmarks + 1], self.size)
        return MemoryMazeState(
            step=jnp.zeros((), jnp.int32),
            position=self._elsewhere(key_start, cells[0]),
            apple=cells[0],
            landmarks=cells[1:],
        )

    def _show(self, state: MemoryMazeState) -> Float[Array, " features"]:
        reach = jnp.arange(-self.view, self.view + 1)
        around = jnp.stack(jnp.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
        seen = state.position[None] + around
        wall = ((seen < 0) | (seen >= self.size)).any(-1)
        things = jnp.concatenate([state.apple[None], state.landmarks])
        here = (seen[:, None] == things[None]).all(-1)
        return jnp.concatenate([wall[:, None], here], 1).astype(jnp.float32).ravel()

    def _next(
        self, key: Key, state: MemoryMazeState, action: Int[Array, ""]
    ) -> tuple[MemoryMazeState, Float[Array, ""]]:
        position = grid.walk(state.position, action, self.size)
        finds = (position == state.apple).all()
        position = jnp.where(finds, self._elsewhere(key, state.apple), position)
        after = state._replace(step=state.step + 1, position=position)
        return after, finds.astype(jnp.float32)

    def _elsewhere(self, key: Key, apple: Int[Array, "2"]) -> Int[Array, "2"]:
        """A uniform cell that is not the apple's."""
        cell = jax.random.randint(key, (), 0, self.size**2 - 1)
        cell = cell + (cell >= grid.cell_at(apple, self.size))
        return grid.position_of(cell, self.size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryMazeFamily(HiddenFamily):
    """Square rooms with an apple and landmarks in different cells.

    Attributes:
        size: cells of a side.
        view: cells that are seen to every side.
        num_landmarks: each looks different from the others.
    """

    has_gaps = False
    size: int = 7
    view: int = 1
    num_landmarks: int = 6

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.size >= 2, "size must be at least 2", self.size)
        require(self.view >= 1, "view must be at least 1", self.view)
        most = self.size**2 - 2
        inside = 1 <= self.num_landmarks <= most
        rule = f"num_landmarks must lie in [1, {most}]"
        require(inside, rule, self.num_landmarks)

    @property
    def num_actions(self) -> int:
        """Right, left, up, down and stay."""
        return grid.NUM_ACTIONS

    @property
    def observation(self) -> Box:
        """For each cell in view: a wall, the apple, each of the landmarks."""
        cells = (2 * self.view + 1) ** 2
        return Box((cells * (2 + self.num_landmarks),), 0.0, 1.0)

    def task(self, seed: Array) -> MemoryMaze:
        """The maze of this seed."""
        return MemoryMaze(
            seed=seed,
            size=self.size,
            view=self.view,
            num_landmarks=self.num_landmarks,
            horizon=self.horizon,
        )


register(
    MemoryMazeFamily(
        name="MemoryMaze-v0",
        source="ours, after the memory maze of Parisotto et al. 2020, arXiv 1910.06764",
        horizon=150,
    )
)

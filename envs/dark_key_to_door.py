"""Dark Key-to-Door: find a hidden key, then a hidden door, in a grid without marks.

Source: Laskin et al. 2022, arXiv 2210.14215 (AD). The first step that ends at the key
pays 1, and after it the first that ends at the door pays 1 again. What is seen is the
cell alone: whether the key was found, only a memory of rewards can tell.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs import grid, splits
from envs.base import Key, require
from envs.registry import register
from envs.viewer import GridPicture, Mark

Start = Literal["random"] | tuple[int, int]


class KeyToDoorState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch 2"]
    has_key: Bool[Array, "*batch"]
    is_open: Bool[Array, "*batch"]  # the door; nothing more can be had


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkKeyToDoor(grid.DarkGrid):
    """One room; its observation is the number of the agent's cell.

    Its gaps count rewards, hence they are exact: a detour costs nothing as long as
    both can still be reached in time.
    """

    key_cell: Int[Array, "*batch 2"]
    door_cell: Int[Array, "*batch 2"]
    start: Start = dataclasses.field(metadata={"static": True})

    def reset(self, key: Key) -> tuple[KeyToDoorState, Int[Array, ""]]:
        """Starts in a random cell, or at the start; nothing is picked up by it."""
        if isinstance(self.start, str):
            position = grid.random_cell(key, self.size)
        else:
            position = jnp.asarray(self.start, jnp.int32)
        state = KeyToDoorState(
            step=jnp.zeros((), jnp.int32),
            position=position,
            has_key=jnp.zeros((), bool),
            is_open=jnp.zeros((), bool),
        )
        return state, grid.cell_at(position, self.size)

    def state_from_obs(
        self, step: Int[Array, ""], obs: Int[Array, ""]
    ) -> KeyToDoorState:
        """There is none: a cell does not show what was found.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a cell does not show whether the key was found")

    def picture(self, state: KeyToDoorState) -> GridPicture:
        """The room with its door, and its key until it is taken."""
        key_x, key_y = (int(coordinate) for coordinate in self.key_cell)
        door_x, door_y = (int(coordinate) for coordinate in self.door_cell)
        key = () if bool(state.has_key) else (Mark(key_x, key_y, "key"),)
        return GridPicture(
            size=(self.size, self.size),
            agent=(int(state.position[0]), int(state.position[1])),
            marks=(Mark(door_x, door_y, "door"), *key),
        )

    def _next(
        self, state: KeyToDoorState, action: Int[Array, ""]
    ) -> tuple[KeyToDoorState, Float[Array, ""]]:
        position = grid.walk(state.position, action, self.size)
        finds = (position == self.key_cell).all() & ~state.has_key
        at_door = (position == self.door_cell).all()
        opens = at_door & state.has_key & ~state.is_open
        after = KeyToDoorState(
            step=state.step + 1,
            position=position,
            has_key=state.has_key | finds,
            is_open=state.is_open | opens,
        )
        return after, (finds | opens).astype(jnp.float32)

    def _value(self, state: KeyToDoorState) -> Float[Array, ""]:
        """Rewards that can still be reached, on the straight way to both."""
        steps_left = self.horizon - state.step
        to_key = jnp.maximum(grid.distance(state.position, self.key_cell), 1)  # stay
        through = to_key + grid.distance(self.key_cell, self.door_cell)
        to_door = jnp.maximum(grid.distance(state.position, self.door_cell), 1)
        both = (to_key <= steps_left).astype(jnp.float32) + (through <= steps_left)
        second = jnp.where(state.is_open, 0.0, to_door <= steps_left)
        return jnp.where(state.has_key, second, both)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkKeyToDoorFamily(grid.DarkGridFamily):
    """Rooms whose key and door lie in two different cells, every pair as likely.

    Attributes:
        size: cells of a side.
        start: where every episode begins, (x, y); "random": in any cell.
        test_fraction: of the pairs, which the test half has.
        split_seed: of the shuffle, NumPy's `RandomState(seed).shuffle`, before the last
            pairs are held out.
    """

    size: int = 9
    start: Start = "random"
    test_fraction: float = 0.2
    split_seed: int = 0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        if isinstance(self.start, str):
            rule = "start must be 'random' or a cell"
            require(self.start == "random", rule, repr(self.start))
        else:
            grid.as_cell("start", self.start, self.size)
        fraction = self.test_fraction
        require(0 < fraction < 1, "test_fraction must lie in (0, 1)", fraction)

    def sample(self, key: Key) -> DarkKeyToDoor:
        """Draws two different cells."""
        pairs = jnp.asarray(self._pairs())
        return self.task(*pairs[jax.random.randint(key, (), 0, len(pairs))])

    def task(self, key_cell: Any, door_cell: Any) -> DarkKeyToDoor:
        """The room with its key and its door in these cells.

        Args:
            key_cell: (x, y).
            door_cell: (x, y).

        Raises:
            ValueError: if a cell lies outside the grid, or they are the same.
        """
        key_cell = grid.as_cell("the key", key_cell, self.size)
        door_cell = grid.as_cell("the door", door_cell, self.size)
        apart = (key_cell != door_cell).any()
        require(apart, "key and door must lie in two cells", "the same")
        return DarkKeyToDoor(
            key_cell=key_cell,
            door_cell=door_cell,
            size=self.size,
            start=self.start,
            horizon=self.horizon,
        )

    def split(self) -> splits.Split:
        """Holds out the last pairs of the shuffled list.

        Raises:
            ValueError: if a half would be empty.
        """
        pairs = self._pairs()
        np.random.RandomState(self.split_seed).shuffle(pairs)
        num_train = splits.count_train(len(pairs), self.test_fraction)
        halves = [jnp.asarray(half) for half in np.split(pairs, [num_train])]
        train, test = (jax.vmap(self.task)(half[:, 0], half[:, 1]) for half in halves)
        return splits.split_tasks(self, train=train, test=test)

    def _pairs(self) -> Int[np.ndarray, "pairs 2 2"]:
        """Cells of key and door of all tasks, in order of their numbers."""
        cells = grid.all_positions(self.size)
        key, door = np.divmod(np.arange(len(cells) ** 2), len(cells))
        apart = key != door
        pairs = np.stack([cells[key[apart]], cells[door[apart]]], axis=1)
        return pairs.astype(np.int32)


register(
    DarkKeyToDoorFamily(
        name="DarkKeyToDoor-AD-v0",
        source="Laskin et al. 2022, arXiv 2210.14215 (AD): Dark "
        "Key-to-Door; the split is ours, and that key and door lie apart",
        horizon=50,
    )
)

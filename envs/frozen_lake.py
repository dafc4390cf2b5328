"""Frozen lakes: cross the ice to the goal, past the holes, where it may be slippery.

Gymnasium's FrozenLake-v1 (Towers et al. 2024, arXiv 2407.17032): states are cells, row
by row; the first is the start and the last the goal; arriving there pays 1, and it ends
the episode, as a hole does. There an agent learns one lake; here a task hides its
holes, drawn as `generate_random_map` draws them: independently, and again until a path
exists. `task(CLASSICAL)` is Gymnasium's own lake.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs.base import Key, require
from envs.codes import CodedFamily
from envs.registry import register
from envs.tabular_mdp import MDPState, TabularMDP, make_task
from envs.viewer import GridPicture, Mark

CLASSICAL = "SFFF/FHFH/FFFH/HFFG"  # Gymnasium's "4x4"
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # left, down, right, up: (row, column)
MAX_TRIES = 64  # at a lake with a path; then one is made


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenLake(TabularMDP):
    """One lake: an MDP that can be seen."""

    size: int = dataclasses.field(metadata={"static": True})

    def picture(self, state: MDPState) -> GridPicture:
        """The lake in a state, as a grid."""
        last = self.size**2 - 1
        holes = np.flatnonzero(np.asarray(self.terminal)[:last]).tolist()
        kinds = [(0, "start"), *((cell, "hole") for cell in holes), (last, "goal")]
        return GridPicture(
            size=(self.size, self.size),
            agent=self._place(int(state.position)),
            marks=[Mark(*self._place(cell), kind) for cell, kind in kinds],
        )

    def _place(self, cell: int) -> tuple[int, int]:
        row, column = divmod(cell, self.size)
        return column, self.size - 1 - row


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenLakeFamily(CodedFamily):
    """Square lakes with random holes and a path from the first cell to the last.

    Attributes:
        size: cells of a side.
        hole_probability: of each cell but start and goal, before lakes without a path
            are dropped.
        slip_probability: of moving at a right angle to the direction chosen, either
            way alike. Zero is Gymnasium's `is_slippery=False`.
    """

    size: int = 4
    hole_probability: float = 0.2
    slip_probability: float = 2 / 3

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.size >= 3, "size must be at least 3", self.size)
        for name in ("hole_probability", "slip_probability"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} must lie in [0, 1]", value)

    @property
    def num_states(self) -> int:
        """Cells."""
        return self.size**2

    @property
    def num_actions(self) -> int:
        """Left, down, right, up."""
        return len(MOVES)

    def draw_code(self, key: Key) -> Int[Array, " cells"]:
        """Draws the holes: 1 where there is one.

        If no lake of 64 has a path, the last loses its holes along the left and lower
        sides: with a fifth of holes, never; with two thirds, often.
        """

        def draw(tries: Int[Array, ""]) -> tuple[Int[Array, ""], Bool[Array, " cells"]]:
            key_try = jax.random.fold_in(key, tries)
            shape = (self.num_states,)
            holes = jax.random.bernoulli(key_try, self.hole_probability, shape)
            return tries, holes.at[jnp.array([0, -1])].set(False)

        def is_blocked(drawn: tuple[Array, Array]) -> Bool[Array, ""]:
            return (drawn[0] < MAX_TRIES - 1) & ~self.has_path(drawn[1])

        first = draw(jnp.zeros((), jnp.int32))
        drawn = jax.lax.while_loop(is_blocked, lambda last: draw(last[0] + 1), first)
        rows, columns = np.divmod(np.arange(self.num_states), self.size)
        sides = jnp.asarray((columns == 0) | (rows == self.size - 1))
        holes = drawn[1] & (self.has_path(drawn[1]) | ~sides)
        return holes.astype(jnp.int32)

    def has_path(self, holes: Bool[Array, " cells"]) -> Bool[Array, ""]:
        """Whether the goal can be reached: by flooding from the start."""
        beside = jnp.asarray(self._next_cells())

        def flood(_: Array, wet: Bool[Array, " cells"]) -> Bool[Array, " cells"]:
            return ~holes & (wet | wet[beside].any(-1))

        start = jnp.arange(self.num_states) == 0
        return jax.lax.fori_loop(0, self.num_states, flood, start)[-1]

    def task(self, code: str | Int[Array, " cells"]) -> FrozenLake:
        """The lake with these holes.

        Args:
            code: 1 for every cell that is a hole, else 0; or a map, row by row: S for
                the start, F for ice, H for a hole and G for the goal.

        Raises:
            ValueError: if the code or map has another size, value, start or goal.
        """
        holes = self.holes(code) if isinstance(code, str) else code
        self.require_code(holes, self.num_states, 2)
        cells = jnp.arange(self.num_states)
        at_goal = cells == self.num_states - 1
        lake = make_task(
            transitions=jnp.asarray(self._transitions(), jnp.float32),
            rewards=jnp.zeros((self.num_states, self.num_actions)),
            arrival_rewards=at_goal.astype(jnp.float32),
            terminal=at_goal | (holes == 1),
            horizon=self.horizon,
        )
        tables = {
            field.name: getattr(lake, field.name) for field in dataclasses.fields(lake)
        }
        return FrozenLake(**tables, size=self.size)

    def holes(self, lake_map: str) -> Int[Array, " cells"]:
        """The holes of a map, as `task` takes it.

        Raises:
            ValueError: if the map has another size, letter, start or goal.
        """
        rows = lake_map.split("/")
        square = [len(row) for row in rows] == [self.size] * self.size
        size = f"{self.size} rows of {self.size} letters, separated by /"
        require(square, f"a map must have {size}", repr(lake_map))
        ice = set(lake_map[1:-1]) <= set("FH/")
        rule = "a map must begin with S, end with G, and have F or H elsewhere"
        require(lake_map[0] + lake_map[-1] == "SG" and ice, rule, repr(lake_map))
        return jnp.array([int(letter == "H") for letter in "".join(rows)])

    def _next_cells(self) -> Int[np.ndarray, "cells actions"]:
        """Where every move leads to, on a lake without holes; a wall stops."""
        here = np.stack(np.divmod(np.arange(self.num_states), self.size), -1)
        there = np.clip(here[:, None] + np.array(MOVES), 0, self.size - 1)
        return there[..., 0] * self.size + there[..., 1]

    def _transitions(self) -> Float[np.ndarray, "cells actions cells"]:
        """Where every action leads to, on a lake without holes."""
        moved = np.eye(self.num_states)[self._next_cells()]
        aside = (np.roll(moved, 1, 1) + np.roll(moved, -1, 1)) / 2
        return (1 - self.slip_probability) * moved + self.slip_probability * aside


SOURCE = "Towers et al. 2024, arXiv 2407.17032 (Gymnasium: FrozenLake-v1); ours: "
register(
    FrozenLakeFamily(
        name="FrozenLake-4x4-v0",
        source=SOURCE + "hidden holes, and 30 steps of its 100",
        horizon=30,
    )
)
register(
    FrozenLakeFamily(
        name="FrozenLake-8x8-v0",
        source=SOURCE + "hidden holes, and 100 steps of its 200",
        horizon=100,
        size=8,
    )
)

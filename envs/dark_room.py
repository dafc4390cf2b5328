"""Dark rooms: walk a grid that shows where you are, but not where the goal is.

Source: Lee et al. 2023, arXiv 2306.14892 (DPT), and its released code; Laskin et al.
2022, arXiv 2210.14215 (AD). The two rooms of that name differ in size, horizon, start
and split; each is a family here. A step pays 1 if it ends at the goal, so staying there
pays on, or, in the hard room, the first such step of an episode alone. Nothing is
random and no episode ends before its horizon.
"""

import dataclasses
import itertools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from envs import grid, splits
from envs.base import Key, require
from envs.registry import register
from envs.viewer import GridPicture, Mark

PLAIN_ORDER = tuple(range(grid.NUM_ACTIONS))  # every action does the move of its number


class DarkRoomState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch 2"]
    paid: Bool[Array, "*batch"]  # the goal has paid, and pays once only


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkRoom(grid.DarkGrid):
    """One room; its observation is the number of the agent's cell.

    Its gaps count steps, hence they are exact. With time enough to reach it, the first
    action of least gap goes along x, then along y, then stays, as DPT's code labels
    states; but at a goal by the wall it is the first that bumps into the wall, which is
    to stay. In a room that pays once, a detour costs nothing as long as the goal can
    still be reached. Actions mean the moves in another order where they are permuted.
    """

    goal: Int[Array, "*batch 2"]
    action_order: Int[Array, "*batch 5"]  # which of `grid.MOVES` each action does
    start: tuple[int, int] = dataclasses.field(metadata={"static": True})
    reward_once: bool = dataclasses.field(metadata={"static": True})

    @property
    def optimal_return(self) -> Float[Array, "*batch"]:
        """V*: the return of an episode of the optimal policy."""
        start = jnp.broadcast_to(jnp.asarray(self.start), self.goal.shape)
        return self._payments(start, jnp.asarray(self.horizon))

    def reset(self, key: Key) -> tuple[DarkRoomState, Int[Array, ""]]:
        """Starts at the start; there is nothing to draw."""
        del key
        position = jnp.asarray(self.start, jnp.int32)
        state = DarkRoomState(
            step=jnp.zeros((), jnp.int32), position=position, paid=jnp.zeros((), bool)
        )
        return state, grid.cell_at(position, self.size)

    def state_from_obs(
        self, step: Int[Array, ""], obs: Int[Array, ""]
    ) -> DarkRoomState:
        """The observation is the position.

        Raises:
            NotImplementedError: if the goal pays once, as no cell shows whether it did.
        """
        if self.reward_once:
            raise NotImplementedError("a cell does not show whether the goal has paid")
        position = grid.position_of(obs, self.size)
        return DarkRoomState(step=step, position=position, paid=jnp.zeros((), bool))

    def picture(self, state: DarkRoomState) -> GridPicture:
        """The room with its goal, for `envs/viewer.py`."""
        x, y = (int(coordinate) for coordinate in self.goal)
        agent = int(state.position[0]), int(state.position[1])
        marks = (Mark(x, y, "goal"),)
        return GridPicture(size=(self.size, self.size), agent=agent, marks=marks)

    def _next(
        self, state: DarkRoomState, action: Int[Array, ""]
    ) -> tuple[DarkRoomState, Float[Array, ""]]:
        move = self.action_order[action]
        position = grid.walk(state.position, move, self.size)
        pays = (position == self.goal).all() & ~state.paid
        paid = (state.paid | pays) if self.reward_once else state.paid
        after = DarkRoomState(step=state.step + 1, position=position, paid=paid)
        return after, pays.astype(jnp.float32)

    def _value(self, state: DarkRoomState) -> Float[Array, ""]:
        to_come = self._payments(state.position, self.horizon - state.step)
        return jnp.where(state.paid, 0.0, to_come)

    def _payments(
        self, position: Int[Array, "*batch 2"], steps_left: Int[Array, ""]
    ) -> Float[Array, "*batch"]:
        """Steps that can end at the goal: all that are left, but those before."""
        first = jnp.maximum(grid.distance(position, self.goal), 1)  # at it: by staying
        payments = jnp.maximum(0, steps_left + 1 - first)
        most = 1 if self.reward_once else self.horizon
        return jnp.minimum(payments, most).astype(jnp.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkRoomFamily(grid.DarkGridFamily):
    """Rooms whose goal, or whose actions' meanings, are hidden; each is as likely.

    Attributes:
        size: cells of a side.
        start: where every episode begins, (x, y).
        goals: the goals there are, as (x, y); "all" is every cell, by number.
        permuted: whether actions mean the five moves in any order, too.
        reward_once: whether the goal pays once in an episode, rather than every step.
        test_fraction: of the tasks, which the test half has.
        split_seed: of the shuffle before the last tasks are held out, as NumPy's
            `RandomState(seed).shuffle` does it; None: they stay in order.
    """

    size: int = 10
    start: tuple[int, int] = (0, 0)
    goals: Literal["all"] | tuple[tuple[int, int], ...] = "all"
    permuted: bool = False
    reward_once: bool = False
    test_fraction: float = 0.2
    split_seed: int | None = 0

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        grid.as_cell("start", self.start, self.size)
        listed = () if isinstance(self.goals, str) else self.goals
        known = self.goals == "all" or len(listed) > 0
        require(known, "goals must be 'all' or cells", repr(self.goals))
        for goal in listed:
            grid.as_cell("a goal", goal, self.size)
        fraction = self.test_fraction
        require(0 < fraction < 1, "test_fraction must lie in (0, 1)", fraction)

    def sample(self, key: Key) -> DarkRoom:
        """Draws one room; each is as likely."""
        goals, orders = self._codes()
        index = jax.random.randint(key, (), 0, len(goals))
        return self.task(jnp.asarray(goals)[index], jnp.asarray(orders)[index])

    def task(self, goal: Any, permutation: Any = None) -> DarkRoom:
        """The room with this goal.

        Args:
            goal: (x, y).
            permutation: which of right, left, up, down and stay (0 to 4) each action
                does; in this order if None.

        Raises:
            ValueError: if the goal lies outside the grid, or the permutation is none.
        """
        order = PLAIN_ORDER if permutation is None else permutation
        if not isinstance(order, Tracer):
            is_order = sorted(np.asarray(order).tolist()) == list(PLAIN_ORDER)
            require(is_order, "a permutation must hold 0 to 4 once each", order)
        return DarkRoom(
            goal=grid.as_cell("a goal", goal, self.size),
            action_order=jnp.asarray(order, jnp.int32),
            size=self.size,
            start=self.start,
            reward_once=self.reward_once,
            horizon=self.horizon,
        )

    def split(self) -> splits.Split:
        """Holds out the last tasks of the shuffled list.

        Raises:
            ValueError: if a half would be empty.
        """
        goals, orders = self._codes()
        index = np.arange(len(goals))
        if self.split_seed is not None:
            np.random.RandomState(self.split_seed).shuffle(index)
        num_train = splits.count_train(len(goals), self.test_fraction)
        train, test = index[:num_train], index[num_train:]
        stack = jax.vmap(self.task)
        return splits.split_tasks(
            self,
            train=stack(jnp.asarray(goals[train]), jnp.asarray(orders[train])),
            test=stack(jnp.asarray(goals[test]), jnp.asarray(orders[test])),
        )

    def all_goals(self) -> Int[np.ndarray, "goals 2"]:
        """The goals that there are, as (x, y)."""
        everywhere = grid.all_positions(self.size)
        return everywhere if self.goals == "all" else np.array(self.goals)

    def all_orders(self) -> Int[np.ndarray, "orders 5"]:
        """The meanings that actions may have: what `permutation` is in `task`."""
        every = itertools.permutations(PLAIN_ORDER)
        return np.array(list(every) if self.permuted else [PLAIN_ORDER], np.int32)

    def _codes(
        self,
    ) -> tuple[Int[np.ndarray, "tasks 2"], Int[np.ndarray, "tasks 5"]]:
        """Goals and meanings of actions of all tasks, in the order of the split."""
        goals, orders = self.all_goals(), self.all_orders()
        each_goal = goals.repeat(len(orders), axis=0).astype(np.int32)
        return each_goal, np.tile(orders, (len(goals), 1))


DPT = "Lee et al. 2023, arXiv 2306.14892 (DPT)"
AD = "Laskin et al. 2022, arXiv 2210.14215 (AD)"
register(
    DarkRoomFamily(
        name="DarkRoom-DPT-v0",
        source=f"{DPT}, and the released code, split included",
        horizon=100,
    )
)
register(
    DarkRoomFamily(
        name="DarkRoomPermuted-DPT-v0",
        source=f"{DPT}, appendix (Dark Room, permuted); which 20 are held out is ours",
        horizon=100,
        goals=((9, 9),),
        permuted=True,
        test_fraction=1 / 6,
    )
)
register(
    DarkRoomFamily(
        name="DarkRoomThreeTasks-DPT-v0",
        source=f"{DPT}, Figure 5a (stitching), which is a picture and no more; the "
        "hidden order of the actions is ours: with known moves, whoever shows the goal "
        "shows all, and nothing is left to stitch",
        horizon=30,
        permuted=True,
    )
)
register(
    DarkRoomFamily(
        name="DarkRoom-AD-v0",
        source=f"{AD}: Dark Room; the split is ours",
        horizon=20,
        size=9,
        start=(4, 4),
    )
)
register(
    DarkRoomFamily(
        name="DarkRoomHard-AD-v0",
        source=f"{AD}: Dark Room Hard; the split is ours",
        horizon=20,
        size=17,
        start=(8, 8),
        reward_once=True,
    )
)

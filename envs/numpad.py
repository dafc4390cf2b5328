"""Numpad on a grid: press pads in a hidden order that must be found and kept in mind.

N x N pads, one cell apart. The right next pad lights up and pays 1, once in a pass; a
wrong one puts all out. After the last, all go out and the same order begins again. Each
pad of the order touches the one before, at a side or at a corner, and none comes twice.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs import grid
from envs.base import Key, require
from envs.hidden import HiddenFamily, HiddenTask
from envs.observation import Box
from envs.registry import register
from envs.viewer import GridPicture, Mark

NONE = -1  # in place of a pad


class NumpadState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    position: Int[Array, "*batch 2"]
    order: Int[Array, "*batch pads"]  # the pads by number; -1 behind the last
    lit: Int[Array, "*batch"]  # how many, the first of the order
    paid: Int[Array, "*batch"]  # for how many in this pass


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Numpad(HiddenTask):
    """One order; it shows the agent's x and y, one-hot, and which pads are lit."""

    pads: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Right (+x), left, up (+y), down and stay."""
        return grid.NUM_ACTIONS

    @property
    def side(self) -> int:
        """Cells of a side."""
        return 2 * self.pads + 1

    def best_return(self) -> Float[Array, ""]:
        """What somebody earns who knows the order: pads on the shortest ways.

        Between lines of pads all ways are free, so that a way is as long as the pads
        are apart; what is pressed before the first of an order does not matter.
        """
        state = self._hide(jax.random.wrap_key_data(self.seed))
        count = jnp.sum(state.order != NONE)
        places = self._place(state.order)
        ways = grid.distance(places[1:], places[:-1])
        known = jnp.arange(ways.shape[0]) < count - 1
        # an order of one pad is pressed again after a step aside and back
        back = jnp.maximum(grid.distance(places[count - 1], places[0]), 2)
        ends = jnp.cumsum(jnp.concatenate([jnp.zeros(1), jnp.where(known, ways, 0)]))
        lap = ends[count - 1] + back
        begun = self.horizon - grid.distance(state.position, places[0])
        counts = jnp.floor((begun - ends) / lap) + 1
        inside = (jnp.arange(ends.shape[0]) < count) & (begun >= ends)
        return jnp.sum(jnp.where(inside, counts, 0.0))

    def picture(self, state: NumpadState) -> GridPicture:
        """The pads, those that are lit as goals and the others as starts."""
        lit = set(np.asarray(state.order)[: int(state.lit)].tolist())
        marks = []
        for pad in range(self.pads**2):
            x, y = (int(v) for v in self._place(jnp.asarray(pad)))
            marks.append(Mark(x, y, "goal" if pad in lit else "start"))
        return GridPicture(
            size=(self.side, self.side),
            agent=(int(state.position[0]), int(state.position[1])),
            marks=marks,
        )

    def _hide(self, key: Key) -> NumpadState:
        nothing = jnp.zeros((), jnp.int32)
        return NumpadState(
            step=nothing,
            position=jnp.zeros(2, jnp.int32),
            order=draw_order(key, self.pads),
            lit=nothing,
            paid=nothing,
        )

    def _show(self, state: NumpadState) -> Float[Array, " features"]:
        place = jax.nn.one_hot(state.position, self.side).reshape(-1)
        lit = jnp.arange(self.pads**2) < state.lit
        shown = (
            jnp.zeros(self.pads**2)
            .at[state.order]
            .max(jnp.where(lit, 1.0, 0.0), mode="drop", wrap_negative_indices=False)
        )
        return jnp.concatenate([place, shown])

    def _next(
        self, key: Key, state: NumpadState, action: Int[Array, ""]
    ) -> tuple[NumpadState, Float[Array, ""]]:
        del key  # deterministic
        position = grid.walk(state.position, action, self.side)
        moved = (position != state.position).any()
        cell = (position - 1) // 2
        pad = cell[0] * self.pads + cell[1]
        presses = moved & (position % 2 == 1).all()
        before = jnp.arange(self.pads**2) < state.lit
        is_lit = (before & (state.order == pad)).any()
        right = presses & (state.order[state.lit] == pad)
        wrong = presses & ~right & ~is_lit
        lit = jnp.where(wrong, 0, state.lit + right)
        pays = right & (lit > state.paid)
        paid = jnp.maximum(state.paid, lit)
        done = right & (lit == jnp.sum(state.order != NONE))
        after = NumpadState(
            step=state.step + 1,
            position=position,
            order=state.order,
            lit=jnp.where(done, 0, lit),
            paid=jnp.where(done, 0, paid),
        )
        return after, pays.astype(jnp.float32)

    def _place(self, pad: Int[Array, "*batch"]) -> Int[Array, "*batch 2"]:
        return 2 * grid.position_of(pad, self.pads) + 1


def draw_order(key: Key, pads: int) -> Int[Array, " pads"]:
    """Draws an order: from any pad on to a neighbour that is new, as long as one is."""
    places = grid.all_positions(pads)
    apart = np.abs(places[:, None] - places).max(-1)
    beside = jnp.asarray(apart == 1)

    def step(
        carry: tuple[Array, Array], number: Int[Array, ""]
    ) -> tuple[tuple[Bool[Array, " pads"], Array], Array]:
        free, at = carry
        may = free & jnp.where(at == NONE, False, beside[at])
        key_next = jax.random.fold_in(key_rest, number)
        drawn = jax.random.categorical(key_next, jnp.where(may, 0.0, -jnp.inf))
        pad = jnp.where(may.any(), drawn, NONE)
        return (free & (jnp.arange(pads**2) != pad), pad), pad

    key_first, key_rest = jax.random.split(key)
    first = jax.random.randint(key_first, (), 0, pads**2)
    free = jnp.arange(pads**2) != first
    _, rest = jax.lax.scan(step, (free, first), jnp.arange(pads**2 - 1))
    return jnp.concatenate([first[None], rest])


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumpadFamily(HiddenFamily):
    """Orders of N x N pads; an episode begins in the lower left corner.

    Attributes:
        pads: of a side, N.
    """

    has_gaps = False
    pads: int = 2

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.pads >= 2, "pads must be at least 2", self.pads)

    @property
    def num_actions(self) -> int:
        """Right, left, up, down and stay."""
        return grid.NUM_ACTIONS

    @property
    def observation(self) -> Box:
        """One-hot x and y, and a number for each pad: 1 if it is lit."""
        return Box((2 * (2 * self.pads + 1) + self.pads**2,), 0.0, 1.0)

    def task(self, seed: Array) -> Numpad:
        """The order of this seed."""
        return Numpad(seed=seed, pads=self.pads, horizon=self.horizon)


register(
    NumpadFamily(
        name="Numpad-v0",
        source="Humplik et al. 2019, arXiv 1905.06424, and Parisotto et al. 2020, "
        "arXiv 1910.06764 (Numpad, 2 to 4 pads a side); ours: a grid, no robot",
        horizon=100,
    )
)

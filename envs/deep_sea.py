"""Deep sea: one treasure at the end of a dive that must go right at every step.

Osband et al. 2019, arXiv 1908.03568 (bsuite), after Osband et al. 2017, arXiv
1703.07608. A diver falls by one row a step through a grid of N × N and moves left or
right; which action does what is hidden, cell by cell, and learning it without a plan
takes about 2^N episodes. Of that grid, ours keeps the N (N + 1) / 2 cells that can be
reached, numbered row by row, and the end as one more state.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from envs.base import Key
from envs.codes import CodedFamily
from envs.registry import register
from envs.tabular_mdp import TabularMDP, make_task


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepSeaFamily(CodedFamily):
    """Seas in which either action of each cell is as likely to go right.

    Attributes:
        horizon: rows and columns, N.
        move_cost: of going right N times; each time costs an N-th of it.
        treasure: what going right in the last cell of the last row pays.
    """

    move_cost: float = 0.01
    treasure: float = 1.0

    @property
    def num_cells(self) -> int:
        """Cells that can be reached."""
        return self.horizon * (self.horizon + 1) // 2

    @property
    def num_states(self) -> int:
        """Cells, and the end."""
        return self.num_cells + 1

    @property
    def num_actions(self) -> int:
        """Left and right, in a hidden order."""
        return 2

    def draw_code(self, key: Key) -> Int[Array, " cells"]:
        """Draws the action that goes right in every cell."""
        return jax.random.bernoulli(key, shape=(self.num_cells,)).astype(jnp.int32)

    def task(self, code: Int[Array, " cells"] | None = None) -> TabularMDP:
        """The sea with these actions that go right.

        Args:
            code: 0 or 1 for every cell; 1 everywhere if None.

        Raises:
            ValueError: if the code has another length, or other values.
        """
        code = jnp.ones(self.num_cells, jnp.int32) if code is None else code
        self.require_code(code, self.num_cells, 2)
        code = jnp.append(code, 0)  # the end, where nothing matters
        goes_right = jnp.arange(2)[None] == code[:, None]
        left, right = self._next_states()
        next_states = jnp.where(goes_right, right[:, None], left[:, None])
        pays = np.full(self.num_states, -self.move_cost / self.horizon)
        pays[self.num_cells - 1] += self.treasure
        return make_task(
            transitions=jax.nn.one_hot(next_states, self.num_states),
            rewards=jnp.where(goes_right, pays[:, None], 0.0),
            terminal=jnp.arange(self.num_states) == self.num_cells,
            horizon=self.horizon,
        )

    def _next_states(self) -> tuple[Int[np.ndarray, " states"], ...]:
        """Where left and right lead to."""
        rows, columns = np.tril_indices(self.horizon)
        first_below = (rows + 1) * (rows + 2) // 2
        left = first_below + np.maximum(columns - 1, 0)
        right = first_below + columns + 1
        end = [self.num_cells]
        return tuple(
            np.minimum(np.append(cells, end), self.num_cells) for cells in (left, right)
        )


register(
    DeepSeaFamily(
        name="DeepSea-v0",
        source="Osband et al. 2019, arXiv 1908.03568 (bsuite: deep_sea, size 10)",
        horizon=10,
    )
)

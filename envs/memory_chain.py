"""Memory chains: what is shown at the first step is asked for at the last."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Key
from envs.hidden import HiddenFamily, HiddenTask
from envs.observation import Box
from envs.registry import register


class MemoryChainState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    answer: Int[Array, "*batch"]  # 0 or 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryChain(HiddenTask):
    """One chain: the last action earns 1 if it is what was shown, else -1.

    It shows the time left as a fraction, whether this is the last step, and at the
    first step alone 1 or -1.
    """

    @property
    def num_actions(self) -> int:
        """The answers 0 and 1."""
        return 2

    def gaps(self, state: MemoryChainState) -> Float[Array, " actions"]:
        """V* - Q*: 2 for the wrong answer at the last step."""
        wrong = jnp.arange(self.num_actions) != state.answer
        return 2.0 * (wrong & (state.step == self.horizon - 1))

    def _hide(self, key: Key) -> MemoryChainState:
        answer = jax.random.bernoulli(key).astype(jnp.int32)
        return MemoryChainState(jnp.zeros((), jnp.int32), answer)

    def _show(self, state: MemoryChainState) -> Float[Array, "3"]:
        left = 1 - state.step / self.horizon
        asked = (state.step == self.horizon - 1).astype(jnp.float32)
        shown = (2.0 * state.answer - 1) * (state.step == 0)
        return jnp.stack([jnp.maximum(left, 0.0), asked, shown])

    def _next(
        self, key: Key, state: MemoryChainState, action: Int[Array, ""]
    ) -> tuple[MemoryChainState, Float[Array, ""]]:
        del key  # deterministic
        is_last = state.step == self.horizon - 1
        reward = jnp.where(action == state.answer, 1.0, -1.0) * is_last
        return state._replace(step=state.step + 1), reward


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryChainFamily(HiddenFamily):
    """Chains as long as the horizon; of one step, what is asked is seen.

    The optimum earns 1, and who forgets nothing on average.
    """

    @property
    def num_actions(self) -> int:
        """The answers 0 and 1."""
        return 2

    @property
    def observation(self) -> Box:
        """The time left, whether an answer is asked for, and what is to be kept."""
        return Box((3,), -1.0, 1.0)

    def task(self, seed: Array) -> MemoryChain:
        """The chain of this seed."""
        return MemoryChain(seed=seed, horizon=self.horizon)


register(
    MemoryChainFamily(
        name="MemoryLength-v0",
        source="Osband et al. 2020, arXiv 1908.03568 (bsuite: memory_len), whose "
        "chains have 1 to 100 steps; ours has 30",
        horizon=30,
    )
)

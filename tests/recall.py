"""A partially observed family for tests: a cue is shown once and recalled later."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from envs import splits
from envs.base import Family, TimeStep
from envs.observation import Discrete

NOTHING = 2  # what is shown when the cue is not


class State(NamedTuple):
    step: Int[Array, ""]
    cue: Int[Array, ""]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bare:
    """Naming the cue at the last step pays 1, or its opposite does: the task says.

    It leaves out what it cannot give.
    """

    flipped: Int[Array, "*batch"]
    horizon: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self):
        return 2

    def reset(self, key):
        cue = jax.random.randint(key, (), 0, 2)
        return State(step=jnp.asarray(0), cue=cue), cue

    def step(self, key, state, action):
        del key
        state = state._replace(step=state.step + 1)
        over = state.step >= self.horizon
        right = action == state.cue ^ self.flipped
        return state, TimeStep(
            obs=jnp.asarray(NOTHING),
            reward=(over & right).astype(jnp.float32),
            terminated=jnp.zeros((), bool),
            truncated=over,
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recall(Bare):
    """The same; it says what it cannot give."""

    def gaps(self, state):
        raise NotImplementedError

    def state_from_obs(self, step, obs):
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecallFamily(Family):
    has_gaps = False

    @property
    def num_actions(self):
        return 2

    @property
    def observation(self):
        return Discrete(3)

    def sample(self, key):
        return self.task(jax.random.randint(key, (), 0, 2))

    def task(self, flipped):
        return Recall(flipped=jnp.asarray(flipped), horizon=self.horizon)

    def split(self):
        halves = (splits.stack_tasks([self.task(flipped)]) for flipped in (0, 1))
        return splits.split_tasks(self, *halves)


class BareFamily(RecallFamily):
    def task(self, flipped):
        return Bare(flipped=jnp.asarray(flipped), horizon=self.horizon)


BARE = BareFamily(name="Recall-Bare-v0", source="this file", horizon=3)
FAMILY = RecallFamily(name="Recall-v0", source="this file", horizon=3)

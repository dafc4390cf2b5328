"""Gilbert-Elliott channels: two-state arms that change whether chosen or not."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import NOTHING, Family, Key, TimeStep, bandit_timestep, require
from envs.registry import register


class ChannelState(NamedTuple):
    """Steps taken, and which channels are good: hidden from the agent."""

    step: Int[Array, "*batch"]
    good: Bool[Array, "*batch channels"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Channels:
    """Choosing a channel pays 1 if it is good, and nothing else is seen.

    All channels follow the same chain, each for itself, from its stationary law on.
    """

    stays_good: Float[Array, "*batch"]  # p11: a good channel is good at the next step
    becomes_good: Float[Array, "*batch"]  # p01: a bad one is
    num_channels: int = dataclasses.field(metadata={"static": True})
    horizon: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Channels."""
        return self.num_channels

    def reset(self, key: Key) -> tuple[ChannelState, Int[Array, ""]]:
        """Draws every channel's first state."""
        share = stationary(self.stays_good, self.becomes_good)
        good = jax.random.uniform(key, (self.num_channels,)) < share
        return ChannelState(step=jnp.asarray(0), good=good), jnp.asarray(NOTHING)

    def step(
        self, key: Key, state: ChannelState, action: Int[Array, ""]
    ) -> tuple[ChannelState, TimeStep]:
        """Pays, then every channel changes. The action changes none of them."""
        reward = state.good[action].astype(jnp.float32)
        chance = jnp.where(state.good, self.stays_good, self.becomes_good)
        good = jax.random.uniform(key, (self.num_channels,)) < chance
        state = ChannelState(step=state.step + 1, good=good)
        obs = jnp.asarray(NOTHING)
        return state, bandit_timestep(obs, reward, state.step, self.horizon)

    def gaps(self, state: ChannelState) -> Float[Array, " channels"]:
        """There are none: the best policy sees as little as every other."""
        raise NotImplementedError

    def state_from_obs(self, step: Int[Array, ""], obs: Int[Array, ""]) -> ChannelState:
        """Nothing that is seen shows the state."""
        raise NotImplementedError


def stationary(
    stays_good: float | Array, becomes_good: float | Array
) -> float | Float[Array, ""]:
    """The share of time that a channel is good, p01 / (1 - p11 + p01)."""
    return becomes_good / (1 - stays_good + becomes_good)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelsFamily(Family):
    """Channels whose p11 and p01 are uniform, and positively correlated: p11 > p01."""

    has_gaps = False
    num_channels: int = 5
    stays_good: tuple[float, float] = (0.7, 0.95)  # least and largest p11
    becomes_good: tuple[float, float] = (0.05, 0.3)  # least and largest p01

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.num_channels >= 2, "channels must be 2 or more", self.num_channels)
        limits = *self.becomes_good, *self.stays_good
        rule = "0 < becomes_good < stays_good < 1 must hold, and low <= high"
        ordered = limits[0] <= limits[1] < limits[2] <= limits[3]
        require(limits[0] > 0 and ordered and limits[3] < 1, rule, limits)

    @property
    def num_actions(self) -> int:
        """Channels."""
        return self.num_channels

    def sample(self, key: Key) -> Channels:
        """Draws one pair of probabilities."""
        key_good, key_bad = jax.random.split(key)
        low, high = self.stays_good
        stays_good = jax.random.uniform(key_good, minval=low, maxval=high)
        low, high = self.becomes_good
        becomes_good = jax.random.uniform(key_bad, minval=low, maxval=high)
        return self.task(stays_good, becomes_good)

    def task(self, stays_good: float | Array, becomes_good: float | Array) -> Channels:
        """The channels with these probabilities."""
        return Channels(
            stays_good=jnp.asarray(stays_good, jnp.float32),
            becomes_good=jnp.asarray(becomes_good, jnp.float32),
            num_channels=self.num_channels,
            horizon=self.horizon,
        )


register(
    ChannelsFamily(
        name="Channels-Liu2010-v0",
        source="Liu and Zhao 2010, arXiv 0810.4658; the priors are ours",
        horizon=60,
    )
)

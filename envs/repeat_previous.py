"""Repeat previous: say the suit of the card that was shown some steps ago."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from envs.base import Key, require
from envs.hidden import HiddenFamily, HiddenTask
from envs.observation import Discrete
from envs.registry import register

SUITS = 4
CARDS = 52  # of a deck


class RepeatPreviousState(NamedTuple):
    """Where an episode stands."""

    step: Int[Array, "*batch"]  # taken so far
    suits: Int[Array, "*batch cards"]  # of the shuffled cards


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatPrevious(HiddenTask):
    """One shuffle; it shows the suit of the newest card.

    The right answer at a step is the suit of the card `back` - 1 before the newest; it
    earns one over the number of answers, and a wrong one loses as much. As long as so
    many cards were not shown, nothing is earned.
    """

    back: int = dataclasses.field(metadata={"static": True})
    decks: int = dataclasses.field(metadata={"static": True})

    @property
    def num_actions(self) -> int:
        """Suits."""
        return SUITS

    def gaps(self, state: RepeatPreviousState) -> Float[Array, " actions"]:
        """V* - Q*: what a wrong answer loses against the right one."""
        actions = jnp.arange(self.num_actions)
        _, rewards = jax.vmap(self._next, (None, None, 0))(None, state, actions)
        return rewards.max() - rewards

    def _hide(self, key: Key) -> RepeatPreviousState:
        suits = jnp.arange(CARDS * self.decks) % SUITS
        step = jnp.zeros((), jnp.int32)
        return RepeatPreviousState(step, jax.random.permutation(key, suits))

    def _show(self, state: RepeatPreviousState) -> Int[Array, ""]:
        last = CARDS * self.decks - 1
        return state.suits[jnp.minimum(state.step, last)]

    def _next(
        self, key: Key | None, state: RepeatPreviousState, action: Int[Array, ""]
    ) -> tuple[RepeatPreviousState, Float[Array, ""]]:
        del key  # deterministic
        asked = state.step - (self.back - 1)
        right = action == state.suits[jnp.maximum(asked, 0)]
        counts = (asked >= 0) & (state.step < self.horizon)
        worth = counts / (self.horizon + 1 - self.back)
        reward = jnp.where(right, worth, -worth)
        return state._replace(step=state.step + 1), reward


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatPreviousFamily(HiddenFamily):
    """Shuffles of some decks; the optimum earns 1, and uniform answers -1/2.

    Attributes:
        back: the right answer is the card shown `back` - 1 steps before the newest.
        decks: whose cards are shuffled; the horizon is at most their number less one.
    """

    back: int = 4
    decks: int = 1

    def __post_init__(self) -> None:
        """Checks the sizes."""
        super().__post_init__()
        require(self.back >= 1, "back must be at least 1", self.back)
        require(self.decks >= 1, "decks must be at least 1", self.decks)
        most = CARDS * self.decks
        require(self.horizon <= most, f"horizon must be at most {most}", self.horizon)
        rule = f"horizon must be at least back = {self.back}"
        require(self.horizon >= self.back, rule, self.horizon)

    @property
    def num_actions(self) -> int:
        """Suits."""
        return SUITS

    @property
    def observation(self) -> Discrete:
        """Suits."""
        return Discrete(SUITS)

    def task(self, seed: Array) -> RepeatPrevious:
        """The shuffle of this seed."""
        return RepeatPrevious(
            seed=seed, back=self.back, decks=self.decks, horizon=self.horizon
        )


register(
    RepeatPreviousFamily(
        name="RepeatPrevious-v0",
        source="Morad et al. 2023, arXiv 2303.01859 (POPGym: RepeatPreviousEasy; "
        "Medium has 2 decks and the card 32 back, Hard 3 and 64)",
        horizon=CARDS - 1,
    )
)

"""What a tokenizer is: an interaction, written token by token for a sequence model.

Training (`encoding.encode`: a trajectory to tokens) and play (`agents.in_context`) call
the same two functions, so that they cannot drift.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs.base import Family, TimeStep
from envs.observation import Arms, Discrete

Memory = Any  # a pytree of fixed shapes; each tokenizer defines its own
Tokens = Float[Array, "tokens token"]


class Episode(NamedTuple):
    """Where the episode that runs now stands, as a tokenizer remembers it."""

    step: Int[Array, "*batch"]  # taken so far
    alive: Bool[Array, "*batch"]  # it has not terminated

    def after(self, timestep: TimeStep) -> "Episode":
        """The same after one more step; the last one, truncated, begins the next."""
        return Episode(
            step=jnp.where(timestep.truncated, 0, self.step + 1),
            alive=timestep.truncated | (self.alive & ~timestep.terminated),
        )


def first_episode() -> Episode:
    """Before the first step of all."""
    return Episode(step=jnp.zeros((), jnp.int32), alive=jnp.ones((), bool))


def episodes(timestep: TimeStep) -> Episode:
    """`Episode` before every one of these steps [time], all at once."""
    times = jnp.arange(timestep.truncated.shape[0], dtype=jnp.int32)

    def last(happened: Bool[Array, " time"]) -> Int[Array, " time"]:
        """The step after the latest, before each step, at which it happened; else 0."""
        latest = jax.lax.cummax(jnp.where(happened, times + 1, 0))
        return jnp.concatenate([jnp.zeros_like(latest[:1]), latest[:-1]])

    start = last(timestep.truncated)
    return Episode(step=times - start, alive=last(timestep.terminated) <= start)


class Tokenizer(NamedTuple):
    """How an interaction becomes tokens.

    A decision is read from the logits at the last token of `observe`. What follows a
    termination, up to the end of its episode, is written as zeros (but for what an
    observation shows).

    Attributes:
        family: what it writes.
        token_size: features of a token.
        tokens_per_step: tokens that a step of the environment adds: those of `observe`,
            one or more, and those of `record`.
        init: `() -> memory`, before the first step of all.
        observe: `(memory, obs) -> (memory, tokens)`, before acting.
        record: `(memory, obs, action, timestep) -> (memory, tokens)`, after a step. Its
            last `end_tokens` tokens count at the last step of an episode only.
        end_tokens: how many tokens more an episode's last step adds.
        last_step_only: whether a memory depends on nothing but the last step, and on
            its field `episode`, an `Episode`. Then a trajectory is written in parallel.
        query: where the query stands, if it may be any observation: in the "first"
            token alone, or in "each". `agents.query_table` plays these.
        arm_features: (arms, dim) of what stands first in every token that decides, if
            that is the features of all arms.
    """

    family: Family
    token_size: int
    tokens_per_step: int
    init: Callable[[], Memory]
    observe: Callable[[Memory, Any], tuple[Memory, Tokens]]
    record: Callable[[Memory, Any, Array, TimeStep], tuple[Memory, Tokens]]
    end_tokens: int = 0
    last_step_only: bool = False
    query: Literal["first", "each"] | None = None
    arm_features: tuple[int, int] | None = None

    @property
    def needs_query(self) -> bool:
        """Whether an observation must be chosen as the query of a decision."""
        space = self.family.observation
        one = isinstance(space, Discrete) and space.n == 1
        return self.query == "each" or (self.query == "first" and not one)

    @property
    def observe_tokens(self) -> int:
        """Tokens of `observe`."""
        space = self.family.observation
        kind = jnp.int32 if isinstance(space, Discrete) else jnp.float32
        obs = jax.ShapeDtypeStruct(space.shape, kind)
        _, tokens = jax.eval_shape(lambda seen: self.observe(self.init(), seen), obs)
        return tokens.shape[0]

    def num_tokens(self, num_steps: int) -> int:
        """Tokens up to the decision that knows `num_steps` transitions."""
        return int(self.decision_positions(num_steps)[-1]) + 1

    def num_steps(self, max_tokens: int) -> int:
        """Most steps that fit into so many tokens, with a decision that knows all."""
        positions = self.decision_positions(max_tokens // self.tokens_per_step)
        return int((positions < max_tokens).sum()) - 1

    def decision_positions(self, num_steps: int) -> Int[np.ndarray, " decisions"]:
        """Where the decisions stand that know 0, 1, ..., `num_steps` transitions."""
        known = np.arange(num_steps + 1)
        ends = self.end_tokens * (known // self.family.horizon)
        return self.tokens_per_step * known + ends + self.observe_tokens - 1


class LastStep(NamedTuple):
    """The memory of a tokenizer that shows a step in the next token."""

    episode: Episode
    shown: Float[Array, " shown"]  # of the last step; zeros before the first


def no_tokens(token_size: int) -> Tokens:
    """What a function returns that writes nothing."""
    return jnp.zeros((0, token_size))


def transition_of(
    family: Family,
) -> tuple[Callable[[Any, Array, TimeStep], Float[Array, " shown"]], int]:
    """`(obs, action, timestep) -> [s, one-hot a, s', r]`, and the size of it."""
    space, actions = family.observation, family.num_actions

    def show(obs: Any, action: Array, timestep: TimeStep) -> Float[Array, " shown"]:
        return jnp.concatenate(
            [
                space.encode(obs),
                jax.nn.one_hot(action, actions),
                space.encode(timestep.obs),
                timestep.reward[None],
            ]
        )

    return show, 2 * space.size + actions + 1


def action_shown(
    family: Family, *, by_features: bool
) -> tuple[Callable[[Any, Array], Float[Array, " shown"]], int]:
    """`(obs, action) ->` how a token shows an action, and how many numbers that is.

    Raises:
        ValueError: if it is to be shown by its features, and the family shows none.
    """
    if not by_features:
        size = family.num_actions
        return lambda obs, action: jax.nn.one_hot(action, size), size
    space = family.observation
    if not isinstance(space, Arms):
        raise ValueError(
            "a tokenizer by features needs a family whose observation is the arms' "
            f"features, got {family.name or type(family).__name__}"
        )
    return lambda obs, action: obs[action], space.dim


def arm_features(family: Family) -> tuple[int, int] | None:
    """(arms, dim) if the family's observation is the features of its arms."""
    space = family.observation
    return space.shape if isinstance(space, Arms) else None

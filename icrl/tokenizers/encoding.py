"""A whole trajectory as tokens, for training; the same that play writes one by one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.base import TimeStep
from icrl.rollout import Trajectory
from icrl.tokenizers.base import Episode, Memory, Tokenizer, Tokens, episodes


def encode(
    tokenizer: Tokenizer,
    trajectory: Trajectory,
    query: Any = None,
    *,
    memory: Memory | None = None,
) -> Float[Array, "tokens token"]:
    """The tokens of a trajectory, up to the decision that knows all of it.

    Args:
        tokenizer: how.
        trajectory: of `time` steps.
        query: what is observed at every decision [decisions, ...], or at all of them,
            instead of what the trajectory shows.
        memory: the tokenizer's, where the trajectory goes on from earlier steps; None
            at the first step of all.

    Returns:
        `tokenizer.num_tokens(time)` tokens.
    """
    steps = trajectory.obs, trajectory.action, trajectory.timestep
    num_steps = trajectory.action.shape[0]
    seen = jax.tree.map(
        lambda shown, last: jnp.concatenate([shown, last[None]]),
        trajectory.obs,
        trajectory.final_obs,
    )
    if query is not None:
        seen = jnp.broadcast_to(query, num_steps + 1)
    if memory is None and tokenizer.last_step_only:
        observed, recorded = _in_parallel(tokenizer, seen, *steps)
    else:
        first = tokenizer.init() if memory is None else memory
        observed, recorded = _in_turn(tokenizer, first, seen, *steps)
    body = jnp.concatenate([observed[:-1], recorded], axis=1)
    body = body.reshape(-1, tokenizer.token_size)
    if tokenizer.end_tokens:
        body = body[_written(tokenizer, num_steps)]
    return jnp.concatenate([body, observed[-1]])


def decisions(
    tokenizer: Tokenizer, logits: Float[Array, "tokens actions"]
) -> Float[Array, "decisions actions"]:
    """The logits that decide: one row for each number of transitions known."""
    if not tokenizer.end_tokens:  # a slice: its gradient is no scatter
        return logits[tokenizer.observe_tokens - 1 :: tokenizer.tokens_per_step]
    most = logits.shape[0] // tokenizer.tokens_per_step
    positions = tokenizer.decision_positions(most)
    return logits[positions[positions < logits.shape[0]]]


def _in_turn(
    tokenizer: Tokenizer,
    first: Memory,
    seen: Any,
    obs: Any,
    action: Array,
    timestep: TimeStep,
) -> tuple[Array, Array]:
    """Tokens of `observe` [time + 1, ...] and `record` [time, ...], step by step."""

    def step(memory: Memory, now: tuple[Any, ...]):
        seen, *taken = now
        memory, observed = tokenizer.observe(memory, seen)
        memory, recorded = tokenizer.record(memory, *taken)
        return memory, (observed, recorded)

    before = jax.tree.map(lambda x: x[:-1], seen)
    memory, (observed, recorded) = jax.lax.scan(
        step, first, (before, obs, action, timestep)
    )
    _, last = tokenizer.observe(memory, jax.tree.map(lambda x: x[-1], seen))
    return jnp.concatenate([observed, last[None]]), recorded


def _in_parallel(
    tokenizer: Tokenizer, seen: Any, obs: Any, action: Array, timestep: TimeStep
) -> tuple[Array, Array]:
    """The same at once, as a memory depends on its last step and its episode alone."""
    blank = tokenizer.init()

    def step(
        episode: Episode, seen: Any, obs: Any, action: Array, timestep: TimeStep
    ) -> tuple[Memory, Tokens]:
        memory, _ = tokenizer.observe(blank._replace(episode=episode), seen)
        return tokenizer.record(memory, obs, action, timestep)

    before = jax.tree.map(lambda x: x[:-1], seen)
    after, recorded = jax.vmap(step)(episodes(timestep), before, obs, action, timestep)
    memories = jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest]), blank, after
    )
    _, observed = jax.vmap(tokenizer.observe)(memories, seen)
    return observed, recorded


def _written(tokenizer: Tokenizer, num_steps: int) -> np.ndarray:
    """Which of all tokens count: the last `end_tokens` where an episode ends only."""
    per_step, horizon = tokenizer.tokens_per_step, tokenizer.family.horizon
    token = np.arange(per_step + tokenizer.end_tokens)
    ends = (np.arange(num_steps) + 1) % horizon == 0
    return np.flatnonzero((token < per_step) | ends[:, None])

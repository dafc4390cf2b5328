"""Lin et al.'s tokens of an MDP: an empty one ends each episode."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from envs.base import Family, TimeStep
from icrl.tokenizers.base import Memory, Tokenizer, Tokens
from icrl.tokenizers.interleaved import interleaved
from icrl.tokenizers.registry import register


@register("interleaved_ended")
def interleaved_ended(family: Family) -> Tokenizer:
    """`interleaved`, with a token of zeros behind the last step of each episode.

    There a construction stores the last transition.

    Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Appendix on soft UCB-VI.
    """
    inner = interleaved(family)

    def record(
        memory: Memory, obs: Any, action: Array, timestep: TimeStep
    ) -> tuple[Memory, Tokens]:
        memory, tokens = inner.record(memory, obs, action, timestep)
        return memory, jnp.concatenate([tokens, jnp.zeros_like(tokens)])

    return inner._replace(record=record, end_tokens=1)

"""Constructed transformers as agents, beside trained ones and algorithms."""

from typing import Any

import jax

from icrl.agents import Agent, trained
from icrl.agents.in_context import in_context
from icrl.algorithms.base import Algorithm
from icrl.theory.compiler import Construction, Dtype, build
from icrl.tokenizers.base import Tokenizer


def written(
    construction: Construction,
    tokenizer: Tokenizer,
    *,
    noise: int = 0,
    dtype: Dtype = "float64",
) -> Agent:
    """Returns the agent that plays a construction: one model, and no training seed.

    Args:
        construction: what it calculates.
        tokenizer: whose tokens it reads.
        noise: as in `in_context`.
        dtype: as in `build`.
    """
    models = jax.tree.map(lambda leaf: leaf[None], build(construction, dtype))
    if not noise:
        return trained(models, tokenizer)._replace(written=True)

    def make(model: Any, task: Any) -> Algorithm:
        del task
        return in_context(model, tokenizer, greedy=True, noise=noise)

    return Agent(make, models, written=True)

"""Proximal policy optimisation: ratios of probabilities, clipped."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from icrl.online_config import PpoConfig
from icrl.training.experience import Batch, Player, read_again
from icrl.training.fit import Logged


def ppo_loss(
    model: Any, multipliers: None, player: Player, batch: Batch, config: PpoConfig
) -> tuple[Float[Array, ""], Logged]:
    """Returns PPO's loss of a minibatch, and what the log says of it.

    Advantages are normalised over the minibatch.

    Source: Schulman et al. 2017, arXiv 1707.06347, equations 7 and 9.
    """
    del multipliers
    again = read_again(model, player, batch.segment)
    advantage = batch.advantage - again.mean(batch.advantage)
    advantage = advantage / (jnp.sqrt(again.mean(advantage**2)) + 1e-8)
    ratio = jnp.exp(again.change)
    clipped = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
    policy = -again.mean(jnp.minimum(ratio * advantage, clipped * advantage))
    value, entropy = again.value_loss(batch), again.entropy()
    loss = policy + config.value_coefficient * value
    loss = loss - config.entropy_coefficient * entropy
    outside = (jnp.abs(ratio - 1) > config.clip).astype(jnp.float32)
    return loss, {
        "loss": loss,
        "policy_loss": policy,
        "value_loss": value,
        "entropy": entropy,
        "kl": again.divergence(),
        "clipped": again.mean(outside),
        "ratio_error": again.ratio_error(),
    }

"""V-MPO: imitation of the better half of what was done, with a leash."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from icrl.online_config import VmpoConfig
from icrl.training.experience import Batch, Player, read_again
from icrl.training.fit import Logged


class Multipliers(NamedTuple):
    """Of the two constraints, as logarithms, which keeps them positive.

    Theirs are clipped from below instead.
    """

    temperature: Float[Array, ""]  # log η
    leash: Float[Array, ""]  # log α


def first_multipliers(config: VmpoConfig) -> Multipliers:
    """Returns those that a training begins with."""
    return Multipliers(
        jnp.log(jnp.float32(config.first_temperature)),
        jnp.log(jnp.float32(config.first_leash)),
    )


def vmpo_loss(
    model: Any,
    multipliers: Multipliers,
    player: Player,
    batch: Batch,
    config: VmpoConfig,
) -> tuple[Float[Array, ""], Logged]:
    """Returns V-MPO's loss of a minibatch, and what the log says of it.

    The actions of the highest advantages, half of the minibatch, are imitated with
    weights exp(A / η); η is the dual of a bound on how far these may be from uniform,
    and α that of a bound on the divergence from the old policy. Their target network is
    the model as it was when the batch was played.

    Source: Song et al. 2020, arXiv 1909.12238, Section 4 and equations 4 to 7.
    """
    again = read_again(model, player, batch.segment)
    eta, alpha = jnp.exp(multipliers.temperature), jnp.exp(multipliers.leash)
    valid = batch.segment.valid
    ranked = jnp.where(valid, batch.advantage, -jnp.inf).ravel()
    half = jnp.sort(ranked)[::-1][jnp.maximum(valid.sum() // 2, 1) - 1]
    better = valid & (batch.advantage >= half)
    scores = jnp.where(better, batch.advantage / eta, -jnp.inf)
    fixed = jax.lax.stop_gradient(scores)
    weights = jnp.exp(fixed - jax.nn.logsumexp(fixed))
    policy = -jnp.sum(weights * again.log_probs)
    log_mean = jax.nn.logsumexp(scores) - jnp.log(jnp.maximum(better.sum(), 1))
    temperature = eta * (config.temperature_bound + log_mean)
    kl = again.divergence()
    leash = alpha * (config.divergence_bound - jax.lax.stop_gradient(kl))
    leash = leash + jax.lax.stop_gradient(alpha) * kl
    value, entropy = again.value_loss(batch), again.entropy()
    loss = policy + temperature + leash + config.value_coefficient * value
    loss = loss - config.entropy_coefficient * entropy
    return loss, {
        "loss": loss,
        "policy_loss": policy,
        "value_loss": value,
        "entropy": entropy,
        "kl": kl,
        "temperature": eta,
        "leash": alpha,
        "ratio_error": again.ratio_error(),
    }

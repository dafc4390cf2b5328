"""The index policy of identical channels: choose the one most likely to be good.

Whittle's index of a channel grows with the belief that it is good, and identical
channels share one index, so that its policy chooses the largest belief (Liu and Zhao
2010, arXiv 0810.4658, Section VI). For p11 > p01 that is optimal for any number of
channels, and the order of the beliefs does not depend on the two probabilities (Zhao,
Krishnamachari and Liu 2008, arXiv 0712.0035; Ahmad et al. 2009, arXiv 0811.0637).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Scalar, TimeStep, require
from icrl.algorithms.base import Algorithm
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.registry import register
from restless_lab.channels import Channels, ChannelsFamily, stationary

Belief = Float[Array, " channels"]  # probability that each channel is good now


@register("largest_belief")
def largest_belief(
    family: ChannelsFamily | Channels,
    *,
    stays_good: Scalar = 0.8,
    becomes_good: Scalar = 0.2,
) -> Algorithm:
    """Chooses the channel of largest belief; ties go to the lowest.

    Args:
        family: what it plays.
        stays_good: p11, as known or guessed.
        becomes_good: p01, likewise.

    Raises:
        ValueError: if p01 is not below p11, or one is no probability.
    """
    rule = "0 <= becomes_good < stays_good <= 1 must hold"
    holds = (becomes_good >= 0) & (becomes_good < stays_good) & (stays_good <= 1)
    require(holds, rule, (becomes_good, stays_good))

    def fresh() -> Belief:
        share = jnp.asarray(stationary(stays_good, becomes_good), jnp.float32)
        return jnp.broadcast_to(share, family.num_actions)

    def update(belief: Belief, obs, action: Array, timestep: TimeStep) -> Belief:
        del obs
        known = belief.at[action].set(timestep.reward)
        return known * stays_good + (1 - known) * becomes_good

    policy = index_policy(
        family, init=fresh, index=lambda belief, obs: belief, update=update
    )
    return policy._replace(begin_episode=lambda key, belief: fresh())


def informed(task: Channels) -> Algorithm:
    """The same, which knows the probabilities: made from the task, as `optimal` is."""
    return largest_belief(
        task, stays_good=task.stays_good, becomes_good=task.becomes_good
    )

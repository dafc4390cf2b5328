"""Thompson sampling that prefers hopeful draws, in two readings."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc
from jax.scipy.stats import beta
from jaxtyping import Array, Float

from envs.base import Family, require
from envs.bernoulli_bandit import BernoulliBanditFamily
from icrl.algorithms import posteriors
from icrl.algorithms.base import Algorithm, require_family
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics, update_statistics
from icrl.algorithms.posteriors.quadrature import FINE
from icrl.algorithms.registry import register

RULES = ("optimistic", "likeliest")
# Of panels from the largest mean to 1: what is above it may end soon.
EDGES = (0.0, *(2.0**-k for k in range(12, -1, -1)))


@register("optimistic_thompson_sampling")
def optimistic_thompson_sampling(
    family: Family, *, rule: str = "optimistic", num_draws: int = 1
) -> Algorithm:
    """Draws every arm's mean from its Beta posterior, and plays the largest.

    What is compared is, by `rule`,

        optimistic   the larger of draw and posterior mean, for each arm
        likeliest    the draw of all arms that is likeliest under the posterior, out of
                     `num_draws`

    The second is what the authors of RL² call optimistic; with more draws it comes near
    to the posterior's mode, and so to greed.

    Source: May et al. 2012, "Optimistic Bayesian sampling in contextual-bandit
    problems", JMLR 13, Algorithm 2; the authors' code of Duan et al. 2016, arXiv
    1611.02779 (the prior is Beta(1, 1), ties go to the lowest arm).

    Args:
        family: of Bernoulli bandits.
        rule: one of the two above.
        num_draws: of all arms, among which the likeliest is chosen.

    Raises:
        ValueError: if there is no such rule, `num_draws` is below 1 or given for the
            first rule, or the family has other rewards.
    """
    require_family("optimistic_thompson_sampling", family, BernoulliBanditFamily)
    require(rule in RULES, f"rule must be one of {', '.join(RULES)}", repr(rule))
    require(num_draws >= 1, "num_draws must be at least 1", num_draws)
    require(
        num_draws == 1 or rule == "likeliest",
        "num_draws is of the rule 'likeliest'",
        num_draws,
    )
    posterior = posteriors.beta(family)

    def likeliest(key: jax.Array, state: ArmStatistics) -> Float[Array, " arms"]:
        keys = jax.random.split(key, num_draws)
        draws = jax.vmap(posterior.sample, (0, None))(keys, state)
        wins, losses = state.total, state.pulls - state.total
        tiny = jnp.finfo(draws.dtype).tiny  # a draw may round to 0 or 1
        density = wins[None] * jnp.log(jnp.maximum(draws, tiny))
        density += losses[None] * jnp.log1p(-jnp.minimum(draws, 1 - 2.0**-24))
        return draws[jnp.argmax(density.sum(axis=1))]

    def act(
        key: jax.Array, state: ArmStatistics, obs: Any
    ) -> tuple[ArmStatistics, Array]:
        del obs
        if rule == "likeliest":
            return state, jnp.argmax(likeliest(key, state))
        hopeful = jnp.maximum(posterior.sample(key, state), posterior.mean(state))
        return state, jnp.argmax(hopeful)

    def action_probabilities(state: ArmStatistics, obs: Any) -> Float[Array, " arms"]:
        """Integrals over the largest, which is at least the largest mean."""
        del obs
        mean = posterior.mean(state)
        first = mean.max()
        # denser where a narrow posterior ends; 1 - first may be small itself
        edges = first + (1 - first) * jnp.asarray(EDGES)
        widths = jnp.diff(edges)
        places = (edges[:-1, None] + widths[:, None] * FINE.nodes[None]).ravel()
        weights = (widths[:, None] * FINE.weights[None]).ravel()
        wins, losses = 1 + state.total, 1 + state.pulls - state.total
        of_arm = wins[:, None], losses[:, None]
        below = betainc(*of_arm, places[None])
        density = jnp.exp(beta.logpdf(places[None], *of_arm))
        itself = jnp.eye(family.num_actions, dtype=bool)[..., None]
        others = jnp.prod(jnp.where(itself, 1.0, below[None]), axis=1)
        largest = jnp.sum(density * others * weights[None], axis=1)
        none_above = jnp.prod(betainc(wins, losses, first))
        best = jax.nn.one_hot(jnp.argmax(mean), family.num_actions)
        found = largest + none_above * best
        return found / found.sum()

    return Algorithm(
        init=posterior.init,
        act=act,
        update=update_statistics,
        action_probabilities=action_probabilities if rule == "optimistic" else None,
    )

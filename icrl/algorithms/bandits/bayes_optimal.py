"""The Bayes-optimal policy of Bernoulli bandits, by dynamic programming.

A state is how often each arm has won and lost: d = 2 arms counts c_1, ..., c_d, whose
sum is the number t of pulls so far. With partial sums S_j = c_1 + ... + c_j, the sum of
the binomials C(S_j + j - 1, j) over j < d numbers the states of t pulls from 0 without
a gap (the combinatorial number system), in an order that does not depend on t: the
states of t pulls are the first of those of t + 1. One more count of kind j moves a
state by

    sum over i from j to d - 1 of C(S_i + i - 1, i - 1)

places, whatever t is; so one pass over a table of the last step's states is all that a
step of backward induction takes.
"""

import functools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.base import Family, require
from envs.bernoulli_bandit import BernoulliBanditFamily
from icrl.algorithms.base import Algorithm, require_prior
from icrl.algorithms.index_policy import index_policy
from icrl.algorithms.posteriors.arm_statistics import (
    ArmStatistics,
    no_pulls,
    update_statistics,
)
from icrl.algorithms.registry import register

MAX_STATES = 100_000_000  # of all steps: one byte each in the policy's table
_TIE = 1e-12  # an arm is better only if it is by more than rounding


class Optimum(NamedTuple):
    """What backward induction finds."""

    value: float  # expected sum of rewards under the prior
    actions: np.ndarray  # [states of all steps], int8


@register("bayes_optimal")
def bayes_optimal(
    family: Family, *, alpha: float | None = None, beta: float | None = None
) -> Algorithm:
    """Maximises the expected sum of rewards under a Beta prior; ties go to the lowest.

    No algorithm has lower regret on average over the prior. Two arms up to 219 steps,
    three up to 62, five up to 24.

    Source: backward induction over the posterior, Bellman 1956, "A problem in the
    sequential design of experiments"; the numbering of states is ours.

    Args:
        family: what it plays; the table is for its horizon.
        alpha: first parameter of the Beta prior; the family's own if not given.
        beta: second parameter.

    Raises:
        ValueError: if the family is not of Bernoulli bandits, a parameter is not
            positive or there are more than 100 million states.
    """
    require_prior("bayes_optimal", family, BernoulliBanditFamily)
    assert isinstance(family, BernoulliBanditFamily)  # for type checkers
    alpha = family.alpha if alpha is None else alpha
    beta = family.beta if beta is None else beta
    arms, horizon = family.num_arms, family.horizon
    parts = 2 * arms
    table = jnp.asarray(optimum(arms, horizon, float(alpha), float(beta)).actions)
    places = jnp.asarray(_binomials(horizon, parts), jnp.int32)

    def index(state: ArmStatistics, obs: Any) -> Float[Array, " arms"]:
        del obs
        losses = state.pulls - state.total
        counts = jnp.stack([state.total, losses], axis=-1).reshape(-1)
        sums = jnp.cumsum(counts).astype(jnp.int32)
        inside = sums[-1] < horizon
        sums = jnp.where(inside, sums, 0)
        number = places[sums, jnp.arange(parts)].sum()
        best = jnp.arange(arms) == table[number]
        # Past the horizon, as after replaying a full trajectory, only the mean counts.
        posterior_mean = (alpha + state.total) / (alpha + beta + state.pulls)
        return jnp.where(inside, best.astype(jnp.float32), posterior_mean)

    return index_policy(
        family, init=lambda: no_pulls(family), index=index, update=update_statistics
    )


def bayes_optimal_regret(family: Family) -> float:
    """The least expected regret of any algorithm over the family's prior and horizon.

    Exact, in reward units; the published optima are of this kind.

    Raises:
        ValueError: as `bayes_optimal`.
    """
    from scipy import integrate, stats

    require_prior("bayes_optimal", family, BernoulliBanditFamily)
    assert isinstance(family, BernoulliBanditFamily)  # for type checkers
    arms, prior = family.num_arms, stats.beta(family.alpha, family.beta)
    best_mean, _ = integrate.quad(
        lambda x: 1 - prior.cdf(x) ** arms, 0, 1, epsabs=1e-12
    )
    found = optimum(arms, family.horizon, float(family.alpha), float(family.beta))
    return family.horizon * best_mean - found.value


@functools.lru_cache(maxsize=2)
def optimum(num_arms: int, horizon: int, alpha: float, beta: float) -> Optimum:
    """Value and policy of the optimum, by backward induction in double precision.

    Args:
        num_arms: arms, each Beta(alpha, beta).
        horizon: pulls.
        alpha: first parameter of the prior.
        beta: second parameter.

    Returns:
        The value, and the actions by number of the state: that of c is the sum of the
        binomials C(S_j + j - 1, j) over all j up to d.

    Raises:
        ValueError: if a parameter is not positive or there are too many states.
    """
    require(alpha > 0, "alpha must be positive", alpha)
    require(beta > 0, "beta must be positive", beta)
    parts = 2 * num_arms
    states = math.comb(horizon - 1 + parts, parts)
    require(
        states <= MAX_STATES,
        f"num_arms and horizon must give at most {MAX_STATES} states",
        f"{num_arms} arms, {horizon} steps: {states} states",
    )
    sums = _partial_sums(horizon - 1, parts - 1)
    binomials = _binomials(horizon, parts)
    # moves[j]: places that one more count of kind j moves a state
    moves = np.zeros((parts, sums.shape[1]), np.int32)
    for i in range(parts - 2, -1, -1):
        moves[i] = moves[i + 1] + (binomials[sums[i] + 1, i - 1] if i else 1)
    counts = np.diff(sums, axis=0, prepend=0)
    actions = np.empty(states, np.int8)
    value = np.zeros(math.comb(horizon + parts - 1, parts - 1))
    for used in range(horizon - 1, -1, -1):
        size = math.comb(used + parts - 1, parts - 1)
        best = np.full(size, -np.inf)
        chosen = np.zeros(size, np.int8)
        for arm in range(num_arms):
            wins = counts[2 * arm, :size]
            if arm < num_arms - 1:
                losses = counts[2 * arm + 1, :size]
            else:
                losses = used - sums[-1, :size]
            mean = (alpha + wins) / (alpha + beta + wins + losses)
            here = np.arange(size)
            after_win = value[here + moves[2 * arm, :size]]
            after_loss = value[here + moves[2 * arm + 1, :size]]
            worth = mean * (1 + after_win - after_loss) + after_loss
            better = worth > best + _TIE
            chosen[better] = arm
            best = np.where(better, worth, best)
        start = math.comb(used + parts - 1, parts)
        actions[start : start + size] = chosen
        value = best
    return Optimum(value=float(value[0]), actions=actions)


def _partial_sums(largest: int, length: int) -> np.ndarray:
    """All 0 ≤ S_1 ≤ ... ≤ S_length ≤ largest, as columns, in the order of numbers."""
    sums = np.arange(largest + 1, dtype=np.int32)[None]
    for j in range(2, length + 1):
        sizes = [math.comb(last + j - 1, j - 1) for last in range(largest + 1)]
        head = np.concatenate([sums[:, :size] for size in sizes], axis=1)
        last = np.repeat(np.arange(largest + 1, dtype=np.int32), sizes)
        sums = np.concatenate([head, last[None]])
    return sums


def _binomials(largest: int, length: int) -> np.ndarray:
    """C(s + j, j + 1) for s up to `largest` (rows) and j below `length` (columns)."""
    return np.array(
        [[math.comb(s + j, j + 1) for j in range(length)] for s in range(largest + 1)],
        np.int64,
    )

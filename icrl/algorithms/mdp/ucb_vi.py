"""UCB-VI: value iteration on averages, plus a bonus for what is not yet known."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Family, require, require_discrete
from icrl.algorithms.base import Algorithm
from icrl.algorithms.mdp.backward_induction import (
    PerAction,
    Table,
    backward_induction,
    expected,
)
from icrl.algorithms.mdp.tabular_policy import planned_policy
from icrl.algorithms.posteriors.mdp_statistics import (
    MDPStatistics,
    empirical_rewards,
    empirical_transitions,
)
from icrl.algorithms.registry import register

Width = Callable[[Float[Array, " states"]], PerAction]  # next_value -> bonus
BONUSES = ("hoeffding", "bernstein", "lin2023")


@register("ucb_vi")
def ucb_vi(
    family: Family,
    *,
    bonus: Literal["hoeffding", "bernstein", "lin2023"] = "hoeffding",
    scale: float = 1.0,
    delta: float = 0.05,
    num_episodes: int = 100,
    max_reward: float = 1.0,
    monotone: bool = True,
    steps_left: bool = False,
    last_transition: bool = True,
    counts_per_step: bool = False,
    temperature: float = 0.0,
    random_ties: bool = False,
) -> Algorithm:
    """Plans with averages and a bonus, as an episode begins.

    With n transitions seen of a state and action, C = H max_reward, T = H num_episodes:

        Q_h = min{previous Q_h, C, r̂ + P̂ V_{h+1} + b},   V_h = max_a Q_h,

    and Q_h = C where n is 0. The bonus is `scale` times

        hoeffding   7 C L / √n,                          L = ln(5 S A T / δ)
        bernstein   √(8 L Var_P̂(V_{h+1}) / n) + 14 C L / (3 n)
        lin2023     2 C √(ln(S A T / δ) / n)

    Source: Azar, Osband and Munos 2017, arXiv 1703.05449, Algorithms 1 to 3, and
    Algorithm 4 without its last term, which bounds the error of the variance; Lin, Bai
    and Mei 2023, arXiv 2310.08566, Section 4.3 (soft UCB-VI: temperature
    1 / num_episodes, delta 1 / (H num_episodes), no monotone, counts_per_step). The
    first knows the rewards and we average them; by default all steps h count together.

    Note:
        The published bonuses explore like `uniform` at first. At scale 1 all Q of a
        state equal the cap until an action of it was seen more than 49 L² times
        (hoeffding) or 4 ln(S A T / δ) times (lin2023), and the tie rule plays. That
        takes about S A / H times as many episodes: with 20 states, 4 actions, H = 20
        and 100 episodes planned, 54,000 and 240. A scale of 1 / (7 L), there .009,
        makes one visit enough; smaller ones learn faster still.

    Args:
        family: with integer observations.
        bonus: which.
        scale: of the bonus; 0.01 to 0.1 learn within tens of episodes.
        delta: probability that a bound may fail.
        num_episodes: that will be played; it enters a logarithm.
        max_reward: mean rewards lie in [0, max_reward], reward units.
        monotone: whether Q never exceeds that of an earlier episode.
        steps_left: whether Q_h is capped by (H - h + 1) max_reward, which no policy
            exceeds, instead of C. Under C alone whatever leads to something untried is
            as good as trying it: all Q equal C, and the tie rule decides.
        last_transition: as in `mdp_statistics.count_step`.
        counts_per_step: whether each step h of an episode is counted by itself, and
            what was never tried there has the bonus of n = 1 and not the cap.
        temperature: of the softmax of Q, reward units; 0 plays its largest.
        random_ties: whether ties are broken at random instead of by the lowest action.

    Raises:
        ValueError: if observations are not integers, or a number is out of its range.
    """
    require(bonus in BONUSES, f"bonus must be one of {', '.join(BONUSES)}", repr(bonus))
    require(scale >= 0, "scale must not be negative", scale)
    require(0 < delta < 1, "delta must lie in (0, 1)", delta)
    require(num_episodes >= 1, "num_episodes must be at least 1", num_episodes)
    require(max_reward > 0, "max_reward must be positive", max_reward)
    cap = family.horizon * max_reward
    left = jnp.arange(family.horizon, 0, -1)
    caps = max_reward * (left if steps_left else jnp.full_like(left, family.horizon))
    caps = caps[:, None, None].astype(jnp.float32)
    pairs = require_discrete("ucb_vi", family).n * family.num_actions
    steps = family.horizon * num_episodes
    make = make_bonus(bonus, cap, pairs * steps / delta)

    def with_bonus(averages: tuple[Array, Array, Array]) -> tuple[Any, ...]:
        rewards, transitions, seen = averages
        return rewards, transitions, seen, make(transitions, jnp.maximum(seen, 1.0))

    def plan(key: jax.Array, statistics: MDPStatistics, previous: Table) -> Table:
        del key
        averages = (
            empirical_rewards(statistics),
            empirical_transitions(statistics),
            statistics.transitions.sum(-1),
        )
        together = None if counts_per_step else with_bonus(averages)

        def backup(next_value: Array, of_step: tuple[PerAction, Any]) -> PerAction:
            bound, own = of_step
            known = with_bonus(own) if together is None else together
            rewards, transitions, seen, width = known
            q_values = rewards + expected(transitions, next_value)
            q_values = q_values + scale * width(next_value)
            if not counts_per_step:
                q_values = jnp.where(seen > 0, q_values, cap)
            return jnp.minimum(bound, q_values)

        bounds = jnp.broadcast_to(caps, previous.shape)
        if monotone:
            bounds = jnp.minimum(previous, bounds)
        per_step = bounds, averages if counts_per_step else None
        return backward_induction(backup, statistics, family.horizon, per_step=per_step)

    return planned_policy(
        family,
        plan,
        unplanned=cap,
        last_transition=last_transition,
        per_step=counts_per_step,
        temperature=temperature,
        random_ties=random_ties,
    )


def make_bonus(
    bonus: str, cap: float, tests: float
) -> Callable[[Float[Array, "states actions states"], PerAction], Width]:
    """`(transitions, n) -> next_value -> bonus`, reward units; see `ucb_vi`.

    Args:
        bonus: which.
        cap: largest value of an episode, reward units.
        tests: S A T / δ: the number of statements that must hold together, over δ.
    """
    level = math.log(tests if bonus == "lin2023" else 5 * tests)

    def hoeffding(transitions: Array, n: PerAction) -> Width:
        del transitions
        width = 7 * cap * level / jnp.sqrt(n)
        return lambda next_value: width

    def lin2023(transitions: Array, n: PerAction) -> Width:
        del transitions
        width = 2 * cap * jnp.sqrt(level / n)
        return lambda next_value: width

    def bernstein(transitions: Array, n: PerAction) -> Width:
        least = 14 * cap * level / (3 * n)

        def width(next_value: Array) -> PerAction:
            mean = expected(transitions, next_value)
            # E V² - (E V)² would lose the digits of a small variance
            squares = (next_value[None, None] - mean[..., None]) ** 2
            variance = (transitions * squares).sum(-1)
            return jnp.sqrt(8 * level * variance / n) + least

        return width

    return {"hoeffding": hoeffding, "bernstein": bernstein, "lin2023": lin2023}[bonus]

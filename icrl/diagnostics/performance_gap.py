"""From imitation to reward: every link of the theorem, measured.

Let E be the target (the reduced expert), A the agent and C the context algorithm; p_t
and q_t are the action probabilities of E and A with t transitions known, for t = 0 to
T - 1.

1. Performance difference. Replace E by A from step t on, one step after the other:

       J(A) - J(E) = Σ_t E_E[Σ_a (q_t(a) - p_t(a)) Q_t(a)],

   with Q_t(a) what A still earns if it plays a now. Rewards whose means span
   `reward_range` make Q_t span at most (T - t) reward_range, and Σ_a (q - p) = 0, so
   |gap| ≤ reward_range Σ_t (T - t) E_E TV_t.
2. TV ≤ H, which with T - t ≤ T is the paper's form: |gap| ≤ reward_range T Σ_t E_E H_t
   (the paper's |reward| ≤ 1 is a range of 2).
3. Change of measure. E_E H_t = E_C[(dP_E / dP_C) H_t] ≤ √R_t √(E_C H_t²) by
   Cauchy-Schwarz; R grows with t, so Σ_t E_E H_t ≤ √R √(T Σ_t E_C H_t²).
4. H² ≤ KL ≤ log Σ_a p² / q, and Jensen: Σ_t E_C H_t² ≤ Σ_t E_C KL_t ≤ T ε with
   ε = max_t log E_C Σ_a p_t(a)² / q_t(a).

The theorem bounds Σ_t E_C H_t² by the number of trajectories and the least ε of the
model class instead. A trained model is one of its class: its own ε is no less.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 3; the constants are ours.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from envs.base import Key, require
from envs.splits import TaskSet
from icrl.agents import Agent
from icrl.diagnostics.distribution_ratio import Ratio, log_ratios, ratio
from icrl.diagnostics.divergence import Divergences, divergences, require_algorithm
from icrl.evaluation import online
from icrl.evaluation.numbers import Numbers, add_values
from icrl.evaluation.playing import tasks_hash
from icrl.evaluation.statistics import Interval, interval

PerSeed = Float[np.ndarray, " seeds"]
PerTask = Float[np.ndarray, "seeds tasks"]
PerDecision = Float[np.ndarray, "seeds tasks decisions"]


class PerformanceGap(NamedTuple):
    """The links of the chain: each number is bounded by the next of its part.

    Sums run over the T decisions that are carried out. Intervals are over training
    seeds and tasks.
    """

    gap: Interval  # regret of the agent less the target's, paired, reward units
    absolute_gap: PerSeed  # its size for each seed; noise alone makes one
    telescoping_bound: Interval  # reward_range Σ_t (T - t) E_E TV_t, reward units
    paper_bound: Interval  # reward_range T Σ_t E_E H_t, reward units

    tv_on_target: PerDecision  # TV_t on the target's histories
    hellinger: Interval  # Σ_t E_E H_t, on the target's histories
    change_of_measure: float  # √R √(T Σ_t E_C H_t²); to be trusted only if R is
    ratio: Ratio  # R(target, context), for every prefix; the last is that of the bound

    hellinger_squared: Interval  # Σ_t E_C H_t², on the context algorithm's histories
    excess_loss: Interval  # Σ_t E_C KL_t, nats: loss above its floor on fresh contexts
    realizability: PerSeed  # ε, nats: a seed's excess loss is at most T ε

    by_task: dict[str, PerTask]  # what the rows of a summary are made of, by metric
    tasks_hash: str  # names the tasks, as that of `Scores`


def performance_gap(
    key: Key,
    tasks: TaskSet,
    agent: Agent,
    target: Agent,
    context: Agent,
    *,
    num_tasks: int,
    reward_range: float = 1.0,
    tasks_at_once: int = 500,
) -> PerformanceGap:
    """Measures what an agent loses by not being its target, and what bounds it.

    Args:
        key: draws tasks, noise and choices; agent, target and context algorithm meet
            the same tasks with the same noise.
        tasks: where tasks come from.
        agent: trained models, or an algorithm.
        target: the reduced expert.
        context: the context algorithm.
        num_tasks: tasks, and histories of each kind.
        reward_range: largest difference of two actions' mean rewards in one step.
        tasks_at_once: tasks side by side; bounds memory.

    Raises:
        ValueError: if `reward_range` is not positive, the target or the context
            algorithm is a trained model, or one of the three has no
            `action_probabilities`.
    """
    require(reward_range > 0, "reward_range must be positive", reward_range)
    require_algorithm("target", target)
    require_algorithm("context algorithm", context)
    how_many = {"num_tasks": num_tasks, "tasks_at_once": tasks_at_once}

    def distances(histories: Agent) -> Divergences:
        found = divergences(key, tasks, agent, target, histories, **how_many)
        return Divergences(*(values[..., :-1].astype(np.float64) for values in found))

    played = online(key, tasks, {"agent": agent, "target": target}, **how_many)
    lost = (played["agent"] - played["target"])[..., -1]
    of_target, of_context = distances(target), distances(context)
    horizon = of_target.tv.shape[-1]
    hellinger = np.sqrt(of_target.hellinger_squared).sum(-1)
    by_task = {
        "regret_gap": lost,
        "telescoping_bound": reward_range * of_target.tv @ np.arange(horizon, 0, -1.0),
        "hellinger_squared": of_context.hellinger_squared.sum(-1),
        "excess_loss": of_context.kl.sum(-1),
    }
    hellinger_squared = interval(by_task["hellinger_squared"])
    found = ratio(log_ratios(key, tasks, target, context, **how_many)[0])
    return PerformanceGap(
        gap=interval(lost),
        absolute_gap=abs(lost.mean(1)),
        telescoping_bound=interval(by_task["telescoping_bound"]),
        paper_bound=interval(reward_range * horizon * hellinger),
        tv_on_target=of_target.tv,
        hellinger=interval(hellinger),
        change_of_measure=math.sqrt(found.value[-1])
        * math.sqrt(horizon * hellinger_squared.mean),
        ratio=found,
        hellinger_squared=hellinger_squared,
        excess_loss=interval(by_task["excess_loss"]),
        realizability=np.log1p(of_context.chi_squared.mean(1)).max(-1),
        by_task=by_task,
        tasks_hash=tasks_hash(key, tasks, num_tasks),
    )


def of_gaps(gaps: Mapping[str, PerformanceGap], agent: str) -> Numbers:
    """Rows of an agent's gap and of what bounds it, in a panel for each setting.

    Args:
        gaps: by the name of the panel.
        agent: whose gaps they are.

    Returns:
        Rows, and the arrays `<panel>/gap` (mean, low, high) and
        `<panel>/telescoping_bound`.
    """
    numbers = Numbers()
    for panel, found in gaps.items():
        numbers.finals[f"{panel}/tasks_hash"] = found.tasks_hash
        for metric, values in found.by_task.items():
            add_values(numbers, panel, agent, metric, values)
        numbers.arrays[f"{panel}/gap"] = [float(part) for part in found.gap]
        bound = float(found.telescoping_bound.mean)
        numbers.arrays[f"{panel}/telescoping_bound"] = bound
    return numbers

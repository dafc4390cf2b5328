"""How exactly a model plays the algorithm that it was made from."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.base import Key
from envs.splits import TaskSet
from icrl.agents import Agent, as_agent
from icrl.algorithms.base import Algorithm
from icrl.diagnostics.divergence import total_variation
from icrl.evaluation import Scores, over_seeds_and_tasks, play
from icrl.evaluation.numbers import Numbers, add_estimate, add_values
from icrl.evaluation.playing import task_ids, tasks_hash
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.encoding import encode


class Fidelity(NamedTuple):
    """How agents differ from their target.

    Attributes:
        numbers: rows, as `fidelity` says.
        scores: the agents' regret, as `evaluation.online` has it.
        seen: the least and the largest value of each feature of an agent's tokens.
    """

    numbers: Numbers
    scores: Scores
    seen: dict[str, Float[np.ndarray, "2 token"]]


def fidelity(
    key: Key,
    tasks: TaskSet,
    panel: str,
    agents: Mapping[str, Agent],
    target: Algorithm,
    tokenizer: Tokenizer,
    *,
    num_tasks: int,
    num_episodes: int = 1,
    probabilities: bool = True,
    coupled: bool = True,
    least: float = 0.0,
    tasks_at_once: int = 500,
) -> Fidelity:
    """Returns rows of how each agent differs from its target, its regret and tokens.

    Both play the same tasks with the same noise and the same draws of their choices:
    `action_match` is the share of equal actions. On the target's own histories
    `tv_mean` is the total variation of action probabilities, and `tv_max` and
    `log_prob_error_max` the largest distances of all tasks and decisions.

    Args:
        key: as in `evaluation.play`.
        tasks: where tasks come from.
        panel: of the rows.
        agents: by name.
        target: of all of them.
        tokenizer: likewise; without a draw that an agent adds to its tokens.
        num_tasks: tasks that both play.
        num_episodes: of each task.
        probabilities: whether there are any; a model that reads its draw has none.
        coupled: whether an agent and its target choose alike by the same draw; if not,
            that actions are equal says nothing, and is left out.
        least: probability below which agents promise nothing: all below count as it in
            `log_prob_error_max`.
        tasks_at_once: tasks side by side; bounds memory.

    Raises:
        ValueError: if the tasks give no gaps.
    """
    of_target = as_agent(target)

    def measure(agent: Agent, model: object, index: Array) -> Any:
        how = {"num_episodes": num_episodes}
        _, own = play(key, tasks, agent, model, index, **how)
        task, theirs = play(key, tasks, of_target, None, index, **how)
        match = {"action_match": jnp.mean(own.action == theirs.action)}
        found = match if coupled else {}
        if probabilities:
            p = of_target.action_probabilities(None, task, theirs)[:-1]
            q = agent.action_probabilities(model, task, theirs)[:-1]
            distance = total_variation(p, q)
            found |= {"tv_mean": distance.mean(), "tv_max": distance.max()}
            log_p, log_q = (jnp.log(jnp.maximum(x, least)) for x in (p, q))
            found["log_prob_error_max"] = jnp.abs(log_p - log_q).max()
            found["spread_max"] = jnp.ptp(p, axis=-1).max()
        if own.gap is None:
            raise ValueError("fidelity needs tasks that give their gaps, got others")
        both = [encode(tokenizer, history) for history in (own, theirs)]
        tokens = jnp.concatenate(both)
        range_ = jnp.stack([tokens.min(0), tokens.max(0)])
        return found, range_, jnp.cumsum(own.gap)

    numbers, seen, regret = Numbers(), {}, {}
    for name, agent in agents.items():
        table, range_, regret[name] = over_seeds_and_tasks(
            agent, functools.partial(measure, agent), num_tasks, tasks_at_once
        )
        low, high = (np.asarray(range_[:, :, at]) for at in (0, 1))
        seen[name] = np.stack([low.min((0, 1)), high.max((0, 1))])
        for metric, values in jax.tree.map(np.asarray, table).items():
            if metric.endswith("_max"):
                known = {"seeds": 0, "tasks": num_tasks}
                most = [values.max()] * 3
                add_estimate(numbers, panel, name, metric, most, **known)
            else:
                add_values(numbers, panel, name, metric, values, seeds=0)
    learned = frozenset(name for name, agent in agents.items() if agent.is_trained)
    met = task_ids(tasks, num_tasks), tasks_hash(key, tasks, num_tasks)
    return Fidelity(numbers, Scores(regret, learned, *met), seen)

"""The loss of trained models on fresh contexts, and the least that is possible."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Key
from icrl.agents import Agent, fixed, trained
from icrl.algorithms.base import Algorithm
from icrl.evaluation.playing import (
    CONTEXTS,
    key_for,
    over_seeds_and_tasks,
    task_at,
    task_ids,
    tasks_hash,
)
from icrl.evaluation.scores import Scores
from icrl.pretraining.examples import Pretraining, gather, query_and_label
from icrl.replay import answers
from icrl.rollout import Trajectory
from icrl.tokenizers.encoding import decisions, encode

Probabilities = Float[Array, "decisions actions"]


def losses(
    key: Key,
    pretraining: Pretraining,
    models: Any,
    exact: Algorithm,
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> Scores:
    """Cross-entropy to the expert after every prefix: the models' and its floor.

    Args:
        key: draws fresh contexts; the pretraining's task set decides which half.
        pretraining: contexts, expert and tokenizer.
        models: stacked over seeds.
        exact: the algorithm whose action probabilities are the exact posterior over the
            expert's action; its loss is the least that is possible.
        num_tasks: contexts.
        tasks_at_once: contexts side by side; bounds memory.

    Returns:
        `loss` of the models [seeds, tasks, decisions] and `loss_floor` [1, ...], nats;
        0 where a decision has no label. Where the pretraining has queries, both answer
        the same ones, drawn as for training.
    """
    tokenizer = pretraining.tokenizer

    def answers_of_model(
        model: Any, trajectory: Trajectory, query: Any
    ) -> Probabilities:
        return jax.nn.softmax(
            decisions(tokenizer, model(encode(tokenizer, trajectory, query)))
        )

    def answers_of_exact(
        model: Any, trajectory: Trajectory, query: Any
    ) -> Probabilities:
        del model
        return answers(exact, trajectory, query)

    def loss(
        agent: Agent, answer: Callable[[Any, Trajectory, Any], Probabilities]
    ) -> Any:
        def score(model: Any, index: Array, seed: Array) -> Array:
            key_context = key_for(key, CONTEXTS, index)
            key_sample, key_noise, key_agent = jax.random.split(key_context, 3)
            task = task_at(pretraining.tasks, key_sample, index)
            trajectory = gather(pretraining, key_noise, key_agent, task)
            query, labels, weights = query_and_label(
                pretraining, key_context, task, trajectory
            )
            probabilities = (
                agent.action_probabilities(model, task, trajectory)
                if query is None
                else answer(model, trajectory, query)
            )
            log_probabilities = jnp.log(jnp.maximum(probabilities, 1e-30))
            return -weights * jnp.sum(labels * log_probabilities, axis=-1)

        return over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)

    found = {
        "loss": loss(trained(models, tokenizer), answers_of_model),
        "loss_floor": loss(fixed(exact), answers_of_exact),
    }
    tasks = pretraining.tasks
    names = task_ids(tasks, num_tasks), tasks_hash(key, tasks, num_tasks)
    return Scores(found, frozenset({"loss"}), *names)

"""The loss of trained models on fresh contexts, and the least that is possible."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Key
from icrl.agents import Agent, trained
from icrl.algorithms.base import Algorithm
from icrl.evaluation.playing import CONTEXTS, key_for, score_agents, task_at
from icrl.evaluation.scores import Scores
from icrl.pretraining.examples import Pretraining, gather, query_and_label
from icrl.replay import answers
from icrl.tokenizers.encoding import decisions, encode


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

    def context(index: Array) -> Any:
        key_context = key_for(key, CONTEXTS, index)
        key_sample, key_noise, key_agent = jax.random.split(key_context, 3)
        task = task_at(pretraining.tasks, key_sample, index)
        trajectory = gather(pretraining, key_noise, key_agent, task)
        labelled = query_and_label(pretraining, key_context, task, trajectory)
        return task, trajectory, *labelled

    def score(
        agent: Agent, model: Any, index: Array, given: Any
    ) -> Float[Array, " decisions"]:
        task, trajectory, query, labels, weights = given
        if query is None:
            probabilities = agent.action_probabilities(model, task, trajectory)
        elif agent.is_trained:
            logits = model(encode(tokenizer, trajectory, query))
            probabilities = jax.nn.softmax(decisions(tokenizer, logits))
        else:
            probabilities = answers(exact, trajectory, query)
        log_probabilities = jnp.log(jnp.maximum(probabilities, 1e-30))
        return -weights * jnp.sum(labels * log_probabilities, axis=-1)

    agents = {"loss": trained(models, tokenizer), "loss_floor": exact}
    sizes = num_tasks, tasks_at_once
    return score_agents(key, pretraining.tasks, agents, score, *sizes, shared=context)

"""Supervised pretraining data: a behaviour policy, an expert and a tokenizer.

Lin, Bai and Mei 2023 (arXiv 2310.08566, Section 2) name the choices: the behaviour
policy (their context algorithm Alg_0) plays a task, an expert Alg_E labels every step
of its trajectory, and the model is fitted by maximum likelihood at every prefix. DPT is
the optimal policy as expert; Algorithm Distillation is a learning algorithm as both.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.base import Key, Task, require
from envs.splits import TaskSet
from icrl.agents import Recipe
from icrl.algorithms.base import Algorithm
from icrl.config import PretrainingConfig
from icrl.keys import Purpose, fold
from icrl.pretraining.experts import Expert, Labels
from icrl.rollout import Trajectory, rollout
from icrl.tokenizers.base import Tokenizer
from icrl.tokenizers.encoding import decisions, encode

Collect = Callable[[Key, Key, Task], Trajectory]  # keys of the noise and the choices


class Example(NamedTuple):
    """One labelled trajectory; a batch has a leading axis."""

    tokens: Float[Array, "*batch tokens token"]
    labels: Float[Array, "*batch decisions actions"]
    weights: Float[Array, "*batch decisions"]  # of each decision in the loss


class Pretraining(NamedTuple):
    """Behaviour policy, expert and tokenizer, and the tasks.

    Attributes:
        tasks: where tasks come from: a half of a split.
        context: `task -> Algorithm`, the behaviour policy. Most ignore the task.
        expert: `(key, task, trajectory, query) -> (labels, weights)`; the weight of a
            decision without a label is 0.
        tokenizer: how it is written.
        num_episodes: episodes in a context.
        num_steps: steps in a context that is cut short (`cut`); None: all.
        collect: how data is collected instead of by playing episodes, if it is
            (`icrl.pretraining.collection`); then `context` is not used.
        query: `(key, trajectory) -> obs`, what every decision of a context is about,
            where that is not the state it was taken in; or [decisions], one for each.
        hindsight: whether a label knows what follows it.
        options: of the data: how many examples there are, or where they lie.
        description: the same choices in plain values, by which a frozen data set is
            matched; `methods` writes it.
        recipe: of the models that learn from it.
    """

    tasks: TaskSet
    context: Callable[[Task], Algorithm]
    expert: Expert
    tokenizer: Tokenizer
    num_episodes: int = 1
    num_steps: int | None = None
    collect: Collect | None = None
    query: Callable[[Key, Trajectory], Any] | None = None
    hindsight: bool = False
    options: PretrainingConfig = PretrainingConfig()
    description: Mapping[str, Any] = MappingProxyType({})
    recipe: Recipe | None = None


def sample(pretraining: Pretraining, key: Key) -> Example:
    """Draws one task, plays, labels and writes it; `vmap` over keys for a batch."""
    key_task, key_noise, key_agent = jax.random.split(key, 3)
    task = pretraining.tasks.sample(key_task)
    trajectory = gather(pretraining, key_noise, key_agent, task)
    query, labels, weights = query_and_label(pretraining, key, task, trajectory)
    tokens = encode(pretraining.tokenizer, trajectory, query)
    return Example(tokens=tokens, labels=labels, weights=weights)


def gather(
    pretraining: Pretraining, key_noise: Key, key_agent: Key, task: Task
) -> Trajectory:
    """The data of one context."""
    if pretraining.collect is not None:
        return pretraining.collect(key_noise, key_agent, task)
    return rollout(
        key_noise,
        key_agent,
        task,
        pretraining.context(task),
        num_episodes=pretraining.num_episodes,
        num_steps=pretraining.num_steps,
    )


def cut(pretraining: Pretraining, num_steps: int) -> Pretraining:
    """The same contexts, of which only the first steps are collected and labelled.

    What is to be learnt at a history does not depend on what follows it, so that the
    minimum of the loss stays where it is; decisions after the cut have no part in it.
    Labels in hindsight do depend on it, and are refused. Rows of a data set are cut by
    `dataset.beginnings`.

    Args:
        pretraining: whose contexts an algorithm plays.
        num_steps: of a context, below what it has; whole episodes, or a part of one.

    Raises:
        ValueError: if the number breaks its rule, or contexts are no play.
    """
    horizon = pretraining.tokenizer.family.horizon
    most = pretraining.num_episodes * horizon
    rule = f"a shorter context must have 1 to {most - 1} steps"
    require(1 <= num_steps < most, rule, num_steps)
    if pretraining.num_episodes > 1:
        rule = f"a shorter context must have whole episodes of {horizon} steps"
        require(num_steps % horizon == 0, rule, num_steps)
    rule = "labels in hindsight need whole contexts, so shorter ones must be none"
    require(not pretraining.hindsight, rule, num_steps)
    played = pretraining.collect is None and pretraining.query is None
    rule = "shorter contexts must be played by an algorithm"
    require(played, rule, pretraining.description.get("behaviour", "a data set"))
    return pretraining._replace(num_steps=num_steps)


def query_and_label(
    pretraining: Pretraining, key: Key, task: Task, trajectory: Trajectory
) -> tuple[Any, Labels, Float[Array, " decisions"]]:
    """The query of a context, if it has one; labels and their weights."""
    require_query(pretraining)
    query = None
    if pretraining.query is not None:
        query = pretraining.query(fold(key, Purpose.QUERY), trajectory)
    key_labels = fold(key, Purpose.LABELS)
    return query, *pretraining.expert(key_labels, task, trajectory, query)


def require_query(pretraining: Pretraining) -> None:
    """Raises `ValueError` if the tokenizer needs a query and there is none."""
    needed = pretraining.tokenizer.needs_query
    rule = "a tokenizer with queries needs a query; use step or interleaved"
    require(not needed or pretraining.query is not None, rule, "none")


def imitation_loss(
    logits: Float[Array, "tokens actions"], example: Example, tokenizer: Tokenizer
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Cross-entropy to the expert, in nats, summed over decisions, and their weight.

    The ratio of the two, each summed over a batch, is the mean over labelled decisions:
    DPT's printed loss, whose floor is the entropy of the expert given the context.
    """
    log_probs = jax.nn.log_softmax(decisions(tokenizer, logits))
    losses = -jnp.sum(example.labels * log_probs, axis=-1)
    return jnp.sum(example.weights * losses), jnp.sum(example.weights)

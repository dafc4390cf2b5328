"""The literature's pretrainings by name: settings of behaviour policy and expert.

Behaviour policy, expert and tokenizer are three values (`icrl.pretraining`). The
literature's names are settings of them:

| name | context | expert | what is learnt |
| --- | --- | --- | --- |
| AD, algorithm distillation | a learning algorithm | the same | the algorithm |
| DPT, decision pretraining | anything | the optimal action | posterior sampling |
| approximate DPT | anything | its guess in hindsight | about posterior sampling |

Source: Lin, Bai and Mei 2023, "Transformers as Decision Makers", arXiv 2310.08566,
Section 2; Laskin et al. 2022, arXiv 2210.14215 (AD); Lee et al. 2023, arXiv 2306.14892
(DPT).
"""

from collections.abc import Callable
from typing import TypeAlias

from envs.base import Task, require
from icrl.agents import Recipe
from icrl.algorithms.base import Algorithm, of_any_task
from icrl.algorithms.uniform import uniform
from icrl.config import (
    DecisionPretrainingConfig,
    PretrainingConfig,
)
from icrl.pretraining.collection import (
    any_state,
    independent_pairs,
    thinned_history,
)
from icrl.pretraining.examples import Collect, Pretraining
from icrl.pretraining.experts import (
    Expert,
    hindsight_expert,
    probabilities_expert,
    taken_actions_expert,
)
from icrl.pretraining.labels import decision_expert

# The behaviour policy: an algorithm, or one made from each task.
Context: TypeAlias = Algorithm | Callable[[Task], Algorithm]


def choices(
    recipe: Recipe,
    context: Context,
    expert: Expert,
    options: PretrainingConfig,
    *,
    behaviour: str,
    labels: str,
) -> Pretraining:
    """Any context algorithm with any expert, on the recipe's training tasks.

    Every pretraining is made here, so that none can leave the options of its data out.

    Args:
        recipe: the family and the tokenizer.
        context: the behaviour policy.
        expert: what labels.
        options: of the data.
        behaviour: the behaviour policy in words that no other one of the family shares:
            with its settings.
        labels: the expert in words, likewise.
    """
    family = recipe.make_family()
    split = family.split()
    description = {
        "family": family.name,
        "split": split.hash,
        "half": "train",
        "behaviour": behaviour,
        "expert": labels,
        "tokenizer": recipe.tokenizer,
        "num_episodes": recipe.num_episodes,
        "empty_context": getattr(options, "empty_context", True),
    }
    return Pretraining(
        tasks=split.train,
        context=of_any_task(context),
        expert=expert,
        tokenizer=recipe.make_tokenizer(),
        num_episodes=recipe.num_episodes,
        options=options,
        description=description,
        recipe=recipe,
    )


def decision_pretraining(
    recipe: Recipe,
    context: Context,
    options: DecisionPretrainingConfig,
    *,
    behaviour: str,
    posterior: Algorithm | None = None,
    sees_the_task: bool = False,
) -> Pretraining:
    """DPT: some context algorithm, the optimal policy as expert.

    Args:
        recipe: the family and the tokenizer.
        context: the behaviour policy.
        options: of the data, with the kind of labels.
        behaviour: the behaviour policy in words, as in `choices`.
        posterior: as in `labels.decision_expert`.
        sees_the_task: likewise.

    Raises:
        ValueError: if the labels teach something else than `optimal` and do not say so
            (`icrl.pretraining.labels`), or the posterior has no
            `action_probabilities`.
    """
    family = recipe.make_family()
    expert, labels = decision_expert(
        family,
        family.split().train,
        context,
        options,
        posterior=posterior,
        sees_the_task=sees_the_task,
    )
    return choices(recipe, context, expert, options, behaviour=behaviour, labels=labels)


def state_query_pretraining(
    recipe: Recipe,
    options: DecisionPretrainingConfig,
    collect: Collect | None = None,
    *,
    behaviour: str = "independent_pairs",
    posterior: Algorithm | None = None,
    visited: float = 0.0,
) -> Pretraining:
    """DPT of an MDP as published: any data, a query state, its best action.

    A tokenizer with a query in every token learns from every prefix of the data.

    Args:
        recipe: the family, a tokenizer with queries, and `query_table`.
        options: of the data.
        collect: how contexts are collected; independent uniform states and actions, as
            in the released code, if None.
        behaviour: how, in words, as in `choices`.
        posterior: as in `labels.decision_expert`.
        visited: as in `collection.any_state`; 0 in the released code.

    Raises:
        ValueError: if the recipe has no query, contexts are collected in a way that has
            no name, or the posterior has no `action_probabilities`.
    """
    family, tokenizer = recipe.make_family(), recipe.make_tokenizer()
    rule = "tokenizer must have a query, as query_first has"
    require(tokenizer.query is not None, rule, recipe.tokenizer)
    rule = "agent must be query_table, which plays models with queries"
    require(recipe.agent == "query_table", rule, recipe.agent)
    num_steps = recipe.num_episodes * family.horizon
    named = (collect is None) == (behaviour == "independent_pairs")
    require(named, "behaviour must say how contexts are collected", behaviour)
    sees_the_task = collect is not None
    if collect is None:
        collect = independent_pairs(family, num_steps)
    plain = decision_pretraining(
        recipe,
        uniform(family),
        options,
        behaviour=behaviour,
        posterior=posterior,
        sees_the_task=sees_the_task,
    )
    num_queries = None if tokenizer.query == "first" else num_steps + 1
    return plain._replace(
        collect=collect,
        query=any_state(family, num_queries, visited=visited),
        description={**plain.description, "visited": visited},
    )


def algorithm_distillation(
    recipe: Recipe,
    algorithm: Algorithm,
    options: PretrainingConfig,
    *,
    behaviour: str,
    every: int = 1,
) -> Pretraining:
    """AD: a learning algorithm acts, and its own actions are the labels.

    Args:
        recipe: the family and the tokenizer.
        algorithm: what is distilled.
        options: of the data, with the kind of labels. Those of DPT, in an experiment of
            both, mean actions by `optimal` and else probabilities.
        behaviour: the algorithm in words, as in `choices`.
        every: only every so-many-th episode of a learning history is kept, so that a
            context of `recipe.num_episodes` spans more of it (Laskin et al., Section
            4).

    Raises:
        ValueError: for the probabilities of an algorithm that has none, or of one whose
            history has gaps, which does not say what the learner knows.
    """
    soft = getattr(options, "labels", "actions") not in ("actions", "optimal")
    rule = "labels of probabilities need the whole history, every 1"
    require(every == 1 or not soft, rule, every)
    expert = probabilities_expert(algorithm) if soft else taken_actions_expert
    plain = choices(
        recipe,
        algorithm,
        expert,
        options,
        behaviour=behaviour if every == 1 else f"{behaviour}, 1 episode of {every}",
        labels="its probabilities" if soft else "its actions",
    )
    if every == 1:
        return plain
    history = thinned_history(algorithm, num_episodes=recipe.num_episodes, every=every)
    return plain._replace(collect=history)


def approximate_decision_pretraining(
    recipe: Recipe,
    context: Context,
    inference: Algorithm,
    options: PretrainingConfig,
    *,
    behaviour: str,
    labels: str,
) -> Pretraining:
    """Approximate DPT: the best action is inferred from the whole trajectory.

    No label needs the task. Lin et al. 2023 bound the gap to DPT by how far the
    distribution of the inferred action is from the posterior over the best one.

    Args:
        recipe: the family and the tokenizer.
        context: the behaviour policy.
        inference: its probabilities after the last step are the label of every step.
            With exact posterior sampling what is learnt is DPT's target itself, for the
            posterior is the mean of later posteriors; `most_likely` of it, or a rule
            that ignores the prior, is a guess and comes only near.
        options: of the data.
        behaviour: the behaviour policy in words, as in `choices`.
        labels: the inference in words, likewise.

    Raises:
        ValueError: if `inference` has no `action_probabilities`.
    """
    return choices(
        recipe,
        context,
        hindsight_expert(inference),
        options,
        behaviour=behaviour,
        labels=f"{labels} in hindsight",
    )._replace(hindsight=True)

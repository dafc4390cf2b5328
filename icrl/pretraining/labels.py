"""What labels DPT's decisions, and which labels leave the minimum where it is.

A model q is fitted at every history h of a context by the cross-entropy to a label L, a
distribution over actions: it minimises E[-Σ_a L(a) log q(a | h)]. For a model that can
be anything, the minimum is q(a | h) = E[L(a) | h]. Only this mean decides what is
learnt. Around it, a label is noise in the gradient.

| labels | L at history h | E[L given h] |
| --- | --- | --- |
| `optimal` | the best action of the task, as published | P(a is best given h) |
| `posterior_draws` | shares of the best actions of m draws given h | the same, (a) |
| `posterior` | P(a is best given h), to about 1e-3 | the same, (a) |
| `posterior_of_rewards` | P(a is best given the rewards of h) | itself: (b) |

The published label is one draw of the best action, and the same draw at all prefixes of
a context, so that its errors there add up. Fresh draws at every prefix do not; the mean
of m of them has 1/m of the variance; the probabilities have none.

(a) **The minimum stays.** By Bayes' rule a task θ with prior P has

    P(θ given h) ∝ P(θ) Π_t π(a_t given θ and the history before t) P(r_t given θ, a_t).

Where the behaviour policy π sees no more of the task than the model does, its factor is
the same for all θ and drops out: what is left is the posterior of the rewards, which an
exact posterior sampler draws from. This holds for uniform actions, for a Dirichlet and
point mass mixture drawn without the task, for Thompson sampling and UCB. P must be the
distribution that the training tasks come from, and the sampler must break ties as the
expert does: the lowest action.

(b) **Another target.** Where π sees the task (demonstrations, contexts biased to the
best arm), where the history is cut, or where the prior is wider than the training half
of a finite family, the posterior of the rewards is not E[`optimal` given h], and a
model that is fitted to it learns something else: to do what the rewards justify. That
is a choice, made by the name `posterior_of_rewards`.

(c) A posterior that takes π's factor in would have the minimum of (a) for all
behaviours. None is here.

All this is about the expected loss. On a frozen or repeated data set the minimum is
that of the sample, and it is another for each kind of labels.

Source: Lee et al. 2023, arXiv 2306.14892, Theorem 1 (`optimal`; its (a) is their
"compliance"); Lin, Bai and Mei 2023, arXiv 2310.08566, Section 2. The others are ours.
"""

from collections.abc import Callable

from envs.base import Family, Task, require
from envs.splits import FiniteTasks, TaskSet
from icrl.algorithms.bandits.thompson_sampling import exact_posterior_sampling
from icrl.algorithms.base import Algorithm
from icrl.config import DecisionPretrainingConfig
from icrl.pretraining.experts import (
    Expert,
    draws_expert,
    optimal_expert,
    probabilities_expert,
)


def decision_expert(
    family: Family,
    tasks: TaskSet,
    context: Algorithm | Callable[[Task], Algorithm],
    options: DecisionPretrainingConfig,
    *,
    posterior: Algorithm | None = None,
    sees_the_task: bool = False,
) -> tuple[Expert, str]:
    """The expert that a config's labels name, and what it is in words.

    Args:
        family: of the tasks.
        tasks: what is trained on.
        context: the behaviour policy; made from each task, it may see it.
        options: names the labels.
        posterior: whose probabilities `posterior_of_rewards` are; exact posterior
            sampling if None.
        sees_the_task: whether the data is collected with knowledge of the task.

    Raises:
        ValueError: if the labels would not have the minimum of `optimal` and do not say
            so, or the family has no exact posterior.
    """
    kind, shown = options.labels, {"empty_context": options.empty_context}
    if kind == "optimal":
        return optimal_expert(**shown), kind
    without = "optimal, or posterior_of_rewards of a posterior that is given"
    if kind == "posterior_of_rewards":
        rewards = posterior or _exact(family, without)
        return probabilities_expert(rewards, **shown), "posterior of the rewards"
    rule = "labels must be optimal, or posterior_of_rewards, another target, as {}"
    informed = sees_the_task or not isinstance(context, Algorithm)
    require(not informed, rule.format("the behaviour policy sees the task"), kind)
    listed = isinstance(tasks, FiniteTasks)
    reason = "the prior is wider than the training half of a finite family"
    require(not listed, rule.format(reason), kind)
    _exact(family, without)
    sampler = exact_posterior_sampling(family, rough=True)
    if kind == "posterior":
        return probabilities_expert(sampler, **shown), kind
    words = f"mean of {options.num_draws} posterior draws"
    return draws_expert(sampler, options.num_draws, **shown), words


def _exact(family: Family, otherwise: str) -> Algorithm:
    """Exact posterior sampling; raises `ValueError` with what to do where none is."""
    try:
        return exact_posterior_sampling(family)
    except ValueError as error:
        raise ValueError(f"labels must be {otherwise}, as {error}") from error

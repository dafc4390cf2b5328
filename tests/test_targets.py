"""Known numbers of hand-written algorithms, recomputed through our own loop.

`targets.csv` holds them: regret that earlier programs of ours measured (`source` names
the table of our notes) and, where two of those disagreed, the recomputed value. Every
experiment is run on fewer tasks here and each row must agree within `MAX_Z` standard
errors of the difference. A failing row is first recomputed on 20,000 tasks, to see
which number is wrong; the tolerance stays.

Over 300 lines: it plays each table of known numbers in its own way.
"""

import csv
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from icrl import algorithms
from icrl.algorithms import posteriors
from icrl.algorithms.base import Algorithm
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics
from icrl.replay import replay
from icrl.rollout import rollout

pytestmark = pytest.mark.usefixtures("optimised")

MAX_Z = 3.0
SIZES = (1, 5, 10, 20, 50, 100, 200, 300, 400, 500)  # of offline data sets


class Experiment(NamedTuple):
    """Agents that meet the same tasks."""

    family: Any
    agents: dict[str, Algorithm]
    num_tasks: int


def lin2023_linear() -> Experiment:
    family = envs.family("LinearBandit-Lin2023-v0")
    return Experiment(
        family,
        {
            "linucb_2.0": algorithms.linucb(family, width=2.0),
            "linucb_1.5": algorithms.linucb(family, width=1.5),
            "linear_thompson": algorithms.linear_thompson(family),
            "empirical_mean": algorithms.empirical_mean(family),
        },
        num_tasks=3000,
    )


def lin2023_bernoulli() -> Experiment:
    family = envs.family("BernoulliBandit-Lin2023-v0")
    return Experiment(
        family,
        {
            "thompson_sampling": algorithms.thompson_sampling(family),
            "ucb_inverse_sqrt": algorithms.ucb(family),
            "ucb_unforced": algorithms.ucb(family, explore_first=False),
            "ucb_shrunken": algorithms.ucb(family, form="shrunken"),
            "ucb1": algorithms.ucb(family, form="ucb1"),
            "empirical_mean": algorithms.empirical_mean(family),
            "posterior_mean": algorithms.posterior_mean(family),
            "posterior_mean_random_ties": algorithms.posterior_mean(
                family, random_ties=True
            ),
            "gittins": algorithms.gittins(family),
        },
        num_tasks=3000,
    )


def two_arms() -> Experiment:
    family = envs.family("BernoulliBandit-Lin2023-v0", num_arms=2)
    return Experiment(
        family,
        {
            "thompson_sampling": algorithms.thompson_sampling(family),
            "gittins": algorithms.gittins(family),
        },
        num_tasks=3000,
    )


def dpt_online(noise_std: float) -> Experiment:
    """Learners that assume noise 0.3, whatever it is."""
    known = envs.family("GaussianBandit-DPT-v0")
    family = known.replace(noise_std=noise_std)
    agents = {
        "empirical_mean": algorithms.empirical_mean(known),
        "ucb": algorithms.ucb(known),
        "thompson_sampling": algorithms.thompson_sampling(known),
        "exact_posterior_sampling": algorithms.exact_posterior_sampling(known),
    }
    if noise_std == known.noise_std:
        agents["bayes_ucb"] = algorithms.bayes_ucb(known)
    else:
        agents["informed"] = algorithms.exact_posterior_sampling(family)
    return Experiment(family, agents, num_tasks=1500)


def dpt_bernoulli() -> Experiment:
    family = envs.family("BernoulliBandit-DPT-v0")
    gaussian = posteriors.gaussian(family, noise_std=0.3)
    return Experiment(
        family,
        {
            "empirical_mean": algorithms.empirical_mean(family),
            "ucb": algorithms.ucb(family),
            "thompson_sampling": algorithms.thompson_sampling(
                family, posterior=gaussian
            ),
        },
        num_tasks=2000,
    )


def dpt_linear() -> Experiment:
    family = envs.family("LinearBandit-DPT-v0")
    return Experiment(
        family,
        {
            "linucb": algorithms.linucb(family),
            "exact_posterior_sampling": algorithms.exact_posterior_sampling(family),
            "thompson_sampling": algorithms.thompson_sampling(family),
        },
        num_tasks=3000,
    )


ONLINE: dict[str, Callable[[], Experiment]] = {
    "lin2023_linear": lin2023_linear,
    "lin2023_bernoulli": lin2023_bernoulli,
    "two_arms": two_arms,
    "dpt_online_noise_0.0": functools.partial(dpt_online, 0.0),
    "dpt_online_noise_0.3": functools.partial(dpt_online, 0.3),
    "dpt_online_noise_0.5": functools.partial(dpt_online, 0.5),
    "dpt_bernoulli": dpt_bernoulli,
    "dpt_linear": dpt_linear,
}


def offline_agents(family: Any) -> dict[str, Algorithm]:
    return {
        "exact_posterior_argmax": algorithms.most_likely(
            algorithms.exact_posterior_sampling(family)
        ),
        "thompson_sampling_100": algorithms.thompson_sampling(family, num_draws=100),
        "empirical_mean": algorithms.empirical_mean(family, explore_first=False),
        "lcb_1.0": algorithms.lcb(family),
        "lcb_0.8": algorithms.lcb(family, width=0.8),
        "lcb_1.0_zero": algorithms.lcb(family, unseen="zero"),
    }


def regret(experiment: Experiment) -> Callable[[jax.Array], dict[str, Any]]:
    """Keys of tasks to every agent's cumulative regret [tasks, time] on those tasks."""

    def run(key: jax.Array) -> dict[str, jax.Array]:
        key_task, key_noise, *keys = jax.random.split(key, 2 + len(experiment.agents))
        task = experiment.family.sample(key_task)
        same = jax.random.clone  # every agent meets the same noise
        return {
            name: rollout(same(key_noise), key_agent, task, agent).gap.cumsum()
            for (name, agent), key_agent in zip(
                experiment.agents.items(), keys, strict=True
            )
        }

    return jax.jit(jax.vmap(run))


def statistics_after(trajectory: Any, sizes: jax.Array, num_arms: int) -> ArmStatistics:
    """What independent-arms learners remember after `sizes` transitions."""
    pulls = jax.nn.one_hot(trajectory.action, num_arms)
    total = pulls * trajectory.timestep.reward[:, None]
    return ArmStatistics(
        pulls=pulls.cumsum(0)[sizes - 1], total=total.cumsum(0)[sizes - 1]
    )


def decide(
    key: jax.Array, agent: Algorithm, statistics: ArmStatistics, sizes: jax.Array
) -> jax.Array:
    """What `replay` gives after `sizes` transitions, without acting in between."""
    _, key_act = jax.random.split(key)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key_act))(sizes)
    return jax.vmap(agent.act)(keys, statistics, jnp.zeros_like(sizes))[1]


def suboptimality(
    sizes: tuple[int, ...], **mixture: Any
) -> Callable[[jax.Array], dict[str, Any]]:
    """Keys of tasks to the gap [tasks, sizes] of every agent's choice from data."""
    family = envs.family("GaussianBandit-DPT-v0")
    agents = offline_agents(family)

    def run(key: jax.Array) -> dict[str, jax.Array]:
        key_task, key_noise, key_context, *keys = jax.random.split(key, 3 + len(agents))
        task = family.sample(key_task)
        context = algorithms.dirichlet_point_mass(family, task, **mixture)
        trajectory = rollout(key_noise, key_context, task, context)
        after = jnp.asarray(sizes)
        statistics = statistics_after(trajectory, after, family.num_actions)
        gaps = task.gaps(jnp.zeros((), jnp.int32))
        return {
            name: gaps[decide(key_agent, agent, statistics, after)]
            for (name, agent), key_agent in zip(agents.items(), keys, strict=True)
        }

    return jax.jit(jax.vmap(run))


@jax.vmap
def posterior_entropy(key: jax.Array, positions: jax.Array) -> jax.Array:
    """Nats left in the exact posterior of the best arm, at each position.

    Its mean is the loss of an ideal DPT, with less noise than the loss itself.
    """
    family = envs.family("GaussianBandit-DPT-v0")
    key_task, key_noise, key_context = jax.random.split(key, 3)
    context = algorithms.dirichlet_point_mass(family)
    trajectory = rollout(key_noise, key_context, family.sample(key_task), context)
    statistics = statistics_after(trajectory, positions, family.num_actions)
    probabilities = jax.vmap(posteriors.exact(family).best_arm_probabilities)(
        statistics
    )
    return -jax.scipy.special.xlogy(probabilities, probabilities).sum(-1)


def read_targets() -> list[dict[str, str]]:
    with (pathlib.Path(__file__).parent / "targets.csv").open() as file:
        return list(csv.DictReader(file))


TARGETS = read_targets()


def z_score(target: dict[str, str], ours: np.ndarray) -> float:
    """Standard errors of the difference between a row and our tasks."""
    per_task = ours.std(ddof=1)
    theirs = target["std_error"]
    error = float(theirs) if theirs else per_task / float(target["num_tasks"]) ** 0.5
    scale = np.hypot(error, per_task / len(ours) ** 0.5)
    difference = ours.mean() - float(target["value"])
    return float(difference / max(scale, 1e-12))


def check(experiment: str, ours: Callable[[dict[str, str]], np.ndarray]) -> None:
    """Compares every row of an experiment and names all that fail."""
    rows = [row for row in TARGETS if row["experiment"] == experiment]
    assert rows, f"no targets for {experiment}"
    failed = []
    for row in rows:
        values = np.asarray(ours(row), np.float64)
        z = z_score(row, values)
        line = (
            f"{row['agent']} at {row['t']}: ours {values.mean():.4f} ± "
            f"{values.std(ddof=1) / len(values) ** 0.5:.4f}, "
            f"target {row['value']} ({row['source']}), z = {z:+.1f}"
        )
        print(line)
        if not abs(z) <= MAX_Z:
            failed.append(line)
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", ONLINE)
def test_regret_online_agrees_with_known_values(name):
    experiment = ONLINE[name]()
    curves = regret(experiment)(
        jax.random.split(jax.random.key(0), experiment.num_tasks)
    )
    check(name, lambda row: curves[row["agent"]][:, int(row["t"]) - 1])


def test_suboptimality_offline_agrees_with_known_values():
    gaps = suboptimality(SIZES)(jax.random.split(jax.random.key(0), 2000))
    check("dpt_offline", lambda row: gaps[row["agent"]][:, SIZES.index(int(row["t"]))])


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_suboptimality_from_expert_biased_data_agrees_with_known_values(weight):
    run = suboptimality((500,), weights=(weight,), expert_biased=True)
    gaps = run(jax.random.split(jax.random.key(0), 2000))
    check(f"dpt_expert_{weight}", lambda row: gaps[row["agent"]][:, 0])


def test_training_loss_of_an_ideal_dpt_agrees_with_known_values():
    sizes = (1, 10, 50, 100, 200, 500)
    num_tasks = 2000
    positions = jnp.broadcast_to(jnp.asarray(sizes), (num_tasks, len(sizes)))
    # The mean over positions 1 to 500: eight of them a task, spread evenly.
    spread = 1 + (jnp.arange(num_tasks)[:, None] + 500 // 8 * jnp.arange(8)[None]) % 500
    keys = jax.random.split(jax.random.key(0), num_tasks)
    positions = jnp.concatenate([positions, spread], axis=-1)
    entropy = np.asarray(jax.jit(posterior_entropy)(keys, positions))

    def ours(row):
        if row["t"] == "1..500":
            return entropy[:, len(sizes) :].mean(-1)
        return entropy[:, sizes.index(int(row["t"]))]

    check("dpt_loss", ours)


def test_deciding_at_some_sizes_is_what_replay_does(as_users_compile):
    # other passes round arms that are equal apart, and so choose between them
    family = envs.family("GaussianBandit-DPT-v0", horizon=12)
    key_task, key_noise, key_context, key_agent = jax.random.split(jax.random.key(0), 4)
    task = family.sample(key_task)
    context = algorithms.dirichlet_point_mass(family)
    trajectory = rollout(key_noise, key_context, task, context)
    sizes = jnp.asarray([1, 5, 12])
    statistics = statistics_after(trajectory, sizes, family.num_actions)

    @functools.partial(jax.jit, compiler_options=as_users_compile)
    def both(key):
        pairs = []
        for agent in offline_agents(family).values():
            everywhere = replay(jax.random.clone(key), agent, trajectory)
            some = decide(jax.random.clone(key), agent, statistics, sizes)
            pairs.append((everywhere[sizes], some))
        return pairs

    for everywhere, some in both(key_agent):
        assert (everywhere == some).all()

"""The one loop: pairing, prefixes, episodes that end early."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import envs
from envs.base import TimeStep
from icrl.algorithms import make, optimal, uniform
from icrl.rollout import rollout

HORIZON = 6


def keys(seed=0):
    return jax.random.split(jax.random.key(seed), 3)


def test_every_algorithm_meets_the_same_noise():
    family = envs.family("GaussianBandit-DPT-v0", horizon=HORIZON)
    key_task, key_noise, key_agent = keys()
    task = family.sample(key_task)

    def noise(algorithm):
        played = rollout(
            jax.random.clone(key_noise), jax.random.clone(key_agent), task, algorithm
        )
        return played.timestep.reward - task.means[played.action]

    assert np.allclose(noise(uniform(family)), noise(optimal(task)), atol=1e-6)


def test_a_longer_run_begins_with_the_shorter_one():
    short = envs.family("BernoulliBandit-Lin2023-v0", horizon=5)
    long = short.replace(name="", horizon=9)
    actions = []
    for family in (short, long):
        key_task, key_noise, key_agent = keys()
        task = family.sample(key_task)
        learner = make("thompson_sampling", family)
        actions.append(rollout(key_noise, key_agent, task, learner).action)
    assert np.array_equal(actions[0], actions[1][:5])


def test_regret_is_exact_and_zero_for_the_optimal_policy():
    for name in envs.names():
        family = envs.family(name, horizon=HORIZON)
        key_task, key_noise, key_agent = keys(1)
        task = family.sample(key_task)
        try:
            task.state_from_obs(jnp.asarray(0), task.reset(jax.random.key(0))[1])
        except NotImplementedError:
            continue  # its observations do not show the state: no policy reads gaps
        played = rollout(key_noise, key_agent, task, optimal(task), num_episodes=2)
        assert played.gap.shape == (2 * HORIZON,) and np.all(played.gap == 0), name


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Countdown:
    """Pays 1 a step and terminates after `life` of `horizon` steps."""

    life: jax.Array
    horizon: int = dataclasses.field(default=5, metadata={"static": True})
    num_actions: int = dataclasses.field(default=2, metadata={"static": True})

    def reset(self, key):
        del key
        return jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)

    def step(self, key, state, action):
        del key, action
        timestep = TimeStep(
            obs=jnp.zeros((), jnp.int32),
            reward=(state < self.life).astype(jnp.float32),
            terminated=state + 1 >= self.life,
            truncated=state + 1 >= self.horizon,
        )
        return state + 1, timestep

    def gaps(self, state):
        del state
        return jnp.array([0.0, 1.0])

    def state_from_obs(self, step, obs):
        del obs
        return step


def test_an_early_end_is_marked_and_costs_nothing_after_it():
    task = Countdown(life=jnp.asarray(2))
    family = envs.family("BernoulliBandit-Lin2023-v0", num_arms=2, horizon=5)
    _, key_noise, key_agent = keys(2)
    played = rollout(key_noise, key_agent, task, uniform(family), num_episodes=2)
    assert played.valid.tolist() == [True, True, False, False, False] * 2
    assert np.all(played.gap[~played.valid] == 0)
    assert played.timestep.truncated.tolist() == [False] * 4 + [True] + [False] * 4 + [
        True
    ]

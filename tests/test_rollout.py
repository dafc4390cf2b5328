"""The one loop: pairing, prefixes, episodes that end early."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.base import TimeStep
from icrl.algorithms import make, optimal, uniform
from icrl.algorithms.base import Algorithm
from icrl.rollout import begin, play, rollout

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
    """Pays 1 a step and terminates after `length` of `horizon` steps."""

    length: jax.Array
    horizon: int = dataclasses.field(default=5, metadata={"static": True})
    num_actions: int = dataclasses.field(default=2, metadata={"static": True})

    def reset(self, key):
        del key
        return jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)

    def step(self, key, state, action):
        del key, action
        timestep = TimeStep(
            obs=jnp.zeros((), jnp.int32),
            reward=(state < self.length).astype(jnp.float32),
            terminated=state + 1 >= self.length,
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
    task = Countdown(length=jnp.asarray(2))
    family = envs.family("BernoulliBandit-Lin2023-v0", num_arms=2, horizon=5)
    _, key_noise, key_agent = keys(2)
    played = rollout(key_noise, key_agent, task, uniform(family), num_episodes=2)
    assert played.valid.tolist() == [True, True, False, False, False] * 2
    assert np.all(played.gap[~played.valid] == 0)
    assert played.timestep.truncated.tolist() == [False] * 4 + [True] + [False] * 4 + [
        True
    ]


def equal(one, two):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert np.array_equal(a, b)


def in_parts(play_part, carry, parts=3):
    """A trajectory that was played part by part."""
    played = []
    for _ in range(parts):
        carry, part = play_part(carry)
        played.append(part)
    steps = [part._replace(final_state=None, final_obs=None) for part in played]
    last = played[-1].final_state, played[-1].final_obs
    return jax.tree.map(lambda *x: jnp.concatenate(x, axis=-1), *steps), last


def planner() -> Algorithm:
    """Draws a favourite when an episode begins, and moves away from what pays."""

    def begin_episode(key, state):
        return state + jax.random.normal(key, state.shape)

    def act(key, state, obs):
        return state, jax.random.categorical(key, state + obs)

    def update(state, obs, action, timestep):
        return state.at[action].add(-timestep.reward)

    return Algorithm(lambda: jnp.zeros(2), act, update, begin_episode)


MDP = envs.family("RandomMDP-Small-v0", states=3, actions=2, horizon=5)
PLAYED = {
    "a planner in an MDP": (MDP.sample(jax.random.key(9)), planner()),
    "a task that ends early": (Countdown(length=jnp.asarray(3)), planner()),
}


@pytest.mark.parametrize("name", PLAYED)
def test_playing_three_times_seven_steps_is_playing_twenty_one(name):
    """In one trace, over several with a counter in the carry, and with its offset."""
    task, algorithm = PLAYED[name]
    _, key_noise, key_agent = keys(3)

    @jax.jit
    def at_once(key_noise, key_agent):
        carry = begin(key_noise, key_agent, task, algorithm)
        whole = play(carry, task, algorithm, 21)[1]
        steps = whole._replace(final_state=None, final_obs=None)
        return steps, (whole.final_state, whole.final_obs)

    @jax.jit
    def traced_once(key_noise, key_agent):
        carry = begin(key_noise, key_agent, task, algorithm)
        return in_parts(lambda carry: play(carry, task, algorithm, 7), carry)

    whole = at_once(jax.random.clone(key_noise), jax.random.clone(key_agent))
    equal(traced_once(jax.random.clone(key_noise), jax.random.clone(key_agent)), whole)
    part = jax.jit(lambda carry: play(carry, task, algorithm, 7))
    start = jax.jit(lambda *keys: begin(*keys, task, algorithm))
    carry = start(jax.random.clone(key_noise), jax.random.clone(key_agent))
    equal(in_parts(part, carry), whole)
    told = jax.jit(
        lambda carry, offset: play(carry, task, algorithm, 7, offset=offset),
        static_argnums=1,
    )
    offsets = iter((0, 2, 4))
    equal(in_parts(lambda carry: told(carry, next(offsets)), carry), whole)


def test_a_rollout_is_one_use_of_the_carry():
    task, algorithm = PLAYED["a planner in an MDP"]
    _, key_noise, key_agent = keys(3)
    carry = begin(
        jax.random.clone(key_noise), jax.random.clone(key_agent), task, algorithm
    )
    carry, played = play(carry, task, algorithm, 20)
    assert carry.step == 20
    equal(rollout(key_noise, key_agent, task, algorithm, num_episodes=4), played)


def test_streams_side_by_side_keep_counters_of_their_own():
    task, algorithm = PLAYED["a planner in an MDP"]
    many = jax.random.split(jax.random.key(4), (2, 3))
    part = jax.jit(jax.vmap(lambda carry: play(carry, task, algorithm, 7)))
    start = jax.jit(jax.vmap(lambda *keys: begin(*keys, task, algorithm)))
    carry = start(*jax.random.clone(many))
    assert carry.step.shape == (3,)
    for _ in range(3):
        carry, played = part(carry)

    def at_once(key_noise, key_agent):
        carry = begin(key_noise, key_agent, task, algorithm)
        return play(carry, task, algorithm, 21)

    end, whole = jax.jit(jax.vmap(at_once))(*many)
    equal(whole.action[:, 14:], played.action)
    equal(end.task_state, carry.task_state)


def test_whole_episodes_are_a_loop_without_a_condition():
    """Planning under `vmap` would be computed at every step, were it in a `cond`."""
    task, algorithm = PLAYED["a planner in an MDP"]
    many = jax.random.split(jax.random.key(4), (2, 3))

    def regret(key_noise, key_agent):
        return rollout(key_noise, key_agent, task, algorithm, num_episodes=4).gap

    jaxpr = str(jax.make_jaxpr(jax.vmap(regret))(*many))
    assert "cond[" not in jaxpr and jaxpr.count("scan[") >= 2


def test_no_steps_are_refused():
    task, algorithm = PLAYED["a planner in an MDP"]
    _, key_noise, key_agent = keys(3)
    carry = begin(key_noise, key_agent, task, algorithm)
    with pytest.raises(ValueError, match="num_steps must be at least 1, got 0"):
        play(carry, task, algorithm, 0)

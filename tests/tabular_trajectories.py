"""Trajectories in small random MDPs, and their transitions counted by plain loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from envs.random_mdp import RandomMDPFamily
from envs.tabular_mdp import make_task
from icrl.algorithms import uniform
from icrl.rollout import rollout

FAMILY = RandomMDPFamily(
    states=5,
    actions=3,
    horizon=5,
    reward_prior="uniform",
    reward_location=0.0,
    noise_std=0.5,
)
S, A, H = FAMILY.observation.n, FAMILY.num_actions, FAMILY.horizon
EPISODES = 30


def deadly(key):
    """A random MDP whose last state ends an episode."""
    task = FAMILY.sample(key)
    return make_task(
        transitions=task.transitions,
        rewards=task.rewards,
        noise_std=0.5,
        horizon=H,
        terminal=jnp.arange(S) == S - 1,
    )


def trajectories(algorithm, ending=False, num_tasks=8, num_episodes=EPISODES):
    """Trajectories [tasks, time] as NumPy arrays."""

    def run(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = (deadly if ending else FAMILY.sample)(key_task)
        return rollout(key_noise, key_agent, task, algorithm, num_episodes=num_episodes)

    keys = jax.random.split(jax.random.key(0), num_tasks)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(run))(keys))


@functools.cache
def random_trajectories(ending=False):
    return trajectories(uniform(FAMILY), ending=ending)


def steps_of(trajectory, task):
    """Step of the episode, state, action, reward, next state, end: plain numbers."""
    columns = (
        trajectory.obs,
        trajectory.action,
        trajectory.timestep.reward,
        trajectory.timestep.obs,
        trajectory.timestep.terminated,
    )
    for t, entry in enumerate(zip(*(x[task] for x in columns), strict=True)):
        s, a, r, s2, end = entry
        yield t % H, int(s), int(a), float(r), int(s2), bool(end)


class Counts:
    """What was seen, counted one step at a time."""

    def __init__(self):
        self.moves, self.n = np.zeros((S, A, S)), np.zeros((S, A))
        self.total, self.ended = np.zeros((S, A)), np.zeros(S, bool)

    def add(self, h, s, a, r, s2, end, last_transition=True):
        if self.ended[s]:
            return
        if last_transition or h < H - 1:
            self.moves[s, a, s2] += 1
        self.n[s, a] += 1
        self.total[s, a] += r
        self.ended[s2] |= end


def counted(trajectory, task, **rule):
    """The counts after a trajectory."""
    counts = Counts()
    for step in steps_of(trajectory, task):
        counts.add(*step, **rule)
    return counts


def backward(counts, backup):
    """Q from `backup(h, s, a, next_value)`, one entry after another."""
    q, value = np.zeros((H, S, A)), np.zeros(S)
    for h in reversed(range(H)):
        for s in range(S):
            for a in range(A):
                q[h, s, a] = 0.0 if counts.ended[s] else backup(h, s, a, value)
        value = q[h].max(-1)
    return q


def learnt(algorithm, trajectory, task, begin=None):
    """The state of a learner that saw a trajectory and never planned."""
    steps = jax.tree.map(
        lambda x: jnp.asarray(x[task]).reshape(EPISODES, H, *x.shape[2:]),
        (trajectory.obs, trajectory.action, trajectory.timestep),
    )

    def episode(state, steps):
        state = state if begin is None else begin(state)
        return jax.lax.scan(
            lambda known, now: (algorithm.update(known, *now), None), state, steps
        )

    run = jax.jit(lambda state, steps: jax.lax.scan(episode, state, steps)[0])
    return run(algorithm.init(), steps)

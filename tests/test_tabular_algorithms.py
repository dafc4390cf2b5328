"""Plans of tabular learners, against plain loops in float64.

Over 300 lines: each plan has its plain loop beside it.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from tabular_trajectories import (
    EPISODES,
    FAMILY,
    A,
    Counts,
    H,
    S,
    backward,
    counted,
    learnt,
    random_trajectories,
    steps_of,
    trajectories,
)

import envs
from envs.random_mdp import RandomMDPFamily
from icrl.algorithms.mdp.beb import beb, ucb_vi_posterior
from icrl.algorithms.mdp.posterior_mean_greedy import mle_greedy, posterior_mean_greedy
from icrl.algorithms.mdp.psrl import optimistic_psrl, psrl
from icrl.algorithms.mdp.rlsvi import rlsvi
from icrl.algorithms.mdp.ucb_vi import make_bonus, ucb_vi
from icrl.algorithms.mdp.ucrl2 import optimistic_value, ucrl2
from icrl.algorithms.mdp.vi_lcb import vi_lcb
from icrl.algorithms.posteriors import mdp_posterior, mdp_statistics
from icrl.algorithms.posteriors.mdp_posterior import MDPPrior

PRIOR = MDPPrior(
    reward_mean=0.7, reward_precision=2.0, noise_precision=4.0, concentration=0.8
)


def begin(state):
    return state._replace(statistics=mdp_statistics.begin_episode(state.statistics))


@functools.cache
def seen(ending=False, task=0):
    """What every planner knows after random steps, and the same from plain loops."""
    trajectory = random_trajectories(ending)
    state = learnt(mle_greedy(FAMILY), trajectory, task, begin)
    return state, counted(trajectory, task)


def planned(algorithm, ending=False, task=0, seed=0):
    state = seen(ending, task)[0]._replace(table=algorithm.init().table)
    return jax.jit(algorithm.begin_episode)(jax.random.key(seed), state)


@pytest.mark.parametrize(
    ("ending", "last_transition"), [(False, False), (True, False), (True, True)]
)
def test_statistics_are_the_counts_up_to_the_end_of_each_episode(
    ending, last_transition
):
    trajectory = random_trajectories(ending)
    algorithm = mle_greedy(FAMILY, last_transition=last_transition)
    known = learnt(algorithm, trajectory, 1, begin).statistics
    counts = counted(trajectory, 1, last_transition=last_transition)
    np.testing.assert_array_equal(known.transitions, counts.moves)
    np.testing.assert_array_equal(known.visits, counts.n)
    np.testing.assert_allclose(known.total, counts.total, atol=1e-4)
    np.testing.assert_array_equal(known.ended, counts.ended)
    assert (int(known.step), int(known.episode)) == (H, EPISODES)
    if ending:  # the absorbing rest of an episode taught nothing
        assert counts.n.sum() == trajectory.valid[1].sum() < EPISODES * H
        assert known.ended[S - 1] and (known.visits[S - 1] == 0).all()


def test_an_episodes_last_step_is_known_where_no_episode_is_begun():
    algorithm = mle_greedy(FAMILY, last_transition=False)
    known = learnt(algorithm, random_trajectories(), 0).statistics
    moves = counted(random_trajectories(), 0, last_transition=False).moves
    np.testing.assert_array_equal(known.transitions, moves)


def bonus_of(kind, tests, cap):
    """The bonus of UCB-VI, entry by entry, from the paper's formulas."""

    def bonus(n, chances, value):
        if kind == "lin2023":
            return 2 * cap * math.sqrt(math.log(tests) / n)
        level = math.log(5 * tests)
        if kind == "hoeffding":
            return 7 * cap * level / math.sqrt(n)
        mean = sum(p * v for p, v in zip(chances, value, strict=True))
        variance = sum(p * (v - mean) ** 2 for p, v in zip(chances, value, strict=True))
        return math.sqrt(8 * level * variance / n) + 14 * cap * level / (3 * n)

    return bonus


def ucb_vi_by_loop(
    trajectory, task, kind, scale, *, monotone, last_transition=True, steps_left=False
):
    """Actions and final table of UCB-VI that meets the transitions of a trajectory."""
    delta, cap = 0.05, H * 1.0
    bonus = bonus_of(kind, S * A * H * EPISODES / delta, cap)
    counts, q, actions = Counts(), np.full((H, S, A), cap), []
    for step in steps_of(trajectory, task):
        h, s = step[:2]
        if h == 0:
            previous = q.copy()

            def backup(h, s, a, value, previous=previous):
                most = H - h if steps_left else cap
                most = min(most, previous[h, s, a]) if monotone else most
                n = counts.moves[s, a].sum()
                if n == 0:
                    return most
                chances = counts.moves[s, a] / n
                q = counts.total[s, a] / counts.n[s, a] + chances @ value
                q += scale * bonus(n, chances, value)
                return min(q, most)

            q = backward(counts, backup)
        best = q[h, s].max()
        tied = q[h, s] >= best - 1e-5 * (1 + abs(best))
        actions.append(int(np.argmax(tied)))
        counts.add(*step, last_transition)
    return np.array(actions), q


@pytest.mark.parametrize(
    ("kind", "scale", "options", "ending"),
    [
        ("hoeffding", 0.003, {"monotone": True}, False),
        ("bernstein", 0.01, {"monotone": True, "steps_left": True}, True),
        ("lin2023", 0.05, {"monotone": False, "last_transition": False}, False),
    ],
)
def test_ucb_vi_plays_as_a_plain_loop_in_float64_does(kind, scale, options, ending):
    algorithm = ucb_vi(
        FAMILY, bonus=kind, scale=scale, num_episodes=EPISODES, **options
    )
    trajectory = trajectories(algorithm, ending)
    different = 0
    for task in range(8):
        actions, q = ucb_vi_by_loop(trajectory, task, kind, scale, **options)
        live = trajectory.valid[task]
        assert (actions == trajectory.action[task])[live].all()
        different += len(set(actions[live]))
    assert different >= 16  # it does choose
    assert q.min() < 0.9 * H  # and not for want of knowledge


def test_ucb_vi_keeps_its_bound_where_it_knows_nothing_and_never_raises_it():
    algorithm = ucb_vi(FAMILY, scale=0.01, max_reward=2.0)
    state = algorithm.begin_episode(jax.random.key(0), algorithm.init())
    assert (state.table == 2.0 * H).all()
    before = planned(algorithm)
    after = jax.jit(algorithm.begin_episode)(jax.random.key(0), before)
    assert (after.table <= before.table).all() and (before.table < 2.0 * H).any()


def test_ucb_vi_learns_within_tens_of_episodes():
    gap = trajectories(ucb_vi(FAMILY, bonus="lin2023", scale=0.03), num_tasks=64).gap
    assert gap[:, -5 * H :].mean() < 0.4 * random_trajectories().gap.mean()


def test_soft_ucb_vi_draws_actions_from_the_softmax_of_its_plan():
    tau = 1 / EPISODES
    algorithm = ucb_vi(FAMILY, bonus="lin2023", scale=0.02, temperature=tau)
    state = planned(algorithm)
    for obs in range(S):
        probabilities = algorithm.action_probabilities(state, jnp.asarray(obs))
        row = np.asarray(state.table[0, obs], np.float64)
        np.testing.assert_allclose(
            probabilities, scipy.special.softmax(row / tau), atol=1e-5
        )
    keys = jax.random.split(jax.random.key(0), 4000)
    _, drawn = jax.vmap(algorithm.act, (0, None, None))(keys, state, jnp.asarray(S - 1))
    frequency = np.bincount(drawn, minlength=A) / 4000
    np.testing.assert_allclose(frequency, probabilities, atol=0.04)


def test_lin_et_als_ucb_vi_counts_each_step_by_itself():
    """Soft UCB-VI, Lin et al. 2023, Section 4.3, by loops."""
    delta, tau, scale = 1 / (H * EPISODES), 1 / EPISODES, 0.05
    algorithm = ucb_vi(
        FAMILY,
        bonus="lin2023",
        scale=scale,
        delta=delta,
        num_episodes=EPISODES,
        monotone=False,
        counts_per_step=True,
        temperature=tau,
    )
    moves, total = np.zeros((H, S, A, S)), np.zeros((H, S, A))
    for h, s, a, r, s2, _ in steps_of(random_trajectories(), 1):
        moves[h, s, a, s2] += 1
        total[h, s, a] += r
    state = learnt(algorithm, random_trajectories(), 1, begin)
    state = jax.jit(algorithm.begin_episode)(jax.random.key(0), state)
    np.testing.assert_array_equal(state.statistics.transitions, moves)
    level = 4 * math.log(S * A * H * EPISODES / delta)
    q, value = np.zeros((H, S, A)), np.zeros(S)
    for h in reversed(range(H)):
        for s in range(S):
            for a in range(A):
                n = max(moves[h, s, a].sum(), 1)
                bonus = scale * H * math.sqrt(level / n)
                q[h, s, a] = total[h, s, a] / n + bonus + moves[h, s, a] @ value / n
        q[h] = np.minimum(q[h], H)
        value = q[h].max(-1)
    np.testing.assert_allclose(state.table, q, atol=1e-4)
    assert (moves.sum(-1) == 0).any() and (q < H).mean() > 0.5
    for step in (0, H - 1):
        here = state._replace(
            statistics=state.statistics._replace(step=jnp.asarray(step))
        )
        probabilities = algorithm.action_probabilities(here, jnp.asarray(2))
        expected = scipy.special.softmax(q[step, 2] / tau)
        np.testing.assert_allclose(probabilities, expected, atol=2e-3)


def belief(counts, prior):
    """Posterior means and precisions, entry by entry."""
    tau0, tau = prior.reward_precision, prior.noise_precision
    precision = tau0 + tau * counts.n
    mean = (tau0 * prior.reward_mean + tau * counts.total) / precision
    alpha = prior.concentration + counts.moves
    return mean, precision, alpha, alpha / alpha.sum(-1, keepdims=True)


def mean_backup(counts, prior, extra=lambda h, s, a: 0.0):
    mean, _, _, transitions = belief(counts, prior)
    return lambda h, s, a, value: (
        mean[s, a] + transitions[s, a] @ value + extra(h, s, a)
    )


def beb_bonus(counts, prior, scale):
    _, precision, alpha, _ = belief(counts, prior)
    return lambda h, s, a: (
        1 / (precision[s, a] + 1)
        + (H - 1 - h) * 2 * scale * H**3 / (alpha[s, a].sum() + 1)
    )


def sqrt_bonus(counts, prior, scale):
    _, precision, alpha, _ = belief(counts, prior)
    level = 2 * math.log(2 + EPISODES + 1)
    return lambda h, s, a: (
        scale
        * (
            math.sqrt(level / precision[s, a])
            + (H - 1 - h) * math.sqrt(level / alpha[s, a].sum())
        )
    )


def ucrl2_backup(counts, scale, delta=0.05):
    mean, _, _, transitions = belief(counts, MDPPrior(0.0, 1e-4, 1.0, 1e-5))
    level = 4 * math.log(2 * S * A * (EPISODES + 2) / delta)

    def backup(h, s, a, value):
        reward = mean[s, a] + scale * math.sqrt(level / max(counts.n[s, a], 1))
        moves = max(counts.moves[s, a].sum(), 1)
        p = transitions[s, a].copy()
        order = np.argsort(value)
        best = order[-1]
        p[best] = min(1.0, p[best] + scale * math.sqrt(S * level / moves) / 2)
        for worst in order[:-1]:
            if p.sum() > 1:
                p[worst] = max(0.0, 1 - (p.sum() - p[worst]))
        return reward + p @ value

    return backup


def lcb_backup(counts, scale):
    width = scale * H * math.sqrt(math.log(S * A * H / 0.05))

    def backup(h, s, a, value):
        n = counts.n[s, a]
        if n == 0:
            return 0.0
        r, p = counts.total[s, a] / n, counts.moves[s, a] / n
        return max(0.0, r + p @ value - width / math.sqrt(n))

    return backup


NONE = MDPPrior(0.0, 1e-4, 1.0, 1e-4)
PLANS = {
    "posterior_mean_greedy": (
        posterior_mean_greedy(FAMILY, prior=PRIOR),
        lambda counts: mean_backup(counts, PRIOR),
    ),
    "mle_greedy": (mle_greedy(FAMILY), lambda counts: mean_backup(counts, NONE)),
    "beb": (
        beb(FAMILY, prior=PRIOR, scale=2e-3),
        lambda counts: mean_backup(counts, PRIOR, beb_bonus(counts, PRIOR, 2e-3)),
    ),
    "ucb_vi_posterior": (
        ucb_vi_posterior(FAMILY, prior=PRIOR, scale=0.2),
        lambda counts: mean_backup(counts, PRIOR, sqrt_bonus(counts, PRIOR, 0.2)),
    ),
    "ucrl2": (ucrl2(FAMILY, scale=0.1), lambda counts: ucrl2_backup(counts, 0.1)),
    "vi_lcb": (vi_lcb(FAMILY, scale=0.02), lambda counts: lcb_backup(counts, 0.02)),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("ending", [False, True])
def test_a_plan_is_what_its_formula_says(name, ending):
    algorithm, backup_from = PLANS[name]
    for task in range(2):
        counts = seen(ending, task)[1]
        expected = backward(counts, backup_from(counts))
        table = planned(algorithm, ending, task).table
        np.testing.assert_allclose(table, expected, rtol=1e-4, atol=1e-4)


def test_the_optimistic_row_of_ucrl2_solves_its_linear_programme():
    random = np.random.default_rng(0)
    rows = random.dirichlet(np.full(S, 0.5), (S, A))
    slack = random.uniform(0, 2.5, (S, A))
    value = random.normal(size=S)
    value[1] = value[2]  # a tie
    ours = optimistic_value(jnp.asarray(rows), jnp.asarray(slack), jnp.asarray(value))
    for index in np.ndindex(S, A):
        # p = rows + up - down, up and down at least 0
        found = scipy.optimize.linprog(
            np.concatenate([-value, value]),
            A_ub=np.concatenate(
                [np.ones((1, 2 * S)), np.hstack([-np.eye(S), np.eye(S)])]
            ),
            b_ub=np.concatenate([[slack[index]], rows[index]]),
            A_eq=np.concatenate([np.ones(S), -np.ones(S)])[None],
            b_eq=[0.0],
        )
        np.testing.assert_allclose(
            ours[index], rows[index] @ value - found.fun, atol=1e-5
        )


def test_psrl_plays_the_optimum_of_the_mdp_that_it_draws():
    state, counts = seen(ending=True)
    believed = mdp_posterior.posterior(PRIOR, state.statistics)
    draw, samples = jax.jit(mdp_posterior.sample_mdp), []
    for algorithm, count in (
        (psrl(FAMILY, prior=PRIOR), 1),
        (optimistic_psrl(FAMILY, prior=PRIOR, num_samples=3), 3),
    ):
        tables = []
        for number in range(count):
            key = jax.random.fold_in(jax.random.key(5), number)
            r, p = map(np.asarray, draw(key, believed))
            samples.append(r)
            np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
            backup = lambda h, s, a, v, r=r, p=p: r[s, a] + p[s, a] @ v  # noqa: E731
            tables.append(backward(counts, backup))
        table = planned(algorithm, ending=True, seed=5).table
        np.testing.assert_allclose(table, np.max(tables, axis=0), atol=1e-4)
    assert np.abs(samples[1] - samples[2]).min() > 0  # each a draw of its own


def test_the_posterior_of_an_mdp_has_its_closed_form():
    state, counts = seen()
    mean, precision, alpha, transitions = belief(counts, PRIOR)
    believed = mdp_posterior.posterior(PRIOR, state.statistics)
    np.testing.assert_allclose(believed.reward_mean, mean, atol=1e-5)
    np.testing.assert_allclose(believed.reward_precision, precision, rtol=1e-6)
    np.testing.assert_allclose(believed.transitions, transitions, atol=1e-6)
    keys = jax.random.split(jax.random.key(0), 20_000)
    draw = jax.jit(jax.vmap(mdp_posterior.sample_mdp, (0, None)))
    r, p = draw(keys, believed)
    error = 5 / np.sqrt(20_000)
    np.testing.assert_array_less(abs(r.mean(0) - mean) * precision**0.5, error)
    np.testing.assert_allclose(r.std(0) * precision**0.5, 1, atol=error)
    total = alpha.sum(-1, keepdims=True)
    std = np.sqrt(transitions * (1 - transitions) / (total + 1))
    np.testing.assert_array_less(abs(p.mean(0) - transitions) / std, error)
    np.testing.assert_allclose(p.std(0), std, rtol=3 * error)


def test_rlsvi_draws_each_step_from_its_regression():
    algorithm = rlsvi(FAMILY, noise_std=0.6, ridge=1.7)
    state, counts = seen()
    keys = jax.random.split(jax.random.key(0), 4000)
    tables = jax.jit(jax.vmap(algorithm.begin_episode, (0, None)))(keys, state).table
    tables = np.asarray(tables, np.float64)
    precision = counts.n / 0.6**2 + 1.7
    transitions = counts.moves / np.maximum(counts.n, 1)[..., None]
    value = np.concatenate([tables[:, 1:].max(-1), np.zeros((4000, 1, S))], axis=1)
    follow = np.einsum("sat,kht->khsa", transitions, value)
    mean = (counts.total + counts.n * follow) / 0.6**2 / precision
    noise = (tables - mean) * precision**0.5
    np.testing.assert_allclose(noise.mean(0), 0, atol=5 / 4000**0.5)
    np.testing.assert_allclose(noise.std(0), 1, atol=5 / 8000**0.5)
    together = np.corrcoef(noise.reshape(4000, -1).T)
    assert abs(together - np.eye(H * S * A)).max() < 6 / 4000**0.5


def test_a_matched_prior_has_the_moments_of_uniform_mean_rewards():
    family = RandomMDPFamily(horizon=3, reward_location=1.0, reward_scale=0.5)
    prior = mdp_posterior.matched_prior(family)
    rewards = np.linspace(1.0, 1.5, 100_001)
    assert np.isclose(prior.reward_mean, rewards.mean())
    assert np.isclose(1 / prior.reward_precision, rewards.var(), rtol=1e-4)


def test_the_own_prior_of_random_mdps_is_used_unless_another_is_given():
    family = RandomMDPFamily(horizon=3, reward_location=1.0, reward_scale=0.5)
    assert mdp_posterior.true_prior(family) == MDPPrior(1.0, 4.0, 1.0, 1.0)
    assert mdp_posterior.chosen_prior(family, None).reward_mean == 1.0
    assert mdp_posterior.chosen_prior(FAMILY, None) == MDPPrior()  # uniform rewards
    assert mdp_posterior.chosen_prior(family, PRIOR) is PRIOR
    with pytest.raises(ValueError, match="reward_prior must be normal, got 'uniform'"):
        mdp_posterior.true_prior(FAMILY)
    with pytest.raises(ValueError, match=r"concentration must be positive, got 0\.0"):
        psrl(FAMILY, prior=MDPPrior(concentration=0.0))


def test_the_note_on_the_published_bonuses_of_ucb_vi_is_right():
    """When they fall below the cap: 20 states, 4 actions, 100 episodes of 20 steps."""
    tests = 20 * 4 * 20 * 100 / 0.05
    level = math.log(5 * tests)
    visits = {"hoeffding": 49 * level**2, "lin2023": 4 * math.log(tests)}
    for bonus, n in visits.items():
        width = make_bonus(bonus, 20.0, tests)
        at_cap = width(jnp.zeros((1, 1, 1)), jnp.full((1, 1), n))(jnp.zeros(1))
        assert np.isclose(at_cap, 20.0, rtol=1e-5)
    episodes = {bonus: n * 20 * 4 / 20 for bonus, n in visits.items()}
    assert round(episodes["hoeffding"], -3) == 54_000
    assert round(episodes["lin2023"], -1) == 240
    assert round(1 / (7 * level), 3) == 0.009
    note = ucb_vi.__doc__
    assert "54,000 and 240" in note and "there .009" in note


def test_observations_that_are_no_states_are_refused():
    with pytest.raises(ValueError, match="needs integer observations"):
        psrl(envs.family("ContextualLinearBandit-v0"))

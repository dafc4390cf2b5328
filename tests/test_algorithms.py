"""Bandit and linear learners, against known numbers and other routes.

Over 300 lines: one test after another, and those of learners of one kind share tasks
and programs.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

import envs
from icrl import algorithms
from icrl.algorithms import posteriors
from icrl.algorithms.bandits.gittins import gittins_table
from icrl.algorithms.context_mixture import PAPER_WEIGHTS
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics
from icrl.algorithms.posteriors.ridge import ridge_norms, ridge_prior, ridge_update
from icrl.replay import predictions
from icrl.rollout import rollout

FAMILIES = {
    "bernoulli": envs.family("BernoulliBandit-Lin2023-v0", horizon=12, num_arms=4),
    "gaussian": envs.family("GaussianBandit-DPT-v0", horizon=12, num_arms=4),
    "linear_fixed": envs.family("LinearBandit-DPT-v0", horizon=12, num_arms=4),
    "linear_per_task": envs.family("LinearBandit-Lin2023-v0", horizon=12, num_arms=4),
    "linear_per_step": envs.family("ContextualLinearBandit-v0", horizon=12, num_arms=4),
    "mdp": envs.family("RandomMDP-Small-v0", horizon=12),
    "room": envs.family("DarkRoom-DPT-v0", horizon=12),
    "permuted_room": envs.family("DarkRoomPermuted-DPT-v0", horizon=12),
    "stitched_room": envs.family("DarkRoomThreeTasks-DPT-v0", horizon=12),
}
BERNOULLI, GAUSSIAN = FAMILIES["bernoulli"], FAMILIES["gaussian"]
LINEAR = FAMILIES["linear_fixed"]
OF_ARMS = {"bernoulli", "gaussian"}
OF_FEATURES = {"linear_fixed", "linear_per_task", "linear_per_step"}
FITS = {
    "bayes_optimal": {"bernoulli"},
    "bayes_ucb": OF_ARMS,
    "beb": {"mdp"},
    "behaviour_cloning": {"mdp", "room"},
    "dirichlet_point_mass": OF_ARMS,
    "empirical_mean": OF_ARMS | {"linear_per_task"},
    "epsilon_greedy": OF_ARMS,
    "exact_goal_posterior": {"room"},
    "exact_permutation_posterior": {"permuted_room", "stitched_room"},
    "exact_posterior_sampling": OF_ARMS | {"linear_fixed"},
    "gittins": {"bernoulli"},
    "kl_ucb": OF_ARMS,
    "lcb": OF_ARMS,
    "linear_thompson": OF_FEATURES,
    "linucb": {"linear_fixed", "linear_per_step"},
    "mle_greedy": {"mdp"},
    "optimistic_psrl": {"mdp"},
    "posterior_mean": OF_ARMS,
    "posterior_mean_greedy": {"mdp"},
    "psrl": {"mdp"},
    "q_learning": {"mdp", "room"},
    "ridge_greedy": {"linear_per_step"},
    "rlsvi": {"mdp"},
    "snake_sweep": {"room"},
    "thompson_sampling": OF_ARMS | {"linear_fixed"},
    "ucb": OF_ARMS,
    "ucb_q_learning": {"mdp", "room"},
    "ucb_vi": {"mdp"},
    "ucb_vi_posterior": {"mdp"},
    "ucrl2": {"mdp"},
    "uniform": {"gaussian", "linear_per_task"},
    "vi_lcb": {"mdp"},
}
# What the contract is tested on: an algorithm that is not named above, on every family
# that it plays.
PAIRS = [
    (name, kind)
    for name in algorithms.ALGORITHMS.names()
    for kind in sorted(FITS.get(name, FAMILIES))
]


def make(name, kind):
    """An algorithm for a family; skips the test where it does not play that."""
    try:
        return algorithms.make(name, FAMILIES[kind])
    except ValueError:
        if name in FITS:
            raise
        pytest.skip(f"{name} does not play {kind}")


def seen(pulls, total) -> ArmStatistics:
    return ArmStatistics(
        pulls=jnp.asarray(pulls, jnp.float32), total=jnp.asarray(total, jnp.float32)
    )


def play(algorithm, family, num_tasks, seed=0):
    """Gaps [tasks, time] of one agent on fresh tasks."""

    def run(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        return rollout(key_noise, key_agent, family.sample(key_task), algorithm).gap

    keys = jax.random.split(jax.random.key(seed), num_tasks)
    return np.asarray(jax.jit(jax.vmap(run))(keys))


def chosen(algorithm, state, obs=0):
    return int(algorithm.act(jax.random.key(0), state, jnp.asarray(obs))[1])


@functools.cache
def random_trajectories(kind):
    """Three tasks of a family, played at random."""
    family = FAMILIES[kind]

    def run(key):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = family.sample(key_task)
        return rollout(key_noise, key_agent, task, algorithms.uniform(family))

    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 3))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_algorithm_keeps_its_contract(name, kind):
    family = FAMILIES[kind]
    agent = make(name, kind)
    num_draws = 2000

    def run(key, trajectory):
        """Learns from a trajectory, then chooses many times."""
        key_begin, key_play, key_act = jax.random.split(key, 3)

        def step(state, now):
            t, *seen = now
            state, action = agent.act(jax.random.fold_in(key_play, t), state, seen[0])
            return agent.update(state, *seen), action

        steps = (jnp.arange(12), trajectory.obs, trajectory.action, trajectory.timestep)
        start = agent.begin_episode(key_begin, agent.init())
        state, played = jax.lax.scan(step, start, steps)
        keys = jax.random.split(key_act, num_draws)
        choose = jax.vmap(agent.act, (0, None, None))
        after, chosen = choose(keys, state, trajectory.final_obs)
        assert agent.action_probabilities is not None, (
            f"{name} should give its probabilities"
        )
        probabilities = agent.action_probabilities(state, trajectory.final_obs)
        return played, state, jax.tree.map(lambda x: x[0], after), chosen, probabilities

    keys = jax.random.split(jax.random.key(1), 3)
    played, state, after, chosen, probabilities = jax.jit(jax.vmap(run))(
        keys, random_trajectories(kind)
    )
    assert played.shape == (3, 12)
    assert jnp.issubdtype(played.dtype, jnp.integer)
    assert ((played >= 0) & (played < family.num_actions)).all()
    jax.tree.map(np.testing.assert_array_equal, after, state)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    assert (probabilities >= 0).all()
    frequency = jax.nn.one_hot(chosen, family.num_actions).mean(1)
    error = 4.5 * np.sqrt(probabilities * (1 - probabilities) / num_draws) + 5e-3
    assert (abs(frequency - probabilities) < error).all()


def test_the_first_action_of_linucb_is_uniform_or_follows_its_index():
    state = algorithms.linucb(LINEAR).init()
    probabilities = algorithms.linucb(LINEAR).action_probabilities(
        state, jnp.asarray(0)
    )
    np.testing.assert_allclose(probabilities, np.full(4, 0.25))
    longest = np.argmax(np.linalg.norm(LINEAR.fixed_features, axis=-1))
    assert chosen(algorithms.linucb(LINEAR, first="index"), state) == longest


@pytest.mark.parametrize(
    "name", ["thompson_sampling", "linucb", "dirichlet_point_mass"]
)
def test_a_longer_run_begins_with_the_shorter_one(name):
    family = FAMILIES["linear_fixed" if name == "linucb" else "gaussian"]
    agent = algorithms.make(name, family)
    trajectories = [
        rollout(
            jax.random.key(1),
            jax.random.key(2),
            family.sample(jax.random.key(0)),
            agent,
        )
        for family in (family, family.replace(horizon=20))
    ]
    assert (trajectories[0].action == trajectories[1].action[:12]).all()


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("epsilon_greedy", "BernoulliBandit-Lin2023-v0"),
        ("kl_ucb", "BernoulliBandit-Lin2023-v0"),
        ("kl_ucb", "GaussianBandit-DPT-v0"),
        ("linucb", "ContextualLinearBandit-v0"),
    ],
)
def test_learners_beat_uniform_and_their_regret_flattens(name, family):
    family = envs.family(family, horizon=200)
    learned = play(algorithms.make(name, family), family, 100).mean(0)
    chance = play(algorithms.uniform(family), family, 100).mean(0)
    assert learned.sum() < 0.35 * chance.sum()
    assert learned[100:].sum() < 0.7 * learned[:100].sum()


def test_ucb_forms_are_their_formulas():
    pulls, total = np.array([3.0, 10, 40, 1]), np.array([1.0, 6, 30, 0])
    mean, t = total / pulls, pulls.sum()
    expected = {
        "inverse_sqrt": mean + 0.7 / np.sqrt(pulls),
        "shrunken": total / (1 + pulls) + 0.7 / np.sqrt(1 + pulls),
        "ucb1": mean + 0.7 * np.sqrt(2 * np.log(t) / pulls),
    }
    for form, index in expected.items():
        agent = algorithms.ucb(BERNOULLI, form=form, width=0.7)
        assert chosen(agent, seen(pulls, total)) == np.argmax(index)


def test_an_arm_never_pulled_comes_first():
    state = seen([5, 0, 3, 0], [5, 0, 3, 0])
    for name in ("empirical_mean", "epsilon_greedy", "ucb", "kl_ucb"):
        agent = algorithms.make(name, GAUSSIAN)
        assert int(jnp.argmax(agent.action_probabilities(state, 0))) == 1


def test_offline_baselines_choose_among_the_arms_they_have_seen():
    state = seen([4, 0, 100, 0], [-0.5, 0, -1.0, 0])  # all worse than nothing
    assert chosen(algorithms.empirical_mean(GAUSSIAN, explore_first=False), state) == 2
    assert chosen(algorithms.lcb(GAUSSIAN), state) == 2
    state = seen([0, 1, 0, 0], [0, -0.5, 0, 0])
    assert chosen(algorithms.lcb(GAUSSIAN), state) == 1
    assert chosen(algorithms.lcb(GAUSSIAN, unseen="zero"), state) == 0


def test_lcb_prefers_the_arm_it_knows_well():
    state = seen([100, 2, 1, 1], [60, 1.6, 0.5, 0.5])
    assert chosen(algorithms.lcb(GAUSSIAN), state) == 0
    assert chosen(algorithms.lcb(GAUSSIAN, width=0.0), state) == 1


def test_ties_go_to_the_lowest_arm():
    state = seen([2, 2, 2, 2], [0, 1, 1, 0])
    for name in ("empirical_mean", "ucb", "kl_ucb", "posterior_mean", "gittins"):
        assert chosen(algorithms.make(name, BERNOULLI), state) == 1


def test_random_ties_are_shared_equally():
    agent = algorithms.posterior_mean(BERNOULLI, random_ties=True)
    state = seen([2, 0, 4, 3], [1, 0, 2, 0])  # 1/2 three times
    probabilities = agent.action_probabilities(state, 0)
    np.testing.assert_allclose(probabilities, [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    keys = jax.random.split(jax.random.key(0), 3000)
    _, actions = jax.vmap(agent.act, (0, None, None))(keys, state, jnp.zeros(()))
    frequency = np.bincount(actions, minlength=4) / 3000
    np.testing.assert_allclose(frequency, probabilities, atol=0.04)


def test_ucb_without_forced_pulls_takes_an_unseen_arm_for_one_that_paid_nothing():
    agent = algorithms.ucb(BERNOULLI, explore_first=False)
    assert chosen(agent, seen([1, 0, 0, 0], [1, 0, 0, 0])) == 0
    assert chosen(agent, seen([9, 0, 0, 0], [5, 0, 0, 0])) == 1


def kl_bound(mean, level):
    """The bound of KL-UCB by a root finder."""

    def excess(q):
        return scipy.stats.entropy([mean, 1 - mean], [q, 1 - q]) - level

    return scipy.optimize.brentq(excess, mean, 1 - 1e-12)


def test_kl_ucb_agrees_with_a_root_finder():
    pulls, total = np.array([3.0, 10, 40, 7]), np.array([1.0, 6, 30, 0])
    level = (np.log(60) + 3 * np.log(np.log(60))) / pulls
    from icrl.algorithms.bandits.kl_ucb import bernoulli_bound

    bound = bernoulli_bound(jnp.asarray(total / pulls), jnp.asarray(level))
    expected = [kl_bound(m, c) for m, c in zip(total / pulls, level, strict=True)]
    np.testing.assert_allclose(bound, expected, atol=2e-6)
    agent = algorithms.kl_ucb(BERNOULLI, log_log_weight=3.0)
    assert chosen(agent, seen(pulls, total)) == np.argmax(expected)
    certain = bernoulli_bound(jnp.asarray([0.0, 1.0]), jnp.asarray([0.5, 0.5]))
    np.testing.assert_allclose(certain, [1 - np.exp(-0.5), 1], atol=1e-6)


def test_kl_ucb_of_normal_rewards_has_its_closed_form():
    pulls, total = np.array([3.0, 10, 40, 7]), np.array([1.6, 5.2, 20, 3.7])
    index = total / pulls + 0.3 * np.sqrt(2 * np.log(60) / pulls)
    agent = algorithms.kl_ucb(GAUSSIAN)
    assert chosen(agent, seen(pulls, total)) == np.argmax(index)


@pytest.mark.parametrize("seed", range(5))
def test_bayes_ucb_agrees_with_scipy(seed):
    random = np.random.default_rng(seed)
    pulls = random.integers(1, 30, 4).astype(float)
    wins = np.floor(random.random(4) * (pulls + 1))
    level = 1 - 1 / (1 + pulls.sum())
    beta = scipy.stats.beta(1 + wins, 1 + pulls - wins).ppf(level)
    assert chosen(algorithms.bayes_ucb(BERNOULLI), seen(pulls, wins)) == np.argmax(beta)
    mean, std = random.uniform(0, 1, 4), 0.3 / np.sqrt(pulls)
    cut = scipy.stats.truncnorm((0 - mean) / std, (1 - mean) / std, mean, std)
    agent = algorithms.bayes_ucb(GAUSSIAN)
    assert chosen(agent, seen(pulls, pulls * mean)) == np.argmax(cut.ppf(level))


def test_bayes_ucb_learns_where_its_quantile_is_close_to_1():
    # 1 - 1/(t ln(2000)^5) is 1 in float32: 547 units of regret, all on arm 0
    family = BERNOULLI.replace(num_arms=2, horizon=2000)
    agent = algorithms.bayes_ucb(family, log_power=5.0)
    trajectory = jax.jit(functools.partial(rollout, algorithm=agent))(
        jax.random.key(0), jax.random.key(1), family.task([0.1, 0.9])
    )
    assert 0 < trajectory.gap.sum() < 15


def test_the_most_probable_arm_need_not_have_the_highest_mean():
    # known to be 0.45, or never pulled: the mean is higher, and so is the chance of
    # three such arms together, but not of each of them
    state = seen([500, 0, 0, 0], [305, 0, 0, 0])
    assert chosen(algorithms.posterior_mean(BERNOULLI), state) == 0
    exact = algorithms.exact_posterior_sampling(BERNOULLI)
    assert chosen(algorithms.most_likely(exact), state) == 1


def test_the_likeliest_of_equal_actions_is_the_lowest_however_they_are_rounded():
    rounded = jnp.array([0.2, 0.3, 0.3 + 6e-8, 0.2])
    agent = algorithms.uniform(BERNOULLI.replace(num_arms=4))._replace(
        action_probabilities=lambda state, obs: rounded
    )
    agent = algorithms.most_likely(agent)
    assert chosen(agent, ()) == 1
    assert agent.action_probabilities((), None).tolist() == [0, 1, 0, 0]


def test_the_mode_of_many_draws_is_the_most_probable_arm():
    state = seen([4, 4, 4, 4], [2, 3, 1, 0])
    agent = algorithms.thompson_sampling(BERNOULLI, num_draws=300)
    assert agent.action_probabilities is None
    assert chosen(agent, state) == 1


def test_ridge_regression_agrees_with_a_float64_solve_after_500_steps():
    random = np.random.default_rng(0)
    dim, ridge = 5, 0.7
    x = random.uniform(-1, 1, (500, dim)).astype(np.float32)
    rewards = (x @ np.ones(dim) + random.normal(size=500)).astype(np.float32)
    query = random.normal(size=(10, dim)).astype(np.float32)
    state, _ = jax.lax.scan(
        lambda state, step: (ridge_update(state, *step), None),
        ridge_prior(dim, ridge),
        (jnp.asarray(x), jnp.asarray(rewards)),
    )
    x = x.astype(np.float64)
    gram = x.T @ x + ridge * np.eye(dim)
    theta = np.linalg.solve(gram, x.T @ rewards)
    norms = np.sqrt(np.einsum("ad,de,ae->a", query, np.linalg.inv(gram), query))
    np.testing.assert_allclose(state.theta_hat, theta, atol=2e-5)
    np.testing.assert_allclose(ridge_norms(state, jnp.asarray(query)), norms, rtol=1e-4)


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_linucb_is_the_formula_of_its_paper(width):
    family = FAMILIES["linear_per_step"]
    random = np.random.default_rng(0)
    agent = algorithms.linucb(family, ridge=1.5, width=width)
    state, gram, moment = agent.init(), 1.5 * np.eye(5), np.zeros(5)
    for _ in range(8):
        features = random.uniform(-1, 1, (4, 5)).astype(np.float32)
        if state.num_observed:
            inverse = np.linalg.inv(gram)
            norms = np.sqrt(np.einsum("ad,de,ae->a", features, inverse, features))
            expected = np.argmax(features @ inverse @ moment + width * norms)
            assert chosen(agent, state, features) == expected
        action, reward = random.integers(4), np.float32(random.normal())
        timestep = envs.TimeStep(
            obs=jnp.asarray(features),
            reward=jnp.asarray(reward),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
        )
        x = features[action]
        gram, moment = gram + np.outer(x, x), moment + reward * x
        action = jnp.asarray(action)
        state = agent.update(state, jnp.asarray(features), action, timestep)


def after_some_steps(agent, family, number=8):
    """A state; the Gram matrix without ridge, and moments, of what it has seen."""
    random = np.random.default_rng(0)
    features = random.uniform(-1, 1, (number, 4, 5)).astype(np.float32)
    state, gram, moment = agent.init(), np.zeros((5, 5)), np.zeros(5)
    for shown in features:
        action, reward = random.integers(4), np.float32(random.normal())
        timestep = envs.TimeStep(
            obs=jnp.asarray(shown),
            reward=jnp.asarray(reward),
            terminated=jnp.asarray(False),
            truncated=jnp.asarray(False),
        )
        x = shown[action].astype(np.float64)
        gram, moment = gram + np.outer(x, x), moment + reward * x
        state = agent.update(state, jnp.asarray(shown), jnp.asarray(action), timestep)
    return state, features[-1], gram, moment


def test_soft_linucb_is_the_softmax_of_its_bounds():
    family = FAMILIES["linear_per_step"]
    agent = algorithms.linucb(family, width=2.0, first="index", temperature=0.5)
    state, features, gram, moment = after_some_steps(agent, family)
    inverse = np.linalg.inv(gram + np.eye(5))
    norms = np.sqrt(np.einsum("ad,de,ae->a", features, inverse, features))
    bounds = features @ inverse @ moment + 2 * norms
    expected = scipy.special.softmax(bounds / 0.5)
    obs = jnp.asarray(features)
    np.testing.assert_allclose(
        agent.action_probabilities(state, obs), expected, atol=1e-5
    )
    keys = jax.random.split(jax.random.key(0), 4000)
    _, drawn = jax.vmap(agent.act, (0, None, None))(keys, state, obs)
    np.testing.assert_allclose(np.bincount(drawn) / 4000, expected, atol=0.04)
    for seed in range(5):  # the draw that a model with these logits makes
        key = jax.random.key(seed)
        drawn = jax.random.categorical(key, jnp.asarray(bounds / 0.5))
        assert agent.act(jax.random.clone(key), state, obs)[1] == drawn


def test_the_symmetric_root_turns_a_draw_as_its_formula_says():
    family = FAMILIES["linear_per_step"]
    agent = algorithms.linear_thompson(
        family, root="symmetric", prior_variance=1.0, noise_std=1.5
    )
    state, features, gram, moment = after_some_steps(agent, family)
    gram = gram + 1.5**2 * np.eye(5)
    size, turned = np.linalg.eigh(gram)
    root = turned @ np.diag(size**-0.5) @ turned.T
    chosen_by = []
    for seed in range(20):
        key = jax.random.key(seed)
        normal = np.asarray(jax.random.normal(key, (1, 5)))[0]
        theta = np.linalg.solve(gram, moment) + 1.5 * root @ normal
        chosen_by.append(int(np.argmax(features @ theta)))
        again = jax.random.clone(key)
        assert agent.act(again, state, jnp.asarray(features))[1] == chosen_by[-1]
    assert len(set(chosen_by)) > 1


@pytest.mark.parametrize("kind", ["linear_fixed", "linear_per_task"])
def test_the_probabilities_of_linear_thompson_agree_with_many_draws(kind):
    family = FAMILIES[kind]
    agent = algorithms.linear_thompson(family, num_nodes=4096)
    random = np.random.default_rng(0)
    state, features = agent.init(), LINEAR.fixed_features
    if kind == "linear_per_task":
        features = random.uniform(-1, 1, (4, 5)).astype(np.float32)
    for x in random.normal(size=(6, family.dim)).astype(np.float32):
        state = ridge_update(state, jnp.asarray(x), jnp.asarray(0.3))
    root = np.asarray(state.root, np.float64)
    normal = random.normal(size=(400_000, family.dim))
    theta = np.asarray(state.theta_hat) + family.noise_std * normal @ root.T
    wins = np.bincount(np.argmax(theta @ features.T, -1), minlength=4) / len(theta)
    probabilities = agent.action_probabilities(state, jnp.asarray(features))
    np.testing.assert_allclose(probabilities, wins, atol=5e-3)


def slow_index(wins, losses, left):
    """The charge at which one still pulls once, by bisection on the definition."""

    @functools.cache
    def gain(wins, losses, left, charge):
        return max(0.0, pull(wins, losses, left, charge))

    def pull(wins, losses, left, charge):
        if left == 0:
            return 0.0
        mean = (1 + wins) / (2 + wins + losses)
        after_win = gain(wins + 1, losses, left - 1, charge)
        after_loss = gain(wins, losses + 1, left - 1, charge)
        return mean * (1 + after_win) + (1 - mean) * after_loss - charge

    return scipy.optimize.bisect(lambda c: pull(wins, losses, left, c), 0, 1, xtol=1e-9)


def test_gittins_indices_agree_with_their_definition():
    horizon = 12
    table = gittins_table(horizon, 1.0, 1.0, 1025)
    position = 0
    for used in range(horizon):
        for pulls in range(used + 1):
            for wins in range(pulls + 1):
                expected = slow_index(wins, pulls - wins, horizon - used)
                assert table[position] == pytest.approx(expected, abs=2e-4)
                position += 1
    assert position == len(table)


def test_with_one_step_left_the_gittins_index_is_the_posterior_mean():
    table = gittins_table(5, 2.0, 3.0, 257)
    wins = np.concatenate([np.arange(pulls + 1) for pulls in range(5)])
    pulls = np.repeat(np.arange(5), np.arange(1, 6))
    np.testing.assert_allclose(table[-15:], (2 + wins) / (5 + pulls), atol=1e-6)


def test_dpt_contexts_keep_their_probabilities_during_a_task():
    def probabilities(key, **options):
        agent = algorithms.dirichlet_point_mass(GAUSSIAN, **options)
        return agent.begin_episode(key, agent.init())

    keys = jax.random.split(jax.random.key(0), 4000)
    all_probabilities = np.asarray(jax.vmap(probabilities)(jax.random.clone(keys)))
    np.testing.assert_allclose(all_probabilities.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(all_probabilities.mean(0), 0.25, atol=0.02)
    single = (all_probabilities.max(-1) > 1 - 1e-6).mean()  # weight 1: one of eleven
    assert single == pytest.approx(1 / 11, abs=0.015)
    weights = functools.partial(probabilities, weights=PAPER_WEIGHTS)
    single = (jax.vmap(weights)(keys).max(-1) > 1 - 1e-6).mean()
    assert single == pytest.approx(1 / 10, abs=0.015)


def test_expert_biased_contexts_point_at_the_best_arm():
    task = GAUSSIAN.task([0.1, 0.9, 0.5, 0.9])
    agent = algorithms.dirichlet_point_mass(
        GAUSSIAN, task, weights=(1.0,), expert_biased=True
    )
    trajectory = rollout(jax.random.key(0), jax.random.key(1), task, agent)
    assert (trajectory.action == 1).all()


def test_a_mixture_draws_its_player_once_for_all_episodes():
    class Always:
        """Plays one arm."""

        def __new__(cls, arm):
            return algorithms.Algorithm(
                init=tuple,
                act=lambda key, state, obs: (state, jnp.asarray(arm)),
                update=lambda state, *_: state,
            )

    agent = algorithms.mixture([Always(0), Always(2)], [0.25, 0.75])

    def run(key):
        task = GAUSSIAN.sample(key)
        return rollout(key, key, task, agent, num_episodes=2).action

    with jax.debug_key_reuse(False):
        played = np.asarray(jax.vmap(run)(jax.random.split(jax.random.key(0), 2000)))
    assert (played == played[:, :1]).all()
    assert set(played[:, 0]) == {0, 2}
    assert (played[:, 0] == 2).mean() == pytest.approx(0.75, abs=0.03)


def test_every_part_of_a_mixture_learns():
    agent = algorithms.mixture([algorithms.ucb(GAUSSIAN)] * 2, [0.5, 0.5])
    state = agent.begin_episode(jax.random.key(0), agent.init())
    task, arm = GAUSSIAN.task([0.1] * 4), jnp.asarray(3)
    started, _ = task.reset(jax.random.key(2))
    _, timestep = task.step(jax.random.key(1), started, arm)
    state = agent.update(state, None, arm, timestep)
    assert [float(part.pulls[3]) for part in state.states] == [1.0, 1.0]


def constant(*probabilities):
    """Draws every action with the same probabilities, whatever it learns."""
    base = algorithms.ucb(GAUSSIAN)  # for its state
    return base._replace(
        action_probabilities=lambda state, obs: jnp.asarray(probabilities)
    )


def told(agent, actions):
    """The state of an agent that saw these arms played for a reward of nothing."""
    state, nothing = agent.init(), GAUSSIAN.task([0.0] * 4)
    started, _ = nothing.reset(jax.random.key(2))
    _, timestep = nothing.step(jax.random.key(1), started, jnp.asarray(0))
    for action in actions:
        state = agent.update(state, None, jnp.asarray(action), timestep)
    return state


def test_the_probabilities_of_a_mixture_weigh_its_parts_by_what_was_played():
    parts = [constant(0.7, 0.1, 0.1, 0.1), constant(0.25, 0.25, 0.25, 0.25)]
    agent = algorithms.mixture(parts, [0.2, 0.8])
    first = agent.action_probabilities(told(agent, []), None)
    np.testing.assert_allclose(first, [0.34, 0.22, 0.22, 0.22], atol=1e-6)
    weights = np.array([0.2 * 0.7 * 0.7 * 0.1, 0.8 * 0.25**3])
    later = agent.action_probabilities(told(agent, [0, 0, 3]), None)
    share = weights[0] / weights.sum()
    assert np.isclose(later[0], 0.7 * share + 0.25 * (1 - share))
    certain = agent.action_probabilities(told(agent, [0] * 100), None)
    np.testing.assert_allclose(certain, [0.7, 0.1, 0.1, 0.1], atol=1e-6)


def test_a_part_that_would_never_play_so_is_ruled_out():
    parts = [constant(1.0, 0.0, 0.0, 0.0), constant(0.25, 0.25, 0.25, 0.25)]
    agent = algorithms.mixture(parts, [0.999, 0.001])
    after = agent.action_probabilities(told(agent, [0, 1, 0]), None)
    np.testing.assert_allclose(after, 0.25, atol=1e-6)


def test_a_mixture_without_probabilities_of_every_part_has_none():
    silent = algorithms.ucb(GAUSSIAN)._replace(action_probabilities=None)
    agent = algorithms.mixture([algorithms.uniform(GAUSSIAN), silent], [0.5, 0.5])
    assert agent.action_probabilities is None
    assert told(agent, [1]).log_likelihoods.tolist() == [0.0, 0.0]


def test_playing_a_mixture_costs_nothing_for_its_probabilities(as_users_compile):
    """Training plays it at every step: XLA must drop what only these read."""

    def marked(state, obs):
        return jax.nn.softmax(jnp.sin(state.pulls))  # a sine that nothing else has

    part = algorithms.ucb(GAUSSIAN)._replace(action_probabilities=marked)
    agent = algorithms.mixture([part, algorithms.uniform(GAUSSIAN)], [0.5, 0.5])

    def trajectory(key, num_episodes):
        key_task, key_noise, key_agent = jax.random.split(key, 3)
        task = GAUSSIAN.sample(key_task)
        return rollout(key_noise, key_agent, task, agent, num_episodes=num_episodes)

    def compiled(function):
        many = jax.vmap(function)
        keys = jax.random.split(jax.random.key(0), 3)
        return jax.jit(many).lower(keys).compile(as_users_compile).as_text()

    assert " sine(" not in compiled(lambda key: trajectory(key, 2))
    assert " sine(" in compiled(lambda key: predictions(agent, trajectory(key, 1)))


def test_a_mixture_needs_weights_that_sum_to_one():
    with pytest.raises(ValueError, match="must sum to 1, got"):
        algorithms.mixture([algorithms.ucb(GAUSSIAN)], [0.5])
    with pytest.raises(ValueError, match="one for each of the 1 parts"):
        algorithms.mixture([algorithms.ucb(GAUSSIAN)], [0.5, 0.5])


def test_exact_posterior_sampling_of_a_linear_bandit_has_its_prior():
    exact = algorithms.exact_posterior_sampling(LINEAR).init()
    covariance = LINEAR.noise_std**2 * exact.root @ exact.root.T
    np.testing.assert_allclose(covariance, np.eye(2) / 2, atol=1e-6)


@pytest.mark.parametrize("kind", ["mdp", "room"])
@pytest.mark.parametrize(
    "name", ["ucb", "lcb", "empirical_mean", "kl_ucb", "epsilon_greedy"]
)
def test_what_counts_pulls_of_arms_refuses_an_mdp(name, kind):
    options = {"noise_std": 1.0} if name == "kl_ucb" else {}
    with pytest.raises(ValueError, match=f"{name} needs a bandit, as it ignores stat"):
        algorithms.make(name, FAMILIES[kind], **options)
    for belief in (posteriors.gaussian, posteriors.uniform_prior):
        with pytest.raises(ValueError, match="a posterior of arms needs a bandit"):
            belief(FAMILIES[kind], noise_std=1.0)


def test_an_unknown_name_or_option_is_refused_with_suggestions():
    with pytest.raises(ValueError, match="no algorithm 'linusb'; did you mean linucb"):
        algorithms.make("linusb", LINEAR)
    with pytest.raises(ValueError, match="linucb has no option 'alpha'; its options"):
        algorithms.make("linucb", LINEAR, alpha=2.0)


@pytest.mark.parametrize(
    ("name", "family", "options", "line"),
    [
        ("linucb", GAUSSIAN, {}, "linucb needs a LinearBanditFamily, got a Gaussian"),
        ("linear_thompson", BERNOULLI, {}, "linear_thompson needs a LinearBandit"),
        ("ridge_greedy", GAUSSIAN, {}, "ridge_greedy needs a LinearBanditFamily"),
        ("gittins", GAUSSIAN, {}, "gittins needs a BernoulliBanditFamily"),
        (
            "exact_posterior_sampling",
            FAMILIES["linear_per_task"],
            {},
            "needs theta_prior 'normal', got 'uniform'",
        ),
        (
            "dirichlet_point_mass",
            GAUSSIAN,
            {"expert_biased": True},
            "expert_biased needs a task",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(name, family, options, line):
    with pytest.raises(ValueError, match=line) as error:
        algorithms.make(name, family, **options)
    assert "\n" not in str(error.value)


def test_the_rarest_exploration_reaches_every_arm():
    """One uniform draw has 84 values below 1e-5, too few to choose 1000 arms by."""
    family = GAUSSIAN.replace(name="", num_arms=1000)
    agent = algorithms.epsilon_greedy(family, epsilon=1e-5)
    state = seen(np.ones(1000), np.zeros(1000))
    keys = jax.random.split(jax.random.key(0), (500, 20_000))

    @jax.jit
    def count(keys):
        def some(keys):
            _, actions = jax.vmap(agent.act, (0, None, None))(keys, state, 0)
            return jnp.zeros(1000, jnp.int32).at[actions].add(1)

        return jax.lax.map(some, keys).sum(0)

    explored = np.asarray(count(keys))[1:]  # arm 0 is also the best one
    assert explored.sum() == pytest.approx(100, abs=40)
    assert (explored > 0).sum() > 0.85 * explored.sum()  # .95 of them are different


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_algorithm_keeps_its_contract_in_double_precision(name, kind):
    """It runs, and gives the same probabilities where nothing is drawn for them."""

    def probabilities(key, trajectory):
        agent = make(name, kind)
        state = agent.begin_episode(key, agent.init())

        def learn(state, now):
            return agent.update(state, *now), None

        steps = (trajectory.obs, trajectory.action, trajectory.timestep)
        learnt, _ = jax.lax.scan(learn, state, steps)
        assert agent.action_probabilities is not None
        return agent.action_probabilities(learnt, trajectory.final_obs)

    trajectory = jax.tree.map(lambda x: np.asarray(x[0]), random_trajectories(kind))

    def all_probabilities(key):
        keys = jax.random.split(key, 8)
        return np.asarray(jax.jit(jax.vmap(probabilities, (0, None)))(keys, trajectory))

    single = all_probabilities(jax.random.key(7))
    with jax.enable_x64(True):
        double = all_probabilities(jax.random.key(7))
    np.testing.assert_allclose(double.sum(-1), 1, atol=1e-5)
    if (single == single[0]).all():
        np.testing.assert_allclose(double, single, atol=2e-4)

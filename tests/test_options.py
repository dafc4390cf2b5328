"""Options of algorithms: what each is refused and accepted at, and where it is left.

A default that a paper fixes is taken from it; another is ours, and moving it moves
published curves of this repository.

Over 300 lines: the options of every algorithm stand in one table.
"""

import inspect
import math

import jax
import numpy as np
import pytest
from edges import (
    ANYTHING,
    INSIDE,
    NEAR,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    Edge,
    at_least,
    hold,
    one_of,
)

import envs
from icrl import algorithms
from icrl.algorithms import posteriors
from icrl.algorithms.bandits import bayes_optimal, gittins
from icrl.algorithms.posteriors.mdp_posterior import (
    NO_PRIOR,
    MDPPrior,
    chosen_prior,
    true_prior,
)

BERNOULLI = envs.family("BernoulliBandit-Lin2023-v0", horizon=4, num_arms=2)
GAUSSIAN = envs.family("GaussianBandit-DPT-v0", horizon=4)
LINEAR = envs.family("LinearBandit-DPT-v0", horizon=4)
MDP = envs.family("RandomMDP-Small-v0")
ROOM = envs.family("DarkRoom-DPT-v0")
FIRST = one_of("random", "index")
ELEVEN = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# Ours: the probability that a bound fails, and rewards of at most 1.
CONFIDENT = {"delta": (0.05, INSIDE), "max_reward": (1.0, POSITIVE)}
EPISODES = {"num_episodes": (100, at_least(1))}  # ours; it enters a logarithm
TIES = {"random_ties": (False, ANYTHING)}  # to the lowest, as an argmax has it
PLANNED = {"last_transition": (True, ANYTHING), **TIES}  # ours; TabulaRL drops it
MODEL = {"prior": (None, ANYTHING), **PLANNED}  # the family's own, or TabulaRL's
# The edges of what rooms remember are tried in `test_goal_posterior.py`.
REMEMBERED = {"episodes": (None, ANYTHING), "in_episode": (True, ANYTHING)}
ARMS = {"posterior": (None, ANYTHING)}  # the family's own

# By algorithm: a family that it plays; of each option the default and the edge.
OPTIONS = {
    # the family's own prior
    "bayes_optimal": (BERNOULLI, {"alpha": (None, POSITIVE), "beta": (None, POSITIVE)}),
    # Kaufmann, Cappé and Garivier 2012: c = 0 in practice
    "bayes_ucb": (GAUSSIAN, {**ARMS, "log_power": (0.0, NOT_NEGATIVE)}),
    # ours: the best of a grid for the MDPs of Duan et al. 2016, arXiv 1611.02779
    "beb": (MDP, {**MODEL, "scale": (1e-3, NOT_NEGATIVE)}),
    "behaviour_cloning": (MDP, {}),
    # Lee et al. 2023, arXiv 2306.14892: the weights of the code
    "dirichlet_point_mass": (
        GAUSSIAN,
        {
            "task": (None, ANYTHING),
            "weights": (ELEVEN, Edge("{} must not be empty", ((),), ())),
            "expert_biased": (False, ANYTHING),
        },
    ),
    # Lee et al. 2023, appendix: every arm once
    "empirical_mean": (GAUSSIAN, {"explore_first": (True, ANYTHING)}),
    # Sutton and Barto 2018, Figure 2.2
    "epsilon_greedy": (
        GAUSSIAN,
        {"epsilon": (0.1, PROBABILITY), "shrunken": (False, ANYTHING)},
    ),
    # all that was seen; Lee et al.'s code has one episode, and not the present one
    "exact_goal_posterior": (ROOM, {**REMEMBERED, "goals": ("all", ANYTHING)}),
    "exact_permutation_posterior": (
        ROOM,
        {**REMEMBERED, "permutations": ("all", ANYTHING)},
    ),
    "exact_posterior_sampling": (GAUSSIAN, {"rough": (False, ANYTHING)}),
    # ours: indices that are right to 5e-4
    "gittins": (
        BERNOULLI,
        {
            "alpha": (None, POSITIVE),
            "beta": (None, POSITIVE),
            "num_charges": (129, at_least(2)),
        },
    ),
    # Garivier and Cappé 2011, arXiv 1102.2490: c = 0 in practice
    "kl_ucb": (
        GAUSSIAN,
        {"log_log_weight": (0.0, NOT_NEGATIVE), "noise_std": (None, NOT_NEGATIVE)},
    ),
    # Lee et al. 2023, appendix: width 1, and arms of the data alone
    "lcb": (
        GAUSSIAN,
        {"width": (1.0, NOT_NEGATIVE), "unseen": ("never", one_of("never", "zero"))},
    ),
    # the family's own; the nodes are ours
    "linear_thompson": (
        LINEAR,
        {
            "prior_mean": (None, ANYTHING),
            "prior_variance": (None, POSITIVE),
            "noise_std": (None, POSITIVE),
            "num_nodes": (1024, Edge("{} must be a power of 2", (0, 3), (1, 2))),
            "root": ("updated", one_of("updated", "symmetric")),
        },
    ),
    # Chu et al. 2011: ridge 1; Lee et al. 2023: width 1; both papers' codes: the first
    "linucb": (
        LINEAR,
        {
            "ridge": (1.0, POSITIVE),
            "width": (1.0, NOT_NEGATIVE),
            "first": ("random", FIRST),
            "temperature": (0.0, NOT_NEGATIVE),
        },
    ),
    # Duan et al. 2016, Table 2: greedy
    "mle_greedy": (MDP, {"epsilon": (0.0, PROBABILITY), **PLANNED}),
    # ours: of 1 to 20, which Duan et al. 2016 try
    "optimistic_psrl": (MDP, {"num_samples": (8, at_least(1)), **MODEL}),
    # May et al. 2012, Algorithm 2: one draw of each arm
    "optimistic_thompson_sampling": (
        BERNOULLI,
        {
            "rule": ("optimistic", one_of("optimistic", "likeliest")),
            "num_draws": (1, at_least(1)),
        },
    ),
    "posterior_mean": (GAUSSIAN, {**ARMS, **TIES}),
    "posterior_mean_greedy": (MDP, {"epsilon": (0.0, PROBABILITY), **MODEL}),
    "psrl": (MDP, MODEL),
    # Sutton and Barto 2018, Example 6.7: both rates
    "q_learning": (
        MDP,
        {
            "learning_rate": (
                0.1,
                Edge("{} must lie in (0, 1]", (0.0, 1 + NEAR), (NEAR, 1.0)),
            ),
            "epsilon": (0.1, PROBABILITY),
            "start": (0.0, ANYTHING),
            "discount": (
                None,
                Edge("{} must lie in [0, 1)", (-NEAR, 1.0), (0.0, 1 - NEAR)),
            ),
            **TIES,
        },
    ),
    # as linucb
    "ridge_greedy": (LINEAR, {"ridge": (1.0, POSITIVE), "first": ("random", FIRST)}),
    # ours: Osband, Van Roy and Wen 2016, arXiv 1402.0635, leave both open
    "rlsvi": (MDP, {"noise_std": (1.0, POSITIVE), "ridge": (1.0, POSITIVE), **TIES}),
    "snake_sweep": (ROOM, {}),
    # Agrawal and Goyal 2012, arXiv 1111.1797: one draw a step
    "thompson_sampling": (GAUSSIAN, {**ARMS, "num_draws": (1, at_least(1))}),
    # Lee et al. 2023, appendix: c = 1, every arm once
    "ucb": (
        GAUSSIAN,
        {
            "form": ("inverse_sqrt", one_of("inverse_sqrt", "shrunken", "ucb1", "rl2")),
            "width": (1.0, NOT_NEGATIVE),
            "explore_first": (True, ANYTHING),
        },
    ),
    # Jin et al. 2018, arXiv 1807.03765, have a constant without a value
    "ucb_q_learning": (
        MDP,
        {"scale": (1.0, NOT_NEGATIVE), **CONFIDENT, **EPISODES, **TIES},
    ),
    # Azar, Osband and Munos 2017, arXiv 1703.05449, Algorithms 1 to 3: as written
    "ucb_vi": (
        MDP,
        {
            "bonus": ("hoeffding", one_of("hoeffding", "bernstein", "lin2023")),
            "scale": (1.0, NOT_NEGATIVE),
            **CONFIDENT,
            **EPISODES,
            "monotone": (True, ANYTHING),
            "steps_left": (False, ANYTHING),
            "counts_per_step": (False, ANYTHING),
            "temperature": (0.0, NOT_NEGATIVE),
            **PLANNED,
        },
    ),
    # ours: of a grid, as beb
    "ucb_vi_posterior": (MDP, {**MODEL, "scale": (0.1, NOT_NEGATIVE)}),
    "ucrl2": (
        MDP,
        {"scale": (0.1, NOT_NEGATIVE), "delta": (0.05, INSIDE), **PLANNED},
    ),
    "uniform": (GAUSSIAN, {}),
    # Rashidinejad et al. 2021, arXiv 2103.12021, have a constant without a value
    "vi_lcb": (MDP, {"scale": (1.0, NOT_NEGATIVE), **CONFIDENT, **TIES}),
    # ours: of those that Duan et al. 2016 try
    "whittle": (BERNOULLI, {"discount": (0.99, INSIDE)}),
}
# Beliefs about arms, likewise: uniform on [0, 1], or of its mean and variance (Lee et
# al. 2023, appendix), or the family's own.
BELIEFS = {
    posteriors.beta: (BERNOULLI, {"alpha": (1.0, POSITIVE), "beta": (1.0, POSITIVE)}),
    posteriors.gaussian: (
        GAUSSIAN,
        {
            "prior_mean": (0.5, ANYTHING),
            "prior_variance": (1 / 12, POSITIVE),
            "noise_std": (None, NOT_NEGATIVE),
        },
    ),
    posteriors.uniform_prior: (
        GAUSSIAN,
        {
            "low": (None, Edge("low must be below high", (1.0,), (1 - NEAR,))),
            "high": (None, Edge("low must be below high", (0.0,), (NEAR,))),
            "noise_std": (None, NOT_NEGATIVE),
        },
    ),
}


def ours():
    """Registered algorithms of this repository; other packages have more."""
    names = algorithms.ALGORITHMS.names()
    return [n for n in names if algorithms.ALGORITHMS[n].__module__.startswith("icrl.")]


def test_every_algorithm_has_its_options_written_above():
    assert set(ours()) == set(OPTIONS)


FACTORIES = [(algorithms.ALGORITHMS[name], *OPTIONS[name]) for name in OPTIONS]
FACTORIES += [(make, *BELIEFS[make]) for make in BELIEFS]


@pytest.mark.parametrize(
    ("factory", "options"),
    [pytest.param(make, options, id=make.__name__) for make, _, options in FACTORIES],
)
def test_defaults_are_those_of_the_source(factory, options):
    known = list(inspect.signature(factory).parameters.values())[1:]
    defaults = {option: default for option, (default, _) in options.items()}
    assert {option.name: option.default for option in known} == defaults


@pytest.mark.parametrize(
    ("factory", "family", "option", "edge"),
    [
        pytest.param(make, family, option, edge, id=f"{make.__name__}-{option}")
        for make, family, options in FACTORIES
        for option, (_, edge) in options.items()
        if edge is not ANYTHING
    ],
)
def test_an_option_is_refused_from_its_edge_on(factory, family, option, edge):
    unchecked = inspect.unwrap(factory)  # tests alone check annotations
    hold(edge, option, lambda value: unchecked(family, **{option: value}))


def test_weights_are_probabilities_and_those_of_a_mixture_sum_to_one():
    edge = PROBABILITY._replace(rule="a weight must lie in [0, 1]")
    hold(
        edge,
        "weights",
        lambda w: algorithms.dirichlet_point_mass(GAUSSIAN, weights=[w]),
    )
    assert tuple(algorithms.PAPER_WEIGHTS) == ELEVEN[1:]  # Lee et al. 2023, Section 5

    parts = [algorithms.thompson_sampling(GAUSSIAN), algorithms.uniform(GAUSSIAN)]
    edge = Edge(
        "weights must not be negative and must sum to 1",
        ((-NEAR, 1 + NEAR), (0.5, 0.5 + 2e-6), (0.5, 0.5 - 2e-6)),
        ((0.0, 1.0), (0.5, 0.5 + 5e-7), (0.5, 0.5 - 5e-7)),
    )
    hold(edge, "weights", lambda weights: algorithms.mixture(parts, weights))


def test_a_width_that_jax_traces_has_no_value_to_be_refused():
    def init_of(width):
        return algorithms.ucb(GAUSSIAN, width=width).init()

    assert jax.eval_shape(init_of, -1.0) == jax.eval_shape(
        algorithms.ucb(GAUSSIAN).init
    )


def test_noise_clears_over_two_episodes_at_least():
    task = GAUSSIAN.sample(jax.random.key(0))
    hold(
        at_least(2),
        "num_episodes",
        lambda number: algorithms.annealed_optimal(task, num_episodes=number),
    )


def test_the_largest_table_of_indices_is_for_500_steps(monkeypatch):
    monkeypatch.setattr(gittins, "gittins_table", lambda *_: np.zeros(1, np.float32))
    hold(
        Edge("{} must be at most 500", (501,), (500,)),
        "horizon",
        lambda steps: algorithms.gittins(BERNOULLI.replace(name="", horizon=steps)),
    )


@pytest.mark.parametrize(("arms", "steps"), [(2, 219), (3, 62), (5, 24)])
def test_the_largest_optima_are_those_of_the_docstring(monkeypatch, arms, steps):
    def begin(*_):
        raise NotImplementedError("it would take minutes")

    monkeypatch.setattr(bayes_optimal, "_partial_sums", begin)
    with pytest.raises(NotImplementedError):
        bayes_optimal.optimum(arms, steps, 1.0, 1.0)
    states = math.comb(steps + 2 * arms, 2 * arms)
    with pytest.raises(ValueError, match=rf"must give at most .*: {states} states$"):
        bayes_optimal.optimum(arms, steps + 1, 1.0, 1.0)
    number = {2: "Two", 3: "three", 5: "five"}[arms]
    text = " ".join(str(algorithms.bayes_optimal.__doc__).split())
    assert f"{number} {'arms ' if arms == 2 else ''}up to {steps}" in text


def test_priors_of_mdps_are_those_of_tabularl():
    """As Duan et al. 2016 compare themselves with it; 1e-4 is its weight of none."""
    assert MDPPrior() == (0.0, 1.0, 1.0, 1.0)
    assert NO_PRIOR == (0.0, 1e-4, 1.0, 1e-4)


@pytest.mark.parametrize(
    "field", ["reward_precision", "noise_precision", "concentration"]
)
def test_a_prior_of_mdps_is_proper(field):
    hold(POSITIVE, field, lambda x: chosen_prior(MDP, MDPPrior(**{field: x})))


@pytest.mark.parametrize("field", ["reward_scale", "noise_std"])
def test_a_family_without_deviation_has_no_prior_of_its_own(field):
    family = envs.family("RandomMDP-RL2-v0")
    hold(POSITIVE, field, lambda x: true_prior(family.replace(**{field: x})))

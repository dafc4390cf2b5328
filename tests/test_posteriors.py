"""Exact posteriors of independent arms, against quadrature and other routes.

Over 300 lines: every property is asked of all three posteriors in turn.
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
from icrl.algorithms import posteriors
from icrl.algorithms.posteriors import beta_distribution, truncated_normal
from icrl.algorithms.posteriors.arm_statistics import ArmStatistics

BERNOULLI = envs.family("BernoulliBandit-Lin2023-v0")
GAUSSIAN = envs.family("GaussianBandit-DPT-v0")


def statistics(pulls, total) -> ArmStatistics:
    return ArmStatistics(
        pulls=jnp.asarray(pulls, jnp.float32), total=jnp.asarray(total, jnp.float32)
    )


def draws(posterior, seen, num_draws=20_000):
    keys = jax.random.split(jax.random.key(0), num_draws)
    return np.asarray(jax.jit(jax.vmap(posterior.sample, (0, None)))(keys, seen))


def cut_normal(mode, std):
    return scipy.stats.truncnorm((0 - mode) / std, (1 - mode) / std, mode, std)


def probabilities_by_brute_force(distributions):
    """∫ f_a Π F_b with 4,800 nodes at the distributions' own quantiles, in float64."""
    levels = np.linspace(1e-12, 1 - 1e-12, 400)
    edges = np.unique(np.concatenate([d.ppf(levels) for d in distributions]))
    nodes, weights = np.polynomial.legendre.leggauss(12)
    width = np.diff(edges)[:, None]
    x = edges[:-1, None] + width * (nodes + 1) / 2
    cdf = np.stack([d.cdf(x) for d in distributions])
    return np.array(
        [
            (d.pdf(x) * np.delete(cdf, a, 0).prod(0) * width * weights / 2).sum()
            for a, d in enumerate(distributions)
        ]
    )


MODES = np.array([-30, -5, -1.5, -0.2, 0, 0.3, 0.5, 0.7, 1, 1.3, 2.5, 8])


@pytest.mark.parametrize("std", [0.0134, 0.05, 0.3, 1.0, 5.0])
def test_truncated_normal_agrees_with_scipy_far_outside_its_interval(std):
    levels = np.array([0.01, 0.3, 0.5, 0.9, 0.999])
    mode, p = (x.ravel().astype(np.float32) for x in np.meshgrid(MODES, levels))
    exact = cut_normal(mode.astype(np.float64), std)
    args = (jnp.asarray(mode), jnp.full(mode.shape, std, jnp.float32), 0.0, 1.0)
    spread = exact.ppf(0.75) - exact.ppf(0.25) + 1e-4  # float32 near 1 steps by 6e-8
    quantile = truncated_normal.quantile(jnp.asarray(p), jnp.asarray(1 - p), *args)
    assert (abs(quantile - exact.ppf(p.astype(np.float64))) < 1e-3 * spread).all()
    middles = (np.arange(4000)[:, None] + 0.5) / 4000  # SciPy's own mean overflows
    mean = exact.ppf(middles).mean(0)
    assert (abs(truncated_normal.mean(*args) - mean) < 2e-3 * spread).all()


@pytest.mark.parametrize("noise", [1.0, 30.0, 100.0, 1000.0])
def test_truncated_normal_is_right_where_noise_exceeds_the_range(noise):
    mode = (0.4 + noise * np.array([-3, -0.2, 0, 0.3, 5])).astype(np.float32)
    args = jnp.asarray(mode), jnp.full(5, noise), 0.0, 1.0
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def integral(end, power):
        """Of x^power times the density, from 0 to `end` of every distribution."""
        x = end * (nodes[:, None] + 1) / 2
        density = np.exp(x * (2 * mode.astype(np.float64) - x) / 2 / noise**2)
        return (end / 2 * weights[:, None] * x**power * density).sum(0)

    total = integral(1.0, 0)
    found = truncated_normal.mean(*args)
    np.testing.assert_allclose(found, integral(1.0, 1) / total, atol=1e-7)
    for p in (1e-3, 0.3, 0.8):
        below, above = jnp.full(5, p), jnp.full(5, 1 - p)
        found = np.asarray(truncated_normal.quantile(below, above, *args), np.float64)
        np.testing.assert_allclose(integral(found, 0) / total, p, atol=3e-5)


def test_a_higher_average_has_a_higher_posterior_mean_whatever_the_noise():
    pulls, averages = np.array([1.0, 1.0]), np.array([30.0, -3.0])
    seen, family = statistics(pulls, averages), GAUSSIAN.replace(num_arms=2)
    # of the cut normal, to first order in the data: 1/2 + (average - 1/2) / 12 / σ²
    found = posteriors.uniform_prior(family, noise_std=100.0).mean(seen)
    np.testing.assert_allclose(found, 0.5 + (averages - 0.5) / 12e4, atol=1e-7)
    found = posteriors.gaussian(family, noise_std=1000.0).mean(seen)
    np.testing.assert_allclose(found, 0.5 + (averages - 0.5) / 12e6, atol=1e-7)


def test_samples_follow_the_posterior_when_rewards_contradict_the_prior():
    # 10 pulls that average 1.6, 0.5 and -2: 6 standard errors above and 21 below
    seen = statistics([10, 10, 10], [16, 5, -20])
    family = GAUSSIAN.replace(num_arms=3)
    sampled = draws(posteriors.uniform_prior(family), seen)
    for arm, mode in enumerate((1.6, 0.5, -2.0)):
        distribution = cut_normal(mode, 0.3 / 10**0.5)
        assert scipy.stats.kstest(sampled[:, arm], distribution.cdf).pvalue > 1e-3
    assert (sampled >= 0).all()
    assert (sampled <= 1).all()


def test_an_arm_never_pulled_is_drawn_from_the_prior():
    nothing = statistics([0], [0])
    for posterior in (
        posteriors.uniform_prior(GAUSSIAN.replace(num_arms=1)),
        posteriors.beta(BERNOULLI.replace(num_arms=1)),
    ):
        sampled = draws(posterior, nothing)[:, 0]
        assert scipy.stats.kstest(sampled, "uniform").pvalue > 1e-3


def test_without_noise_one_pull_settles_an_arm():
    seen = statistics([2, 0, 1, 1], [1.2, 0, 1.5, -1])
    family = GAUSSIAN.replace(num_arms=4)
    exact = posteriors.uniform_prior(family, noise_std=0.0)
    sampled = draws(exact, seen, 100)
    np.testing.assert_allclose(
        sampled[:, [0, 2, 3]], np.tile([0.6, 1.0, 0.0], (100, 1)), atol=1e-6
    )
    np.testing.assert_allclose(exact.mean(seen), [0.6, 0.5, 1.0, 0.0], atol=1e-6)
    conjugate = posteriors.gaussian(family, noise_std=0.0)
    np.testing.assert_allclose(conjugate.mean(seen), [0.6, 0.5, 1.5, -1.0], atol=1e-6)
    assert np.isfinite(draws(conjugate, seen, 100)).all()


def test_without_noise_the_best_known_arm_competes_with_the_unknown_ones():
    family = GAUSSIAN.replace(num_arms=4)
    exact = posteriors.uniform_prior(family, noise_std=0.0)
    seen = statistics([1, 0, 3, 0], [0.8, 0, 0.9, 0])
    probabilities = exact.best_arm_probabilities(seen)
    np.testing.assert_allclose(probabilities, [0.64, 0.18, 0, 0.18], atol=1e-6)
    probabilities = exact.best_arm_probabilities(statistics([0] * 4, [0] * 4))
    np.testing.assert_allclose(probabilities, [0.25] * 4, atol=1e-6)


def test_beta_quantiles_agree_with_scipy():
    grid = np.meshgrid(
        [0.5, 1, 2, 30, 200], [0.5, 1, 3, 100, 400], [0.01, 0.5, 0.9, 0.998]
    )
    a, b, p = (x.ravel().astype(np.float32) for x in grid)
    quantile = jax.jit(
        jax.vmap(
            lambda p, a, b: beta_distribution.upper_quantile(1 - p, a[None], b[None])
        )
    )
    found = np.asarray(quantile(*map(jnp.asarray, (p, a, b))))[:, 0]
    a, b, p = (x.astype(np.float64) for x in (a, b, p))
    error = abs(found - scipy.stats.beta.ppf(p, a, b)) / scipy.stats.beta.std(a, b)
    assert error.max() < 2e-3
    ends = [quantile(jnp.full(1, p), jnp.full(1, 3.0), jnp.ones(1)) for p in (0.0, 1.0)]
    assert np.ravel(ends).tolist() == [0, 1]


@pytest.mark.parametrize("tail", [0.999, 0.3, 1e-3, 2.6e-8])
def test_beta_quantiles_are_right_when_skewed_and_after_a_hundred_thousand_pulls(tail):
    a = np.array([0.1, 300, 1, 3e4, 1e5], np.float32)
    b = np.array([300, 0.1, 180, 1e5, 1e5], np.float32)
    found = beta_distribution.upper_quantile(
        jnp.asarray(tail), jnp.asarray(a), jnp.asarray(b)
    )
    distribution = scipy.stats.beta(a.astype(np.float64), b.astype(np.float64))
    exact = distribution.isf(np.float32(tail).astype(np.float64))
    error = abs(np.asarray(found, np.float64) - exact)
    # float32 near 1 has steps of 6e-8
    assert (error < 1e-4 * distribution.std() + 6e-8).all()


def cut_normal_upper_quantile(tail, mode, std):
    """By a root finder on logarithms: SciPy's own `isf` loses the smallest tails."""

    def log_mass(x):  # above x, within the interval
        above, beyond = scipy.special.log_ndtr(-(np.array([x, 1.0]) - mode) / std)
        return above + np.log1p(-np.exp(beyond - above))

    total = log_mass(0.0)
    end = 1 - 1e-15
    return scipy.optimize.brentq(
        lambda x: log_mass(x) - total - np.log(tail), 0, end, xtol=1e-12
    )


@pytest.mark.parametrize("tail", [1e-5, 2.6e-8, 1e-12])
def test_upper_quantiles_are_right_however_small_the_tail(tail):
    # 1 - tail is 1 in float32 from 6e-8 on
    pulls, total = np.array([50, 1450, 2]), np.array([5, 1305, 1])
    seen, small = statistics(pulls, total), jnp.asarray(tail, jnp.float32)
    found = posteriors.beta(BERNOULLI.replace(num_arms=3)).upper_quantile(seen, small)
    wins, losses = 1 + total, 1 + pulls - total
    expected = scipy.stats.beta(wins, losses).isf(tail)
    np.testing.assert_allclose(found, expected, atol=2e-6)

    family = GAUSSIAN.replace(num_arms=3)
    found = posteriors.gaussian(family).upper_quantile(seen, small)
    precision = 12 + pulls / 0.09
    distribution = scipy.stats.norm((6 + total / 0.09) / precision, precision**-0.5)
    np.testing.assert_allclose(found, distribution.isf(tail), rtol=1e-5)

    modes, std = np.array([-1.0, 0.5, 1.3]), 0.3 / np.sqrt(pulls)
    found = posteriors.uniform_prior(family).upper_quantile(
        statistics(pulls, pulls * modes), small
    )
    expected = list(map(cut_normal_upper_quantile, [tail] * 3, modes, std))
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_modes_keep_their_digits_near_the_highest_and_far_from_it():
    a = np.array([3e6, 3e6 - 1, 1.1e6, 1e6, 1e-3], np.float32)
    b = np.array([1e6, 1e6, 1e6, 1e6, 1e6], np.float32)
    best, mode = beta_distribution.modes_from_highest(jnp.asarray(a), jnp.asarray(b))
    assert best == 0
    logs = np.log(a.astype(np.float64) / b)
    np.testing.assert_allclose(mode, logs - logs[0], rtol=3e-7)


def test_the_conjugate_posterior_is_the_one_of_the_textbook():
    seen = statistics([0, 1, 10, 500], [0, 0.9, 4, 260])
    posterior = posteriors.gaussian(GAUSSIAN.replace(num_arms=4))
    precision = 12 + np.asarray(seen.pulls) / 0.09
    mean = (12 * 0.5 + np.asarray(seen.total) / 0.09) / precision
    np.testing.assert_allclose(posterior.mean(seen), mean, rtol=1e-5)
    tail = jnp.asarray(0.1)
    expected = scipy.stats.norm(mean, precision**-0.5).ppf(0.9)
    found = posterior.upper_quantile(seen, tail)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    sampled = draws(posterior, seen)
    np.testing.assert_allclose(sampled.std(0), precision**-0.5, rtol=0.03)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise_std", [0.3, 0.01])
def test_best_arm_probabilities_agree_with_brute_force(seed, noise_std):
    random = np.random.default_rng(seed)
    pulls = random.choice([0, 0, 1, 2, 5, 20, 100, 500], 5)
    wins = np.floor(random.random(5) * (pulls + 1))
    probabilities = posteriors.beta(BERNOULLI).best_arm_probabilities(
        statistics(pulls, wins)
    )
    betas = [
        scipy.stats.beta(1 + w, 1 + n - w) for n, w in zip(pulls, wins, strict=True)
    ]
    np.testing.assert_allclose(
        probabilities, probabilities_by_brute_force(betas), atol=1e-5
    )

    means = random.uniform(-0.05, 1.05, 5)
    seen = statistics(pulls, pulls * means)
    std = noise_std / np.sqrt(np.maximum(pulls, 1))
    exact = [
        cut_normal(m, s) if n else scipy.stats.uniform()
        for n, m, s in zip(pulls, means, std, strict=True)
    ]
    posterior = posteriors.uniform_prior(GAUSSIAN, noise_std=noise_std)
    probabilities = posterior.best_arm_probabilities(seen)
    np.testing.assert_allclose(
        probabilities, probabilities_by_brute_force(exact), atol=1e-5
    )

    precision = 12 + pulls / noise_std**2
    centre = (6 + pulls * means / noise_std**2) / precision
    normals = [
        scipy.stats.norm(m, p**-0.5) for m, p in zip(centre, precision, strict=True)
    ]
    posterior = posteriors.gaussian(GAUSSIAN, noise_std=noise_std)
    probabilities = posterior.best_arm_probabilities(seen)
    np.testing.assert_allclose(
        probabilities, probabilities_by_brute_force(normals), atol=1e-5
    )


def of_contexts(rewards):
    """Statistics of 2,000 contexts like DPT's of up to 500 pulls; means are uniform."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(5), 2000)
    shares[::2, 0] += random.integers(0, 10, 1000)  # and a point mass
    shares /= shares.sum(-1, keepdims=True)
    pulls = random.multinomial(random.integers(0, 501, 2000), shares)
    means = random.uniform(size=(2000, 5))
    total = rewards(random, pulls, means)
    return statistics(pulls.astype(float), total.astype(float))


def test_rough_draws_under_a_uniform_prior_are_the_exact_ones():
    """But where a mean lies beyond 4 standard errors outside, one arm in 30,000."""
    seen = of_contexts(
        lambda random, pulls, means: random.normal(pulls * means, 0.3 * np.sqrt(pulls))
    )
    posterior = posteriors.uniform_prior(GAUSSIAN)

    def both(number, seen):  # the same key for both would be a key used twice
        fine, rough = (jax.random.key(number) for _ in range(2))
        return posterior.sample(fine, seen), posterior.rough.sample(rough, seen)

    fine, rough = jax.jit(jax.vmap(both))(jnp.arange(2000), seen)
    assert np.mean(np.abs(fine - rough) > 1e-6) < 1e-3
    assert np.allclose(fine, rough, atol=0.01)


@pytest.mark.parametrize("proposals", [2, beta_distribution.PROPOSALS])
@pytest.mark.parametrize("parameters", [(1, 1), (1, 9), (30, 1), (2.5, 4), (400, 100)])
def test_draws_of_beta_have_its_distribution(parameters, proposals):
    """Kolmogorov and Smirnov's distance: 0.0043 of exact draws is exceeded in 5 %."""
    a, b = (jnp.full(1, float(x)) for x in parameters)
    keys = jax.random.split(jax.random.key(0), 100_000)
    draw = functools.partial(beta_distribution.draw, proposals=proposals)
    drawn = jax.vmap(lambda key: draw(key, a, b))(keys)[:, 0]
    uniform = np.sort(scipy.stats.beta(*parameters).cdf(np.asarray(drawn)))
    distance = abs(uniform - (np.arange(100_000) + 0.5) / 100_000).max()
    assert distance < 0.006


def test_draws_of_beta_are_not_drawn_to_the_ends():
    """Of a uniform variable, a share of 2e-5 is within 1e-5 of them."""
    ones = jnp.ones(1000)
    keys = jax.random.split(jax.random.key(1), 2000)
    drawn = jax.jit(jax.vmap(lambda key: beta_distribution.draw(key, ones, ones)))(keys)
    share = ((drawn < 1e-5) | (drawn > 1 - 1e-5)).mean()
    assert share < 2e-5 + 4 * np.sqrt(2e-5 / drawn.size)


@pytest.mark.parametrize("noise_std", [0.0, 0.01, 30.0, 60.0])
def test_rough_draws_stay_in_the_interval_whatever_the_noise(noise_std):
    posterior = posteriors.uniform_prior(GAUSSIAN, noise_std=noise_std)
    seen = statistics([0, 1, 1, 3, 50], [0.0, 0.5, 40.0, -90.0, 25.0])
    draws = jax.jit(jax.vmap(posterior.rough.sample, (0, None)))(
        jax.random.split(jax.random.key(0), 1000), seen
    )
    assert ((draws >= 0) & (draws <= 1)).all()
    fine = jax.vmap(posterior.sample, (0, None))(
        jax.random.split(jax.random.key(0), 1000), seen
    )
    assert np.allclose(draws.mean(0), fine.mean(0), atol=0.02)


@pytest.mark.parametrize(
    "posterior",
    [
        posteriors.beta(BERNOULLI),
        posteriors.gaussian(GAUSSIAN),
        posteriors.uniform_prior(GAUSSIAN),
    ],
    ids=["beta", "gaussian", "uniform"],
)
def test_rough_best_arm_probabilities_are_off_by_little(posterior):
    seen = of_contexts(lambda random, pulls, means: random.binomial(pulls, means))
    fine = jax.jit(jax.vmap(posterior.best_arm_probabilities))(seen)
    rough = jax.jit(jax.vmap(posterior.rough.best_arm_probabilities))(seen)
    off = abs(np.asarray(fine) - np.asarray(rough)).sum(-1) / 2
    assert off.mean() < 1e-3 and off.max() < 0.03
    assert np.allclose(rough.sum(-1), 1, atol=1e-5)


def test_exact_posteriors_take_the_prior_of_their_family():
    family = envs.family("BernoulliBandit-DPT-v0", num_arms=1, alpha=2.0, beta=5.0)
    seen = statistics([3], [1])
    assert posteriors.exact(family).mean(seen)[0] == pytest.approx(3 / 10)
    family = envs.family("GaussianBandit-DPT-v0", num_arms=1, low=2.0, high=4.0)
    assert posteriors.exact(family).mean(statistics([0], [0]))[0] == pytest.approx(3)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: posteriors.beta(GAUSSIAN), "a Beta posterior needs a Bernoulli"),
        (lambda: posteriors.gaussian(BERNOULLI), "noise_std must be given"),
        (
            lambda: posteriors.exact(envs.family("LinearBandit-DPT-v0")),
            "an exact posterior must be stated for a family whose arms are",
        ),
    ],
)
def test_bad_beliefs_are_refused_in_one_line(make, line):
    with pytest.raises(ValueError, match=line) as error:
        make()
    assert "\n" not in str(error.value)


def best_by_quadrature(a, b):
    """The distribution of the argmax of independent Beta variables, in float64."""
    # a panel of no mass has no share of it
    distributions = [scipy.stats.beta(*pair) for pair in zip(a, b, strict=True)]
    # between quantiles of every arm the integrand is smooth; poles stand at the ends
    levels = np.concatenate([10.0 ** np.arange(-14, 0), [0.3, 0.5, 0.7]])
    points = [d.ppf(levels) for d in distributions]
    points += [d.isf(levels) for d in distributions]
    edges = np.unique(np.concatenate([*points, [0.0, 1.0]]))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    x = left + width * (nodes + 1) / 2
    inner = []
    for arm, distribution in enumerate(distributions):
        others = np.prod(
            [o.cdf(x) for k, o in enumerate(distributions) if k != arm], axis=0
        )
        # by shares of the arm's own mass in each panel: right where it has poles
        mass = distribution.cdf(edges[1:]) - distribution.cdf(edges[:-1])
        inside = distribution.pdf(x) * weights * width / 2
        total = inside.sum(1, keepdims=True)
        share = np.where((total > 0) & np.isfinite(total), inside / (total + 1e-300), 0)
        inner.append((mass[:, None] * share * others).sum())
    return np.array(inner) / np.sum(inner)


@pytest.mark.parametrize(
    ("prior", "pulls", "wins"),
    [
        ((0.5, 0.5), (1, 0), (0, 0)),
        ((0.5, 0.5), (3, 40), (3, 22)),
        ((1, 1), (100_000, 100_000), (50_100, 50_000)),
        ((1, 1), (1_000_000, 10), (600_000, 6)),
        ((2, 8), (0, 500), (0, 90)),
        ((0.1, 0.1), (5_000_000, 5_000_000), (2_500_000, 2_499_000)),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the panels of no mass
def test_best_arm_probabilities_of_bernoulli_are_right_for_every_prior_and_count(
    prior, pulls, wins
):
    family = envs.family("BernoulliBandit-Lin2023-v0", num_arms=2)
    posterior = posteriors.beta(family, alpha=float(prior[0]), beta=float(prior[1]))
    statistics = ArmStatistics(jnp.asarray(pulls, float), jnp.asarray(wins, float))
    found = jax.jit(posterior.best_arm_probabilities)(statistics)
    pulls, wins = np.asarray(pulls, float), np.asarray(wins, float)
    exact = best_by_quadrature(prior[0] + wins, prior[1] + pulls - wins)
    np.testing.assert_allclose(found, exact, atol=1e-5)
    if prior == (0.5, 0.5) and tuple(pulls) == (1, 0):
        assert exact[1] == pytest.approx(0.702642, abs=1e-6)


@pytest.mark.parametrize("noise_std", [0.3, 0.001])
def test_the_best_gaussian_arm_is_right_after_many_pulls(noise_std):
    # averages differ by less than their own last digit in float32
    pulls = np.array([100_000, 200_000, 150_000, 100_000, 3])
    steps = np.array([0.0, 0.3, -0.5, -2.0, 1.0]) * noise_std / np.sqrt(pulls)
    exact = pulls * (0.7 + steps)
    total = exact.astype(np.float32)
    excess = jnp.asarray(total - exact, jnp.float32)
    seen = statistics(pulls, total)._replace(excess=excess)
    posterior = posteriors.gaussian(GAUSSIAN, noise_std=noise_std)
    precision = 12 + pulls / noise_std**2
    centre = (6 + exact / noise_std**2) / precision
    distributions = list(map(scipy.stats.norm, centre, precision**-0.5))
    found = posterior.best_arm_probabilities(seen)
    np.testing.assert_allclose(
        found, probabilities_by_brute_force(distributions), atol=1e-5
    )
    posterior = posteriors.uniform_prior(GAUSSIAN, noise_std=noise_std)
    distributions = list(map(cut_normal, exact / pulls, noise_std / np.sqrt(pulls)))
    found = posterior.best_arm_probabilities(seen)
    np.testing.assert_allclose(
        found, probabilities_by_brute_force(distributions), atol=1e-5
    )


def test_the_best_arm_is_right_at_a_bound_far_from_what_rewards_say():
    # 100 pulls that average 1.2 and 1.1 where means are at most 1, a thousand standard
    # errors lower: 1 - mean is nearly exponential, of rate (average - 1) / std²
    seen = statistics([100, 100], [120, 110])
    posterior = posteriors.uniform_prior(GAUSSIAN.replace(num_arms=2), noise_std=0.001)
    found = posterior.best_arm_probabilities(seen)
    np.testing.assert_allclose(found, [2 / 3, 1 / 3], atol=1e-5)

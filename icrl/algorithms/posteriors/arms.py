"""What can be believed of independent arms, given what they paid.

A posterior is a record of pure functions of `ArmStatistics`. Thompson sampling,
Bayes-UCB and the Bayes-greedy rule take any of them.

Over 300 lines: three posteriors that answer the same questions stand side by side.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from envs.base import Family, Scalar, require
from envs.bernoulli_bandit import BernoulliBanditFamily
from envs.gaussian_bandit import GaussianBanditFamily
from icrl.algorithms.base import draws_as, require_family
from icrl.algorithms.posteriors import beta_distribution, truncated_normal
from icrl.algorithms.posteriors.arm_statistics import (
    ArmStatistics,
    count_pull,
    empirical_means,
    means_from,
    no_pulls,
    require_bandit,
)
from icrl.algorithms.posteriors.best_arm import best_arm_probabilities
from icrl.algorithms.posteriors.quadrature import FINE, ROUGH

PerArm = Float[Array, " arms"]

# Where `best_arm_probabilities` puts its panels: standard deviations on both sides of
# the mean, or probabilities of one side.
_DEVIATIONS = (0.0, 1.0, 2.0, 2.8, 3.7, 4.7, 5.7, 6.6)
_TAILS = (1e-7, 1e-4, 0.01, 0.1, 0.3)
_ROUGH_DEVIATIONS = (0.0, 1.5, 4.0)
_ROUGH_TAILS = (0.02,)


class Posterior(NamedTuple):
    """A belief about independent arms' means.

    Attributes:
        init: `() -> statistics`.
        update: `(statistics, action, reward) -> statistics`.
        mean: `statistics -> Float[arms]`, the posterior means.
        sample: `(key, statistics) -> Float[arms]`, one draw of every arm's mean.
        upper_quantile: `(statistics, tail) -> Float[arms]`: what each mean exceeds with
            probability `tail`, a scalar in [0, 1]. It is not called with 1 less the
            tail, which is 1 in float32 from a tail of 6e-8 on.
        best_arm_probabilities: `statistics -> Float[arms]`, probabilities of the
            argmax of `sample`; right to 1e-5 as long as no arm has more than 10 million
            pulls.
        rough: the same belief, for labels: draws and probabilities of the best arm are
            3 to 4 times faster. Of 5 arms with up to 500 pulls both are off by
            less than 1e-3 in total variation on average and by 0.03 at most. None:
            there is no other.
    """

    init: Callable[[], ArmStatistics]
    update: Callable[[ArmStatistics, Array, Array], ArmStatistics]
    mean: Callable[[ArmStatistics], PerArm]
    sample: Callable[[jax.Array, ArmStatistics], PerArm]
    upper_quantile: Callable[[ArmStatistics, Float[Array, ""]], PerArm]
    best_arm_probabilities: Callable[[ArmStatistics], PerArm]
    rough: "Posterior | None" = None


Statement = TypeVar("Statement", bound=Callable[..., Posterior])
STATED: dict[type, Callable[..., Posterior]] = {}  # exact ones, by class of family


def beta(family: Family, *, alpha: float = 1.0, beta: float = 1.0) -> Posterior:
    """Beta(alpha, beta) prior for rewards of 0 and 1; Beta(1, 1) is uniform.

    Raises:
        ValueError: if the family's rewards are not 0 and 1, or a parameter is not
            positive.
    """
    require_family("a Beta posterior", family, BernoulliBanditFamily)
    require(alpha > 0, "alpha must be positive", alpha)
    require(beta > 0, "beta must be positive", beta)

    def parameters(statistics: ArmStatistics) -> tuple[PerArm, PerArm]:
        return alpha + statistics.total, beta + statistics.pulls - statistics.total

    def mean(statistics: ArmStatistics) -> PerArm:
        a, b = parameters(statistics)
        return a / (a + b)

    def probabilities_of_best(
        statistics: ArmStatistics, *, rough: bool = False
    ) -> PerArm:
        a, b = parameters(statistics)
        best, mode = beta_distribution.modes_from_highest(a, b)
        # what rounding took as the prior was added to large counts
        losses = statistics.pulls - statistics.total
        lost = (alpha - (a - statistics.total)) / a - (beta - (b - losses)) / b
        mode = mode + (lost - lost[best])

        def log_density(z):
            wins, losses, modes = (x[:, None, None] for x in (a, b, mode))
            return beta_distribution.log_density(z[None] - modes, wins, losses)

        levels = beta_distribution.ROUGH_LEVELS if rough else beta_distribution.LEVELS
        edges = mode[:, None] + beta_distribution.edges(a, b, levels)
        return best_arm_probabilities(
            log_density, edges.ravel(), ROUGH if rough else FINE
        )

    fine = Posterior(
        init=lambda: no_pulls(family),
        update=count_pull,
        mean=mean,
        sample=lambda key, statistics: jax.random.beta(key, *parameters(statistics)),
        upper_quantile=lambda statistics, tail: beta_distribution.upper_quantile(
            tail, *parameters(statistics)
        ),
        best_arm_probabilities=probabilities_of_best,
    )

    def draw(key: jax.Array, statistics: ArmStatistics, **options: int) -> PerArm:
        return beta_distribution.draw(key, *parameters(statistics), **options)

    rough = fine._replace(
        best_arm_probabilities=functools.partial(probabilities_of_best, rough=True)
    )
    if min(alpha, beta) >= 1:
        fine = fine._replace(sample=draw)
        rough = rough._replace(sample=functools.partial(draw, proposals=2))
    return fine._replace(rough=rough)


def gaussian(
    family: Family,
    *,
    prior_mean: float = 0.5,
    prior_variance: float = 1 / 12,
    noise_std: Scalar | None = None,
) -> Posterior:
    """Gaussian prior and Gaussian noise of known size.

    The default prior has the mean and variance of the uniform distribution on [0, 1].

    Source: Lee et al. 2023, arXiv 2306.14892, appendix (Thompson sampling).

    Args:
        family: what is played.
        prior_mean: of every arm, in reward units.
        prior_variance: of every arm, in squared reward units.
        noise_std: of the noise that the learner assumes, in reward units; the
            family's own if not given. At 0 one pull settles an arm.

    Raises:
        ValueError: if `prior_variance` is not positive, or `noise_std` is negative, or
            is not given for a family that has none; or if the family is no bandit.
    """
    require_bandit("a posterior of arms", family)
    noise_std = _noise_std(family, noise_std)
    require(prior_variance > 0, "prior_variance must be positive", prior_variance)

    def moments(statistics: ArmStatistics) -> tuple[PerArm, PerArm]:
        pulls = statistics.pulls
        noise = noise_std**2
        # weights of the prior and of the data, 1 and 0 before any pull; they sum to 1,
        # but a small one would lose its digits as 1 less the other
        denominator = jnp.where(pulls > 0, noise + pulls * prior_variance, 1.0)
        weight = jnp.where(pulls > 0, noise / denominator, 1.0)
        of_data = pulls * prior_variance / denominator
        mean = prior_mean + of_data * (empirical_means(statistics) - prior_mean)
        return mean, jnp.sqrt(weight * prior_variance)

    def sample(key: jax.Array, statistics: ArmStatistics) -> PerArm:
        mean, std = moments(statistics)
        return mean + std * jax.random.normal(key, mean.shape)

    def upper_quantile(statistics: ArmStatistics, tail: Float[Array, ""]) -> PerArm:
        mean, std = moments(statistics)
        deviation = jnp.clip(ndtri(tail), -1e30, 1e30)  # 0 * infinity is not a number
        return mean - std * deviation

    def probabilities_of_best(
        statistics: ArmStatistics, *, rough: bool = False
    ) -> PerArm:
        mean, std = moments(statistics)
        origin = mean.max()
        # Where data weigh more than the prior, the mean is near theirs.
        of_prior = std**2 / prior_variance
        shrinkage = of_prior * (empirical_means(statistics) - prior_mean)
        near_data = means_from(origin, statistics) - shrinkage
        centre = jnp.where(of_prior < 0.5, near_data, mean - origin)
        std = jnp.maximum(std, 1e-12 * prior_variance**0.5)  # a density has some width

        def log_density(x):
            z = (x[None] - centre[:, None, None]) / std[:, None, None]
            return -z * z / 2

        right = jnp.asarray(_ROUGH_DEVIATIONS if rough else _DEVIATIONS)
        around = jnp.concatenate([-right[:0:-1], right])
        edges = centre[:, None] + std[:, None] * around[None]
        return best_arm_probabilities(
            log_density, edges.ravel(), ROUGH if rough else FINE
        )

    fine = Posterior(
        init=lambda: no_pulls(family),
        update=count_pull,
        mean=lambda statistics: moments(statistics)[0],
        sample=sample,
        upper_quantile=upper_quantile,
        best_arm_probabilities=probabilities_of_best,
    )
    rough = functools.partial(probabilities_of_best, rough=True)
    return fine._replace(rough=fine._replace(best_arm_probabilities=rough))


def uniform_prior(
    family: Family,
    *,
    low: float | None = None,
    high: float | None = None,
    noise_std: Scalar | None = None,
) -> Posterior:
    """Uniform prior on [low, high] and Gaussian noise: exact for `GaussianBandit`.

    The posterior of an arm with n pulls is N(empirical mean, noise_std²/n) kept to
    [low, high]. It is right also where rewards contradict it (an empirical mean many
    standard errors outside, as happens when the noise is larger than believed).

    Args:
        family: what is played.
        low: lower end of the prior; the family's own if not given.
        high: upper end.
        noise_std: of the noise that the learner assumes, in reward units; the
            family's own if not given. At 0 one pull settles an arm.

    Raises:
        ValueError: if low is not below high, if `noise_std` is negative, or if one is
            not given for a family that has none; or if the family is no bandit.
    """
    require_bandit("a posterior of arms", family)
    noise_std = _noise_std(family, noise_std)
    known = isinstance(noise_std, float)
    noiseless = known and noise_std == 0
    low, high = _own(family, "low", low), _own(family, "high", high)
    require(low < high, "low must be below high", (low, high))
    wide = known and high - low > truncated_normal.THIN * noise_std  # after any pull

    def cut(statistics: ArmStatistics) -> tuple[PerArm, PerArm]:
        """Mode and standard deviation of the normal distribution that is cut."""
        std = noise_std / jnp.sqrt(jnp.maximum(statistics.pulls, 1.0))
        return empirical_means(statistics), jnp.maximum(std, 1e-30)

    def where_pulled(
        statistics: ArmStatistics, pulled: PerArm, prior: PerArm
    ) -> PerArm:
        if noiseless:
            pulled = jnp.clip(empirical_means(statistics), low, high)
        return jnp.where(statistics.pulls > 0, pulled, prior)

    def mean(statistics: ArmStatistics) -> PerArm:
        pulled = truncated_normal.mean(*cut(statistics), low, high)
        middle = jnp.full_like(pulled, (low + high) / 2)
        return where_pulled(statistics, pulled, middle)

    def quantiles(
        statistics: ArmStatistics,
        below: PerArm,
        above: PerArm,
        origin: Scalar = 0.0,
        *,
        rough: bool = False,
    ) -> PerArm:
        pulled = truncated_normal.quantile(
            below, above, *cut(statistics), low, high, origin, near=rough and wide
        )
        prior = (low - origin) + (high - low) * below
        return where_pulled(statistics, pulled, prior)

    def sample(
        key: jax.Array, statistics: ArmStatistics, *, rough: bool = False
    ) -> PerArm:
        uniform = jax.random.uniform(key, statistics.pulls.shape)
        return quantiles(statistics, uniform, 1 - uniform, rough=rough)

    def probabilities_of_best(
        statistics: ArmStatistics, *, rough: bool = False
    ) -> PerArm:
        if noiseless:
            return _best_without_noise(
                statistics, mean(statistics), lambda x: (x - low) / (high - low)
            )
        is_pulled = statistics.pulls > 0
        averages, std = cut(statistics)
        origin = jnp.where(is_pulled, jnp.clip(averages, low, high), low).max()
        mode = means_from(origin, statistics)
        nearest = jnp.clip(mode, low - origin, high - origin)

        def log_density(x):
            # -(x - mode)²/2 less its value at the nearest point of the interval, in
            # a form that keeps its digits far outside
            t = (x[None] - nearest[:, None, None]) / std[:, None, None]
            a = ((nearest - mode) / std)[:, None, None]
            return jnp.where(is_pulled[:, None, None], -t * (t / 2 + a), 0.0)

        def at(below: Array, above: Array) -> PerArm:
            left, right = (jnp.full_like(averages, x) for x in (below, above))
            return quantiles(statistics, left, right, origin, rough=rough)

        tails = jnp.asarray(_ROUGH_TAILS if rough else _TAILS)
        half = jnp.full(1, 0.5)
        below = jnp.concatenate([tails, half, 1 - tails])
        above = jnp.concatenate([1 - tails, half, tails])
        inner = jax.vmap(at, out_axes=-1)(below, above)
        edges = jnp.append(inner.ravel(), jnp.asarray([low, high]) - origin)
        return best_arm_probabilities(log_density, edges, ROUGH if rough else FINE)

    fine = Posterior(
        init=lambda: no_pulls(family),
        update=count_pull,
        mean=mean,
        sample=sample,
        upper_quantile=lambda statistics, tail: quantiles(
            statistics,
            jnp.full_like(statistics.pulls, 1 - tail),
            jnp.full_like(statistics.pulls, tail),
        ),
        best_arm_probabilities=probabilities_of_best,
    )
    rough = fine._replace(
        sample=functools.partial(sample, rough=True),
        best_arm_probabilities=functools.partial(probabilities_of_best, rough=True),
    )
    return fine._replace(rough=rough)


def exact(family: Family) -> Posterior:
    """The posterior under the family's own prior and noise, as `exact_for` states it.

    Raises:
        ValueError: if none is stated for the way in which the family draws its tasks.
    """
    stated = _stated(family)
    if stated is not None:
        return stated(family)
    raise ValueError(
        "an exact posterior must be stated for a family whose arms are independent "
        f"(posteriors.exact_for), got none for {type(family).__name__}"
        f" ({family.name or 'unnamed'})"
    )


def is_stated(family: Family) -> bool:
    """Whether `exact` knows the family's posterior."""
    return _stated(family) is not None


def _stated(family: Family) -> Callable[..., Posterior] | None:
    for kind in type(family).__mro__:
        if kind in STATED and draws_as(family, kind):
            return STATED[kind]
    return None


def exact_for(kind: type[Family]) -> Callable[[Statement], Statement]:
    """Decorates `family -> Posterior` that is exact for families of a class.

    It holds for subclasses too, unless they draw tasks in another way (a `sample` or a
    `task` of their own): these state their own. The statement stands in the file of the
    family, or here for families in `envs`, which do not import this package.
    """

    def state(posterior: Statement) -> Statement:
        STATED[kind] = posterior
        return posterior

    return state


@exact_for(BernoulliBanditFamily)
def _of_bernoulli(family: Any) -> Posterior:
    return beta(family, alpha=family.alpha, beta=family.beta)


exact_for(GaussianBanditFamily)(uniform_prior)


def _best_without_noise(
    statistics: ArmStatistics,
    means: PerArm,
    prior_cdf: Callable[[Array], Array],
) -> PerArm:
    """As `best_arm_probabilities`, where one pull settles an arm.

    The best pulled arm is best with the chance that all others are worse; the rest goes
    to the arms never pulled, in equal parts.
    """
    pulled = statistics.pulls > 0
    known = jnp.where(pulled, means, -jnp.inf)
    num_unknown = (~pulled).sum()
    settled = jnp.where(pulled.any(), prior_cdf(jnp.max(known)) ** num_unknown, 0.0)
    share = (1 - settled) / jnp.maximum(num_unknown, 1)
    best = jax.nn.one_hot(jnp.argmax(known), means.shape[0])
    return jnp.where(pulled, settled * best, share)


def _noise_std(family: Family, noise_std: Scalar | None) -> Scalar:
    if not isinstance(noise_std, jax.Array):
        noise_std = _own(family, "noise_std", noise_std)
    require(noise_std >= 0, "noise_std must not be negative", noise_std)
    return noise_std


def _own(family: Family, name: str, value: float | None) -> float:
    """`value`, or else the family's own."""
    own = getattr(family, name, None) if value is None else value
    require(
        own is not None, f"{name} must be given for this family", type(family).__name__
    )
    return float(own)  # pyright: ignore[reportArgumentType]

"""What no good algorithm can avoid in the long run: Lai and Robbins' lower bound.

For Bernoulli arms. The bound of one bandit holds for algorithms that are good on every
bandit; averaged over a uniform prior it diverges, for arms that are nearly equal cost
any amount of exploration that the horizon does not pay for. Its average over the prior
is therefore Lai's, in which such arms are pulled for as long as they cannot be told
apart. Both are leading terms: at a few hundred pulls the exact optimum may lie below.
"""

import numpy as np
from jaxtyping import Float, Num


def lai_robbins(
    means: Float[np.ndarray, "*batch arms"], pulls: Num[np.ndarray, " times"]
) -> Float[np.ndarray, "*batch times"]:
    """Asymptotic lower bound on regret in given bandits, in rewards.

    Σ_a gap(a) / KL(μ_a, μ*) · ln t, over arms that are not best.

    Source: Lai and Robbins 1985, "Asymptotically efficient adaptive allocation rules",
    Theorem 1.

    Args:
        means: of the arms, strictly between 0 and 1.
        pulls: numbers of pulls, at least 1.
    """
    best = means.max(-1, keepdims=True)
    gap = best - means
    cost = _divergence(means, np.broadcast_to(best, means.shape))
    rate = np.divide(gap, cost, out=np.zeros_like(gap), where=gap > 0).sum(-1)
    return rate[..., None] * np.log(pulls)


def bayes_regret_asymptote(
    num_arms: int, pulls: Num[np.ndarray, " times"]
) -> Float[np.ndarray, " times"]:
    """Leading term of the least Bayes regret under a uniform prior: c ln² t.

    An arm that is Δ worse than the best costs 2 μ*(1 - μ*) ln(t Δ²) / Δ for small Δ.
    Integrated over Δ from 1/√t on this is ½ μ*(1 - μ*) ln² t, and the density of Δ at
    0, weighted by μ*(1 - μ*) and summed over arms, is (K - 1) / (K + 1): c = (K - 1) /
    (2 (K + 1)).

    Source: Lai 1987, "Adaptive treatment allocation and the multi-armed bandit
    problem", Theorem 3; the integral for the uniform prior is ours.

    Args:
        num_arms: K.
        pulls: numbers of pulls t, at least 1.
    """
    return (num_arms - 1) / (2 * (num_arms + 1)) * np.log(pulls) ** 2


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL divergence between Bernoulli distributions, in nats."""
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))

"""What can be believed of a task given data: statistics, and the posteriors of them."""

from icrl.algorithms.posteriors.arms import (
    Posterior,
    beta,
    exact,
    exact_for,
    gaussian,
    is_stated,
    uniform_prior,
)

__all__ = [
    "Posterior",
    "beta",
    "exact",
    "exact_for",
    "gaussian",
    "is_stated",
    "uniform_prior",
]

"""In-context algorithms that are written by hand: experts and baselines.

    family = envs.family("LinearBandit-Lin2023-v0")
    learner = algorithms.make("linucb", family, width=2.0)

Each is a factory that takes the family first, in a file that registers it. Registered
factories are attributes of this package too: `algorithms.linucb(family)`.
"""

from collections.abc import Callable

from icrl.algorithms.annealed_optimal import annealed_optimal
from icrl.algorithms.base import Algorithm, most_likely, require_family
from icrl.algorithms.context_mixture import PAPER_WEIGHTS
from icrl.algorithms.mixture import mixture
from icrl.algorithms.optimal import optimal
from icrl.algorithms.registry import ALGORITHMS, make, register
from icrl.algorithms.uniform import uniform

__all__ = [
    "ALGORITHMS",
    "PAPER_WEIGHTS",
    "Algorithm",
    "annealed_optimal",
    "make",
    "mixture",
    "most_likely",
    "optimal",
    "register",
    "require_family",
    "uniform",
]


def __getattr__(name: str) -> Callable[..., Algorithm]:
    """The registered factory of that name."""
    if not name.startswith("_") and name in ALGORITHMS.names():
        return ALGORITHMS[name]
    raise AttributeError(f"module 'icrl.algorithms' has no attribute {name!r}")

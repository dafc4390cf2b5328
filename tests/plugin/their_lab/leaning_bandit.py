"""Bandits whose arms' means lean to one side: the square of a uniform number."""

import dataclasses

import jax

from envs.gaussian_bandit import GaussianBandit, GaussianBanditFamily
from envs.registry import register


@dataclasses.dataclass(frozen=True, kw_only=True)
class LeaningBanditFamily(GaussianBanditFamily):
    """Gaussian bandits with another prior over means."""

    def sample(self, key) -> GaussianBandit:
        """Draws one bandit."""
        return self.task(jax.random.uniform(key, (self.num_arms,)) ** 2)


register(LeaningBanditFamily(name="LeaningBandit-v0", source="their lab", horizon=20))

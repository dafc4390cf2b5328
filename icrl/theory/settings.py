"""Sizes at which constructions are shown, and the algorithms that they are made from.

Source: Lin, Bai and Mei 2023, arXiv 2310.08566, Section 5 (linear bandits); the MDPs
are ours.
"""

from typing import Any, NamedTuple

import envs
from envs.random_mdp import RandomMDPFamily
from icrl import algorithms
from icrl.theory.linucb import TEMPERATURE, WIDTH
from icrl.theory.ucb_vi import SCALE
from icrl.tokenizers.interleaved_ended import interleaved_ended
from icrl.tokenizers.interleaved_features import interleaved_features

BANDIT = "LinearBandit-Lin2023-v0"


class Setting(NamedTuple):
    """An algorithm, what it plays, and how its transformer reads that."""

    family: Any
    algorithm: Any
    tokenizer: Any


def soft_linucb(
    horizon: int, num_arms: int, dim: int, *, temperature: float = TEMPERATURE
) -> Setting:
    """Linear bandits, and LinUCB with a softmax over its bounds."""
    family = envs.family(BANDIT, horizon=horizon, num_arms=num_arms, dim=dim)
    algorithm = algorithms.linucb(
        family, width=WIDTH, first="index", temperature=temperature
    )
    return Setting(family, algorithm, interleaved_features(family))


def soft_ucb_vi(
    states: int, actions: int, steps: int, num_episodes: int, *, scale: float = SCALE
) -> Setting:
    """MDPs with uniform mean rewards and no noise, and UCB-VI with a softmax over Q.

    It counts each step of an episode by itself, δ = 1 / (H K), and the softmax has
    temperature 1 / K.
    """
    family = RandomMDPFamily(
        states=states,
        actions=actions,
        horizon=steps,
        reward_prior="uniform",
        reward_location=0.0,
        noise_std=0.0,
    )
    algorithm = algorithms.ucb_vi(
        family,
        bonus="lin2023",
        scale=scale,
        delta=1 / (steps * num_episodes),
        num_episodes=num_episodes,
        monotone=False,
        counts_per_step=True,
        temperature=1 / num_episodes,
    )
    return Setting(family, algorithm, interleaved_ended(family))

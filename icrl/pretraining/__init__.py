"""Supervised pretraining data: behaviour policies, experts and their examples."""

from icrl.pretraining.examples import (
    Collect,
    Example,
    Pretraining,
    gather,
    imitation_loss,
    sample,
)
from icrl.pretraining.experts import (
    Expert,
    hindsight_expert,
    optimal_expert,
    probabilities_expert,
    taken_actions_expert,
)

__all__ = [
    "Collect",
    "Example",
    "Expert",
    "Pretraining",
    "gather",
    "hindsight_expert",
    "imitation_loss",
    "optimal_expert",
    "probabilities_expert",
    "sample",
    "taken_actions_expert",
]

"""Fitting models: seeds side by side, resumed bit for bit."""

from icrl.training.fit import Learner, Trained, fit
from icrl.training.imitation import train_models

__all__ = ["Learner", "Trained", "fit", "train_models"]

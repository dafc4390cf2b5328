"""Fitting models: seeds side by side, resumed bit for bit."""

from icrl.training.imitation import train_models

__all__ = ["train_models"]

"""A run's folder: claimed, resumed, filled with numbers. Nothing here imports jax."""

from icrl.runs.run import Run, open_run, results_root

__all__ = ["Run", "open_run", "results_root"]

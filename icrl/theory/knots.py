"""Where tables bend: knots between which chords of a function err little enough."""

import math

import numpy as np


def root_knots(least: float, most: float, error: float) -> np.ndarray:
    """Knots from `least` to `most` between which chords of the root err by `error`.

    Between squares of s and s' a chord is at most (s' - s)² / (4 (s + s')) below.
    """
    roots = [np.sqrt(least)]
    while roots[-1] ** 2 < most:
        last = roots[-1]
        roots.append(last + 2 * error + np.sqrt(4 * error**2 + 8 * error * last))
    return np.array(roots) ** 2


def exp_knots(least: float, most: float, error: float) -> np.ndarray:
    """Knots from `least` to `most` for exp, whose chords err by `error`, relatively.

    A chord of exp over a distance d is at most d² / 8 above, times the function.
    """
    distance = math.sqrt(8 * error)
    return np.arange(least, most + distance, distance)


def log_knots(least: float, error: float) -> np.ndarray:
    """Knots from `least` to 1 for the logarithm, whose chords err by `error`."""
    return np.exp(exp_knots(math.log(least), 0.0, error))

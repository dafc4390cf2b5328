"""When an agent gives an arm 30 %, is it the best one in 30 % of the cases?"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.base import Key, require, require_gaps
from envs.splits import TaskSet
from icrl.agents import Agent
from icrl.diagnostics.divergence import require_algorithm
from icrl.evaluation import over_seeds_and_tasks, play
from icrl.evaluation.statistics import resampled_means

PerBin = Float[np.ndarray, " bins"]
PerSeed = Float[np.ndarray, " seeds"]


class Calibration(NamedTuple):
    """A reliability diagram: bins of equal width over [0, 1].

    Every decision counts once for every arm. A bin without a prediction holds NaN.
    """

    prediction: PerBin  # mean predicted probability
    frequency: PerBin  # how often the arm was the best one
    low: PerBin  # 95 % interval of the frequency, over training seeds and tasks
    high: PerBin
    share: PerBin  # of all predictions; sums to 1
    expected_error: PerSeed  # Σ share |frequency - prediction|; 0 is calibrated


def calibration(
    key: Key,
    tasks: TaskSet,
    agent: Agent,
    histories: Agent | None,
    *,
    num_tasks: int,
    num_bins: int = 10,
    tasks_at_once: int = 500,
) -> Calibration:
    """Compares an agent's action probabilities with how often an arm is the best.

    The posterior over the best arm, which DPT should learn, is calibrated on histories
    of every behaviour policy that does not know the task, its own included. The
    interval resamples training seeds and tasks, for the decisions of one task are not
    independent. The expected error is never quite 0, by chance alone.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", Section 2, for
    the diagram and its error.

    Args:
        key: draws tasks, noise and choices, as in `evaluation.online`.
        tasks: where tasks come from.
        agent: trained models, or an algorithm.
        histories: the behaviour policy, one history a task; None is the agent itself.
        num_tasks: histories for each training seed.
        num_bins: of predictions.
        tasks_at_once: tasks side by side; bounds memory.

    Raises:
        ValueError: if the behaviour policy is a trained model other than the agent, or
            there are no bins.
    """
    require(num_bins >= 1, "num_bins must be at least 1", num_bins)
    if histories is not None:
        require_algorithm("the behaviour policy", histories)

    def score(model: Any, index: Array) -> Float[Array, " sums_and_bins"]:
        if histories is None:
            task, trajectory = play(key, tasks, agent, model, index)
        else:
            task, trajectory = play(key, tasks, histories, None, index)
        probabilities = agent.action_probabilities(model, task, trajectory)[:-1]
        gaps = functools.partial(require_gaps, "calibration", task)
        best = jnp.argmin(jax.vmap(gaps)(trajectory.state), axis=-1)
        is_best = jax.nn.one_hot(best, probabilities.shape[1])
        place = jnp.minimum((probabilities * num_bins).astype(jnp.int32), num_bins - 1)
        here = jax.nn.one_hot(place, num_bins) * trajectory.valid[:, None, None]
        of_bins = [(here * x[..., None]).sum((0, 1)) for x in (probabilities, is_best)]
        return jnp.concatenate([*of_bins, here.sum((0, 1))])

    found = over_seeds_and_tasks(agent, score, num_tasks, tasks_at_once)
    sums = found.reshape(*found.shape[:2], 3, num_bins).astype(np.float64)
    predicted, best, count = sums.mean((0, 1))
    _, of_best, of_count = np.moveaxis(resampled_means(sums), 1, 0)
    # a bin that few tasks reach may be empty in a resample
    frequencies = _ratio(of_best, of_count)
    low, high = np.nanpercentile(
        np.where(count > 0, frequencies, 0.0), [2.5, 97.5], axis=0
    )
    prediction, frequency = _ratio(predicted, count), _ratio(best, count)
    share = count / count.sum()
    return Calibration(
        prediction=prediction,
        frequency=frequency,
        low=np.where(count > 0, low, np.nan),
        high=np.where(count > 0, high, np.nan),
        share=share,
        expected_error=_expected_errors(sums.mean(1)),
    )


def _expected_errors(sums: Float[np.ndarray, "seeds 3 bins"]) -> PerSeed:
    """Σ share |frequency - prediction| of every seed: share and counts cancel."""
    predicted, best, count = np.moveaxis(sums, 1, 0)
    return abs(best - predicted).sum(-1) / count.sum(-1)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Their quotient; NaN where nothing was counted."""
    return np.where(counts > 0, sums / np.where(counts > 0, counts, 1.0), np.nan)

"""How much rarer one algorithm's histories are under another: Lin et al.'s R."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from envs.base import Key, require
from envs.splits import TaskSet
from icrl.agents import Agent
from icrl.diagnostics.divergence import LEAST_PROBABILITY, require_algorithm
from icrl.evaluation import over_seeds_and_tasks, play
from icrl.evaluation.statistics import resampled_means

# An estimate is trusted if its weights count for at least this many equal ones: its
# relative standard error is then at most 10 %. A sample cannot show heavy weights that
# were never drawn. For log-normal weights of widths 0 to 5 nats and 5,000 or 20,000
# tasks, 99.5 % of the trusted estimates were within 30 % of the truth, and the others
# too low.
LEAST_SAMPLE_SIZE = 100
LARGEST_LOG_WEIGHT = 700.0  # nats; its exponential is near the largest float64

PerStep = Float[np.ndarray, " time"]


class Ratio(NamedTuple):
    """R(Alg_1, Alg_2) = E_{Alg_1}[Π Alg_1 / Alg_2] = 1 + χ², for every prefix.

    Element t is of histories of t + 1 steps. R never falls with t, and log R ≥ KL.
    """

    value: PerStep  # ≥ 1 but for noise; e^700 at most
    std_error: PerStep  # of `value`, from the tasks' spread: too small if not trusted
    kl: PerStep  # KL(histories of Alg_1 ‖ of Alg_2), nats: a mean without heavy tails
    effective_sample_size: PerStep  # (Σ w)² / Σ w², in 1 ... tasks
    trusted: Bool[np.ndarray, " time"]  # never with fewer than 100 tasks


def log_ratios(
    key: Key,
    tasks: TaskSet,
    numerator: Agent,
    denominator: Agent,
    *,
    num_tasks: int,
    tasks_at_once: int = 500,
) -> Float[np.ndarray, "seeds tasks time"]:
    """Σ_{s ≤ t} log Alg_1(a_s) / Alg_2(a_s) along histories that Alg_1 played.

    Args:
        key: draws tasks, noise and choices, as in `evaluation.online`.
        tasks: where tasks come from.
        numerator: Alg_1, the behaviour policy; in the theorem the reduced expert.
            Trained models give one row a seed.
        denominator: Alg_2, an algorithm; in the theorem the context algorithm. Both
            probabilities must be those given the history: hidden draws averaged out, as
            `mixture` does.
        num_tasks: histories a seed, one a task.
        tasks_at_once: tasks side by side; bounds memory.

    Returns:
        Nats; a step after the end of the episode adds nothing.

    Raises:
        ValueError: if the denominator is a trained model, or one of the two has no
            `action_probabilities`.
    """
    require_algorithm("denominator", denominator)

    def score(model: Any, index: Array) -> Float[Array, " time"]:
        task, trajectory = play(key, tasks, numerator, model, index)

        def log_taken(
            probabilities: Float[Array, "decisions actions"],
        ) -> Float[Array, " time"]:
            taken = jnp.take_along_axis(
                probabilities[:-1], trajectory.action[:, None], axis=1
            )[:, 0]
            return jnp.log(jnp.maximum(taken, LEAST_PROBABILITY))

        of_numerator = log_taken(
            numerator.action_probabilities(model, task, trajectory)
        )
        of_denominator = log_taken(
            denominator.action_probabilities(None, task, trajectory)
        )
        return jnp.cumsum(
            jnp.where(trajectory.valid, of_numerator - of_denominator, 0.0)
        )

    return over_seeds_and_tasks(numerator, score, num_tasks, tasks_at_once)


def ratio(log_ratios: Float[np.ndarray, "tasks time"]) -> Ratio:
    """Estimates R for every prefix from the log ratios of Alg_1's own histories.

    Raises:
        ValueError: if there are fewer than two tasks.
    """
    log_weights = np.asarray(log_ratios, np.float64)
    num_tasks = log_weights.shape[0]
    require(num_tasks >= 2, "there must be at least 2 tasks", num_tasks)
    largest = log_weights.max(0)
    weights = np.exp(log_weights - largest)  # scaled: none overflows, one is 1
    scale = np.exp(np.minimum(largest, LARGEST_LOG_WEIGHT))
    sample_size = weights.sum(0) ** 2 / (weights**2).sum(0)
    return Ratio(
        value=scale * weights.mean(0),
        std_error=scale * weights.std(0, ddof=1) / math.sqrt(num_tasks),
        kl=log_weights.mean(0),
        effective_sample_size=sample_size,
        trusted=sample_size >= LEAST_SAMPLE_SIZE,
    )


class Departure(NamedTuple):
    """The step at which an agent leaves its target; NaN: not within the horizon."""

    step: float
    low: float  # of the 95 % bootstrap interval over training seeds and tasks
    high: float


def measured_departure(
    tv: Float[np.ndarray, "seeds tasks decisions"],
    yardstick: Float[np.ndarray, "seeds tasks decisions"],
    *,
    factor: float = 2.0,
) -> Departure:
    """The decision from which on an agent stays too far from its target.

    Too far is `factor` times as far as a model that learnt from the target's own
    histories: the mean distance of the two, over seeds and tasks, is compared at every
    decision. An agent that comes back has not left.

    Args:
        tv: the agent's total variation to its target, on the target's histories.
        yardstick: that of the other model, on the same histories.
        factor: above 1.

    Raises:
        ValueError: if `factor` is not above 1.
    """
    require(factor > 1, "factor must be above 1", factor)
    resampled = [resampled_means(values) for values in (tv, yardstick)]
    means = [values.mean((0, 1))[None] for values in (tv, yardstick)]
    step = float(_first_of_the_rest(means[0] > factor * means[1])[0])
    steps = _first_of_the_rest(resampled[0] > factor * resampled[1])
    never = tv.shape[-1]  # ranks above every step
    low, high = np.percentile(np.nan_to_num(steps, nan=never), [2.5, 97.5])
    return Departure(step, low=float(low), high=float(high))


def _first_of_the_rest(
    beyond: Bool[np.ndarray, "rows decisions"],
) -> Float[np.ndarray, " rows"]:
    """Where each row becomes true for good; NaN where it ends false."""
    within = ~beyond[:, ::-1]
    steps = beyond.shape[1] - np.where(within.any(1), within.argmax(1), beyond.shape[1])
    return np.where(beyond[:, -1], steps, np.nan)


def departure_step(kl: PerStep, num_trajectories: int) -> int | None:
    """The number of steps at which a model should leave its target; None if never.

    A heuristic: n trajectories of the context algorithm hold about one that looks like
    the target's for t steps as long as KL_t < log n. With Thompson sampling on uniform
    contexts and the paper's n = 80,000 that is 25; its model leaves at about 30.

    Args:
        kl: KL(histories of the target ‖ of the context algorithm), nats, after 1, 2,
            ... steps.
        num_trajectories: n, those trained on.

    Raises:
        ValueError: if `num_trajectories` is below 1.
    """
    require(
        num_trajectories >= 1, "num_trajectories must be at least 1", num_trajectories
    )
    beyond = np.asarray(kl) >= math.log(num_trajectories)
    return int(np.argmax(beyond)) + 1 if beyond.any() else None

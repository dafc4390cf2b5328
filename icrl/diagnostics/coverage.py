"""Rows of how well data covers a target's histories, and of where a model leaves it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from icrl.diagnostics.distribution_ratio import (
    Departure,
    departure_step,
    measured_departure,
    ratio,
)
from icrl.evaluation.numbers import Numbers, add_estimate
from icrl.evaluation.statistics import interval

PerDecision = Float[np.ndarray, "seeds tasks decisions"]


def of_ratios(
    panel: str, log_ratios: Mapping[str, Float[np.ndarray, "1 tasks time"]]
) -> Numbers:
    """Rows of KL at the horizon and of R, where its estimate can be trusted.

    Args:
        panel: name of the panel.
        log_ratios: of the target's histories against the data of each model, as
            `distribution_ratio.log_ratios` gives them.

    Returns:
        Arrays `<panel>/steps` and `<panel>/<model>/kl`.
    """
    numbers = Numbers()
    for agent, values in log_ratios.items():
        found, kl = ratio(values[0]), interval(values)
        numbers.arrays[f"{panel}/steps"] = np.arange(1, values.shape[-1] + 1)
        numbers.arrays[f"{panel}/{agent}/kl"] = kl.mean
        units = {"seeds": 0, "tasks": values.shape[1]}
        ends = [part[-1] for part in kl]
        add_estimate(numbers, panel, agent, "kl_of_histories", ends, **units)
        if found.trusted[-1]:
            value, error = found.value[-1], 1.96 * found.std_error[-1]
            ends = [value, value - error, value + error]
            add_estimate(numbers, panel, agent, "distribution_ratio", ends, **units)
    return numbers


def add_departure(
    numbers: Numbers,
    panel: str,
    agent: str,
    tv: PerDecision,
    yardstick: PerDecision,
    kl: Float[np.ndarray, " time"],
    num_trajectories: int,
) -> tuple[Departure, float]:
    """Adds a row of the step at which a model leaves its target, if it does.

    Args:
        numbers: to add to.
        panel: of the row.
        agent: the model.
        tv: as in `measured_departure`.
        yardstick: likewise.
        kl: as in `departure_step`.
        num_trajectories: likewise.

    Returns:
        The measured step, and the predicted one; NaN if never.
    """
    found = measured_departure(tv, yardstick)
    predicted = departure_step(kl, num_trajectories)
    if not np.isnan(found.step):
        known: dict[str, Any] = {"seeds": tv.shape[0], "tasks": tv.shape[1]}
        known["predicted"] = predicted
        add_estimate(numbers, panel, agent, "departure_step", found, **known)
    return found, np.nan if predicted is None else predicted

"""Everything that is measured of a trained run, in one table."""

from typing import Any

import jax

from envs.base import Family
from envs.splits import TaskSet
from icrl import algorithms
from icrl.agents import Agent, fixed, load_agent
from icrl.diagnostics.calibration import calibration
from icrl.diagnostics.candidates import OF_BANDITS
from icrl.diagnostics.divergence import distances
from icrl.diagnostics.exchangeability import order_sensitivity
from icrl.diagnostics.recognition import candidates, recognise
from icrl.evaluation.numbers import of_distances
from icrl.evaluation.statistics import interval
from icrl.keys import evaluation_key
from icrl.runs.saved import row

NUM_FITS = 3  # of the likeliest algorithms that are listed
FITTED_STEPS = 20  # of each trajectory, spread evenly: seconds a candidate


def diagnose(
    run: str,
    *,
    target: str = "exact_posterior_sampling",
    options: dict[str, Any] | None = None,
    num_tasks: int = 1000,
    which: str = "",
) -> list[dict[str, Any]]:
    """Measures a trained run: how far from its target, calibrated, which algorithm.

    Distances are measured on the agent's own histories and on uniform ones. Calibration
    is left out where tasks do not give their gaps; the order of a history, and which
    algorithm it is, where they are no bandits of a known kind.

    Args:
        run: a run's folder, or an experiment's name.
        target: name of the algorithm that it should equal.
        options: of the target: `{"width": 2.0}`.
        num_tasks: unseen tasks that each training seed plays.
        which: name of the model, where a run trained several.

    Returns:
        Rows of a summary.

    Raises:
        RunError: if there is no such run, or its weights are broken.
        ValueError: if the target does not play the family or has no closed form of its
            action probabilities.
    """
    loaded = load_agent(run, which)
    family = loaded.family
    agent = loaded.agent()
    exact = fixed(algorithms.make(target, family, **(options or {})))
    tasks = family.split().test
    uniform = fixed(algorithms.uniform(family))
    key, seeds = evaluation_key(0), len(loaded.seeds)
    rows = []
    for panel, histories in (("own_histories", None), ("uniform_histories", uniform)):
        found = distances(
            key, tasks, {"agent": agent}, exact, histories, num_tasks=num_tasks
        )
        rows += of_distances(f"{panel}: from {target}", *found).rows
    common = {"agent": "agent", "seeds": seeds, "tasks": num_tasks}
    if family.has_gaps:
        rows.append(_calibration(key, tasks, agent, common))
    if isinstance(family, OF_BANDITS):
        rows.append(_order(key, tasks, agent, uniform, common))
        rows += _of_actions(key, tasks, agent, family, seeds, num_tasks)
    return rows


def _calibration(
    key: jax.Array, tasks: TaskSet, agent: Agent, common: dict[str, Any]
) -> dict[str, Any]:
    """Whether it knows how likely an arm is to be the best one."""
    error = calibration(key, tasks, agent, None, num_tasks=common["tasks"])
    return row(
        panel="calibration",
        metric="expected_calibration_error",
        mean=float(error.expected_error.mean()),
        low=None,
        high=None,
        **common,
    )


def _order(
    key: jax.Array, tasks: TaskSet, agent: Agent, context: Agent, common: dict[str, Any]
) -> dict[str, Any]:
    """What the order of a history changes."""
    orders = order_sensitivity(
        key, tasks, {"agent": agent}, context, num_tasks=common["tasks"]
    )
    mean, low, high = interval(orders.by_task("agent").mean(-1))
    return row(
        panel="reordering",
        metric="tv_mean",
        mean=float(mean),
        low=float(low),
        high=float(high),
        **common,
    )


def _of_actions(
    key: jax.Array,
    tasks: TaskSet,
    agent: Agent,
    family: Family,
    seeds: int,
    num_tasks: int,
) -> list[dict[str, Any]]:
    """The likeliest algorithms, and the shares of actions that they explain."""
    fits = recognise(
        key,
        tasks,
        agent,
        candidates(family),
        num_tasks=num_tasks,
        num_steps=min(family.horizon, FITTED_STEPS),
    )
    rows = []
    for fit in fits[:NUM_FITS]:
        common = {"agent": fit.name, "seeds": seeds, "tasks": num_tasks}
        common["panel"] = "which algorithm is it?"
        known = {"action_match": fit.match, "log_likelihood": fit.log_likelihood}
        rows += [
            row(metric=metric, mean=value, low=None, high=None, **common)
            for metric, value in known.items()
        ]
        if fit.parameter is not None:
            rows.append(
                row(
                    metric="parameter",
                    mean=fit.parameter,
                    low=fit.low,
                    high=fit.high,
                    **common,
                )
            )
    return rows

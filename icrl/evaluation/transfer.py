"""A trained run in another family, or for longer than it was trained for."""

import contextlib
from typing import Any

from envs import registry
from envs.base import Family
from icrl.evaluation import metric_of, online
from icrl.evaluation.numbers import of_curves
from icrl.keys import evaluation_key


def evaluate_run(
    run: str,
    *,
    family: str,
    horizon: int | None = None,
    num_tasks: int = 1000,
    extrapolate: bool = False,
    which: str = "",
) -> list[dict[str, Any]]:
    """Plays a trained run in another family or for another horizon, as it is.

    The exact posterior sampler of the family that the model was trained on stands
    beside it: the prediction for an ideal DPT, whose prior is frozen in its weights.

    Args:
        run: a run's folder, or an experiment's name.
        family: registered name of the family to play.
        horizon: steps; the model's own if None.
        num_tasks: tasks that each training seed plays.
        extrapolate: allow more steps than the model was trained on.
        which: name of the model, where a run trained several.

    Returns:
        Rows of a summary.

    Raises:
        RunError: if there is no such run, or its weights are broken.
        ValueError: if the family's actions or observations are not the model's, or the
            horizon is beyond the model.
    """
    from icrl import algorithms
    from icrl.agents import load_agent

    agent = load_agent(run, which)
    num_episodes, trained_horizon = agent.recipe.num_episodes, agent.family.horizon
    horizon = trained_horizon if horizon is None else horizon
    if horizon > trained_horizon and not extrapolate:
        raise ValueError(
            f"horizon {horizon} is beyond the {trained_horizon} steps that the model "
            "was trained on; --extrapolate plays it all the same"
        )
    if horizon > trained_horizon:
        agent = load_agent(run, which, num_steps=num_episodes * horizon)
    tested = registry.family(family, horizon=horizon)
    _require_same_interface(tested, agent.family)
    agents: dict[str, Any] = {
        "agent": agent.agent(),
        "agent_argmax": agent.agent(greedy=True),
    }
    for other in ("exact_posterior_sampling", "thompson_sampling", "ucb", "uniform"):
        with contextlib.suppress(ValueError):  # not every algorithm plays every family
            agents[other] = algorithms.make(other, agent.family)
    scores = online(
        evaluation_key(0),
        tested.split().test,
        agents,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
    )
    return of_curves(tested.name, scores, metric=metric_of(tested)).rows


def _require_same_interface(tested: Family, trained_on: Family) -> None:
    """A model reads and writes what its family showed and took."""
    for what in ("num_actions", "observation"):
        there, here = getattr(trained_on, what), getattr(tested, what)
        if there != here:
            raise ValueError(
                f"{tested.name} has {what} {here}, the model was trained with {there}"
            )

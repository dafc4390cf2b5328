"""From scores to what a run leaves behind: rows of the summary and curves to draw."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from icrl.evaluation import Regrets
from icrl.evaluation.statistics import interval
from icrl.runs.saved import row

Panel = tuple[list[dict[str, Any]], dict[str, np.ndarray]]  # rows, named arrays
REFERENCE = "exact_posterior_sampling"  # what an ideal DPT does (Lin et al., Section 3)


def curve_panel(
    panel: str,
    scores: Mapping[str, Regrets],
    *,
    metric: str,
    learned: Mapping[str, int],
    steps: np.ndarray | None = None,
    reference: str = REFERENCE,
    published: Mapping[str, float] | None = None,
) -> Panel:
    """Rows for the last point of every agent's curve, and the curves themselves.

    Each agent also gets a row for its paired difference to the reference, which played
    the same tasks with the same noise.

    Args:
        panel: name of the panel.
        scores: [seeds, tasks, time] for each agent.
        metric: what the last point is: "final_regret", "final_suboptimality", "loss".
        learned: training seeds of each agent that has some.
        steps: where the curves stand on the horizontal axis; 1, 2, ... if None.
        reference: the agent that a perfectly trained model equals.
        published: published values of the last point.

    Returns:
        Rows, and arrays `<panel>/steps` and `<panel>/<agent>/{mean,low,high}`.
    """
    rows, arrays = [], {}
    length = next(iter(scores.values())).shape[-1]
    arrays[f"{panel}/steps"] = np.arange(1, length + 1) if steps is None else steps
    exact = float(scores[reference][..., -1].mean()) if reference in scores else None
    for agent, score in scores.items():
        curve = interval(score)
        for part, values in curve._asdict().items():
            arrays[f"{panel}/{agent}/{part}"] = values.astype(np.float32)
        common = {
            "panel": panel,
            "agent": agent,
            "seeds": learned.get(agent, 0),
            "tasks": score.shape[1],
        }
        rows.append(
            row(
                **common,
                metric=metric,
                mean=float(curve.mean[-1]),
                low=float(curve.low[-1]),
                high=float(curve.high[-1]),
                published=(published or {}).get(agent),
                exact=exact if agent in learned else None,
            )
        )
        if reference in scores and agent != reference:
            rows.append(_difference(common, metric, score, scores, reference))
    return rows, arrays


def loss_panel(
    scores: Mapping[str, Regrets],
    *,
    agent: str,
    seeds: int,
    panel: str = "loss",
    target: str = REFERENCE,
) -> Panel:
    """Rows of the mean loss over decisions, its floor and their paired difference.

    Args:
        scores: `loss` [seeds, tasks, decisions] and `loss_floor` [1, tasks, decisions].
        agent: whose loss it is.
        seeds: its training seeds.
        panel: name of the panel.
        target: the algorithm whose loss is the floor.
    """
    rows, arrays = [], {}
    decisions = scores["loss"].shape[-1]
    arrays[f"{panel}/steps"] = np.arange(decisions)
    floor = float(scores["loss_floor"].mean())
    table = {**scores, "loss_minus_floor": scores["loss"] - scores["loss_floor"]}
    for metric, score in table.items():
        curve = interval(score)
        for part, values in curve._asdict().items():
            arrays[f"{panel}/{metric}/{part}"] = values.astype(np.float32)
        of_floor = metric == "loss_floor"
        mean, low, high = interval(score.mean(axis=-1))
        rows.append(
            row(
                panel=panel,
                agent=target if of_floor else agent,
                metric=metric,
                mean=float(mean),
                low=float(low),
                high=float(high),
                seeds=0 if of_floor else seeds,
                tasks=score.shape[1],
                exact=floor if metric == "loss" else None,
            )
        )
    return rows, arrays


def _difference(
    common: Mapping[str, Any],
    metric: str,
    score: Regrets,
    scores: Mapping[str, Regrets],
    reference: str,
) -> dict[str, Any]:
    mean, low, high = interval(score[..., -1] - scores[reference][..., -1])
    return row(
        **common,
        metric=f"{metric}_minus_{reference}",
        mean=float(mean),
        low=float(low),
        high=float(high),
    )


def join(
    parts: Sequence[Panel],
) -> Panel:
    """The rows and arrays of several panels as those of one run."""
    rows = [row for part in parts for row in part[0]]
    arrays = {name: array for part in parts for name, array in part[1].items()}
    return rows, arrays


def last(
    published: Mapping[str, Sequence[tuple[int, float]]], step: int
) -> dict[str, float]:
    """Each agent's published value at `step`, where there is one."""
    found = {agent: dict(points).get(step) for agent, points in published.items()}
    return {agent: value for agent, value in found.items() if value is not None}

"""From scores to what a run leaves behind: rows, curves to draw, final values."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from envs.base import require
from icrl.agents import Agent
from icrl.evaluation.scores import Scores
from icrl.evaluation.statistics import interval
from icrl.runs.saved import row

REFERENCE = "exact_posterior_sampling"  # what an ideal DPT does (Lin et al., Section 3)
Published = Mapping[str, Mapping[int, float]]  # agent -> step -> value
Arrays = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Numbers:
    """What one panel adds to a run.

    Attributes:
        rows: of the summary.
        arrays: that its figure is drawn from.
        finals: `<panel>/<agent>/<metric>`, the values [seeds, tasks] behind each row,
            and `<panel>/tasks_hash`, which names their tasks.
    """

    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    arrays: Arrays = dataclasses.field(default_factory=dict)
    finals: Arrays = dataclasses.field(default_factory=dict)


def join(parts: Iterable[Numbers]) -> Numbers:
    """The numbers of several panels as those of one run."""
    joined = Numbers()
    for part in parts:
        joined.rows.extend(part.rows)
        joined.arrays.update(part.arrays)
        joined.finals.update(part.finals)
    return joined


def of_curves(
    panel: str,
    scores: Scores,
    *,
    metric: str,
    reference: str = REFERENCE,
    published: Published | None = None,
    first_step: int = 1,
    ideal: bool = True,
) -> Numbers:
    """Rows for the last point of every agent's curve, and the curves themselves.

    Each agent also gets a row for its paired difference to the reference, which met the
    same tasks and noise.

    Args:
        panel: name of the panel.
        scores: of every agent.
        metric: what the last point is: "final_regret", "final_suboptimality", "loss".
        reference: the agent to which others are compared.
        published: published values; those of the last step are compared.
        first_step: where the curves begin on the horizontal axis.
        ideal: whether a perfectly trained model equals the reference.

    Returns:
        Arrays `<panel>/steps` and `<panel>/<agent>/{mean,low,high}`, and `by_seed`
        [seeds, time] where there are several seeds.

    Raises:
        ValueError: if returns are called regret.
    """
    named_so = "regret" in metric or "suboptimality" in metric
    rule = f"metric of {panel!r} must be a return, as its scores are rewards"
    require(not (scores.by_return and named_so), rule, repr(metric))
    numbers = Numbers(finals={f"{panel}/tasks_hash": scores.tasks_hash})
    tables = {agent: scores.by_task(agent) for agent in scores}
    length = next(iter(tables.values())).shape[-1]
    steps = np.arange(first_step, first_step + length)
    numbers.arrays[f"{panel}/steps"] = steps
    for agent, table in tables.items():
        add_curve(numbers, f"{panel}/{agent}", table)
        points = (published or {}).get(agent, {})
        known: dict[str, Any] = {"published": points.get(int(steps[-1]))}
        if ideal and agent in scores.learned and reference in tables:
            known |= _known(tables[reference][..., -1])
        add_row(numbers, panel, agent, metric, table[..., -1], scores, **known)
        if reference in tables and agent != reference:
            difference = table[..., -1] - tables[reference][..., -1]
            name = f"{metric}_minus_{reference}"
            add_row(numbers, panel, agent, name, difference, scores)
    return numbers


def of_losses(
    panel: str, scores: Scores, *, agent: str, reference: str = REFERENCE
) -> Numbers:
    """Rows of the mean loss over decisions, its floor and their paired difference.

    Args:
        panel: name of the panel.
        scores: `loss` and `loss_floor` after each decision, as `losses` returns them.
        agent: whose loss it is.
        reference: the algorithm whose loss is the floor.
    """
    numbers = Numbers(finals={f"{panel}/tasks_hash": scores.tasks_hash})
    loss, floor = scores.by_task("loss"), scores.by_task("loss_floor")
    numbers.arrays[f"{panel}/steps"] = np.arange(loss.shape[-1])
    table = {"loss": loss, "loss_floor": floor, "loss_minus_floor": loss - floor}
    for metric, values in table.items():
        add_curve(numbers, f"{panel}/{metric}", values)
        known: dict[str, Any] = {}
        if metric == "loss":
            known = _known(floor.mean(-1))
        whose = reference if metric == "loss_floor" else agent
        seeds = 0 if metric == "loss_floor" else loss.shape[0]
        values = values.mean(-1)
        add_row(numbers, panel, whose, metric, values, scores, seeds=seeds, **known)
    return numbers


def of_distances(panel: str, kl: Scores, tv: Scores) -> Numbers:
    """Rows of how far agents are from their target, and the curves behind them.

    `kl_mean` (nats) and `tv_mean` are means over the decisions; `tv_max` is the mean
    over tasks at the decision where it is largest. That decision is chosen on one half
    of the tasks and measured on the other, for a maximum of means is too large.

    Returns:
        Rows, and the arrays of two panels of curves, `<panel>_kl` and `<panel>_tv`.
    """
    numbers = Numbers(finals={f"{panel}/tasks_hash": kl.tasks_hash})
    for agent in kl:
        for name, scores in (("kl", kl), ("tv", tv)):
            table = scores.by_task(agent)
            numbers.arrays[f"{panel}_{name}/steps"] = np.arange(table.shape[-1])
            add_curve(numbers, f"{panel}_{name}/{agent}", table)
            mean = table.mean(-1)
            add_row(numbers, panel, agent, f"{name}_mean", mean, scores)
        largest = at_largest(tv.by_task(agent))
        add_row(numbers, panel, agent, "tv_max", largest, tv)
    return numbers


def of_sizes(panel: str, agents: Mapping[str, Agent]) -> Numbers:
    """Rows of how many parameters each model has."""
    numbers = Numbers()
    for name, agent in agents.items():
        leaves = jax.tree.leaves(agent.models)
        size = sum(leaf.size for leaf in leaves) // agent.num_seeds
        known = {"seeds": agent.num_seeds, "tasks": 0}
        add_estimate(numbers, panel, name, "parameters", [size] * 3, **known)
    return numbers


def at_largest(
    table: Float[np.ndarray, "seeds tasks decisions"],
) -> Float[np.ndarray, "seeds tasks"]:
    """Values where the mean of the other half of the tasks is largest."""
    found = np.empty(table.shape[:2], table.dtype)
    odd = np.arange(table.shape[1]) % 2 == 1
    for half in (odd, ~odd):
        others = table[:, ~half] if (~half).any() else table
        found[:, half] = table[:, half, others.mean((0, 1)).argmax()]
    return found


def add_row(
    numbers: Numbers,
    panel: str,
    agent: str,
    metric: str,
    values: Float[np.ndarray, "seeds tasks"],
    scores: Scores,
    *,
    seeds: int | None = None,
    **known: Any,
) -> None:
    """Adds a row, and the final values behind it.

    Args:
        numbers: to add to.
        panel: of the row.
        agent: of the row.
        metric: of the row.
        values: for each seed and distinct task.
        scores: where they come from.
        seeds: training seeds; those of the agent if None.
        known: further entries.
    """
    known |= {"tasks": scores.num_tasks, "trajectories": scores.num_trajectories}
    known["seeds"] = scores.seeds(agent) if seeds is None else seeds
    add_values(numbers, panel, agent, metric, values, **known)


def add_values(
    numbers: Numbers,
    panel: str,
    agent: str,
    metric: str,
    values: Float[np.ndarray, "seeds tasks"],
    **known: Any,
) -> None:
    """Adds a row of a mean over seeds and tasks, and keeps the values behind it.

    Args:
        numbers: to add to.
        panel: of the row.
        agent: of the row.
        metric: of the row.
        values: for each training seed and distinct task.
        known: further entries; `seeds`, where there is no training.
    """
    units = dict(zip(("seeds", "tasks"), values.shape, strict=True))
    known = {**units, **known}
    add_estimate(numbers, panel, agent, metric, interval(values), **known)
    numbers.finals[f"{panel}/{agent}/{metric}"] = np.asarray(values, np.float32)


def add_estimate(
    numbers: Numbers,
    panel: str,
    agent: str,
    metric: str,
    estimate: Sequence[Any],
    **known: Any,
) -> None:
    """Adds a row of a mean with its interval, `(mean, low, high)`.

    Args:
        numbers: to add to.
        panel: of the row.
        agent: of the row.
        metric: of the row.
        estimate: numbers, or arrays of one.
        known: `seeds`, `tasks` and further entries.
    """
    mean, low, high = (float(part) for part in estimate)
    named = {"panel": panel, "agent": agent, "metric": metric}
    numbers.rows.append(row(**named, mean=mean, low=low, high=high, **known))


def add_curve(numbers: Numbers, name: str, table: Any) -> None:
    """Adds a curve: mean and band, and each seed's where there are several."""
    for part, values in interval(table)._asdict().items():
        numbers.arrays[f"{name}/{part}"] = values.astype(np.float32)
    if len(table) > 1:
        numbers.arrays[f"{name}/by_seed"] = table.mean(1).astype(np.float32)


def _known(values: Float[np.ndarray, "seeds tasks"]) -> dict[str, float]:
    """The value of what an ideal model equals, itself a mean over sampled tasks."""
    of_tasks = values.mean(0, dtype=np.float64)
    error = of_tasks.std(ddof=1) / np.sqrt(of_tasks.size) if of_tasks.size > 1 else 0.0
    return {"exact": float(of_tasks.mean()), "exact_error": float(error)}

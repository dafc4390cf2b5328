"""Two finished runs, task by task: differences, or why there are none."""

import pathlib
from typing import Any

import numpy as np

from icrl.errors import RunError
from icrl.evaluation.statistics import difference
from icrl.runs import files, saved


def compare(
    one: pathlib.Path, other: pathlib.Path
) -> tuple[list[dict[str, Any]], list[str]]:
    """Differences, the first run less the second, where both met the same tasks.

    Args:
        one: folder of a run.
        other: of another.

    Returns:
        Rows with the metric `<metric>_difference`, and for every panel without one the
        reason, in words.
    """
    folders = one, other
    summaries = [saved.read_summary(folder) for folder in folders]
    if not all((folder / "scores.npz").exists() for folder in folders):
        old = next(f for f in folders if not (f / "scores.npz").exists())
        return [], [f"no differences: {old} holds means and bounds alone"]
    scores = [saved.read_arrays(folder, "scores") for folder in folders]
    rows, reasons = [], []
    panels = dict.fromkeys(row["panel"] for row in summaries[0]["rows"])
    for panel in panels:
        hashes = [str(found.get(f"{panel}/tasks_hash", "")) for found in scores]
        if not all(hashes):
            reasons.append(f"{panel}: no values per task in both runs")
        elif hashes[0] != hashes[1]:
            reasons.append(f"{panel}: other tasks or noise{_why(folders)}")
        else:
            rows += _differences(panel, *summaries, *scores)
    return rows, reasons


def _differences(
    panel: str,
    summary: dict[str, Any],
    other_summary: dict[str, Any],
    scores: dict[str, np.ndarray],
    others: dict[str, np.ndarray],
) -> list[dict[str, Any]]:
    """The rows of one panel."""
    seeds = {
        (row["agent"], row["metric"]): row["seeds"]
        for row in other_summary["rows"]
        if row["panel"] == panel
    }
    rows = []
    for row in summary["rows"]:
        name = row["agent"], row["metric"]
        key = "/".join((panel, *name))
        if row["panel"] != panel or name not in seeds or key not in others:
            continue
        if "_minus_" in row["metric"]:  # a difference already, to another agent
            continue
        mean, low, high = (float(x) for x in difference(scores[key], others[key]))
        rows.append(
            saved.row(
                panel=panel,
                agent=row["agent"],
                metric=f"{row['metric']}_difference",
                mean=mean,
                low=low,
                high=high,
                seeds=min(row["seeds"], seeds[name]),
                tasks=row["tasks"],
                trajectories=row["trajectories"],
            )
        )
    return rows


def _why(folders: tuple[pathlib.Path, ...]) -> str:
    """What differs between two configs besides model and training, in words."""
    try:
        configs = [files.read_json(folder / "config.json") for folder in folders]
    except RunError:
        return ""
    if configs[0]["experiment"] != configs[1]["experiment"]:
        names = " and ".join(config["experiment"] for config in configs)
        return f" (experiments {names})"
    one, other = (config["config"] for config in configs)
    kept = {"model", "training", "pretraining", "seeds", "log"}
    different = [
        f"{name} {one[name]} and {other.get(name)}"
        for name in one
        if name not in kept and one[name] != other.get(name)
    ]
    return f" ({', '.join(different)})" if different else ""
